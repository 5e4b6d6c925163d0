"""A zone that comes or goes wakes the services that are rebalanced; nothing else of an instance does."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from typing import TypeVar

import msgspec
import pytest
from tests.repo import nouns

from homeport.services.ecs.control.zones import ZoneWatch
from homeport.services.ecs.model import Attribute, Service, SubnetPlace, Task, TaskDefinition, TaskNetwork
from homeport.services.ecs.plan.rollout import ServiceSnapshot
from homeport.services.ecs.plan.task_definition import normalise
from homeport.services.ecs.repo.clusters import ClusterRepo
from homeport.services.ecs.repo.instances import InstanceRepo
from homeport.services.ecs.repo.services import ServiceRepo
from homeport.services.ecs.repo.task_definitions import TaskDefinitionRepo
from homeport.store import Tx, open_memory_store
from homeport.store.base import Store

T = TypeVar("T")
A, B = "us-east-1a", "us-east-1b"
BODY = normalise(
    {"family": "web", "containerDefinitions": [{"name": "main", "image": "app:1", "memory": 16}]},
    settings={"defaultLogDriverMode": "non-blocking"},
)


class Ear:
    """A store that hears what is touched."""

    def __init__(self, inner: Store) -> None:
        self.feed = inner.feed
        self._inner = inner
        self.touched: list[str] = []

    async def read(self, fn: Callable[[Tx], T], *, bulk: bool = False) -> T:
        return await self._inner.read(fn, bulk=bulk)

    async def write(self, fn: Callable[[Tx], T], *, bulk: bool = False) -> T:
        def heard(tx: Tx) -> T:
            result = fn(tx)
            self.touched += [f"{kind} {key}" for kind, key in tx.touched]
            return result

        return await self._inner.write(heard, bulk=bulk)

    async def close(self) -> None:
        return


@dataclass
class World:
    """A cluster with a steady service of two tasks, and a watch that counts what it wakes."""

    store: Store
    cluster_id: int
    service: Service
    definition: TaskDefinition
    watch: ZoneWatch
    ear: Ear

    async def joins(self, number: int, zone: str) -> int:
        attributes = (
            Attribute(name="ecs.availability-zone", value=zone),
            Attribute(name="com.amazonaws.ecs.capability.docker-remote-api.1.18", value=None),
        )
        fresh = nouns.instance(self.cluster_id, number, attributes=attributes, status="ACTIVE")
        return (await self.store.write(lambda tx: InstanceRepo(tx).add(fresh))).id

    async def becomes(self, instance_id: int, status: str) -> None:
        def work(tx: Tx) -> None:
            instance = InstanceRepo(tx).get(instance_id)
            assert instance is not None
            InstanceRepo(tx).save(msgspec.structs.replace(instance, status=status))

        await self.store.write(work)

    async def zones(self, service: Service | None = None) -> frozenset[str]:
        live: tuple[Task, ...] = tuple(nouns.task(self.cluster_id, n) for n in (1, 2))
        snapshot = ServiceSnapshot(service=service or self.service, live=live)
        return (await self.watch.seen(snapshot, self.definition)).zones

    async def woken(self) -> list[str]:
        """The services that the next look of the watch wakes."""
        self.ear.touched.clear()
        await self.watch.reconcile(str(self.cluster_id))
        return self.ear.touched


@pytest.fixture
async def world() -> AsyncIterator[World]:
    store = open_memory_store()

    def make(tx: Tx) -> tuple[int, Service, TaskDefinition]:
        cluster = ClusterRepo(tx).add(nouns.cluster())
        definition = TaskDefinitionRepo(tx).add(nouns.definition("web", 1, body=BODY))
        fresh = nouns.service(cluster.id, "web", desired_count=2, az_rebalancing=True)
        done = msgspec.structs.replace(
            fresh.primary, task_definition_id=definition.id, rollout_state="COMPLETED"
        )
        service = ServiceRepo(tx).add(msgspec.structs.replace(fresh, deployments=(done,)))
        return cluster.id, service, definition

    cluster_id, service, definition = await store.write(make)
    ear = Ear(store)
    yield World(store, cluster_id, service, definition, ZoneWatch(ear), ear)
    await store.close()


async def test_a_zone_is_news_and_another_instance_in_it_is_not(world: World) -> None:
    first = await world.joins(1, A)
    assert await world.zones() == frozenset(), "one zone: nothing to count"
    mine = f"ecs.service {world.service.id}"
    assert await world.woken() == [mine], "who looked before may have missed it"
    assert await world.woken() == [], "nothing to do"
    await world.joins(2, A)
    assert await world.woken() == []
    other = await world.joins(3, B)
    assert await world.woken() == [mine]
    assert await world.zones() == {A, B}
    await world.becomes(other, "DRAINING")
    assert await world.woken() == [mine]
    assert await world.zones() == frozenset()
    await world.becomes(first, "INACTIVE")
    assert await world.woken() == []


async def test_who_is_not_rebalanced_is_not_woken(world: World) -> None:
    await world.joins(1, A)
    await world.joins(2, B)
    assert await world.woken() == [], "nobody has asked yet"
    off = msgspec.structs.replace(world.service, az_rebalancing=False)
    assert await world.zones(off) == frozenset()
    assert await world.woken() == []
    assert await world.zones() == {A, B}
    gone = msgspec.structs.replace(world.service, status="DRAINING")
    assert await world.zones(gone) == frozenset()
    assert await world.woken() == []


async def test_a_zone_without_an_instance_that_meets_the_constraints_does_not_count(world: World) -> None:
    await world.joins(1, A)
    await world.joins(2, B)
    only = {"type": "memberOf", "expression": "ec2InstanceId == i-1"}
    assert await world.zones(msgspec.structs.replace(world.service, placement_constraints=(only,))) == {A}


async def test_a_service_that_rolls_out_or_lacks_tasks_is_not_counted(world: World) -> None:
    await world.joins(1, A)
    await world.joins(2, B)
    assert await world.zones(msgspec.structs.replace(world.service, desired_count=3)) == frozenset()
    rolling = msgspec.structs.replace(world.service.primary, rollout_state="IN_PROGRESS")
    assert await world.zones(msgspec.structs.replace(world.service, deployments=(rolling,))) == frozenset()


async def test_the_zones_of_fargates_tasks_are_those_of_their_subnets(world: World) -> None:
    places = tuple(SubnetPlace(subnet_id=f"subnet-{zone}", zone=zone) for zone in (A, B))
    primary = msgspec.structs.replace(world.service.primary, network=TaskNetwork(subnets=places))
    service = msgspec.structs.replace(world.service, launch_type="FARGATE", deployments=(primary,))
    assert await world.zones(service) == {A, B}, "whatever instances the cluster has"
    await world.joins(1, A)
    assert await world.woken() == [], "nor does it matter which come"
