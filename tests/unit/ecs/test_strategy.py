"""Deployments with two revisions side by side: whole histories in a world that misbehaves on cue."""

from __future__ import annotations

from datetime import timedelta
from itertools import pairwise

import msgspec
import pytest
from hypothesis import Phase, example, given, settings
from hypothesis import strategies as st
from tests.kit.rollout import Behaviour, protected, service
from tests.kit.strategies import StagedWorld, function, pause, staging_of

from homeport.services.ecs.model import Breaker, DeploymentStrategy, LifecycleHook
from homeport.services.ecs.model.strategies import STAGES
from homeport.services.ecs.plan.events import service_happenings
from homeport.services.ecs.plan.rollout_endings import (
    STOPPED_FOR_GOOD,
    STOPPED_ROLLING_BACK,
    fail_deployment,
)
from homeport.services.ecs.plan.strategy_request import HOOK_STAGES, PAUSE_STAGES

BLUE_GREEN = DeploymentStrategy(name="BLUE_GREEN", bake_minutes=5)
LINEAR = DeploymentStrategy(name="LINEAR", bake_minutes=5, step_percent=30.0, step_bake_minutes=6)
CANARY = DeploymentStrategy(name="CANARY", bake_minutes=0, step_percent=5.0, step_bake_minutes=10)
ROLLED_BACK = "Service deployment failed: rolling back to deploymentId ecs-svc/1."


def steady(desired: int = 3, **members: object) -> StagedWorld:
    """A world whose first deployment, a rolling one, has completed."""
    world = StagedWorld(service(desired, **members))
    world.run()
    assert world.service.primary.rollout_state == "COMPLETED"
    return world


def succeeded(world: StagedWorld, number: int = 2) -> None:
    assert world.violations == []
    assert [d.id for d in world.service.deployments] == [f"ecs-svc/{number}"]
    assert world.service.primary.rollout_state == "COMPLETED"
    assert world.service.primary.staging is None
    assert world.active(number) == world.service.desired_count
    assert world.service.steady_at is not None


def went_back(world: StagedWorld) -> None:
    assert world.violations == []
    assert (world.traffic, world.test_traffic) == (0.0, 0.0)
    assert [d.id for d in world.service.deployments] == ["ecs-svc/1"]
    assert world.service.primary.rollout_state == "COMPLETED"
    assert world.active(1) == world.service.desired_count


def test_a_blue_green_deployment_goes_through_its_stages_in_order() -> None:
    world = steady()
    world.deploy(2, BLUE_GREEN)
    begun = world.now
    world.run()
    succeeded(world)
    assert world.stages == [
        "SCALE_UP",
        "TEST_TRAFFIC_SHIFT",
        "PRODUCTION_TRAFFIC_SHIFT",
        "BAKE_TIME",
        "CLEAN_UP",
    ]
    assert (world.traffic, world.test_traffic, world.shifted) == (100.0, 100.0, [0.0, 100.0])
    assert world.now - begun >= timedelta(minutes=5, seconds=40)
    assert world.events[-2:] == [
        "(service web) (deployment ecs-svc/2) deployment completed.",
        "(service web) has reached a steady state.",
    ]


def test_a_linear_deployment_shifts_in_equal_steps_and_watches_each_but_the_last() -> None:
    world = steady()
    world.deploy(2, LINEAR)
    world.run()
    succeeded(world)
    assert world.shifted == [0.0, 30.0, 60.0, 90.0, 100.0]
    shift = [now for _, plan, now in world.plans if plan.shift]
    gaps = [(later - earlier).total_seconds() for earlier, later in pairwise(shift[1:])]
    assert gaps == pytest.approx([360] * 3, abs=1)


def test_a_canary_deployment_shifts_a_little_and_then_the_rest() -> None:
    world = steady()
    world.deploy(2, CANARY)
    world.run()
    succeeded(world)
    assert world.shifted == [0.0, 5.0, 100.0]


@pytest.mark.parametrize(
    ("percent", "steps"), [(100.0, 1), (50.0, 2), (33.3, 4), (33.4, 3), (3.0, 34), (10.0, 10), (14.3, 7)]
)
def test_the_steps_of_a_linear_deployment_end_at_a_hundred(percent: float, steps: int) -> None:
    percents = DeploymentStrategy(name="LINEAR", step_percent=percent).percents
    assert (len(percents), percents[0], percents[-1]) == (steps, percent, 100.0)
    assert list(percents) == sorted(set(percents))


