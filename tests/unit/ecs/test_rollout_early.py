"""A rolling deployment with early success criteria completes once enough of its tasks are healthy.

Source: developer guide, "Complete Amazon ECS rolling deployments early with early success criteria".
"""

from __future__ import annotations

from datetime import datetime
from typing import Any

import msgspec
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from tests.kit.daemons import daemon, host
from tests.kit.rollout import NOW, Behaviour, World, deployment, protected, service, task

from homeport.services.ecs.model import EarlySuccess, Service
from homeport.services.ecs.plan.daemon import DaemonSnapshot, plan_daemon
from homeport.services.ecs.plan.rollout import ServiceSnapshot, count_ceiling, healthy_floor, plan_service
from homeport.services.ecs.plan.rollout_early import healthy_for_success
from homeport.services.ecs.plan.rollout_health import verdict


def early(percent: int, cleanup: str = "BLOCKING") -> EarlySuccess:
    return EarlySuccess(enable=True, healthy_percent=percent, cleanup=cleanup)


def updating(desired: int, criteria: EarlySuccess, **members: Any) -> Service:
    """A service whose second deployment has begun."""
    old = deployment(1, status="ACTIVE", rollout_state="COMPLETED")
    return service(desired, deployment(2), old, early_success=criteria, last_completed=old, **members)


@pytest.mark.parametrize(
    ("desired", "percent", "needed"),
    [(2, 50, 1), (3, 50, 2), (10, 80, 8), (100, 90, 90), (10, 100, 10), (10, 0, 1), (0, 50, 0)],
)
def test_the_healthy_percent_is_rounded_up_and_at_least_one(desired: int, percent: int, needed: int) -> None:
    assert healthy_for_success(service(desired, early_success=early(percent))) == needed


def test_blocking_waits_for_the_older_tasks_to_go() -> None:
    of = updating(4, early(50), minimum_healthy_percent=50)
    new = tuple(task(n, of=2) for n in (11, 12))
    before = plan_service(ServiceSnapshot(service=of, live=(*new, task(1), task(2))), NOW)
    assert len(before.stop) == 2
    assert before.service.primary.rollout_state == "IN_PROGRESS"
    after = plan_service(ServiceSnapshot(service=before.service, live=new), NOW)
    assert after.service.primary.rollout_state == "COMPLETED"
    assert after.start == 2, "the rest is started outside of the deployment"


def test_blocking_says_that_it_waits_for_a_protected_task() -> None:
    of = updating(2, early(50), minimum_healthy_percent=50)
    live = (task(11, of=2), task(12, of=2, last_status="PENDING"), task(1, protection=protected()))
    plan = plan_service(ServiceSnapshot(service=of, live=live), NOW)
    assert plan.service.primary.rollout_state == "IN_PROGRESS"
    assert "1 older tasks must be gone before the deployment completes (BLOCKING)" in plan.waits_for


def test_deferred_completes_beside_the_older_tasks_and_they_are_stopped_all_the_same() -> None:
    of = updating(4, early(50, "DEFERRED"), minimum_healthy_percent=50)
    held = task(1, protection=protected())
    plan = plan_service(
        ServiceSnapshot(service=of, live=(task(11, of=2), task(12, of=2), held, task(2))), NOW
    )
    assert plan.service.primary.rollout_state == "COMPLETED"
    assert plan.events[0] == "(service web) (deployment ecs-svc/2) deployment completed."
    assert [stop.task.id for stop in plan.stop] == [2]
    assert plan.service.steady_at is None, "it is not steady yet"
    assert plan.service.last_completed is not None
    assert plan.service.last_completed.id == "ecs-svc/2"


def test_what_is_missing_for_an_early_success_is_told() -> None:
    of = updating(4, early(75), minimum_healthy_percent=75)
    live = (task(11, of=2), task(1), task(2), task(3))
    plan = plan_service(ServiceSnapshot(service=of, live=live), NOW)
    told = "1 of the 3 healthy tasks that complete the deployment early are there (healthyPercent 75)"
    assert told in plan.waits_for


def breaker_after_success(world: World) -> None:
    breaker = msgspec.structs.replace(world.service.breaker, enable=True, rollback=True)
    world.service = msgspec.structs.replace(world.service, breaker=breaker)


