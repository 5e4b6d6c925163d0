"""The stages of a deployment, one after the other: a pure machine over what is known of the two revisions.

A stage is its work, then its hooks, then for a step of the production shift a pause. Sources: developer
guide, "Amazon ECS blue/green service deployments workflow" (order, 24 hours a stage, 30 days altogether),
"Amazon ECS linear deployments", "Amazon ECS canary deployments"; on the way back only the traffic stages and
the clean-up are taken, and nothing but a shift that is not in force holds them up [our choice].
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta

import msgspec

from homeport.services.ecs.model import Deployment, HookRun, Staging
from homeport.services.ecs.model.strategies import STAGES
from homeport.services.ecs.plan.rollout_endings import FailureTexts
from homeport.services.ecs.plan.strategy_hooks import broken, due, opened, timed_out

STAGE_LIMIT = timedelta(hours=24)
RECONCILE_PATIENCE = timedelta(minutes=10)
"""How long a blue that is not whole is waited for [our choice]."""
WHOLE_LIMIT = timedelta(days=30)
ROLLING_BACK = "Service deployment failed: rolling back to deploymentId {id}."


@dataclass(frozen=True, slots=True, kw_only=True)
class Sides:
    """What is known of the tasks. `whole`: all that are desired are healthy; `others`: tasks of neither."""

    blue_whole: bool
    green_whole: bool
    green_told: str = ""
    """How far green is, in a sentence's words."""
    others: int = 0
    blue: int = 0
    green: int = 0
    """Tasks that should run, whatever their health."""
    blue_healthy: int = 0
    elsewhere_healthy: int = 0
    """Healthy tasks, of blue and of everybody else."""

    @property
    def can_have_it_back(self) -> bool:
        """Whether production is not worse off with blue than where it is."""
        return self.blue_healthy > 0 or self.elsewhere_healthy == 0


@dataclass(slots=True)
class Course:
    """Where the stages have come to. `failed`: why the deployment ends; `done`: it has come to its end."""

    staging: Staging
    failed: FailureTexts | None = None
    done: bool = False
    calls: tuple[HookRun, ...] = ()
    wakes: list[datetime] = field(default_factory=list)
    waits: list[str] = field(default_factory=list)


def advanced_stages(staging: Staging, deployment: Deployment, sides: Sides, now: datetime) -> Course:
    """As many stages on as can be taken now; the last one ends only with a later look than it began with."""
    course = Course(timed_out(staging, now))
    run = broken(course.staging)
    if run is not None and not staging.returns:
        course.failed = _hook_texts(run)
        return course
    bounded = not staging.returns and staging.stage != "CLEAN_UP"
    if bounded and now >= staging.began + WHOLE_LIMIT:
        course.failed = _late_texts("The deployment", "30 days")
        return course
    while course.failed is None and not course.done:
        here = course.staging
        _take(course, deployment, sides, now, may_end=here.stage == staging.stage)
        if (course.staging.stage, course.staging.step) == (here.stage, here.step):
            break
    if bounded:
        course.wakes.append(staging.began + WHOLE_LIMIT)
    course.calls = due(course.staging, now)
    return course


def _take(course: Course, deployment: Deployment, sides: Sides, now: datetime, *, may_end: bool) -> None:
    """One stage: its work, its hooks, its pause; then on to the next."""
    if not course.staging.hooked:
        if not _works(course, sides, now):
            return
        course.staging = opened(course.staging, deployment, now)
    if not _hooks_are_through(course):
        return
    staging = course.staging
    if staging.stage == "CLEAN_UP":
        course.done = may_end
        if not may_end:
            course.wakes.append(now)
        return
    if not _rests(course, now):
        course.staging = _following(course.staging, now)


def _works(course: Course, sides: Sides, now: datetime) -> bool:
    """Whether the work of the stage is done; what is missing is told, and ends it after a day."""
    work = _WORK.get(course.staging.stage)
    if work is None or work(course, sides, now):
        return True
    staging = course.staging
    if staging.returns or staging.stage == "CLEAN_UP":
        return False
    limit = staging.since + STAGE_LIMIT
    if staging.stage == "BAKE_TIME":
        limit += timedelta(minutes=staging.strategy.bake_minutes)
    if now >= limit:
        course.failed = _late_texts(f"The lifecycle stage {staging.stage}", "24 hours")
    else:
        course.wakes.append(limit)
    return False


def _reconciled(course: Course, sides: Sides, now: datetime) -> bool:
    """Blue as it was: all its tasks, all the traffic, and nothing beside it.

    A blue whose tasks do not last must not keep its cure away: then what is beside it stays until the end.
    """
    if not course.staging.blue:
        return True
    end = course.staging.since + RECONCILE_PATIENCE
    if not sides.blue_whole and now < end:
        course.waits.append("the revision that is in production must be whole again first")
        course.wakes.append(end)
        return False
    if not course.staging.live and course.staging.shifts and not sides.can_have_it_back:
        course.staging = msgspec.structs.replace(course.staging, holds=True, live=True)
    if not _is_live(course):
        return False
    if not sides.blue_whole:
        return True
    if sides.others:
        course.waits.append(f"{sides.others} tasks of interrupted deployments end first")
    return not sides.others


def _scaled_up(course: Course, sides: Sides, now: datetime) -> bool:
    del now
    if not sides.green_whole:
        course.waits.append(f"the new revision must be at 100 %: {sides.green_told}")
    return sides.green_whole


def _test_shifted(course: Course, sides: Sides, now: datetime) -> bool:
    wanted = 0.0 if course.staging.returns else 100.0
    if wanted > course.staging.test and not _scaled_up(course, sides, now):
        return False
    _request(course, test=wanted, production=course.staging.production)
    return _is_live(course)