def test_without_a_load_balancer_there_is_nothing_to_shift_and_the_stages_pass() -> None:
    world = steady()
    world.shifts = False
    world.deploy(2, BLUE_GREEN)
    world.run()
    succeeded(world)
    assert world.shifted == []
    assert world.stages == ["SCALE_UP", "BAKE_TIME", "CLEAN_UP"]


def test_a_service_without_tasks_is_at_the_last_stage_before_its_deployment_ends() -> None:
    world = steady(0)
    world.deploy(2, msgspec.structs.replace(BLUE_GREEN, bake_minutes=0))
    world.run()
    succeeded(world)
    assert world.stages[-1] == "CLEAN_UP", "what its history shows of it"


def test_a_first_deployment_has_no_blue_and_nothing_to_bake_beside() -> None:
    world = StagedWorld(service(2))
    first = world.service
    world.service = msgspec.structs.replace(first, deployments=())
    world.deploy(1, msgspec.structs.replace(LINEAR, hooks=(pause("POST_SCALE_UP"),)))
    world.patient = True
    world.run()
    assert (staging_of(world.service).stage, world.active(1)) == ("POST_SCALE_UP", 2)
    world.patient = False
    world.run()
    succeeded(world, 1)
    assert world.shifted == [0.0, 100.0]


def test_functions_are_called_at_their_stages_and_at_each_step_with_its_weight() -> None:
    world = steady()
    hook = function("PRE_SCALE_UP", "PRE_PRODUCTION_TRAFFIC_SHIFT", "PRODUCTION_TRAFFIC_SHIFT")
    world.deploy(2, msgspec.structs.replace(CANARY, hooks=(hook,)))
    world.run()
    succeeded(world)
    assert world.called == [
        ("PRE_SCALE_UP", 0.0),
        ("PRE_PRODUCTION_TRAFFIC_SHIFT", 0.0),
        ("PRODUCTION_TRAFFIC_SHIFT", 5.0),
        ("PRE_PRODUCTION_TRAFFIC_SHIFT", 5.0),
        ("PRODUCTION_TRAFFIC_SHIFT", 100.0),
    ]


def test_a_function_in_progress_is_called_again_after_thirty_seconds() -> None:
    world = steady()
    world.deploy(2, msgspec.structs.replace(BLUE_GREEN, hooks=(function("POST_SCALE_UP"),)))
    world.answers = ["IN_PROGRESS", "IN_PROGRESS", "SUCCEEDED"]
    world.run()
    succeeded(world)
    calls = [(now, plan.calls[0].id) for _, plan, now in world.plans if plan.calls]
    assert len({name for _, name in calls}) == 1
    assert [(b[0] - a[0]).total_seconds() for a, b in pairwise(calls)] == [30, 30]


@pytest.mark.parametrize("stage", HOOK_STAGES[1:])
def test_a_function_that_fails_sends_everything_back(stage: str) -> None:
    world = steady()
    blue = {t.id for t in world.tasks.values() if t.stopped_at is None}
    world.deploy(2, msgspec.structs.replace(BLUE_GREEN, hooks=(function(stage),)))
    world.answers = ["FAILED"]
    world.run()
    went_back(world)
    assert {t.id for t in world.tasks.values() if t.stopped_at is None} == blue, "blue was never touched"
    assert world.events[1:4] == [
        "(service web) has reached a steady state.",
        "(service web) (deployment ecs-svc/2) deployment failed: a lifecycle hook failed.",
        "(service web) rolling back to deployment ecs-svc/1.",
    ]


def test_on_the_way_back_the_functions_of_the_shifts_are_called_again_and_cannot_stop_it() -> None:
    world = steady()
    hook = function("TEST_TRAFFIC_SHIFT", "PRODUCTION_TRAFFIC_SHIFT", "POST_PRODUCTION_TRAFFIC_SHIFT")
    world.deploy(2, msgspec.structs.replace(BLUE_GREEN, hooks=(hook,)))
    world.answers = ["SUCCEEDED", "SUCCEEDED", "FAILED", "FAILED", "FAILED"]
    world.run()
    went_back(world)
    assert world.called[3:] == [("<- PRODUCTION_TRAFFIC_SHIFT", 0.0), ("<- TEST_TRAFFIC_SHIFT", 0.0)]


