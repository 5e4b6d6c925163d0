"""Why a service is not steady, and what became of a deployment. Pure."""

from __future__ import annotations

import dataclasses
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime

from homeport.services.ecs.model import GROUP_ATTRIBUTE, Deployment, Service, ServiceDeployment, Task
from homeport.services.ecs.plan.daemon import plan_either
from homeport.services.ecs.plan.explain import (
    Explanation,
    culprit,
    seconds_since,
)
from homeport.services.ecs.plan.explain_room import Around, InstanceVerdict, exclusions, instance_verdicts
from homeport.services.ecs.plan.explain_stages import (
    pause_remedies,
    stage_told,
    traffic_remedies,
    traffic_told,
)
from homeport.services.ecs.plan.fleet import Fleet
from homeport.services.ecs.plan.placement_types import Demand
from homeport.services.ecs.plan.placing import pool_of
from homeport.services.ecs.plan.remedies import container_remedy
from homeport.services.ecs.plan.rollout import (
    ServicePlan,
    ServiceSnapshot,
    count_ceiling,
    healthy_floor,
)
from homeport.services.ecs.plan.rollout_failures import threshold
from homeport.services.ecs.plan.rollout_health import verdict
from homeport.services.ecs.ports import Obstacle

FAILURES_TOLD = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class ServiceCase:
    """A service as one transaction saw it, and the room that there was.

    `failed`: its tasks that stopped within the last hour. `demand`: what one more of its tasks asks.
    """

    snapshot: ServiceSnapshot
    fleet: Fleet
    demand: Demand | None
    failed: tuple[Task, ...] = ()
    history: tuple[ServiceDeployment, ...] = ()
    """Newest first."""
    groups: Mapping[str, str] = field(default_factory=dict)
    """The Auto Scaling groups of the capacity providers that its strategy names."""
    around: Around = field(default_factory=Around)
    refused_role: str | None = None
    """A role of its task definition that ECS cannot assume: no task of it is launched."""
    obstacles: tuple[Obstacle, ...] = ()
    """What keeps its load balancers from its tasks."""


@dataclass(slots=True)
class _Story:
    verdict: str
    because: list[str] = field(default_factory=list)
    remedies: list[str] = field(default_factory=list)
    instances: tuple[InstanceVerdict, ...] = ()


def explain_service(case: ServiceCase, now: datetime) -> Explanation:
    """Why a service is not where it should be; from the step that the planner would take now."""
    service = case.snapshot.service
    plan = plan_either(case.snapshot, now)
    if service.status != "ACTIVE":
        left = len(case.snapshot.live)
        gone = "It was deleted." if service.status == "INACTIVE" else f"It is deleted: {left} tasks end."
        story = _Story(gone)
    else:
        story = _story(case, plan, now)
    return Explanation(
        arn=service.arn,
        kind="service",
        status=service.status,
        verdict=story.verdict,
        because=tuple(dict.fromkeys(story.because)),
        remedies=tuple(dict.fromkeys(filter(None, story.remedies))),
        numbers=_numbers(case, now),
        instances=story.instances,
    )


def _numbers(case: ServiceCase, now: datetime) -> dict[str, int]:
    service = case.snapshot.service
    active = [task for task in case.snapshot.live if task.desired_status == "RUNNING"]
    healthy = [t for t in active if verdict(t, service, case.snapshot.targets, now).is_healthy(now)]
    breaker = threshold(service.breaker, service.desired_count) if service.breaker.enable else 0
    return {
        "desired": service.desired_count,
        "active": len(active),
        "running": sum(task.last_status == "RUNNING" for task in active),
        "healthy": len(healthy),
        "ofPrimary": sum(task.started_by == service.primary.id for task in active),
        "atLeastHealthy": healthy_floor(service),
        "atMost": count_ceiling(service),
        "failedTasks": service.primary.failed_tasks,
        "failedStarts": service.primary.failed_starts,
        "breakerThreshold": breaker,
    }


