"""A service's next step: safe at every moment, the same for the same, and it gets there."""

from __future__ import annotations

from datetime import timedelta

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.kit.rollout import NOW, Behaviour, World, deployment, protected, service, task

from homeport.services.ecs.model import Breaker, EarlySuccess, Service, Task
from homeport.services.ecs.plan.rollout import (
    ServicePlan,
    ServiceSnapshot,
    count_ceiling,
    healthy_floor,
    plan_service,
)
from homeport.services.ecs.plan.rollout_failures import threshold
from homeport.services.ecs.plan.rollout_health import CONTAINER_REASON, is_protected, verdict

COMPLETED = {"rollout_state": "COMPLETED"}


@st.composite
def snapshots(draw: st.DrawFn) -> ServiceSnapshot:
    """Any service in the middle of anything."""
    older = draw(st.integers(0, 2))
    deployments = tuple(
        deployment(
            older + 1 - index,
            status="PRIMARY" if index == 0 else "ACTIVE",
            rollout_state=draw(st.sampled_from(("IN_PROGRESS", "COMPLETED", "FAILED"))),
            failed_tasks=draw(st.integers(0, 4)),
            retry_at=draw(st.sampled_from((None, NOW - timedelta(1), NOW + timedelta(seconds=9)))),
        )
        for index in range(older + 1)
    )
    wanted = service(
        draw(st.integers(0, 6)),
        *deployments,
        minimum_healthy_percent=draw(st.sampled_from((0, 30, 50, 75, 100))),
        maximum_percent=draw(st.sampled_from((100, 125, 150, 200))),
        breaker=Breaker(enable=draw(st.booleans()), rollback=draw(st.booleans())),
        early_success=EarlySuccess(
            enable=draw(st.booleans()),
            healthy_percent=draw(st.sampled_from((0, 50, 100))),
            cleanup=draw(st.sampled_from(("BLOCKING", "DEFERRED"))),
        ),
        health_check_grace_seconds=draw(st.sampled_from((0, 30, 300))),
        last_completed=draw(st.sampled_from((None, *deployments))),
    )
    tasks = [
        task(
            number,
            draw(st.integers(1, older + 1)),
            desired_status=draw(st.sampled_from(("RUNNING", "RUNNING", "RUNNING", "STOPPED"))),
            last_status=draw(st.sampled_from(("PENDING", "RUNNING", "RUNNING"))),
            started_at=NOW - timedelta(seconds=draw(st.sampled_from((1, 39, 40, 100)))),
            health=draw(st.sampled_from((None, None, "HEALTHY", "UNHEALTHY", "UNKNOWN"))),
            protection=draw(st.sampled_from((None, None, protected(), protected(-1)))),
            instance_id=draw(st.sampled_from((1, 2))),
        )
        for number in range(1, draw(st.integers(0, 10)) + 1)
    ]
    live = tuple(
        msgspec.structs.replace(t, started_at=None) if t.last_status == "PENDING" else t for t in tasks
    )
    draining = frozenset({2}) if draw(st.booleans()) else frozenset()
    return ServiceSnapshot(service=wanted, live=live, draining_instances=draining)


def healthy(tasks: list[Task], of: Service) -> int:
    return sum(verdict(t, of, {}, NOW).is_healthy(NOW) for t in tasks)


@settings(max_examples=400, deadline=None)
@given(snapshots())
def test_a_step_never_goes_below_the_floor_nor_above_the_ceiling(snapshot: ServiceSnapshot) -> None:
    plan = plan_service(snapshot, NOW)
    active = [t for t in snapshot.live if t.desired_status == "RUNNING"]
    if plan.start:
        assert len(active) + plan.start <= count_ceiling(snapshot.service)
    stopped = {stop.task.id for stop in plan.stop}
    left = [t for t in active if t.id not in stopped]
    assert healthy(left, snapshot.service) >= min(
        healthy(active, snapshot.service), healthy_floor(snapshot.service)
    )


@settings(max_examples=200, deadline=None)
@given(snapshots())
def test_a_protected_task_is_stopped_only_when_it_is_unhealthy(snapshot: ServiceSnapshot) -> None:
    for stop in plan_service(snapshot, NOW).stop:
        assert not is_protected(stop.task, NOW) or stop.reason == CONTAINER_REASON