@pytest.mark.parametrize("stage", PAUSE_STAGES[1:])
def test_a_pause_holds_until_somebody_continues_and_green_stays_healthy_meanwhile(stage: str) -> None:
    world = steady()
    world.patient = True
    world.deploy(2, msgspec.structs.replace(BLUE_GREEN, hooks=(pause(stage),)))
    world.run()
    assert world.paused
    assert staging_of(world.service).stage == stage
    assert any("waits for somebody to continue it" in line for line in world.plans[-1][1].waits_for)
    for number in (1, 2):
        crash(world, number)
    world.run()
    assert world.active(1) == 3
    assert world.active(2) == (0 if stage == "PRE_SCALE_UP" else 3)
    world.decide("CONTINUE")
    world.run()
    succeeded(world)


def crash(world: StagedWorld, number: int) -> None:
    for t in world.tasks.values():
        if t.started_by == f"ecs-svc/{number}" and t.stopped_at is None:
            world.change(
                t,
                desired_status="STOPPED",
                last_status="STOPPED",
                stopped_at=world.now,
                execution_stopped_at=world.now,
                stop_code="EssentialContainerExited",
            )
            return


@pytest.mark.parametrize(("action", "goes_on"), [("CONTINUE", True), ("ROLLBACK", False)])
def test_a_pause_that_nobody_ends_ends_as_it_was_told_to(action: str, goes_on: bool) -> None:
    world = steady()
    world.patient = True
    hook = pause("PRE_SCALE_UP", minutes=20_160, action=action)
    world.deploy(2, msgspec.structs.replace(BLUE_GREEN, hooks=(hook,)))
    world.run()
    end = staging_of(world.service).began + timedelta(days=14)
    world.now = end - timedelta(seconds=1)
    world.run()
    assert world.paused, "a pause may last longer than a day"
    assert world.plans[-1][1].wake_at == end
    world.now = end
    world.run()
    (succeeded if goes_on else went_back)(world)


def test_a_green_that_never_gets_healthy_is_given_up_after_a_day() -> None:
    world = steady()
    world.behaviours["ecs-svc/2"] = Behaviour(fails=True)
    world.deploy(2, BLUE_GREEN)
    world.run()
    went_back(world)
    assert "(service web) (deployment ecs-svc/2) deployment failed: it took too long." in world.events
    assert world.now - world.plans[0][2] >= timedelta(hours=24)


def test_the_circuit_breaker_ends_the_scale_up() -> None:
    world = steady(breaker=Breaker(enable=True, rollback=True))
    world.behaviours["ecs-svc/2"] = Behaviour(fails=True)
    world.deploy(2, BLUE_GREEN)
    begun = world.now
    world.run()
    went_back(world)
    assert world.now - begun < timedelta(hours=1)


def test_a_breaker_that_does_not_roll_back_leaves_blue_as_it_is_and_starts_nothing_more() -> None:
    world = steady(breaker=Breaker(enable=True, rollback=False))
    world.behaviours["ecs-svc/2"] = Behaviour(fails=True)
    world.deploy(2, BLUE_GREEN)
    world.run()
    assert world.service.primary.rollout_state == "FAILED"
    assert (world.active(1), world.active(2), world.violations) == (3, 0, [])
    crash(world, 1)
    world.run()
    assert world.active(1) == 3, "what is in production is kept up"
    assert any("has failed: it stays at SCALE_UP" in line for line in world.plans[-1][1].waits_for)
    world.deploy(3)
    world.run()
    succeeded(world, 3)


def test_a_first_deployment_that_fails_has_nothing_to_go_back_to() -> None:
    world = StagedWorld(service(2))
    world.service = msgspec.structs.replace(world.service, deployments=())
    world.deploy(1, msgspec.structs.replace(BLUE_GREEN, hooks=(function("POST_SCALE_UP"),)))
    world.answers = ["FAILED"]
    world.run()
    assert world.service.primary.rollout_state == "FAILED"
    assert world.active(1) == 2