def _production_shifted(course: Course, sides: Sides, now: datetime) -> bool:
    staging = course.staging
    wanted = 0.0 if staging.returns else staging.percents[min(staging.step, len(staging.percents) - 1)]
    if wanted > staging.production and not _scaled_up(course, sides, now):
        return False
    _request(course, test=staging.test, production=wanted)
    return _is_live(course)


def _baked(course: Course, sides: Sides, now: datetime) -> bool:
    staging = course.staging
    end = staging.since + timedelta(minutes=staging.strategy.bake_minutes)
    if staging.blue and end > now:
        course.wakes.append(end)
        course.waits.append(f"the bake time ends at {end.isoformat()}")
        return False
    return _scaled_up(course, sides, now)


def _cleaned_up(course: Course, sides: Sides, now: datetime) -> bool:
    """Nothing but the revision that stays; after a way back it must be whole as well."""
    del now
    returns = course.staging.returns
    left = sides.others + (sides.green if returns else sides.blue)
    if left:
        course.waits.append(f"{left} tasks of the revision that goes are still there")
    elif returns and not sides.blue_whole:
        course.waits.append("the revision that is in production again must be whole")
        return False
    return not left


_WORK: dict[str, Callable[[Course, Sides, datetime], bool]] = {
    "RECONCILE_SERVICE": _reconciled,
    "SCALE_UP": _scaled_up,
    "TEST_TRAFFIC_SHIFT": _test_shifted,
    "PRODUCTION_TRAFFIC_SHIFT": _production_shifted,
    "BAKE_TIME": _baked,
    "CLEAN_UP": _cleaned_up,
}


def _request(course: Course, *, test: float, production: float) -> None:
    staging = course.staging
    if (staging.test, staging.production) != (test, production):
        course.staging = msgspec.structs.replace(
            staging, test=test, production=production, live=not staging.shifts
        )


def may_shift(staging: Staging, sides: Sides, now: datetime) -> bool:
    """Whether the requested shares may be put in force: nobody gets traffic who has nobody to serve it."""
    if staging.stage == "RECONCILE_SERVICE" and staging.blue:
        is_over = now >= staging.since + RECONCILE_PATIENCE
        return sides.blue_whole or staging.holds or (is_over and sides.can_have_it_back)
    if staging.stage == "PRODUCTION_TRAFFIC_SHIFT" and staging.returns:
        return sides.can_have_it_back
    if staging.stage in ("TEST_TRAFFIC_SHIFT", "PRODUCTION_TRAFFIC_SHIFT") and not staging.returns:
        return sides.green_whole
    return True


def _is_live(course: Course) -> bool:
    staging = course.staging
    if not staging.shifts and not staging.live:
        course.staging = msgspec.structs.replace(staging, live=True)
    elif not staging.live:
        course.waits.append(
            f"the new revision's share of the traffic, {staging.production:g} % of production and "
            f"{staging.test:g} % of test, is not in force yet"
        )
        return False
    return True


def _hooks_are_through(course: Course) -> bool:
    """Whether no hook holds up the stage; on the way back a function that fails does not either."""
    open_ = [run for run in course.staging.hooks if run.is_open]
    for run in open_:
        course.wakes += [at for at in (run.expires_at, run.call_at) if at is not None]
        what = "somebody to continue it" if run.hook.target_type == "PAUSE" else run.hook.target_arn
        then = f"{run.expires_at.isoformat()}, then: {run.hook.timeout_action}"
        course.waits.append(f"hook {run.id} waits for {what} until {then}")
    return not open_


def _rests(course: Course, now: datetime) -> bool:
    """Whether a step of the production shift is still to be watched before the next."""
    staging = course.staging
    last = staging.step >= len(staging.percents) - 1
    if staging.stage != "PRODUCTION_TRAFFIC_SHIFT" or staging.returns or last:
        return False
    end = staging.rests_until or now + timedelta(minutes=staging.strategy.step_bake_minutes)
    if end <= now:
        return False
    course.staging = msgspec.structs.replace(staging, rests_until=end)
    course.wakes.append(end)
    course.waits.append(f"{staging.production:g} % of production is watched until {end.isoformat()}")
    return True


def _following(staging: Staging, now: datetime) -> Staging:
    """At the beginning of the next stage."""
    step = staging.step
    if staging.returns:
        stage = (
            "CLEAN_UP" if staging.stage == "TEST_TRAFFIC_SHIFT" or not staging.test else "TEST_TRAFFIC_SHIFT"
        )
    elif staging.stage == "PRODUCTION_TRAFFIC_SHIFT" and step < len(staging.percents) - 1:
        stage, step = "PRE_PRODUCTION_TRAFFIC_SHIFT", step + 1
    else:
        stage = STAGES[STAGES.index(staging.stage) + 1]
    return msgspec.structs.replace(
        staging, stage=stage, step=step, since=now, hooked=False, hooks=(), rests_until=None
    )


def _late_texts(what: str, limit: str) -> FailureTexts:
    return FailureTexts(
        reason=f"{what} did not complete within {limit}.",
        event="it took too long.",
        rolling_back=ROLLING_BACK,
    )


def _hook_texts(run: HookRun) -> FailureTexts:
    ended = "timed out" if run.status == "TIMED_OUT" else "failed"
    return FailureTexts(
        reason=f"The lifecycle hook {run.hook.target_arn or run.id} {ended}.",
        event=f"a lifecycle hook {ended}.",
        rolling_back=ROLLING_BACK,
    )
