"""Targets are registered where and while their tasks run, and nothing is ever left registered."""

from __future__ import annotations

import dataclasses
from datetime import timedelta
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.kit.rollout import NOW, deployment, service, task

from homeport.services.ecs.model import Target, TargetPlace, Task, TaskInterface
from homeport.services.ecs.plan.rollout import ServiceSnapshot, plan_service
from homeport.services.ecs.plan.target_health import target_health
from homeport.services.ecs.plan.targets import (
    GroupSeen,
    TargetPlan,
    TargetSnapshot,
    address_of,
    answered,
    is_wanted,
    plan_targets,
    register_before,
    told_answers,
)
from homeport.services.ecs.ports import TargetState

ONE, TWO = (
    TargetPlace(target_group="tg/one", container="app", port=80),
    TargetPlace(target_group="tg/two", container="app", port=80),
)
INSTANCES = {1: "i-1", 2: "i-2"}
STATUSES = ("REGISTERING", "REGISTERED", "DEREGISTERING", "DRAINING", "DRAINED")
STATES = ("initial", "healthy", "unhealthy", "draining", "unhealthy.draining", "unused", "unavailable")


def placed(number: int, *places: TargetPlace, port: int = 0, **members: Any) -> Task:
    """A task of target groups, bound to a host port."""
    made = task(number, target_places=places or (ONE,), **members)
    binding = {"containerPort": 80, "hostPort": port or 49000 + number}
    container = msgspec.structs.replace(made.containers[0], network_bindings=(binding,))
    return msgspec.structs.replace(made, containers=(container,))


def target(of: Task, status: str = "REGISTERED", **members: Any) -> Target:
    """The row of a task in its first target group."""
    place = of.target_places[0]
    address = address_of(of, place, INSTANCES)
    assert address is not None
    return Target(
        id=members.pop("id", of.id),
        service_id=1,
        task_id=of.id,
        task_uid=of.uid,
        started_by=of.started_by or "",
        target_group=place.target_group,
        target=address[0],
        port=address[1],
        container_port=place.port,
        status=status,
        **members,
    )


def seen(*rows: Target, state: str = "healthy", **members: Any) -> dict[str, GroupSeen]:
    health = {(row.target, row.port): TargetState(state=state) for row in rows}
    return {"tg/one": GroupSeen(health=health, delay_seconds=30, **members)}


def plan(*live: Task, rows: tuple[Target, ...] = (), groups: Any = None, **members: Any) -> TargetPlan:
    of = members.pop("of", service(2))
    shown = TargetSnapshot(
        service=of, live=live, targets=rows, instances=INSTANCES, groups=groups or {}, **members
    )
    return plan_targets(shown, NOW)


def test_a_task_is_registered_once_it_runs_by_instance_and_host_port() -> None:
    (new,) = plan(placed(1), placed(2, last_status="PENDING")).add
    assert (new.target, new.port, new.status) == ("i-1", 49001, "REGISTERING")


def test_a_task_with_its_own_address_is_registered_by_that_and_the_containers_port() -> None:
    place = msgspec.structs.replace(ONE, target_type="ip")
    interface = TaskInterface(
        uid="a",
        subnet_id="subnet-1",
        eni_id="eni-1",
        mac="0a:00:00:00:00:01",
        address="10.0.0.7",
        subnet="10.0.0.0/20",
        dns_server="10.0.0.2",
        dns_name="ip-10-0-0-7.ec2.internal",
    )
    (new,) = plan(placed(1, place, interface=interface)).add
    assert (new.target, new.port) == ("10.0.0.7", 80)


def test_a_task_on_its_instances_own_ports_is_registered_by_the_containers_port() -> None:
    """No agent reports bindings in network mode host: nothing is published."""
    bare = placed(1, msgspec.structs.replace(ONE, on_host=True))
    bare = msgspec.structs.replace(bare, containers=task(1).containers)
    (new,) = plan(bare).add
    assert (new.target, new.port) == ("i-1", 80)


def test_a_task_without_a_known_port_waits() -> None:
    bare = msgspec.structs.replace(placed(1), containers=task(1).containers)
    assert plan(bare).is_empty