@pytest.mark.parametrize("stage", STAGES[1:-1])
@pytest.mark.parametrize("texts", [STOPPED_ROLLING_BACK, STOPPED_FOR_GOOD], ids=["rollback", "abort"])
def test_it_can_be_stopped_at_every_stage(stage: str, texts: object) -> None:
    world = steady()
    reach(world, stage)
    roll_back = texts is STOPPED_ROLLING_BACK
    world.service, _, _ = fail_deployment(world.service, world.now, texts=texts, roll_back=roll_back)
    standing = (world.active(1), world.active(2), world.traffic)
    world.run()
    if roll_back:
        went_back(world)
    else:
        assert world.service.primary.rollout_state == "FAILED"
        assert (world.active(1), world.active(2), world.traffic) == standing


def reach(world: StagedWorld, stage: str) -> None:
    """Until a deployment has come to a stage, and no further."""
    hooks: tuple[LifecycleHook, ...] = ()
    if stage in HOOK_STAGES:
        kind = pause if stage in PAUSE_STAGES else function
        hooks = (kind(stage),)
    world.deploy(2, msgspec.structs.replace(BLUE_GREEN, hooks=hooks))
    world.answers = ["IN_PROGRESS"] * 100
    for _ in range(500):
        plan = world.step()
        staging = world.service.primary.staging
        if staging is not None and staging.stage == stage and not plan.start:
            return
        if not (plan.start or plan.stop or plan.shift or plan.calls or world.agents_work()):
            assert plan.wake_at is not None
            world.now = max(world.now, plan.wake_at)
    raise AssertionError(f"never at {stage}: {world.stages}")


@pytest.mark.parametrize("stage", STAGES[1:])
def test_a_newer_deployment_takes_over_at_every_stage(stage: str) -> None:
    world = steady()
    reach(world, stage)
    world.answers = []
    world.deploy(3, BLUE_GREEN)
    world.run()
    succeeded(world, 3)
    (reconciles,) = {s.service.primary.staging.stage for s, _, _ in world.plans if _is_new(s)} & {
        "RECONCILE_SERVICE"
    } or ("",)
    assert reconciles == "RECONCILE_SERVICE", "two revisions were active"


def _is_new(snapshot: object) -> bool:
    primary = snapshot.service.primary  # type: ignore[attr-defined]
    return primary.id == "ecs-svc/3" and primary.staging is not None


def test_an_interrupted_shift_is_taken_back_before_the_next_green_starts() -> None:
    world = steady()
    reach(world, "BAKE_TIME")
    assert world.traffic == 100.0
    world.deploy(3, BLUE_GREEN)
    world.step()
    assert (world.traffic, world.active(3)) == (0.0, 0)
    assert world.active(2) == 3, "it goes only once its traffic has"
    world.step()
    assert world.active(2) == 0


def test_a_blue_that_a_rolling_update_has_half_replaced_is_made_whole_first() -> None:
    world = steady(desired=4, minimum_healthy_percent=50, maximum_percent=100)
    world.deploy(2)
    for _ in range(6):
        world.step()
        world.agents_work()
    assert world.active(1) < 4
    world.deploy(3, BLUE_GREEN)
    while staging_of(world.service).stage == "RECONCILE_SERVICE":
        plan = world.step()
        if not (plan.start or plan.stop or plan.shift or world.agents_work()):
            world.now = max(world.now, plan.wake_at or world.now)
    assert (world.active(1), world.active(2)) == (4, 0)
    world.run()
    succeeded(world, 3)


def test_a_blue_that_is_never_whole_does_not_keep_its_cure_away() -> None:
    world = steady()
    reach(world, "BAKE_TIME")
    world.behaviours["ecs-svc/1"] = Behaviour(fails=True)
    crash(world, 1)
    began = world.now
    world.deploy(3, BLUE_GREEN)
    world.step()
    assert world.traffic == 100.0, "nothing goes to a blue that is not whole"
    world.run()
    succeeded(world, 3)
    assert timedelta(minutes=10) < world.now - began < timedelta(hours=1)


def test_deployments_that_are_interrupted_before_any_completed_do_not_pile_up() -> None:
    world = StagedWorld(service(2))
    world.service = msgspec.structs.replace(world.service, deployments=())
    for number in range(1, 6):
        world.deploy(number, BLUE_GREEN)
        for _ in range(8):
            world.step()
            world.agents_work()
        assert sum(world.active(older) for older in range(1, number + 1)) <= 4
    world.run()
    succeeded(world, 5)


