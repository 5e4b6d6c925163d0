"""The next step of every task set: its share, safely, on its own, and steady only when it is."""

from __future__ import annotations

import math
from datetime import timedelta
from fractions import Fraction
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.kit.rollout import NOW, deployment, protected, service, task

from homeport.services.ecs.model import Service, Task, TaskSet
from homeport.services.ecs.plan.rollout_health import is_protected, verdict
from homeport.services.ecs.plan.task_sets import (
    TaskSetsPlan,
    TaskSetsSnapshot,
    as_service,
    plan_task_sets,
    share_of,
)

COUNTED = ("PROVISIONING", "PENDING", "ACTIVATING", "RUNNING")


def external(desired: int, **members: Any) -> Service:
    made = msgspec.structs.replace(service(desired), deployments=(), controller="EXTERNAL")
    return msgspec.structs.replace(made, **members)


def task_set(number: int, scale: float = 100.0, **members: Any) -> TaskSet:
    given = {"deployment": deployment(number), "stability_at": NOW, "updated_at": NOW, "created_at": NOW}
    return TaskSet(
        id=number,
        service_id=1,
        cluster_name="default",
        account_id="000000000000",
        region="us-east-1",
        service_name="web",
        scale=scale,
        **{**given, **members},
    )


@st.composite
def snapshots(draw: st.DrawFn) -> TaskSetsSnapshot:
    """Any service with any task sets in the middle of anything."""
    count = draw(st.integers(0, 3))
    sets = tuple(
        task_set(
            number,
            draw(st.sampled_from((0.0, 10.0, 33.3, 50.0, 100.0))),
            status=draw(st.sampled_from(("PRIMARY", "ACTIVE", "DRAINING"))),
            computed_desired_count=draw(st.integers(0, 6)),
            stability_status=draw(st.sampled_from(("STEADY_STATE", "STABILIZING"))),
            forced=draw(st.booleans()),
            deployment=deployment(
                number,
                failed_starts=draw(st.integers(0, 4)),
                retry_at=draw(st.sampled_from((None, NOW - timedelta(1), NOW + timedelta(seconds=9)))),
            ),
        )
        for number in range(1, count + 1)
    )
    sets = tuple(msgspec.structs.replace(s, forced=s.forced and s.status == "DRAINING") for s in sets)
    live = tuple(
        task(
            number,
            draw(st.integers(1, 4)),
            desired_status=draw(st.sampled_from(("RUNNING", "RUNNING", "RUNNING", "STOPPED"))),
            last_status=draw(st.sampled_from(("PENDING", "RUNNING", "RUNNING", "STOPPING"))),
            started_at=NOW - timedelta(seconds=draw(st.sampled_from((1, 39, 40, 100)))),
            health=draw(st.sampled_from((None, None, "HEALTHY", "UNHEALTHY", "UNKNOWN"))),
            protection=draw(st.sampled_from((None, None, protected(), protected(-1)))),
            instance_id=draw(st.sampled_from((1, 2))),
        )
        for number in range(1, draw(st.integers(0, 12)) + 1)
    )
    wanted = external(
        draw(st.integers(0, 6)),
        status=draw(st.sampled_from(("ACTIVE", "ACTIVE", "ACTIVE", "DRAINING"))),
        steady_at=draw(st.sampled_from((None, NOW, NOW - timedelta(hours=7)))),
    )
    draining = frozenset({2}) if draw(st.booleans()) else frozenset[int]()
    return TaskSetsSnapshot(service=wanted, task_sets=sets, live=live, draining_instances=draining)


def of(snapshot: TaskSetsSnapshot, one: TaskSet) -> list[Task]:
    return [t for t in snapshot.live if t.started_by == one.uid]


def healthy(tasks: list[Task], owner: Service) -> int:
    return sum(verdict(t, owner, {}, NOW).is_healthy(NOW) for t in tasks)


def after(snapshot: TaskSetsSnapshot, plan: TaskSetsPlan) -> TaskSetsSnapshot:
    """The same world with what the plan writes."""
    kept = tuple(step.task_set for step in plan.steps if not step.gone)
    return TaskSetsSnapshot(
        service=plan.service,
        task_sets=kept,
        live=snapshot.live,
        draining_instances=snapshot.draining_instances,
    )