def test_a_task_that_is_to_stop_is_deregistered_before_its_agent_hears_of_it() -> None:
    leaving = placed(1, desired_status="STOPPED")
    assert leaving.is_held
    row = target(leaving)
    first = plan(leaving, rows=(row,), groups=seen(row))
    assert [t.status for t in first.save] == ["DEREGISTERING"]
    assert [t.last_status for t in first.tasks] == ["DEACTIVATING"]
    assert first.tasks[0].is_held
    drains = answered(first.save[0], "DEREGISTERING", NOW)
    second = plan(first.tasks[0], rows=(drains,), groups=seen(row, state="draining"))
    assert not second.tasks
    assert second.wake_at == NOW + timedelta(seconds=30)
    over = plan(first.tasks[0], rows=(drains,), groups=seen())
    assert (over.remove, [t.last_status for t in over.tasks]) == ((drains,), ["STOPPING"])
    assert not over.tasks[0].is_held


def test_the_deregistration_delay_is_waited_for_and_no_longer() -> None:
    leaving = placed(1, desired_status="STOPPED", last_status="DEACTIVATING")
    row = target(leaving, "DRAINING", deregistered_at=NOW - timedelta(seconds=30), delay_seconds=30)
    late = plan(leaving, rows=(row,), groups=seen(row, state="draining"))
    assert late.remove == (row,)
    early = msgspec.structs.replace(row, deregistered_at=NOW - timedelta(seconds=29))
    assert not plan(leaving, rows=(early,), groups=seen(row, state="draining")).remove


def test_a_crashed_task_is_deregistered_and_its_agent_is_not_kept_waiting() -> None:
    crashed = placed(1, desired_status="STOPPED", stop_code="EssentialContainerExited")
    assert not crashed.is_held
    row = target(crashed)
    assert [t.status for t in plan(crashed, rows=(row,), groups=seen(row)).save] == ["DEREGISTERING"]
    assert [t.status for t in plan(rows=(row,), groups=seen(row)).save] == ["DEREGISTERING"], "or is gone"


def test_a_task_that_was_never_registered_is_not_kept_waiting() -> None:
    (moved,) = plan(placed(1, desired_status="STOPPED")).tasks
    assert moved.last_status == "STOPPING"


@pytest.mark.parametrize("group", ["tg/one", "tg/two"])
def test_a_task_gets_the_requests_for_the_crashed_one_whose_port_it_has_and_waits_for_its_target(
    group: str,
) -> None:
    """Found by the simulator: seed 5006 of the world with targets."""
    row = msgspec.structs.replace(
        target(placed(1, port=49001), "DRAINING", deregistered_at=NOW), target_group=group
    )
    drains = {group: GroupSeen(health={("i-1", 49001): TargetState(state="draining")}, delay_seconds=30)}
    leaving = placed(2, port=49001, desired_status="STOPPED")
    waits = plan(leaving, rows=(row,), groups=drains)
    assert [t.last_status for t in waits.tasks] == ["DEACTIVATING"]
    over = plan(waits.tasks[0], rows=(row,), groups={group: GroupSeen(delay_seconds=30)})
    assert (over.remove, [t.last_status for t in over.tasks]) == ((row,), ["STOPPING"])
    elsewhere = placed(2, port=49002, desired_status="STOPPED")
    assert [t.last_status for t in plan(elsewhere, rows=(row,), groups=drains).tasks] == ["STOPPING"]


def test_a_task_does_not_wait_for_the_target_of_the_next_one_on_its_port() -> None:
    leaving, new = placed(1, port=49001, desired_status="STOPPED"), placed(2, port=49001)
    old, row = target(leaving, id=1), target(new, id=2)
    step = plan(leaving, new, rows=(old, row), groups=seen(row))
    assert step.remove == (old,)
    assert [t.last_status for t in step.tasks] == ["STOPPING"]


def test_a_new_task_on_an_old_ones_port_keeps_its_target() -> None:
    old, new = target(placed(1, port=49001)), placed(2, port=49001)
    step = plan(new, rows=(old,), groups=seen(old))
    assert step.remove == (old,), "and is not deregistered"
    assert [t.key for t in step.add] == [old.key]


@pytest.mark.parametrize(("other", "forgotten"), [(9, True), (3, False)])
def test_of_two_services_on_one_port_the_one_that_came_later_keeps_the_target(
    other: int, forgotten: bool
) -> None:
    row = target(placed(5))
    step = plan(rows=(row,), groups=seen(row), elsewhere={row.key: other})
    assert bool(step.remove) == forgotten