@pytest.mark.parametrize("count", [0, 1, 5])
@pytest.mark.parametrize(
    "stage", ["SCALE_UP", "POST_SCALE_UP", "PRODUCTION_TRAFFIC_SHIFT", "BAKE_TIME", "CLEAN_UP"]
)
def test_the_desired_count_counts_for_both_revisions_at_every_stage(stage: str, count: int) -> None:
    world = steady()
    reach(world, stage)
    world.service = msgspec.structs.replace(world.service, desired_count=count)
    world.patient = True
    for _ in range(40):
        world.step()
        world.agents_work()
    if stage in ("POST_SCALE_UP", "BAKE_TIME"):
        assert (world.active(1), world.active(2)) == (count, count)
    world.patient = False
    world.answers = []
    world.run()
    succeeded(world)


def test_tasks_of_blue_that_are_protected_are_waited_for() -> None:
    world = steady()
    reach(world, "CLEAN_UP")
    world = steady()
    world.deploy(2, msgspec.structs.replace(BLUE_GREEN, bake_minutes=0))
    held = next(iter(world.tasks.values()))
    world.change(held, protection=protected(48 * 3600))
    for _ in range(60):
        plan = world.step()
        if not (plan.start or plan.stop or plan.shift or world.agents_work()):
            if staging_of(world.service).stage == "CLEAN_UP":
                break
            world.now = max(world.now, plan.wake_at or world.now)
    assert world.active(1) == 1
    assert f"task {held.uid} is protected from scale-in" in plan.waits_for
    assert plan.wake_at == protected(48 * 3600).expires_at
    world.run()
    succeeded(world)


def test_a_shift_that_is_slow_is_waited_for() -> None:
    world = steady()
    world.delays = 7
    world.deploy(2, BLUE_GREEN)
    world.run()
    succeeded(world)


def test_tasks_on_draining_instances_are_replaced_in_both_revisions() -> None:
    world = steady()
    reach(world, "BAKE_TIME")
    away = [t for t in world.tasks.values() if t.stopped_at is None][1::2]
    for t in away:
        world.change(t, instance_id=2)
    world.draining = frozenset({2})
    for _ in range(200):
        plan = world.step()
        if not (plan.start or plan.stop or world.agents_work()):
            world.now = max(world.now + timedelta(seconds=1), plan.wake_at or world.now)
        if all(t.stopped_at is not None for t in world.tasks.values() if t.instance_id == 2):
            break
    assert staging_of(world.service).stage == "BAKE_TIME"
    assert (world.active(1), world.active(2), world.violations) == (3, 3, [])


def test_a_deleted_service_ends_whatever_its_stage() -> None:
    world = steady()
    reach(world, "BAKE_TIME")
    world.service = msgspec.structs.replace(world.service, status="DRAINING", desired_count=0)
    world.step()
    while world.agents_work():
        pass
    assert world.step().service.status == "INACTIVE"


@st.composite
def strategies(draw: st.DrawFn) -> DeploymentStrategy:
    hooks = draw(
        st.lists(
            st.one_of(
                st.builds(lambda s: pause(*s), st.sets(st.sampled_from(PAUSE_STAGES), min_size=1)),
                st.builds(lambda s: function(*s), st.sets(st.sampled_from(HOOK_STAGES), min_size=1)),
            ),
            max_size=2,
        )
    )
    return DeploymentStrategy(
        name=draw(st.sampled_from(("BLUE_GREEN", "LINEAR", "CANARY"))),
        bake_minutes=draw(st.sampled_from((0, 5, 1440))),
        step_percent=draw(st.sampled_from((3.0, 5.0, 33.3, 50.0, 100.0))),
        step_bake_minutes=draw(st.sampled_from((0, 6))),
        hooks=tuple(hooks),
    )