def test_after_an_early_success_nothing_rolls_back_any_more() -> None:
    of = updating(4, early(25, "DEFERRED"), minimum_healthy_percent=0)
    world = World(of)
    breaker_after_success(world)
    first = task(1, of=2)
    world.tasks = {1: first}
    world.step()
    assert world.service.primary.rollout_state == "COMPLETED"
    world.behaviours = {"ecs-svc/2": Behaviour(fails=True)}
    for _ in range(200):
        plan = world.step()
        if not plan.start and not world.agents_work() and plan.wake_at is not None:
            world.now = max(world.now, plan.wake_at)
    assert world.service.primary.id == "ecs-svc/2"
    assert not any("rolling back" in event for event in world.events)


def succeeds(snapshot: ServiceSnapshot, now: datetime) -> bool:
    """By the criteria, or because the new tasks run and nothing else does, as without criteria."""
    of = snapshot.service
    active = [t for t in snapshot.live if t.desired_status == "RUNNING"]
    new = [t for t in active if t.started_by == "ecs-svc/2"]
    healthy = sum(verdict(t, of, {}, now).is_healthy(now) for t in new)
    alone = len(new) == len(active)
    if alone and len(new) == of.desired_count and all(t.last_status == "RUNNING" for t in new):
        return True
    return healthy >= healthy_for_success(of) and (of.early_success.cleanup == "DEFERRED" or alone)


PERCENTAGES = ((50, 200), (0, 100), (50, 150), (75, 134), (100, 150))


@settings(max_examples=100, deadline=None)
@given(
    desired=st.integers(1, 8),
    percentages=st.sampled_from(PERCENTAGES),
    percent=st.integers(0, 100),
    cleanup=st.sampled_from(("BLOCKING", "DEFERRED")),
    seed=st.integers(0, 1000),
)
def test_a_rollout_completes_at_the_first_step_that_meets_its_criteria_and_then_becomes_steady(
    desired: int, percentages: tuple[int, int], percent: int, cleanup: str, seed: int
) -> None:
    minimum, maximum = percentages
    criteria = early(max(percent, minimum), cleanup)
    of = updating(desired, criteria, minimum_healthy_percent=minimum, maximum_percent=maximum)
    assume(healthy_floor(of) < count_ceiling(of))
    world = World(of)
    world.dice.seed(seed)
    world.tasks = {n: task(n) for n in range(1, desired + 1)}
    world.run()
    first = next(index for index, (seen, _, now) in enumerate(world.plans) if succeeds(seen, now))
    done = [plan.service.primary.rollout_state == "COMPLETED" for _, plan, _ in world.plans]
    assert done.index(True) == first
    assert world.service.steady_at is not None
    assert {t.started_by for t in world.tasks.values() if t.desired_status == "RUNNING"} == {"ecs-svc/2"}
    for snapshot, plan, _ in world.plans:
        active = sum(t.desired_status == "RUNNING" for t in snapshot.live)
        assert not plan.start or active + plan.start <= count_ceiling(snapshot.service)
        assert healthy_floor(snapshot.service) == -(-desired * minimum // 100)


@pytest.mark.parametrize(("cleanup", "state"), [("BLOCKING", "IN_PROGRESS"), ("DEFERRED", "COMPLETED")])
def test_a_daemons_deployment_completes_early_as_well(cleanup: str, state: str) -> None:
    old = deployment(1, status="ACTIVE", rollout_state="COMPLETED")
    of = daemon(deployment(2), old, minimum_healthy_percent=50, early_success=early(50, cleanup))
    hosts = tuple(host(number) for number in (1, 2, 3))
    new = tuple(task(10 + number, of=2, instance_id=number) for number in (1, 2))
    held = task(1, instance_id=3, protection=protected())
    plan = plan_daemon(DaemonSnapshot(service=of, live=(*new, held), hosts=hosts), NOW)
    assert plan.service.primary.rollout_state == state
    after = plan_daemon(DaemonSnapshot(service=plan.service, live=new, hosts=hosts), NOW)
    assert after.service.primary.rollout_state == "COMPLETED"
    assert after.start_on == (hosts[2].uid,)
