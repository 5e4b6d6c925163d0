"""A service with a capacity provider strategy: shares are kept through starts, losses and scaling in."""

from __future__ import annotations

from collections import Counter
from itertools import islice
from random import Random

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.kit.rollout import NOW, World, deployment, protected, service, task
from tests.unit.ecs.test_capacity_strategy import strategies, strategy
from tests.unit.ecs.test_rollout import healthy, snapshots

from homeport.services.ecs.model import Service
from homeport.services.ecs.plan.capacity_strategy import Strategy, row
from homeport.services.ecs.plan.rollout import (
    ServiceSnapshot,
    count_ceiling,
    healthy_floor,
    plan_service,
)

ONE_TO_FOUR = strategy((1, 2), (4, 0))
"""Providers a and b, 1:4 after two tasks in a."""


def shared(desired: int, of: Strategy = ONE_TO_FOUR) -> Service:
    return service(desired, deployment(1, strategy=of))


def held(world: World) -> Counter[str | None]:
    return Counter(
        t.capacity_provider
        for t in world.tasks.values()
        if t.stopped_at is None and t.desired_status == "RUNNING"
    )


def shares(desired: int, of: Strategy = ONE_TO_FOUR) -> Counter[str]:
    return Counter(islice(row(of), desired))


@st.composite
def shared_snapshots(draw: st.DrawFn) -> ServiceSnapshot:
    """Any service in the middle of anything, whose tasks are in any of its providers, or in another."""
    snapshot, of = draw(snapshots()), draw(strategies())
    names = [None, "gone", *(item["capacityProvider"] for item in of)]
    deployments = tuple(msgspec.structs.replace(d, strategy=of) for d in snapshot.service.deployments)
    live = tuple(
        msgspec.structs.replace(t, capacity_provider=draw(st.sampled_from(names))) for t in snapshot.live
    )
    return ServiceSnapshot(
        service=msgspec.structs.replace(snapshot.service, deployments=deployments, last_completed=None),
        live=live,
        draining_instances=snapshot.draining_instances,
    )


@settings(max_examples=300, deadline=None)
@given(shared_snapshots())
def test_a_step_is_as_safe_as_without_a_strategy(before: ServiceSnapshot) -> None:
    plan = plan_service(before, NOW)
    of = before.service
    stopped = {stop.task.id for stop in plan.stop}
    active = [t for t in before.live if t.desired_status == "RUNNING"]
    left = [t for t in active if t.id not in stopped]
    unhealthy = {stop.task.id for stop in plan.stop if "health" in stop.reason}
    floor = min(healthy(active, of), healthy_floor(of))
    assert healthy(left, of) >= floor - len(unhealthy)
    assert len(active) + plan.start <= max(count_ceiling(of), len(active))
    names = {item["capacityProvider"] for item in plan.service.primary.strategy}
    assert len(plan.start_in) == plan.start
    assert set(plan.start_in) <= names
    assert plan_service(before, NOW) == plan


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 14), st.integers(0, 14), strategies(), st.integers(0, 99))
def test_a_service_that_is_scaled_gets_to_its_shares(few: int, many: int, of: Strategy, seed: int) -> None:
    world = World(shared(few, of), dice=Random(seed))
    for desired in (few, many, few):
        world.service = msgspec.structs.replace(world.service, desired_count=desired)
        world.run()
        assert held(world) == shares(desired, of)


def test_what_is_lost_comes_back_where_it_was() -> None:
    world = World(shared(12))
    world.run()
    assert held(world) == {"a": 4, "b": 8}
    for lost in [t for t in world.tasks.values() if t.capacity_provider == "a"][:3]:
        world.change(lost, desired_status="STOPPED", last_status="STOPPED", stopped_at=world.now)
    assert world.step().start_in == ("a", "a", "a")


def test_a_full_provider_keeps_nobody_else_waiting() -> None:
    """There is no falling back to another provider: its share waits for room."""
    world = World(shared(12), rooms={"a": 1, "b": 100})
    for _ in range(40):
        world.step()
        world.agents_work()
    assert held(world) == {"a": 1, "b": 8}
    assert world.step().start_in == ("a", "a", "a")
    world.rooms["a"] = 100
    world.run()
    assert held(world) == {"a": 4, "b": 8}


def test_a_new_strategy_moves_the_tasks_with_its_deployment() -> None:
    world = World(shared(10))
    world.run()
    older = msgspec.structs.replace(world.service.primary, status="ACTIVE")
    newer = deployment(2, strategy=strategy((0, 0), (1, 0)))
    world.service = msgspec.structs.replace(world.service, deployments=(newer, older))
    world.run()
    assert held(world) == {"b": 10}


def test_scaling_in_goes_round_a_protected_task() -> None:
    of = shared(2, strategy((1, 0), (1, 0)))
    done = msgspec.structs.replace(
        of, deployments=(msgspec.structs.replace(of.primary, rollout_state="COMPLETED"),)
    )
    live = tuple(
        task(
            number,
            capacity_provider="a" if number < 3 else "b",
            protection=protected() if number < 3 else None,
        )
        for number in range(1, 5)
    )
    plan = plan_service(ServiceSnapshot(service=done, live=live), NOW)
    assert sorted(stop.task.id for stop in plan.stop) == [3, 4], "both of a are protected"
    free = tuple(msgspec.structs.replace(t, protection=None) for t in live)
    plan = plan_service(ServiceSnapshot(service=done, live=free), NOW)
    assert sorted(stop.task.capacity_provider or "" for stop in plan.stop) == ["a", "b"]


@pytest.mark.parametrize("provider", [None, "gone"])
def test_tasks_outside_of_the_strategy_are_the_first_to_go(provider: str | None) -> None:
    of = service(3, deployment(1, strategy=strategy((1, 0)), rollout_state="COMPLETED"))
    live = (*(task(n, capacity_provider="a") for n in (1, 2, 3)), task(4, capacity_provider=provider))
    plan = plan_service(ServiceSnapshot(service=of, live=live), NOW)
    assert [stop.task.id for stop in plan.stop] == [4]
