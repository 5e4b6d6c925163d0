"""The planner of daemons: one task per instance, replaced in batches, back when what is new does not work."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from tests.kit.managed_daemons import FAILS, GOOD, SICK, ManagedWorld, host

from homeport.services.ecs.plan.managed_daemon import batch_size, plan_managed


def world_of(count: int, **members: Any) -> ManagedWorld:
    world = ManagedWorld(hosts={n: host(n) for n in range(1, count + 1)})
    world.deploy(GOOD, **members)
    return world


# ---- what the sources say --------------------------------------------------------------------


def test_one_task_runs_on_every_active_instance_of_the_groups_and_on_no_other() -> None:
    world = world_of(2)
    world.hosts |= {3: host(3, group="other"), 4: host(4, active=False), 5: host(5, group="")}
    world.settle()
    assert world.running == {1: "1", 2: "1"}
    assert world.deployment.status == "SUCCESSFUL"


def test_a_daemon_without_instances_is_deployed_at_once() -> None:
    """Source: developer guide, "Deploy a daemon on an empty capacity provider"."""
    world = world_of(0)
    world.step()
    assert world.deployment.status == "SUCCESSFUL"


def test_an_instance_that_joins_gets_its_task_without_a_deployment() -> None:
    world = world_of(1)
    world.settle()
    before = world.deployment
    world.hosts[2] = host(2)
    world.settle()
    assert world.running == {1: "1", 2: "1"}
    assert world.deployment == before


@pytest.mark.parametrize(
    ("instances", "percent", "batch"),
    [(10, 20.0, 2), (4, 25.0, 1), (3, 25.0, 1), (10, 100.0, 10), (10, 0.0, 1), (8, 33.3, 2), (0, 50.0, 1)],
)
def test_a_batch_is_the_percentage_rounded_down_and_at_least_one(
    instances: int, percent: float, batch: int
) -> None:
    """Source: botocore's DaemonDeploymentConfiguration; that it is never none is our choice."""
    assert batch_size(instances, percent) == batch


def test_an_update_replaces_a_batch_at_a_time() -> None:
    world = world_of(10)
    world.settle()
    world.deploy(GOOD, drain_percent=20.0)
    assert len(world.step().stop) == 2
    assert world.step().stop == ()
    world.settle()
    assert set(world.running.values()) == {"2"}
    assert world.deployment.status == "SUCCESSFUL"
    assert max(len(plan.stop) for _, plan in world.steps) == 2


def test_a_revision_that_does_not_start_trips_the_breaker_and_the_earlier_one_comes_back() -> None:
    world = world_of(4)
    world.settle()
    world.deploy(FAILS)
    world.settle()
    assert world.deployment.status == "ROLLBACK_SUCCESSFUL"
    assert world.deployment.tripped
    assert world.deployment.rollback is not None
    assert world.deployment.rollback.revision == "1"
    assert world.running == dict.fromkeys(range(1, 5), "1")
    touched = {t.instance_id for t in world.tasks.values() if t.daemon_revision == "2"}
    assert len(touched) == 1, "the other instances never saw it"
    assert world.impaired == 3, "each failed start is told"


def test_a_revision_whose_checks_fail_trips_the_breaker_too() -> None:
    world = world_of(4)
    world.settle()
    world.deploy(SICK)
    world.settle()
    assert world.deployment.status == "ROLLBACK_SUCCESSFUL"
    assert world.running == dict.fromkeys(range(1, 5), "1")


def test_unhealthy_tasks_are_replaced_a_batch_at_a_time() -> None:
    world = ManagedWorld(hosts={n: host(n) for n in range(1, 9)})
    world.deploy(SICK)
    world.settle()
    assert max(len(plan.stop) for _, plan in world.steps) == 2


def test_a_rollback_does_not_bake() -> None:
    world = world_of(1)
    world.settle()
    world.deploy(FAILS, bake_minutes=1440)
    world.settle()
    assert world.deployment.status == "ROLLBACK_SUCCESSFUL"
    assert world.deployment.finished_at is not None
    assert (world.deployment.finished_at - world.deployment.created_at).total_seconds() < 1440