@settings(max_examples=200, deadline=None)
@given(snapshots())
def test_nothing_is_stopped_twice_and_only_what_should_run(snapshot: ServiceSnapshot) -> None:
    stops = [stop.task for stop in plan_service(snapshot, NOW).stop]
    assert len({t.id for t in stops}) == len(stops)
    assert all(t.desired_status == "RUNNING" for t in stops)


@settings(max_examples=200, deadline=None)
@given(snapshots())
def test_the_same_input_gives_the_same_plan_and_its_outcome_is_settled(snapshot: ServiceSnapshot) -> None:
    plan = plan_service(snapshot, NOW)
    assert plan_service(snapshot, NOW) == plan
    if not plan.stop and not plan.start:
        again = ServiceSnapshot(
            service=plan.service, live=snapshot.live, draining_instances=snapshot.draining_instances
        )
        rolled_back = plan.service.primary.id != snapshot.service.primary.id
        if not rolled_back:
            assert plan_service(again, NOW).service == plan.service


@settings(max_examples=100, deadline=None)
@given(
    desired=st.integers(1, 8),
    percentages=st.sampled_from(((100, 200), (50, 100), (0, 100), (50, 150), (75, 134), (100, 150))),
    checked=st.booleans(),
    seed=st.integers(0, 1000),
)
def test_an_update_reaches_a_steady_state_or_says_that_it_is_stuck(
    desired: int, percentages: tuple[int, int], checked: bool, seed: int
) -> None:
    minimum, maximum = percentages
    world = World(service(desired, minimum_healthy_percent=minimum, maximum_percent=maximum))
    world.dice.seed(seed)
    world.behaviours = {f"ecs-svc/{n}": Behaviour(checked=checked) for n in (1, 2)}
    world.run()
    assert world.service.primary.rollout_state == "COMPLETED"
    older = msgspec.structs.replace(world.service.primary, status="ACTIVE")
    new = deployment(2, counted_until=world.now)
    world.service = msgspec.structs.replace(world.service, deployments=(new, older))
    world.run()
    stuck = healthy_floor(world.service) == desired == count_ceiling(world.service)
    if stuck:
        assert "was unable to stop or start tasks during a deployment" in world.events[-1]
        return
    assert world.service.primary.rollout_state == "COMPLETED"
    assert world.events[-2:] == [
        "(service web) (deployment ecs-svc/2) deployment completed.",
        "(service web) has reached a steady state.",
    ]
    assert [d.id for d in world.service.deployments] == ["ecs-svc/2"]
    for snapshot, plan, now in world.plans:
        keeps_its_promise(snapshot, plan, now)


def keeps_its_promise(snapshot: ServiceSnapshot, plan: ServicePlan, now: object) -> None:
    active = [t for t in snapshot.live if t.desired_status == "RUNNING"]
    assert len(active) + plan.start <= count_ceiling(snapshot.service) or not plan.start


def test_two_of_four_go_first_when_half_is_enough() -> None:
    wanted = service(
        4, deployment(2), deployment(1, status="ACTIVE"), minimum_healthy_percent=50, maximum_percent=100
    )
    plan = plan_service(ServiceSnapshot(service=wanted, live=tuple(task(n) for n in range(1, 5))), NOW)
    assert (len(plan.stop), plan.start) == (2, 0)


def test_tasks_that_run_for_less_than_forty_seconds_do_not_let_older_ones_go() -> None:
    wanted = service(2, deployment(2), deployment(1, status="ACTIVE"))
    old = [task(1), task(2)]
    young = [task(n, 2, started_at=NOW - timedelta(seconds=39)) for n in (3, 4)]
    plan = plan_service(ServiceSnapshot(service=wanted, live=(*old, *young)), NOW)
    assert plan.stop == ()
    assert plan.wake_at == NOW + timedelta(seconds=1)
    assert "at least 2 must be" in plan.waits_for[0]
    later = plan_service(ServiceSnapshot(service=wanted, live=(*old, *young)), plan.wake_at)
    assert [stop.task.id for stop in later.stop] == [1, 2]