@settings(max_examples=300, deadline=None)
@given(snapshots())
def test_a_task_set_stays_above_its_share_by_its_own_stops_and_below_twice_it_by_its_starts(
    snapshot: TaskSetsSnapshot,
) -> None:
    plan = plan_task_sets(snapshot, NOW)
    for step in plan.steps:
        active = [t for t in of(snapshot, step.task_set) if t.desired_status == "RUNNING"]
        share = step.task_set.computed_desired_count
        if step.start:
            assert len(active) + step.start <= 2 * share
        stopped = {stop.task.id for stop in step.stop}
        left = [t for t in active if t.id not in stopped]
        owner = as_service(snapshot.service, step.task_set)
        assert healthy(left, owner) >= min(healthy(active, owner), share)


@settings(max_examples=300, deadline=None)
@given(snapshots())
def test_a_share_is_what_the_scale_says_and_none_once_it_drains(snapshot: TaskSetsSnapshot) -> None:
    for before, step in zip(snapshot.task_sets, plan_task_sets(snapshot, NOW).steps, strict=True):
        drains = before.status == "DRAINING" or snapshot.service.status != "ACTIVE"
        wanted = (
            0 if drains else math.ceil(Fraction(str(before.scale)) * snapshot.service.desired_count / 100)
        )
        assert step.task_set.computed_desired_count == wanted
        if drains:
            assert (step.task_set.status, step.start) == ("DRAINING", 0)
        else:
            assert step.task_set.status == before.status
            assert not step.gone


@settings(max_examples=300, deadline=None)
@given(snapshots())
def test_a_protected_task_goes_by_force_or_when_it_is_unhealthy_only(snapshot: TaskSetsSnapshot) -> None:
    if snapshot.service.status != "ACTIVE":
        return
    for step in plan_task_sets(snapshot, NOW).steps:
        for stop in step.stop:
            failed = verdict(stop.task, as_service(snapshot.service, step.task_set), {}, NOW).failed
            assert not is_protected(stop.task, NOW) or failed or step.task_set.forced


@settings(max_examples=300, deadline=None)
@given(snapshots())
def test_only_what_should_run_is_stopped_and_nothing_twice(snapshot: TaskSetsSnapshot) -> None:
    plan = plan_task_sets(snapshot, NOW)
    stops = [stop.task for step in plan.steps for stop in step.stop] + [s.task for s in plan.strays]
    assert len({t.id for t in stops}) == len(stops)
    assert all(t.desired_status == "RUNNING" for t in stops)
    for step in plan.steps:
        assert all(stop.task.started_by == step.task_set.uid for stop in step.stop)
    known = {one.uid for one in snapshot.task_sets}
    lost = {t.id for t in snapshot.live if t.started_by not in known and t.desired_status == "RUNNING"}
    assert {stop.task.id for stop in plan.strays} == lost


@settings(max_examples=300, deadline=None)
@given(snapshots())
def test_steady_is_what_runs_in_full_and_well_and_nothing_besides(snapshot: TaskSetsSnapshot) -> None:
    """Source: botocore, TaskSet.stabilityStatus."""
    for step in plan_task_sets(snapshot, NOW).steps:
        one, tasks = step.task_set, of(snapshot, step.task_set)
        counted = [t for t in tasks if t.last_status in COUNTED]
        is_whole = (
            len(counted) == one.computed_desired_count
            and all(t.last_status == "RUNNING" and t.desired_status == "RUNNING" for t in counted)
            and all(t.instance_id not in snapshot.draining_instances for t in counted)
            and all(
                verdict(t, as_service(snapshot.service, one), {}, NOW).healthy_at is not None for t in counted
            )
            and not any(t.desired_status == "RUNNING" for t in tasks if t not in counted)
            and one.status != "DRAINING"
        )
        if one.stability_status == "STEADY_STATE" and not one.forced and snapshot.service.status == "ACTIVE":
            assert is_whole
            assert not step.stop
            assert not step.start
        elif not one.forced and snapshot.service.status == "ACTIVE":
            assert not is_whole


@settings(max_examples=200, deadline=None)
@given(snapshots())
def test_a_task_set_is_decided_as_if_it_were_alone(snapshot: TaskSetsSnapshot) -> None:
    plan = plan_task_sets(snapshot, NOW)
    for before, step in zip(snapshot.task_sets, plan.steps, strict=True):
        alone = alone_with(snapshot, before)
        assert plan_task_sets(alone, NOW).steps == (step,)