def test_a_first_revision_that_fails_has_nothing_to_go_back_to() -> None:
    world = ManagedWorld(hosts={1: host(1)})
    world.deploy(FAILS)
    world.settle()
    assert world.deployment.status == "STOPPED"
    assert "no earlier revision" in (world.deployment.status_reason or "")
    assert not world.live
    world.deploy(GOOD)
    world.settle()
    assert world.running == {1: "2"}


def test_a_rollback_that_fails_is_told() -> None:
    world = world_of(2)
    world.settle()
    world.deploy(FAILS)
    world.behaviour["1"] = FAILS
    world.settle()
    assert world.deployment.status == "ROLLBACK_FAILED"


def test_the_deployment_bakes_before_it_is_successful() -> None:
    world = world_of(1, bake_minutes=5)
    while not world.running:
        world.step()
        world.live_on(1)
    world.live_on(10)
    plan = world.step()
    assert world.deployment.status == "IN_PROGRESS"
    assert world.deployment.baked_from == world.now
    assert plan.wake_at is not None
    assert (plan.wake_at - world.now).total_seconds() == 300
    world.live_on(300)
    world.step()
    assert world.deployment.status == "SUCCESSFUL"


def test_a_task_that_ends_is_replaced_on_its_own_instance() -> None:
    world = world_of(2)
    world.settle()
    world.stop(world.live[0], "UserInitiated")
    world.settle()
    assert world.running == {1: "1", 2: "1"}


def test_starts_that_fail_pause_longer_and_longer_and_the_other_instances_do_not_wait() -> None:
    world = world_of(1)
    world.settle()
    world.behaviour["1"] = FAILS
    world.stop(world.live[0], "EssentialContainerExited")
    pauses = []
    for _ in range(5):
        plan = world.step()
        if plan.wake_at is not None and not plan.start_on:
            pauses.append((plan.wake_at - world.now).total_seconds())
            world.live_on(pauses[-1])
            world.step()
        world.live_on(0)
    assert pauses == [1.0, 2.0, 4.0, 8.0, 16.0]
    world.hosts[2] = host(2)
    assert world.step().start_on == (host(2).uid,)


def test_a_daemon_leaves_a_draining_instance_last() -> None:
    """Source: developer guide, "Amazon ECS Managed Daemons": the daemon starts first and drains last."""
    world = world_of(1)
    world.settle()
    world.change(1, active=False, others=2)
    plan = world.step()
    assert plan.stop == ()
    assert plan.waits_for_others
    world.change(1, others=0)
    assert len(world.step().stop) == 1


def test_a_provider_that_is_taken_from_the_daemon_loses_its_tasks() -> None:
    world = ManagedWorld(hosts={1: host(1), 2: host(2, group="lab")})
    world.deploy(GOOD, "edge", "lab")
    world.settle()
    assert len(world.running) == 2
    world.deploy(GOOD, "lab")
    world.settle()
    assert world.running == {2: "2"}


def test_a_deleted_daemon_is_gone_once_its_tasks_are() -> None:
    world = world_of(3)
    world.settle()
    world.delete()
    assert len(world.step().stop) == 3
    assert world.daemon.status == "DELETE_IN_PROGRESS"
    world.live_on(1)
    world.step()
    assert world.daemon.status == "DELETED"
    assert world.deployment.status == "SUCCESSFUL"


def test_a_newer_deployment_stops_the_one_before() -> None:
    world = world_of(2)
    world.step()
    world.deploy(GOOD)
    assert world.closed[-1].status == "STOPPED"
    world.settle()
    assert set(world.running.values()) == {"2"}


def test_an_instance_without_its_agent_keeps_its_task_and_the_deployment_says_what_it_waits_for() -> None:
    world = world_of(2)
    world.settle()
    world.change(1, connected=False)
    world.deploy(GOOD, drain_percent=100.0)
    world.settle(60)
    plan = world.step()
    assert world.running == {1: "1", 2: "2"}
    assert world.deployment.status == "IN_PROGRESS"
    assert plan.waits_for == (f"the agent of instance {host(1).uid} is not connected",)