def test_a_target_that_somebody_deregistered_comes_back() -> None:
    here = placed(1)
    row = target(here)
    for groups in (seen(row, state="draining"), seen()):
        assert [t.status for t in plan(here, rows=(row,), groups=groups).save] == ["REGISTERING"]


def test_a_late_registration_is_deregistered_again() -> None:
    row = target(placed(1), "DRAINING", deregistered_at=NOW)
    assert [t.status for t in plan(rows=(row,), groups=seen(row, state="initial")).save] == ["DEREGISTERING"]
    assert answered(row, "REGISTERING", NOW).status == "DEREGISTERING", "its answer came late"


def drained(**members: Any) -> Target:
    """One whose registration may have been asked for by a process that has died since."""
    ends = NOW + timedelta(seconds=20)
    return target(placed(1), "DRAINED", deregistered_at=NOW, **{"register_by": ends, **members})


def test_a_target_is_remembered_until_no_registration_of_it_can_be_on_its_way() -> None:
    leaving = placed(1, desired_status="STOPPED", last_status="DEACTIVATING")
    drains = target(leaving, "DRAINING", deregistered_at=NOW, register_by=NOW + timedelta(seconds=20))
    step = plan(leaving, rows=(drains,), groups=seen())
    assert (step.remove, [t.status for t in step.save]) == ((), ["DRAINED"])
    assert [t.last_status for t in step.tasks] == ["STOPPING"], "nobody waits for it"
    assert step.wake_at == NOW + timedelta(seconds=50), "clocks differ"
    assert plan(rows=step.save, groups=seen()).is_empty
    over = drained(register_by=NOW - timedelta(seconds=30))
    assert plan(rows=(over,), groups=seen()).remove == (over,)


def test_a_registration_that_comes_after_the_drain_is_undone() -> None:
    row = drained()
    assert [t.status for t in plan(rows=(row,), groups=seen(row, state="initial")).save] == ["DEREGISTERING"]
    assert answered(row, "REGISTERING", NOW).status == "DEREGISTERING"
    assert answered(row, "DEREGISTERING", NOW) == row


def test_a_target_is_not_forgotten_unseen() -> None:
    over = drained(register_by=NOW - timedelta(seconds=30))
    assert plan(rows=(over,), groups={"tg/one": GroupSeen(problem="away")}).remove == ()


@pytest.mark.parametrize(("left", "renewed"), [(None, True), (29, True), (30, False), (60, False)])
def test_a_registration_has_a_deadline_and_time_enough_until_then(left: float | None, renewed: bool) -> None:
    here = placed(1)
    by = None if left is None else NOW + timedelta(seconds=left)
    row = target(here, "REGISTERING", register_by=by)
    step = plan(here, rows=(row,), groups=seen())
    assert [t.register_by for t in step.save] == ([NOW + timedelta(seconds=60)] if renewed else [])
    assert [t.register_by for t in plan(here).add] == [NOW + timedelta(seconds=60)]
    known = target(here, register_by=NOW)
    (again,) = plan(here, rows=(known,), groups=seen()).save
    assert (again.status, again.register_by) == ("REGISTERING", NOW + timedelta(seconds=60))


def test_what_is_registered_together_has_the_earliest_deadline() -> None:
    rows = [target(placed(n), register_by=NOW + timedelta(seconds=n)) for n in (3, 2)]
    assert register_before(rows, NOW) == NOW + timedelta(seconds=2)
    assert register_before([target(placed(1))], NOW) == NOW, "nobody knows: now or never"


def test_the_targets_of_a_group_that_is_gone_are_forgotten_and_its_tasks_are_not_healthy() -> None:
    here, leaving = placed(1), placed(2, desired_status="STOPPED")
    rows = (target(here), target(leaving))
    step = plan(here, leaving, rows=rows, groups={"tg/one": GroupSeen(exists=False)})
    assert step.remove == (rows[1],)
    assert [t.last_status for t in step.tasks] == ["STOPPING"]
    health = target_health((here,), step.save)
    assert not health[1].healthy
    assert health[1].failed is None, "replacing it would cure nothing"
    assert health[1].waits == ("unused in tg/one (TARGET GROUP IS NOT FOUND)",)