def alone_with(snapshot: TaskSetsSnapshot, one: TaskSet) -> TaskSetsSnapshot:
    return TaskSetsSnapshot(
        service=snapshot.service,
        task_sets=(one,),
        live=snapshot.live,
        draining_instances=snapshot.draining_instances,
    )


@settings(max_examples=300, deadline=None)
@given(snapshots())
def test_the_same_input_gives_the_same_plan_and_what_is_written_is_not_written_again(
    snapshot: TaskSetsSnapshot,
) -> None:
    plan = plan_task_sets(snapshot, NOW)
    assert plan_task_sets(snapshot, NOW) == plan
    if (
        plan.service.status != "INACTIVE"
        and not plan.strays
        and not any(s.stop or s.start for s in plan.steps)
    ):
        again = plan_task_sets(after(snapshot, plan), NOW)
        assert [text for text in again.events if " unable to " not in text] == []
        assert [s.task_set for s in again.steps] == [s.task_set for s in plan.steps if not s.gone]
        assert again.service == plan.service


def test_a_service_is_steady_as_soon_as_the_last_task_set_that_drained_is_gone() -> None:
    kept, drained = task_set(1, 25.0), task_set(2, 0.0, status="DRAINING")
    seen = TaskSetsSnapshot(service=external(4), task_sets=(kept, drained), live=(task(1),))
    plan = plan_task_sets(seen, NOW)
    assert [step.gone for step in plan.steps] == [False, True]
    assert plan.events[-1] == "(service web) has reached a steady state."


@pytest.mark.parametrize(
    ("desired", "scale", "count"),
    [
        (1, 50.0, 1),
        (4, 26.0, 2),
        (10, 12.0, 2),
        (1000, 16.1, 161),
        (3000, 1.1, 33),
        (7, 100.0, 7),
        (7, 0.0, 0),
        (3, 0.1, 1),
    ],
)
def test_a_share_is_rounded_up_but_not_by_binary_fractions(desired: int, scale: float, count: int) -> None:
    """Source: botocore, TaskSet.computedDesiredCount: 1.2 is 2."""
    assert share_of(desired, scale) == count


def test_every_change_is_told_once_and_in_order() -> None:
    """Source: AWS CLI examples, describe-services of a service with an external deployment."""
    made = task_set(1, 50.0)
    begun = plan_task_sets(TaskSetsSnapshot(service=external(4), task_sets=(made,), live=()), NOW)
    assert begun.events == ("(service web) updated computedDesiredCount for taskSet ecs-svc/1 to 2.",)
    assert [(s.start, s.task_set.stability_status) for s in begun.steps] == [(2, "STABILIZING")]
    runs = TaskSetsSnapshot(
        service=external(4), task_sets=(begun.steps[0].task_set,), live=(task(1), task(2))
    )
    steady = plan_task_sets(runs, NOW)
    assert steady.events == (
        "(service web, taskSet ecs-svc/1) updated state to STEADY_STATE.",
        "(service web) has reached a steady state.",
    )
    assert steady.wake_at == NOW + timedelta(hours=6)
    later = plan_task_sets(after(runs, steady), NOW + timedelta(hours=6))
    assert later.events == ("(service web) has reached a steady state.",)


def test_unhealthy_tasks_are_replaced_as_far_as_twice_the_share_goes() -> None:
    made = task_set(1, 100.0, computed_desired_count=1)
    sick = tuple(task(n, health="UNHEALTHY") for n in (1, 2))
    plan = plan_task_sets(TaskSetsSnapshot(service=external(1), task_sets=(made,), live=sick[:1]), NOW)
    assert [(s.start, s.replaces, s.stop) for s in plan.steps] == [(1, 1, ())]
    plan = plan_task_sets(TaskSetsSnapshot(service=external(1), task_sets=(made,), live=sick), NOW)
    assert [(s.start, len(s.stop)) for s in plan.steps] == [(0, 1)]