# ---- what always holds -----------------------------------------------------------------------

DEEDS = st.one_of(
    st.tuples(st.just("wait"), st.integers(0, 30)),
    st.tuples(st.just("join"), st.sampled_from(["edge", "lab"])),
    st.tuples(st.just("drain"), st.integers(1, 8)),
    st.tuples(st.just("activate"), st.integers(1, 8)),
    st.tuples(st.just("lose"), st.integers(1, 8)),
    st.tuples(st.just("connect"), st.integers(1, 8)),
    st.tuples(st.just("gone"), st.integers(1, 8)),
    st.tuples(st.just("crash"), st.integers(0, 7)),
    st.tuples(st.just("deploy"), st.sampled_from([GOOD, GOOD, FAILS, SICK])),
    st.tuples(st.just("percent"), st.sampled_from([0.0, 20.0, 50.0, 100.0])),
)


def act(world: ManagedWorld, deed: str, argument: Any) -> None:
    if deed == "wait":
        world.live_on(argument)
    elif deed == "join":
        number = max(world.hosts, default=0) + 1
        world.hosts[number] = host(number, group=argument)
    elif deed == "deploy":
        world.deploy(argument)
    elif deed == "percent":
        world.deploy(GOOD, "edge", "lab", drain_percent=argument)
    elif deed == "crash":
        running = [task for task in world.live if task.last_status == "RUNNING"]
        if running:
            world.stop(running[argument % len(running)], "EssentialContainerExited")
    elif argument in world.hosts and deed == "gone":
        del world.hosts[argument]
        for task in [task for task in world.live if task.instance_id == argument]:
            world.stop(task, "ServiceSchedulerInitiated")
    elif argument in world.hosts:
        members = {
            "drain": {"active": False},
            "activate": {"active": True},
            "lose": {"connected": False},
            "connect": {"connected": True},
        }[deed]
        world.change(argument, **members)


def check(world: ManagedWorld) -> None:
    """What one step may do."""
    snapshot = world.snapshot()
    assert plan_managed(snapshot, world.now) == plan_managed(snapshot, world.now)
    wanted, before = snapshot.wanted, world.healthy()
    plan = world.step()
    occupied = {task.instance_id for task in snapshot.live}
    ids = {one.uid: one.id for one in snapshot.hosts}
    for uid in plan.start_on:
        assert ids[uid] not in occupied, "an instance has at most one task"
        assert ids[uid] in wanted, "a task starts only where one is wanted"
        assert wanted[ids[uid]].connected, "an agent must listen"
    served, stopped = before & wanted.keys(), {stop.task.instance_id for stop in plan.stop}
    without = len(wanted) - len(served)
    most = max(batch_size(len(wanted), snapshot.deployment.drain_percent), without)
    assert len(wanted) - len(served - stopped) <= most, "a batch may be without its daemon, no more"


@settings(max_examples=150, deadline=None)
@given(st.lists(DEEDS, max_size=25))
def test_a_step_starts_no_second_task_and_takes_a_batch_away_at_most(
    deeds: list[tuple[str, Any]],
) -> None:
    world = world_of(4)
    for deed, argument in deeds:
        act(world, deed, argument)
        check(world)


@settings(max_examples=100, deadline=None)
@example([("wait", 0), ("wait", 0), ("wait", 10), ("drain", 1)])
@example([("wait", 0), ("wait", 0), ("wait", 10), ("join", "edge")])
@given(st.lists(DEEDS, max_size=20))
def test_in_calm_a_deployment_ends_and_all_run_what_they_should(
    deeds: list[tuple[str, Any]],
) -> None:
    world = world_of(3)
    for deed, argument in deeds:
        act(world, deed, argument)
        world.step()
    for number in world.hosts:
        world.change(number, connected=True, active=True)
    world.settle()
    assert not world.deployment.is_open
    if world.behaviour[world.daemon.revision or ""] == GOOD:
        wanted = world.snapshot().wanted
        assert world.running == dict.fromkeys(wanted, world.daemon.revision)
        plan = world.step()
        assert (plan.stop, plan.start_on, plan.wake_at) == ((), (), None), "steady is a fixed point"