def test_an_unhealthy_target_is_told_once_and_after_its_grace_period() -> None:
    here = placed(1, started_at=NOW - timedelta(seconds=10))
    row = target(here)
    of = service(1, health_check_grace_seconds=30)
    within = plan(here, rows=(row,), groups=seen(row, state="unhealthy"), of=of)
    assert (within.events, within.wake_at) == ((), NOW + timedelta(seconds=20))
    told = plan(here, rows=(row,), groups=seen(row, state="unhealthy"))
    assert told.events[0].startswith(
        f"(service web) (task {here.uid}) (port 49001) is unhealthy in (target-group tg/one) due to"
    )
    assert not plan(here, rows=told.save, groups=seen(row, state="unhealthy")).events


def test_the_events_of_registering_and_draining() -> None:
    rows = [target(placed(n)) for n in (1, 2)]
    assert told_answers(service(2), "REGISTERING", rows) == (
        "(service web) registered 2 targets in (target-group tg/one)",
    )
    assert told_answers(service(2), "DEREGISTERING", rows) == (
        "(service web) deregistered 2 targets in (target-group tg/one)",
        "(service web, taskSet ecs-svc/1) has begun draining connections on 2 tasks.",
    )


# ---- what the rollout makes of it -----------------------------------------------------------


def rolled(*live: Task, rows: tuple[Target, ...], **members: Any) -> Any:
    of = service(members.pop("desired", 1), deployment(1, rollout_state="COMPLETED"), **members)
    return plan_service(ServiceSnapshot(service=of, live=live, targets=target_health(live, rows)), NOW)


def test_an_unhealthy_target_is_replaced_first_and_stopped_then() -> None:
    ill, well = placed(1), placed(2)
    rows = (target(ill, health="unhealthy"), target(well, health="healthy"))
    first = rolled(ill, rows=rows[:1])
    assert (first.start, first.replaces, first.stop) == (1, 1, ())
    then = rolled(ill, well, rows=rows)
    assert [stop.reason for stop in then.stop] == ["Task failed ELB health checks in (target-group tg/one)"]
    assert then.service.primary.failed_tasks == 1, "stage 2 of the circuit breaker counts it"


def test_within_the_grace_period_an_unhealthy_target_is_left_alone() -> None:
    ill = placed(1)
    plan_ = rolled(ill, rows=(target(ill, health="unhealthy"),), health_check_grace_seconds=90)
    assert not plan_.start
    assert plan_.wake_at == NOW + timedelta(seconds=30)


def test_a_task_is_healthy_once_it_is_in_every_target_group() -> None:
    both = placed(1, ONE, TWO)
    one = target(both, health="healthy")
    two = msgspec.structs.replace(one, target_group="tg/two", health="initial")
    waiting = rolled(both, rows=(one, two))
    assert "1 targets are initial in tg/two" in waiting.waits_for
    assert waiting.service.steady_at is None
    assert rolled(both, rows=(one, msgspec.structs.replace(two, health="healthy"))).service.steady_at


def test_without_an_answer_what_was_healthy_counts_and_what_was_unhealthy_is_not_replaced() -> None:
    well, ill = placed(1), placed(2)
    rows = (target(well, health="healthy", problem="away"), target(ill, health="unhealthy", problem="away"))
    plan_ = rolled(well, ill, rows=rows, desired=2)
    assert (plan_.start, plan_.stop) == (0, ())
    assert plan_.waits_for == ("1 targets are of unknown health in tg/one: away",)


# ---- anything, in the middle of anything ----------------------------------------------------