def _story(case: ServiceCase, plan: ServicePlan, now: datetime) -> _Story:
    service, primary = case.snapshot.service, plan.service.primary
    numbers = _numbers(case, now)
    short = max(service.desired_count - numbers["ofPrimary"], 0)
    waiting = _in_doubt(case, now)
    if primary.rollout_state == "FAILED":
        story = _Story(f"Deployment {primary.id} has failed: {primary.rollout_state_reason}")
        story.remedies.append("Correct what failed and update the service: a new deployment starts.")
    elif plan.zones:
        story = _uneven(case, plan)
    elif plan.start and case.refused_role is not None:
        story = _Story(
            f"{plan.start} tasks are missing, and cannot be launched: ECS cannot assume {case.refused_role}."
        )
        story.remedies.append(
            "Create that role, or let its trust policy allow ecs-tasks.amazonaws.com sts:AssumeRole."
        )
    elif plan.start:
        story = _missing_in(case, Counter(plan.start_in)) if plan.start_in else _missing(case, plan.start)
    elif (stage := stage_told(service, now)) is not None:
        story = _Story(stage)
    elif primary.retry_at is not None and primary.retry_at > now and short:
        story = _Story(f"It waits before it tries again: {primary.failed_starts} starts in a row failed.")
    elif waiting and plan.service.steady_at is None and numbers["ofPrimary"] <= service.desired_count:
        story = _Story("Its tasks are there; it waits until all of them are healthy.")
    elif plan.stop:
        story = _Story(f"It is about to stop {len(plan.stop)} tasks.")
        story.because += sorted({stop.reason for stop in plan.stop})
    elif plan.waits_for:
        story = _Story("It waits.")
    elif primary.rollout_state == "COMPLETED":
        so_far = "count as healthy so far" if waiting else "are healthy"
        story = _Story(f"It is steady: {numbers['healthy']} of {service.desired_count} tasks {so_far}.")
    else:
        story = _Story("It is about to settle.")
    story.because += [*plan.waits_for, *traffic_told(service), *waiting, *_past(service, primary)]
    story.because += [one.text for one in case.obstacles]
    story.remedies += [f"Let it in: {one.command}" for one in case.obstacles if one.command]
    story.remedies += [*pause_remedies(service, case.history), *traffic_remedies(service)]
    if primary.failed_tasks or primary.failed_starts or primary.rollout_state == "FAILED" or _fell(service):
        told, remedies = _failures(case.failed)
        story.because += told
        story.remedies += remedies
    return story


def _fell(service: Service) -> bool:
    """Whether the primary is a rollback."""
    return "rolling back" in service.primary.rollout_state_reason


def _uneven(case: ServiceCase, plan: ServicePlan) -> _Story:
    """Steady, and tasks are to move to other Availability Zones: whether there is room."""
    where = " or ".join(plan.zones)
    story = _Story(f"It is steady, but spread unevenly: {plan.start} of its tasks are to move to {where}.")
    if case.demand is not None:
        demand = dataclasses.replace(case.demand, azs=frozenset(plan.zones))
        story.instances = instance_verdicts(case.fleet, demand, case.around)
        if not any(one.fits for one in story.instances):
            story.because.append(f"no container instance in {where} can take one")
    return story


def _missing(case: ServiceCase, count: int) -> _Story:
    """Tasks are missing: whether any instance would take one."""
    if case.demand is None:
        return _Story(f"{count} tasks are missing, and their task definition is gone.")
    verdicts = instance_verdicts(case.fleet, case.demand, case.around)
    fitting = sum(one.fits for one in verdicts)
    if fitting:
        return _Story(
            f"{count} tasks are missing and about to start: "
            f"{fitting} of {len(verdicts)} instances have room.",
            instances=verdicts,
        )
    if not verdicts:
        story = _Story(f"{count} tasks are missing, and the cluster has no container instances.")
        story.remedies.append("Add one: homeport agent (docs/guide/second-machine.md).")
        return story
    story = _Story(
        f"{count} tasks are missing, and none of {len(verdicts)} container instances can take one.",
        instances=verdicts,
    )
    story.because += exclusions(case.fleet, case.demand, case.around)
    story.remedies.append(verdicts[0].remedy)
    return story


def _missing_in(case: ServiceCase, missing: Mapping[str, int]) -> _Story:
    """Tasks are missing in capacity providers: whether their instances would take them."""
    if case.demand is None:
        return _missing(case, sum(missing.values()))
    story = _Story("", because=[])
    stuck = 0
    for provider, count in missing.items():
        group = case.groups.get(provider, "")
        verdicts = instance_verdicts(case.fleet, replace(case.demand, pool=pool_of(group)), case.around)
        fitting = sum(one.fits for one in verdicts)
        where = f"{count} for capacity provider {provider} (Auto Scaling group {group})"
        story.instances += verdicts
        if fitting:
            story.because.append(f"{where}: {fitting} of {len(verdicts)} instances have room")
            continue
        stuck += count
        demand = replace(case.demand, pool=pool_of(group))
        told = ", ".join(exclusions(case.fleet, demand, case.around))
        story.because.append(f"{where}: {told or 'it has no container instances'}")
        attribute = f"--attribute {GROUP_ATTRIBUTE}={group}"
        story.remedies.append(
            verdicts[0].remedy
            if verdicts
            else f"Add an instance to it: homeport agent {attribute} (docs/guide/capacity-providers.md)."
        )
    names = ", ".join(missing)
    total = sum(missing.values())
    story.verdict = (
        f"{total} tasks are missing, and {stuck} of them find no room in their capacity provider ({names})."
        if stuck
        else f"{total} tasks are missing and about to start in their capacity providers ({names})."
    )
    return story