@settings(max_examples=40, deadline=None, phases=(Phase.explicit, Phase.reuse, Phase.generate))
@example(
    strategy=DeploymentStrategy(name="BLUE_GREEN", bake_minutes=0, hooks=(function("POST_SCALE_UP"),)),
    desired=4,
    shifts=True,
    green=Behaviour(checked=True),
    answers=["SUCCEEDED", "SUCCEEDED", "IN_PROGRESS", "SUCCEEDED", "FAILED"],
    mischief=[(40, "deploy"), (40, "deploy"), (52, "crash 1"), (40, "deploy")],
    seed=468,
).via("a deployment that fails before it got any traffic, after one that had all of it")
@given(
    strategies(),
    st.integers(0, 4),
    st.booleans(),
    st.sampled_from(
        (Behaviour(), Behaviour(checked=True), Behaviour(fails=True), Behaviour(checked=True, sick=True))
    ),
    st.lists(st.sampled_from(("SUCCEEDED", "SUCCEEDED", "IN_PROGRESS", "FAILED")), max_size=6),
    st.lists(
        st.tuples(
            st.integers(1, 60),
            st.sampled_from(("crash 1", "crash 2", "count", "deploy", "slow", "stop", "abort", "protect")),
        ),
        max_size=4,
    ),
    st.integers(0, 999),
)
def test_a_deployment_completes_or_goes_back_or_says_what_it_waits_for(
    strategy: DeploymentStrategy,
    desired: int,
    shifts: bool,
    green: Behaviour,
    answers: list[str],
    mischief: list[tuple[int, str]],
    seed: int,
) -> None:
    breaks = green.sick or seed % 2 == 0  # else what is sick is replaced for a day
    world = steady(desired, breaker=Breaker(enable=breaks, rollback=seed % 3 == 0))
    world.dice.seed(seed)
    world.shifts, world.answers, world.behaviours["ecs-svc/2"] = shifts, list(answers), green
    world.deploy(2, strategy)
    for steps, what in mischief:
        if (green.sick or green.fails) and what == "count":
            continue  # a revision that was let through with no task has its first ones now, and none runs
        for _ in range(steps):
            plan = world.step()
            if not (plan.start or plan.stop or plan.shift or plan.calls or world.agents_work()):
                if world.paused:
                    world.decide("CONTINUE")
                elif plan.wake_at is not None and world.service.steady_at is None:
                    world.now = max(world.now, plan.wake_at)
        befall(world, what)
    world.run()
    assert world.violations == []
    primary = world.service.primary
    last = world.plans[-1][1]
    if primary.rollout_state == "COMPLETED":
        assert [d.id for d in world.service.deployments] == [primary.id]
        assert world.active(int(primary.id.rpartition("/")[2])) == world.service.desired_count
        again = world.step()
        assert (again.stop, again.start, again.service) == ((), 0, last.service), "a fixed point"
    else:
        assert world.step().waits_for, "nothing happens, and nobody says why"


def befall(world: StagedWorld, what: str) -> None:
    primary = world.service.primary
    match what:
        case "crash 1" | "crash 2":
            crash(world, int(what[-1]))
        case "count":
            wanted = (world.service.desired_count + 2) % 5
            world.service = msgspec.structs.replace(world.service, desired_count=wanted)
        case "deploy":
            world.deploy(world.newest + 1)
        case "slow":
            world.delays = 3
        case "stop" | "abort" if primary.staging is not None and primary.rollout_state == "IN_PROGRESS":
            if primary.staging.returns or primary.staging.stage == "CLEAN_UP":
                return
            texts = STOPPED_ROLLING_BACK if what == "stop" else STOPPED_FOR_GOOD
            world.service, _, _ = fail_deployment(
                world.service, world.now, texts=texts, roll_back=what == "stop"
            )
        case "protect":
            for t in list(world.tasks.values())[:1]:
                world.change(
                    t,
                    protection=msgspec.structs.replace(
                        protected(), expires_at=world.now + timedelta(hours=1)
                    ),
                )


def test_a_pause_is_told_on_the_bus_once() -> None:
    world = steady()
    world.patient = True
    world.deploy(2, msgspec.structs.replace(BLUE_GREEN, hooks=(pause("PRE_SCALE_UP"),)))
    before = world.service
    world.run()
    (told,) = [one for one in service_happenings(before, world.service) if "Hook" in one.detail_type]
    (run,) = staging_of(world.service).hooks
    assert (told.event_name, told.members["hookId"]) == ("HOOK_AWAITING_ACTION", run.id)
    assert service_happenings(world.service, world.service) == ()