def test_an_unhealthy_task_goes_only_once_its_replacement_is_healthy() -> None:
    wanted = service(2, deployment(1, **COMPLETED))
    sick, well = task(1, health="UNHEALTHY"), task(2, health="HEALTHY")
    first = plan_service(ServiceSnapshot(service=wanted, live=(sick, well)), NOW)
    assert (first.stop, first.start, first.replaces) == ((), 1, 1)
    waiting = task(3, health="UNKNOWN")
    assert plan_service(ServiceSnapshot(service=wanted, live=(sick, well, waiting)), NOW).stop == ()
    ready = task(3, health="HEALTHY")
    second = plan_service(ServiceSnapshot(service=wanted, live=(sick, well, ready)), NOW)
    assert [(stop.task.id, stop.reason) for stop in second.stop] == [(1, CONTAINER_REASON)]


def test_without_room_for_a_replacement_unhealthy_tasks_go_one_at_a_time() -> None:
    wanted = service(3, deployment(1, **COMPLETED), maximum_percent=100, minimum_healthy_percent=50)
    tasks = (task(1, health="UNHEALTHY"), task(2, health="UNHEALTHY"), task(3, health="HEALTHY"))
    plan = plan_service(ServiceSnapshot(service=wanted, live=tasks), NOW)
    assert ([stop.task.id for stop in plan.stop], plan.start) == ([1], 0)


def test_within_the_grace_period_a_failing_check_is_no_reason_to_replace() -> None:
    wanted = service(1, deployment(1, **COMPLETED), health_check_grace_seconds=90)
    sick = task(1, health="UNHEALTHY")  # runs for 60 seconds
    plan = plan_service(ServiceSnapshot(service=wanted, live=(sick,)), NOW)
    assert (plan.start, plan.wake_at) == (0, NOW + timedelta(seconds=30))
    assert plan_service(ServiceSnapshot(service=wanted, live=(sick,)), plan.wake_at).start == 1


def test_tasks_on_a_draining_instance_are_replaced_before_they_go() -> None:
    wanted = service(2, deployment(1, **COMPLETED))
    here, away = task(1, instance_id=1), task(2, instance_id=2)
    draining = frozenset({2})
    plan = plan_service(ServiceSnapshot(service=wanted, live=(here, away), draining_instances=draining), NOW)
    assert (plan.stop, plan.start) == ((), 1)
    more = task(3, instance_id=1)
    plan = plan_service(
        ServiceSnapshot(service=wanted, live=(here, away, more), draining_instances=draining), NOW
    )
    assert [stop.task.id for stop in plan.stop] == [2]


@pytest.mark.parametrize(("desired", "failures"), [(1, 3), (6, 3), (7, 4), (25, 13), (400, 200), (800, 200)])
def test_the_breaker_trips_at_half_the_desired_count_within_its_bounds(desired: int, failures: int) -> None:
    assert threshold(Breaker(enable=True), desired) == failures


def test_other_thresholds_are_taken_as_they_are() -> None:
    assert threshold(Breaker(threshold_type="COUNT", threshold_value=7), 1000) == 7
    assert threshold(Breaker(threshold_type="UNBOUNDED_PERCENT", threshold_value=10), 5) == 1
    assert threshold(Breaker(threshold_type="BOUNDED_PERCENT", threshold_value=90), 1000) == 200


def updated(world: World, number: int, **breaker: bool) -> None:
    """A new deployment of what `world.behaviours` says."""
    older = tuple(msgspec.structs.replace(d, status="ACTIVE") for d in world.service.deployments)
    world.service = msgspec.structs.replace(
        world.service,
        breaker=Breaker(**breaker),
        deployments=(deployment(number, counted_until=world.now), *older),
    )


def test_a_broken_image_trips_the_breaker_and_the_service_rolls_back_without_losing_a_task() -> None:
    world = World(service(4))
    world.run()
    before = {t.id for t in world.tasks.values()}
    updated(world, 2, enable=True, rollback=True)
    world.behaviours["ecs-svc/2"] = Behaviour(fails=True)
    world.run()
    assert world.service.primary.id == "ecs-svc/1"
    assert world.service.primary.rollout_state == "COMPLETED"
    assert {t.id for t in world.tasks.values() if t.stopped_at is None} == before
    assert [e for e in world.events if "deployment" in e][1:] == [
        "(service web) (deployment ecs-svc/2) deployment failed: tasks failed to start.",
        "(service web) rolling back to deployment ecs-svc/1.",
        "(service web) (deployment ecs-svc/1) deployment completed.",
    ]