def _in_doubt(case: ServiceCase, now: datetime) -> list[str]:
    """Tasks that are not healthy yet, or not any more."""
    service, told = case.snapshot.service, []
    active = [task for task in case.snapshot.live if task.desired_status == "RUNNING"]
    pending = [task for task in active if task.last_status != "RUNNING"]
    if pending:
        oldest = min(pending, key=lambda task: task.created_at)
        told.append(
            f"{len(pending)} tasks have not reached RUNNING, the oldest ({oldest.uid}) "
            f"for {seconds_since(oldest.created_at, now)} s"
        )
    for task in active:
        seen = verdict(task, service, case.snapshot.targets, now)
        if task.last_status != "RUNNING" or seen.is_healthy(now):
            continue
        if seen.failed is not None:
            told.append(f"task {task.uid} is unhealthy: {seen.failed}")
        elif seen.look_at is not None:
            told.append(f"task {task.uid} is unhealthy; its grace period ends at {seen.look_at.isoformat()}")
        elif seen.healthy_at is not None:
            told.append(f"task {task.uid} counts as healthy in {seconds_since(now, seen.healthy_at)} s")
        else:
            told.append(f"task {task.uid} has not passed its health check yet")
    return told


def _past(service: Service, primary: Deployment) -> list[str]:
    told = []
    if _fell(service):
        told.append(primary.rollout_state_reason)
    if primary.failed_tasks and service.breaker.enable:
        limit = threshold(service.breaker, service.desired_count)
        told.append(f"{primary.failed_tasks} failed tasks of {limit} that trip the circuit breaker")
    return told


def _failures(stopped: Iterable[Task]) -> tuple[list[str], list[str]]:
    """Why its tasks stopped lately, most frequent first; and what to do about it."""
    ended = [t for t in stopped if t.stop_code in ("TaskFailedToStart", "EssentialContainerExited")]
    reasons = Counter(task.stopped_reason or "" for task in ended)
    told = [f"{count} tasks stopped lately: {reason}" for reason, count in reasons.most_common(FAILURES_TOLD)]
    remedies = []
    for task in ended[-1:]:
        guilty = culprit(task)
        if guilty is not None:
            remedies.append(container_remedy(guilty.exit_code, guilty.reason or "", guilty.health_status))
        remedies.append(f"The last one says more: homeport explain {task.arn}")
    return told, remedies


def explain_deployment(record: ServiceDeployment, case: ServiceCase | None, now: datetime) -> Explanation:
    """What became of a service deployment; while it is open, what it waits for."""
    because = [record.status_reason] if record.status_reason else []
    remedies: list[str] = []
    if record.rollback is not None:
        because.append(f"rolled back to revision {record.rollback.revision}: {record.rollback.reason}")
    if record.failures:
        limit = f" (the circuit breaker trips at {record.threshold})" if record.threshold else ""
        because.append(f"{record.failures} tasks failed{limit}")
    mine = case is not None and case.snapshot.service.primary.id == record.deployment_id
    live = explain_service(case, now) if case is not None and (mine or record.is_open) else None
    if case is not None and (record.failures or record.rollback is not None):
        told, found = _failures(task for task in case.failed if task.started_by == record.deployment_id)
        because += told
        remedies += found
    if live is not None and record.is_open:
        because += [live.verdict, *live.because]
        remedies += live.remedies
    return Explanation(
        arn=record.arn,
        kind="deployment",
        status=record.status,
        verdict=_VERDICTS.get(record.status, "It goes on.").format(id=record.deployment_id),
        because=tuple(dict.fromkeys(because)),
        remedies=tuple(dict.fromkeys(filter(None, remedies))),
        numbers={"failures": record.failures, "breakerThreshold": record.threshold}
        | (dict(live.numbers) if live is not None else {}),
        instances=live.instances if live is not None else (),
    )


_VERDICTS = {
    "PENDING": "Deployment {id} has not begun yet.",
    "IN_PROGRESS": "Deployment {id} goes on.",
    "SUCCESSFUL": "Deployment {id} has completed.",
    "STOPPED": "Deployment {id} was stopped.",
    "STOP_REQUESTED": "Deployment {id} is being stopped.",
    "ROLLBACK_REQUESTED": "Deployment {id} is about to roll back.",
    "ROLLBACK_IN_PROGRESS": "Deployment {id} failed and rolls back.",
    "ROLLBACK_SUCCESSFUL": "Deployment {id} failed and was rolled back.",
    "ROLLBACK_FAILED": "Deployment {id} failed, and so did its rollback.",
}
