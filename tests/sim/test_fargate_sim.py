"""Fargate survives bad luck: `tests.kit.sim_fargate` is the world, a failure prints the seed to play."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable

import pytest

from tests.kit.sim_fargate import FargateWorld, fargate_drama, quiet_fargate
from tests.sim import again, seeds


@pytest.mark.looptime(noop_cycles=1)  # no I/O to wait for: time may pass at once
@pytest.mark.parametrize("seed", seeds(15))
async def test_a_service_on_fargate_keeps_its_promises_in_bad_luck(seed: int) -> None:
    violations = await fargate_drama(seed)
    assert violations == [], again("fargate", seed)


LONG_SECONDS = 900.0
AT_ONCE_SECONDS = 2.0
"""Who waits for that long is looked at again by itself every few minutes only."""


async def until(what: Callable[[], Awaitable[bool]], seconds: float) -> None:
    async with asyncio.timeout(seconds):
        while not await what():  # noqa: ASYNC110 - the time is virtual
            await asyncio.sleep(0.05)


async def waiting_service(world: FargateWorld) -> list[str]:
    """A service that has waited for room for a long time, and the other cluster's tasks that take it."""
    await world.call(
        "CreateService", serviceName="web", taskDefinition="good", desiredCount=0, cluster="default"
    )
    network = {"awsvpcConfiguration": {"subnets": list(world.subnets)}}
    answer = await world.call(
        "RunTask",
        taskDefinition="good",
        cluster="bare",
        count=4,
        launchType="FARGATE",
        networkConfiguration=network,
    )
    assert answer["failures"] == []
    world.watch.service_id = 1
    await world.call("UpdateService", service="web", desiredCount=1)
    await asyncio.sleep(LONG_SECONDS)
    assert await world.live() == ()
    service = await world.service()
    assert "Capacity is unavailable at this time" in service.events[0].message
    return [task["taskArn"] for task in answer["tasks"]]


@pytest.mark.looptime(noop_cycles=1)
async def test_a_service_takes_the_room_that_tasks_of_another_cluster_leave_at_once() -> None:
    async with quiet_fargate() as world:
        first, *_ = await waiting_service(world)
        await world.call("StopTask", task=first, cluster="bare")

        async def has_ended() -> bool:
            return world.nodes[0].tasks[first].status == "STOPPED"

        async def has_begun() -> bool:
            return bool(await world.live())

        await until(has_ended, 60)
        await until(has_begun, AT_ONCE_SECONDS)
        assert world.violations == []


@pytest.mark.looptime(noop_cycles=1)
async def test_a_service_takes_the_room_of_another_machine_at_once() -> None:
    async with quiet_fargate() as world:
        await waiting_service(world)
        await world.join()

        async def has_begun() -> bool:
            return bool(await world.live())

        await until(has_begun, AT_ONCE_SECONDS)
        assert world.violations == []


@pytest.mark.looptime(noop_cycles=1)
async def test_tasks_begin_spread_over_the_zones_of_their_subnets() -> None:
    """Source: developer guide, "Amazon ECS task placement": Fargate spreads over Availability Zones."""
    async with quiet_fargate() as world:
        await world.call(
            "CreateService",
            serviceName="web",
            taskDefinition="better",
            desiredCount=2,
            availabilityZoneRebalancing="DISABLED",
        )
        world.watch.service_id = 1
        await asyncio.sleep(60)
        await world.call("UpdateService", service="web", desiredCount=6)
        await asyncio.sleep(1)
        zones = Counter(task.availability_zone for task in await world.live())
        assert sorted(zones.values()) == [2, 2, 2]
        assert world.violations == []