def test_a_service_is_steady_when_all_of_its_task_sets_are() -> None:
    one, other = task_set(1, 25.0), task_set(2, 25.0)
    half = plan_task_sets(TaskSetsSnapshot(service=external(4), task_sets=(one, other), live=(task(1),)), NOW)
    assert [s.task_set.stability_status for s in half.steps] == ["STEADY_STATE", "STABILIZING"]
    assert half.service.steady_at is None
    none = plan_task_sets(TaskSetsSnapshot(service=external(4), task_sets=(), live=()), NOW)
    assert (none.service.steady_at, none.events) == (None, ())


def test_what_is_on_its_way_out_is_still_counted() -> None:
    made = task_set(1, 25.0, computed_desired_count=1)
    leaving = task(2, desired_status="STOPPED")
    seen = TaskSetsSnapshot(service=external(4), task_sets=(made,), live=(task(1), leaving))
    assert plan_task_sets(seen, NOW).steps[0].task_set.stability_status == "STABILIZING"


def test_a_drained_task_set_is_forgotten_once_its_tasks_have_stopped() -> None:
    made = task_set(1, 0.0, status="DRAINING")
    leaving = task(1, desired_status="STOPPED", last_status="STOPPING")
    busy = plan_task_sets(TaskSetsSnapshot(service=external(4), task_sets=(made,), live=(leaving,)), NOW)
    assert [s.gone for s in busy.steps] == [False]
    done = plan_task_sets(TaskSetsSnapshot(service=external(4), task_sets=(made,), live=()), NOW)
    assert [s.gone for s in done.steps] == [True]


def test_a_protected_task_of_a_drained_task_set_is_looked_at_when_its_protection_ends() -> None:
    made = task_set(1, 0.0, status="DRAINING")
    held = task(1, protection=protected(60))
    seen = TaskSetsSnapshot(service=external(4), task_sets=(made,), live=(held,))
    plan = plan_task_sets(seen, NOW)
    assert (plan.steps[0].stop, plan.wake_at) == ((), NOW + timedelta(seconds=60))
    forced = msgspec.structs.replace(made, forced=True)
    plan = plan_task_sets(TaskSetsSnapshot(service=external(4), task_sets=(forced,), live=(held,)), NOW)
    assert [stop.task.id for stop in plan.steps[0].stop] == [1]


def test_a_deleted_service_stops_every_task_set_and_takes_them_with_it() -> None:
    gone = external(0, status="DRAINING")
    sets = (task_set(1, status="PRIMARY"), task_set(2))
    plan = plan_task_sets(TaskSetsSnapshot(service=gone, task_sets=sets, live=(task(1), task(2, 2))), NOW)
    assert [len(s.stop) for s in plan.steps] == [1, 1]
    assert plan.service.status == "DRAINING"
    left = (task(1, desired_status="STOPPED"), task(2, 2, desired_status="STOPPED"))
    over = plan_task_sets(TaskSetsSnapshot(service=gone, task_sets=sets, live=left), NOW)
    assert over.service.status == "INACTIVE"
    assert all(s.gone for s in over.steps)


def test_starts_that_keep_failing_are_paused_and_told_for_their_task_set() -> None:
    made = task_set(1, 100.0, computed_desired_count=1)
    failures = tuple(
        task(
            n,
            last_status="STOPPED",
            started_at=None,
            stop_code="TaskFailedToStart",
            stopped_at=NOW - timedelta(seconds=9 - n),
        )
        for n in range(1, 4)
    )
    plan = plan_task_sets(
        TaskSetsSnapshot(service=external(1), task_sets=(made,), live=(), stopped=failures), NOW
    )
    assert plan.events == (
        "(service web, taskSet ecs-svc/1) is unable to consistently start tasks successfully.",
    )
    assert plan.steps[0].start == 0
    assert plan.wake_at == NOW + timedelta(seconds=4)


def test_protected_tasks_of_a_task_set_that_shrinks_are_told() -> None:
    """Source: recorded service events; developer guide, "Amazon ECS service action events"."""
    shrunk = task_set(1, 50.0, computed_desired_count=2)
    live = tuple(task(n, protection=protected()) for n in (1, 2))
    plan = plan_task_sets(TaskSetsSnapshot(service=external(2), task_sets=(shrunk,), live=live), NOW)
    assert plan.steps[0].stop == ()
    assert plan.events == (
        "(service web) updated computedDesiredCount for taskSet ecs-svc/1 to 1.",
        "(service web) was unable to reach steady state because (taskSet ecs-svc/1) was unable to scale in "
        "due to (reason 2 tasks under protection)",
    )
