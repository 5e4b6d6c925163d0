"""A DAEMON service's next step: one task per instance that qualifies, never two, and it gets there."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.kit.daemons import DaemonWorld, daemon, host
from tests.kit.rollout import NOW, Behaviour, deployment, protected, task

from homeport.services.ecs.model import Breaker, ServiceEvent, Task
from homeport.services.ecs.plan.daemon import DaemonSnapshot, daemon_count, plan_daemon
from homeport.services.ecs.plan.daemon_hosts import Wants
from homeport.services.ecs.plan.events import service_happenings
from homeport.services.ecs.plan.explain_service import ServiceCase, explain_service
from homeport.services.ecs.plan.fleet import Fleet
from homeport.services.ecs.plan.placement_types import InstanceView
from homeport.services.ecs.plan.query import compile_query
from homeport.services.ecs.plan.rollout import healthy_floor
from homeport.services.ecs.plan.rollout_health import CONTAINER_REASON, verdict

COMPLETED = {"rollout_state": "COMPLETED"}
OLDER = {"status": "ACTIVE"}


@st.composite
def snapshots(draw: st.DrawFn) -> DaemonSnapshot:
    """Any DAEMON service in the middle of anything; an instance may even have several of its tasks."""
    older = draw(st.integers(0, 2))
    hosts = tuple(
        host(
            number,
            active=draw(st.sampled_from((True, True, True, False))),
            connected=draw(st.sampled_from((True, True, True, False))),
            qualifies=draw(st.sampled_from((True, True, True, False))),
            others=draw(st.sampled_from((0, 2))),
        )
        for number in range(1, draw(st.integers(0, 6)) + 1)
    )
    deployments = tuple(
        deployment(
            older + 1 - index,
            status="PRIMARY" if index == 0 else "ACTIVE",
            rollout_state=draw(st.sampled_from(("IN_PROGRESS", "IN_PROGRESS", "COMPLETED", "FAILED"))),
            failed_tasks=draw(st.integers(0, 4)),
            retry_at=draw(st.sampled_from((None, NOW - timedelta(1), NOW + timedelta(seconds=9)))),
            failing_on=tuple(draw(st.sets(st.integers(1, 6), max_size=3))),
        )
        for index in range(older + 1)
    )
    wanted = daemon(
        *deployments,
        desired=draw(st.integers(0, 6)),
        minimum_healthy_percent=draw(st.sampled_from((0, 30, 50, 100))),
        breaker=Breaker(enable=draw(st.booleans()), rollback=draw(st.booleans())),
        health_check_grace_seconds=draw(st.sampled_from((0, 300))),
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
            protection=draw(st.sampled_from((None, None, None, protected()))),
            instance_id=draw(st.integers(1, 7)),
        )
        for number in range(1, draw(st.integers(0, 8)) + 1)
    ]
    live = tuple(
        msgspec.structs.replace(t, started_at=None) if t.last_status == "PENDING" else t for t in tasks
    )
    return DaemonSnapshot(service=wanted, live=live, hosts=hosts)


def healthy_here(snapshot: DaemonSnapshot, without: set[int] = frozenset()) -> int:  # type: ignore[assignment]
    wanted = {h.id for h in snapshot.hosts if h.wanted}
    return sum(
        verdict(t, snapshot.service, {}, NOW).is_healthy(NOW)
        for t in snapshot.live
        if t.desired_status == "RUNNING" and t.instance_id in wanted and t.id not in without
    )


@settings(max_examples=200, deadline=None)
@given(snapshots())
def test_a_task_starts_only_where_one_is_wanted_and_none_is_left(snapshot: DaemonSnapshot) -> None:
    plan = plan_daemon(snapshot, NOW)
    by_uid = {h.uid: h for h in snapshot.hosts}
    taken = {t.instance_id for t in snapshot.live}
    assert len(set(plan.start_on)) == len(plan.start_on) == plan.start
    for uid in plan.start_on:
        assert by_uid[uid].wanted
        assert by_uid[uid].connected
        assert by_uid[uid].id not in taken
    if plan.start_on:
        assert plan.service.primary.rollout_state != "FAILED"


@settings(max_examples=200, deadline=None)
@given(snapshots())
def test_updates_keep_the_floor_of_the_instances_that_qualify(snapshot: DaemonSnapshot) -> None:
    plan = plan_daemon(snapshot, NOW)
    wanted = {h.id for h in snapshot.hosts if h.wanted}
    by_instance: dict[Any, list[Task]] = {}
    for t in snapshot.live:
        if t.desired_status == "RUNNING" and t.started_by == plan.service.primary.id:
            by_instance.setdefault(t.instance_id, []).append(t)
    doubled = any(len(found) > 1 for found in by_instance.values())
    if doubled:
        return  # a second task goes whatever the floor says
    stopped = {stop.task.id for stop in plan.stop if stop.task.instance_id in wanted}
    sized = msgspec.structs.replace(snapshot.service, desired_count=daemon_count(snapshot.hosts))
    assert healthy_here(snapshot, stopped) >= min(healthy_here(snapshot), healthy_floor(sized))


@settings(max_examples=120, deadline=None)
@given(snapshots())
def test_the_desired_count_is_that_of_the_instances_that_qualify(snapshot: DaemonSnapshot) -> None:
    wanted = sum(h.active and h.qualifies for h in snapshot.hosts)
    assert plan_daemon(snapshot, NOW).service.desired_count == wanted


@settings(max_examples=120, deadline=None)
@given(snapshots())
def test_what_runs_beside_others_on_a_draining_instance_stays(snapshot: DaemonSnapshot) -> None:
    by_id = {h.id: h for h in snapshot.hosts}
    plan = plan_daemon(snapshot, NOW)
    for stop in plan.stop:
        assert stop.task.desired_status == "RUNNING"
        where = by_id.get(stop.task.instance_id or 0)
        if where is not None and not where.active and stop.task.last_status == "RUNNING":
            assert not where.others
    stays = [
        t
        for t in snapshot.live
        if t.desired_status == "RUNNING" and t.instance_id in by_id and not by_id[t.instance_id].active
    ]
    if plan.failed is None or plan.service.primary.id == snapshot.service.primary.id:
        gone = {stop.task.id for stop in plan.stop}
        assert plan.waits_for_others == any(t.id not in gone for t in stays)


@settings(max_examples=120, deadline=None)
@given(snapshots())
def test_the_same_input_gives_the_same_plan_and_its_outcome_is_settled(snapshot: DaemonSnapshot) -> None:
    plan = plan_daemon(snapshot, NOW)
    assert plan_daemon(snapshot, NOW) == plan
    rolled_back = plan.service.primary.id != snapshot.service.primary.id
    if not plan.stop and not plan.start and not rolled_back:
        again = DaemonSnapshot(service=plan.service, live=snapshot.live, hosts=snapshot.hosts)
        assert plan_daemon(again, NOW).service == plan.service


def keeps_its_word(world: DaemonWorld) -> None:
    """At every moment of its history: never two tasks on an instance."""
    for snapshot, _, _ in world.plans:
        where = [t.instance_id for t in snapshot.live]
        assert len(set(where)) == len(where)


@settings(max_examples=40, deadline=None)
@given(
    count=st.integers(1, 6),
    minimum=st.sampled_from((0, 50, 66, 100)),
    checked=st.booleans(),
    seed=st.integers(0, 1000),
)
def test_an_update_reaches_every_instance_or_says_that_it_is_stuck(
    count: int, minimum: int, checked: bool, seed: int
) -> None:
    world = DaemonWorld(daemon(minimum_healthy_percent=minimum), hosts=[host(n + 1) for n in range(count)])
    world.dice.seed(seed)
    world.behaviours = {f"ecs-svc/{n}": Behaviour(checked=checked) for n in (1, 2)}
    world.run()
    assert world.service.primary.rollout_state == "COMPLETED"
    older = msgspec.structs.replace(world.service.primary, status="ACTIVE")
    new = deployment(2, counted_until=world.now)
    world.service = msgspec.structs.replace(world.service, deployments=(new, older))
    world.run()
    keeps_its_word(world)
    if healthy_floor(world.service) == count:
        assert "was unable to stop or start tasks during a deployment" in world.events[-1]
        return
    assert world.events[-2:] == [
        "(service web) (deployment ecs-svc/2) deployment completed.",
        "(service web) has reached a steady state.",
    ]
    live = [t for t in world.tasks.values() if t.stopped_at is None]
    assert sorted(t.instance_id or 0 for t in live) == list(range(1, count + 1))
    assert {t.started_by for t in live} == {"ecs-svc/2"}
    assert [d.id for d in world.service.deployments] == ["ecs-svc/2"]


def test_the_old_task_is_gone_before_the_new_one_starts() -> None:
    wanted = daemon(deployment(2), deployment(1, **OLDER))
    first = plan_daemon(DaemonSnapshot(service=wanted, live=(task(1),), hosts=(host(1),)), NOW)
    assert ([stop.task.id for stop in first.stop], first.start_on) == ([1], ())
    stopping = (task(1, desired_status="STOPPED"),)
    assert plan_daemon(DaemonSnapshot(service=wanted, live=stopping, hosts=(host(1),)), NOW).start == 0
    assert plan_daemon(DaemonSnapshot(service=wanted, live=(), hosts=(host(1),)), NOW).start_on == (
        host(1).uid,
    )


def test_half_of_the_instances_are_updated_first_when_half_must_stay() -> None:
    wanted = daemon(deployment(2), deployment(1, **OLDER), minimum_healthy_percent=50)
    tasks = tuple(task(n, instance_id=n) for n in range(1, 5))
    plan = plan_daemon(
        DaemonSnapshot(service=wanted, live=tasks, hosts=tuple(host(n) for n in range(1, 5))), NOW
    )
    assert len(plan.stop) == 2


def test_a_new_instance_gets_its_task_although_starts_elsewhere_are_paused() -> None:
    failing = deployment(1, failed_starts=9, failing_on=(1,), retry_at=NOW + timedelta(minutes=5))
    hosts = (host(1), host(2))
    plan = plan_daemon(DaemonSnapshot(service=daemon(failing), live=(), hosts=hosts), NOW)
    assert plan.start_on == (host(2).uid,)
    assert plan.wake_at == failing.retry_at
    assert "starts on 1 instances failed, 9 in a row" in plan.waits_for[0]
    assert (
        len(plan_daemon(DaemonSnapshot(service=daemon(failing), live=(), hosts=hosts), plan.wake_at).start_on)
        == 2
    )


def test_a_start_that_fails_pauses_its_instance() -> None:
    ended = task(
        1,
        last_status="STOPPED",
        desired_status="STOPPED",
        started_at=None,
        stop_code="TaskFailedToStart",
        stopped_at=NOW - timedelta(seconds=1),
    )
    snapshot = DaemonSnapshot(service=daemon(), live=(), stopped=(ended,), hosts=(host(1), host(2)))
    plan = plan_daemon(snapshot, NOW)
    assert plan.start_on == (host(2).uid,)
    assert plan.service.primary.failing_on == (1,)


def test_an_instance_that_no_longer_qualifies_loses_its_task_and_the_service_says_why() -> None:
    hosts = (host(1), host(2, qualifies=False))
    tasks = (task(1, instance_id=1), task(2, instance_id=2, instance_uid="2" * 32))
    plan = plan_daemon(
        DaemonSnapshot(service=daemon(deployment(1, **COMPLETED)), live=tasks, hosts=hosts), NOW
    )
    assert [stop.task.id for stop in plan.stop] == [2]
    assert "no longer meets the task's placement constraints" in plan.events[0]
    event = ServiceEvent(id="1", created_at=NOW, message=plan.events[0])
    (told,) = service_happenings(plan.service, msgspec.structs.replace(plan.service, events=(event,)))
    assert told.event_name == "SERVICE_DAEMON_PLACEMENT_CONSTRAINT_VIOLATED"
    assert told.members["containerInstanceArns"] == [
        f"arn:aws:ecs:us-east-1:000000000000:container-instance/default/{'2' * 32}"
    ]


def test_on_a_draining_instance_the_daemon_goes_last() -> None:
    wanted = daemon(deployment(1, **COMPLETED))
    busy = DaemonSnapshot(service=wanted, live=(task(1),), hosts=(host(1, active=False, others=1),))
    plan = plan_daemon(busy, NOW)
    assert (plan.stop, plan.waits_for_others) == ((), True)
    alone = DaemonSnapshot(service=wanted, live=(task(1),), hosts=(host(1, active=False),))
    assert [stop.task.id for stop in plan_daemon(alone, NOW).stop] == [1]


def test_an_unhealthy_task_makes_place_for_its_successor_one_at_a_time() -> None:
    wanted = daemon(deployment(1, **COMPLETED))
    hosts = tuple(host(n) for n in (1, 2, 3))
    sick = tuple(task(n, instance_id=n, health="UNHEALTHY") for n in (1, 2))
    well = task(3, instance_id=3, health="HEALTHY")
    plan = plan_daemon(DaemonSnapshot(service=wanted, live=(*sick, well), hosts=hosts), NOW)
    assert [(stop.task.id, stop.reason) for stop in plan.stop] == [(1, CONTAINER_REASON)]
    going = msgspec.structs.replace(sick[0], desired_status="STOPPED")
    plan = plan_daemon(DaemonSnapshot(service=wanted, live=(going, sick[1], well), hosts=hosts), NOW)
    assert (plan.stop, plan.start) == ((), 0)


def test_a_broken_update_rolls_back_on_every_instance() -> None:
    world = DaemonWorld(daemon(), hosts=[host(n) for n in range(1, 5)])
    world.run()
    older = msgspec.structs.replace(world.service.primary, status="ACTIVE")
    world.service = msgspec.structs.replace(
        world.service,
        breaker=Breaker(enable=True, rollback=True),
        deployments=(deployment(2, counted_until=world.now), older),
    )
    world.behaviours["ecs-svc/2"] = Behaviour(fails=True)
    world.run()
    keeps_its_word(world)
    assert world.service.primary.id == "ecs-svc/1"
    assert world.service.primary.rollout_state == "COMPLETED"
    live = [t for t in world.tasks.values() if t.stopped_at is None]
    assert {t.started_by for t in live} == {"ecs-svc/1"}
    assert len(live) == 4


def test_a_failed_deployment_leaves_the_older_tasks_where_they_are() -> None:
    failed = deployment(2, rollout_state="FAILED")
    wanted = daemon(failed, deployment(1, **OLDER))
    plan = plan_daemon(DaemonSnapshot(service=wanted, live=(task(1),), hosts=(host(1), host(2))), NOW)
    assert (plan.stop, plan.start) == ((), 0)
    assert plan.waits_for[0] == "deployment ecs-svc/2 has failed: it starts no more tasks"


def test_a_disconnected_instance_keeps_its_older_task_until_its_agent_listens() -> None:
    wanted = daemon(deployment(2), deployment(1, **OLDER))
    away = DaemonSnapshot(service=wanted, live=(task(1),), hosts=(host(1, connected=False),))
    plan = plan_daemon(away, NOW)
    assert plan.stop == ()
    assert "is not connected" in plan.waits_for[0]


def test_without_any_instance_a_service_is_steady_with_nothing() -> None:
    plan = plan_daemon(DaemonSnapshot(service=daemon(), live=(), hosts=()), NOW)
    assert plan.service.primary.rollout_state == "COMPLETED"
    assert plan.service.desired_count == 0


@pytest.mark.parametrize("status", ["DRAINING"])
def test_a_deleted_service_stops_its_tasks_everywhere(status: str) -> None:
    gone = msgspec.structs.replace(daemon(), status=status)
    tasks = tuple(task(n, instance_id=n) for n in (1, 2))
    plan = plan_daemon(DaemonSnapshot(service=gone, live=tasks, hosts=(host(1), host(2))), NOW)
    assert len(plan.stop) == 2


def test_an_explanation_comes_from_the_daemons_own_planner() -> None:
    snapshot = DaemonSnapshot(
        service=daemon(deployment(1, **COMPLETED)), live=(task(1),), hosts=(host(1, active=False, others=3),)
    )
    told = explain_service(ServiceCase(snapshot=snapshot, fleet=Fleet(), demand=None), NOW)
    assert told.verdict == "It waits."
    assert "as long as 3 other tasks are there" in told.because[0]


def test_an_update_goes_on_when_a_tasks_protection_ends() -> None:
    held = task(1, protection=protected(60))
    snapshot = DaemonSnapshot(
        service=daemon(deployment(2), deployment(1, **OLDER)), live=(held,), hosts=(host(1),)
    )
    plan = plan_daemon(snapshot, NOW)
    assert (plan.stop, plan.wake_at) == ((), NOW + timedelta(seconds=60))
    assert [stop.task.id for stop in plan_daemon(snapshot, plan.wake_at).stop] == [1]


@pytest.mark.parametrize(
    ("attributes", "expressions", "qualifies"),
    [
        ({}, (), False),
        ({"needed": None}, (), True),
        ({"needed": "x", "role": "edge"}, ("attribute:role == edge",), True),
        ({"needed": "x", "role": "core"}, ("attribute:role == edge",), False),
        ({"role": "edge"}, ("attribute:role == edge",), False),
        ({"needed": "x"}, ("runningTasksCount > 5", "agentConnected == true"), True),
    ],
)
def test_attributes_and_fixed_constraints_decide_who_qualifies(
    attributes: dict[str, str | None], expressions: tuple[str, ...], qualifies: bool
) -> None:
    """What other tasks and the agent do decides where one is started, not whether it stays."""
    queries = tuple(query for query in map(compile_query, expressions) if not query.volatile)
    wants = Wants(attributes=frozenset({"needed"}), queries=queries)
    view = InstanceView(id=1, uid="1", cpu=1, memory=1, registered_at=NOW, attributes=attributes)
    assert wants.met_by(view) == qualifies