@st.composite
def anything(draw: st.DrawFn) -> TargetSnapshot:
    tasks = []
    for number in range(1, draw(st.integers(0, 5)) + 1):
        made = placed(
            number,
            *draw(st.sampled_from(((ONE,), (ONE, TWO), (TWO,)))),
            port=draw(st.sampled_from((49001, 49002, 49003))),
            desired_status=draw(st.sampled_from(("RUNNING", "STOPPED"))),
            last_status=draw(st.sampled_from(("PENDING", "RUNNING", "DEACTIVATING", "STOPPING"))),
            stop_code=draw(st.sampled_from((None, "EssentialContainerExited"))),
            instance_id=draw(st.sampled_from((1, 2))),
        )
        tasks.append(made)
    rows = []
    for owner in (*tasks, placed(90), placed(91, port=49001)):
        if draw(st.booleans()):
            status = draw(st.sampled_from(STATUSES))
            at = NOW - timedelta(seconds=draw(st.sampled_from((0, 29, 30, 300))))
            by = draw(st.sampled_from((None, *(NOW + timedelta(seconds=n) for n in (-31, -30, -1, 20, 60)))))
            rows.append(
                target(
                    owner,
                    status,
                    health=draw(st.sampled_from(("", *STATES))),
                    deregistered_at=at if status in ("DRAINING", "DRAINED") else None,
                    register_by=by,
                )
            )
    groups = {}
    for arn in ("tg/one", "tg/two"):
        health = {
            (row.target, row.port): TargetState(state=draw(st.sampled_from(STATES)))
            for row in rows
            if draw(st.booleans())
        }
        groups[arn] = GroupSeen(
            exists=draw(st.sampled_from((True, True, False))),
            health=health,
            delay_seconds=30,
            problem=draw(st.sampled_from(("", "", "away"))),
        )
    return TargetSnapshot(
        service=service(2), live=tuple(tasks), targets=tuple(rows), instances=INSTANCES, groups=groups
    )


def after(shown: TargetSnapshot, step: TargetPlan) -> TargetSnapshot:
    """The step carried out, and nothing else happened."""
    saved = {row.id: row for row in step.save}
    rows = [saved.get(row.id, row) for row in shown.targets if row not in step.remove]
    added = [msgspec.structs.replace(row, id=1000 + n) for n, row in enumerate(step.add)]
    moved = {one.id: one for one in step.tasks}
    live = tuple(moved.get(one.id, one) for one in shown.live)
    return dataclasses.replace(shown, live=live, targets=(*rows, *added))


@settings(max_examples=400, deadline=None)
@given(anything())
def test_a_step_taken_twice_is_taken_once(shown: TargetSnapshot) -> None:
    step = plan_targets(shown, NOW)
    assert plan_targets(shown, NOW) == step
    again = plan_targets(after(shown, step), NOW)
    assert not again.add
    assert not again.events
    once_more = plan_targets(after(after(shown, step), again), NOW)
    assert (once_more.add, once_more.tasks, once_more.remove) == ((), (), ())


@settings(max_examples=400, deadline=None)
@given(anything())
def test_every_task_that_runs_is_written_down_and_no_other_stays(shown: TargetSnapshot) -> None:
    left = after(shown, plan_targets(shown, NOW))
    wanted = {one.id: one for one in left.live if is_wanted(one)}
    for one in wanted.values():
        groups = {row.target_group for row in left.targets if row.task_id == one.id}
        assert groups >= {place.target_group for place in one.target_places}
    for row in left.targets:
        stays = row.status in ("REGISTERING", "REGISTERED")
        assert stays == (row.task_id in wanted), row


@settings(max_examples=400, deadline=None)
@given(anything())
def test_an_agent_hears_of_a_stop_only_when_no_target_of_the_task_is_left(shown: TargetSnapshot) -> None:
    step = plan_targets(shown, NOW)
    left = after(shown, step)
    for moved in step.tasks:
        if moved.last_status == "STOPPING":
            mine = {row.status for row in left.targets if row.task_id == moved.id}
            assert mine <= {"DRAINED"}
    for one in left.live:
        if one.is_held:
            ports = {one.containers[0].network_bindings[0]["hostPort"]}
            there = [row for row in left.targets if row.status != "DRAINED"]
            here = [row for row in there if row.task_id == one.id or row.port in ports]
            assert here, "else nobody would ever tell it"


@settings(max_examples=400, deadline=None)
@given(anything())
def test_a_target_that_serves_somebody_else_is_never_deregistered(shown: TargetSnapshot) -> None:
    step = plan_targets(shown, NOW)
    keys = {
        (place.target_group, *address)
        for one in shown.live
        if is_wanted(one)
        for place in one.target_places
        if (address := address_of(one, place, INSTANCES)) is not None
    }
    assert not [row for row in step.save if row.status == "DEREGISTERING" and row.key in keys]