def test_without_rollback_a_failed_deployment_starts_nothing_more_and_the_old_tasks_run_on() -> None:
    world = World(service(4))
    world.run()
    updated(world, 2, enable=True)
    world.behaviours["ecs-svc/2"] = Behaviour(fails=True)
    world.run()
    assert world.service.primary.rollout_state == "FAILED"
    assert world.service.primary.rollout_state_reason == (
        "ECS deployment circuit breaker: task failed to start."
    )
    assert sum(t.stopped_at is None for t in world.tasks.values()) == 4
    _, last, _ = world.plans[-1]
    assert last.waits_for[0] == "deployment ecs-svc/2 has failed: it starts no more tasks"


def test_a_first_deployment_that_fails_has_nothing_to_roll_back_to() -> None:
    world = World(service(2, breaker=Breaker(enable=True, rollback=True)))
    world.behaviours["ecs-svc/1"] = Behaviour(fails=True)
    world.run()
    assert world.service.primary.rollout_state == "FAILED"
    assert len(world.service.deployments) == 1


def test_health_checks_that_fail_after_the_tasks_ran_trip_the_breaker_too() -> None:
    world = World(service(2))
    world.run()
    updated(world, 2, enable=True, rollback=True)
    world.behaviours["ecs-svc/2"] = Behaviour(checked=True, sick=True)
    world.run()
    assert world.service.primary.id == "ecs-svc/1"
    assert world.service.primary.rollout_state == "COMPLETED"


def test_a_task_that_once_ran_makes_failed_starts_harmless_for_the_breaker() -> None:
    wanted = service(10, deployment(1, has_run=True), breaker=Breaker(enable=True))
    stops = tuple(
        task(
            n,
            last_status="STOPPED",
            started_at=None,
            stop_code="TaskFailedToStart",
            desired_status="STOPPED",
            stopped_at=NOW - timedelta(seconds=n),
        )
        for n in range(1, 9)
    )
    plan = plan_service(ServiceSnapshot(service=wanted, live=(), stopped=stops), NOW)
    assert plan.service.primary.rollout_state == "IN_PROGRESS"
    assert plan.service.primary.failed_tasks == 0
    assert plan.service.primary.failed_starts == 8


def test_starts_that_keep_failing_are_paused_longer_and_longer_and_told_once() -> None:
    world = World(service(1))
    world.behaviours["ecs-svc/1"] = Behaviour(fails=True)
    pauses = []
    for _ in range(14):
        while not (plan := world.step()).start:
            if not world.agents_work():
                assert plan.wake_at is not None
                pauses.append(round((plan.wake_at - world.now).total_seconds()))
                world.now = plan.wake_at
    assert pauses == [1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024, 1620, 1620]
    assert world.events == ["(service web) is unable to consistently start tasks successfully."]


def test_a_deleted_service_stops_its_tasks_and_is_inactive_once_none_should_run() -> None:
    gone = msgspec.structs.replace(service(0), status="DRAINING")
    plan = plan_service(ServiceSnapshot(service=gone, live=(task(1), task(2))), NOW)
    assert len(plan.stop) == 2
    assert plan.service.status == "DRAINING"
    stopping = tuple(task(n, desired_status="STOPPED") for n in (1, 2))
    assert plan_service(ServiceSnapshot(service=gone, live=stopping), NOW).service.status == "INACTIVE"


def test_a_steady_service_says_so_again_only_after_six_hours() -> None:
    world = World(service(1))
    world.run()
    assert world.step().events == ()
    world.now += timedelta(hours=6)
    assert world.step().events == ("(service web) has reached a steady state.",)


@pytest.mark.parametrize("of", [1, 2], ids=["surplus", "stale"])
def test_a_task_too_many_that_is_protected_is_looked_at_again_when_its_protection_ends(of: int) -> None:
    held = task(1, of, protection=protected(600))
    wanted = service(0) if of == 1 else service(0, deployment(1), deployment(2, status="ACTIVE"))
    plan = plan_service(ServiceSnapshot(service=wanted, live=(held,)), NOW)
    assert (plan.stop, plan.wake_at) == ((), NOW + timedelta(seconds=600))
    later = plan_service(ServiceSnapshot(service=wanted, live=(held,)), NOW + timedelta(seconds=600))
    assert [stop.task.id for stop in later.stop] == [1]
