"""Fargate's machines take tasks of every cluster, and nobody sees them."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import msgspec
import pytest
from tests.kit.rollout import service
from tests.kit.task_definitions import SETTINGS, request

from homeport.core.clock import SystemClock
from homeport.core.errors import AwsError
from homeport.core.ids import SeededIds
from homeport.runtime.changes import Change
from homeport.services.ecs.control.fleet_feed import FleetFeed
from homeport.services.ecs.control.placer import Placer
from homeport.services.ecs.control.waits import Waits
from homeport.services.ecs.errors import ClusterNotFoundException
from homeport.services.ecs.model import FLEET, Attribute, Cluster, ContainerInstance, Task, TaskDefinition
from homeport.services.ecs.plan.compute import Compute
from homeport.services.ecs.plan.fargate_room import NO_MACHINE
from homeport.services.ecs.plan.launch import launch_of, task_template
from homeport.services.ecs.plan.placing import shares
from homeport.services.ecs.plan.task_definition import normalise
from homeport.services.ecs.ports import PlacementOutcome, PlacementRequest
from homeport.services.ecs.repo.clusters import ClusterRepo
from homeport.services.ecs.repo.events import EventRepo
from homeport.services.ecs.repo.instances import InstanceRepo
from homeport.services.ecs.repo.task_definitions import TaskDefinitionRepo
from homeport.services.ecs.repo.tasks import FARGATE_CHANGED, TaskRepo
from homeport.store.base import Store
from homeport.store.opening import open_memory_store
from homeport.store.tx import Tx

HOME = ("000000000000", "us-east-1")
NOW = datetime(2030, 1, 1, tzinfo=UTC)
BODY = normalise(request(cpu="512", memory="1024"), settings=SETTINGS)
"""Without a network of its own: interfaces are another matter."""
COMPUTE = Compute(launch_type="FARGATE", platform_version="LATEST")


@dataclass(slots=True)
class World:
    """Two clusters without instances. Half a vCPU and 1 GiB for each task."""

    store: Store
    placer: Placer
    clusters: tuple[Cluster, Cluster]
    definition: TaskDefinition
    ids: SeededIds

    async def machine(self, cpu: int = 1024, memory: int = 4096) -> ContainerInstance:
        def work(tx: Tx) -> ContainerInstance:
            fleet = ClusterRepo(tx).fleet(*HOME)
            if fleet is None:
                fresh = Cluster(account_id=HOME[0], region=HOME[1], name=FLEET, created_at=NOW)
                fleet = ClusterRepo(tx).add(fresh)
            return InstanceRepo(tx).add(
                ContainerInstance(
                    cluster_id=fleet.id,
                    cluster_name=FLEET,
                    account_id=HOME[0],
                    region=HOME[1],
                    uid=self.ids.token(16).hex(),
                    ec2_instance_id="i-hidden",
                    registered_at=NOW,
                    cpu=cpu,
                    memory=memory,
                    agent_connected=True,
                    attributes=tuple(Attribute(name=a["name"]) for a in BODY["requiresAttributes"]),
                )
            )

        return await self.store.write(work)

    async def place(self, count: int = 1, *, of: int = 0, provider: str = "") -> PlacementOutcome:
        launch = launch_of(self.definition, {})
        template = task_template(
            cluster=self.clusters[of],
            definition=self.definition,
            launch=launch,
            group=None,
            started_by=None,
            tags=(),
            log_mode="non-blocking",
            now=NOW,
            compute=COMPUTE,
        )
        return await self.placer.place(
            PlacementRequest(
                cluster=self.clusters[of],
                definition=self.definition,
                template=template,
                demand=template.demand,
                count=count,
                required_attributes=launch.demand.required_attributes,
                shares=shares({provider: count}, {}) if provider else (),
            )
        )

    async def change(self, task: Task, **members: Any) -> None:
        def work(tx: Tx) -> None:
            repo = TaskRepo(tx)
            current = repo.get(task.id)
            assert current is not None
            repo.save(msgspec.structs.replace(current, **members))

        await self.store.write(work)

    async def stop(self, task: Task) -> None:
        await self.change(task, desired_status="STOPPED", last_status="STOPPED", stopped_at=datetime.now(UTC))


@asynccontextmanager
async def world() -> AsyncIterator[World]:
    store, ids = open_memory_store(), SeededIds(7)
    placer = Placer(store, SystemClock(), ids)

    def make(tx: Tx) -> tuple[Cluster, Cluster, TaskDefinition]:
        one, two = (
            ClusterRepo(tx).add(Cluster(account_id=HOME[0], region=HOME[1], name=name, created_at=NOW))
            for name in ("one", "two")
        )
        definition = TaskDefinition(
            account_id=HOME[0],
            region=HOME[1],
            family="app",
            revision=1,
            registered_at=NOW,
            registered_by="test",
            body=BODY,
        )
        return one, two, TaskDefinitionRepo(tx).add(definition)

    one, two, definition = await store.write(make)
    async with asyncio.TaskGroup() as group:
        running = group.create_task(placer.run())
        feed = group.create_task(FleetFeed(store, placer, store.feed.subscribe).run())
        yield World(store, placer, (one, two), definition, ids)
        running.cancel()
        feed.cancel()
    await store.close()


async def test_without_a_machine_there_is_no_capacity_and_it_says_how_to_get_some() -> None:
    async with world() as it:
        outcome = await it.place()
        assert (outcome.tasks, outcome.capacity) == ((), NO_MACHINE)


async def test_a_task_is_of_its_own_cluster_and_shows_no_instance() -> None:
    async with world() as it:
        machine = await it.machine()
        (task,) = (await it.place(of=1)).tasks
        assert (task.cluster_id, task.cluster_name) == (it.clusters[1].id, "two")
        assert (task.instance_id, task.fleet_id) == (machine.id, machine.cluster_id)
        assert task.instance_arn is None
        assert (task.launch_type, task.platform_version, task.storage_gib) == ("FARGATE", "1.4.0", 20)


async def test_all_clusters_share_the_machines() -> None:
    async with world() as it:
        await it.machine(cpu=1024)
        assert len((await it.place()).tasks) == 1
        assert len((await it.place(of=1)).tasks) == 1
        outcome = await it.place()
        assert outcome.tasks == ()
        assert "512 CPU units, and the machine that comes closest has 0 free" in outcome.capacity
        assert [(f.arn, f.reason[:23]) for f in outcome.failures] == [("", "Capacity is unavailable")]


async def test_spot_has_a_word_of_its_own_and_its_tasks_name_it() -> None:
    async with world() as it:
        await it.machine(cpu=512)
        outcome = await it.place(2, provider="FARGATE_SPOT")
        assert [task.capacity_provider for task in outcome.tasks] == ["FARGATE_SPOT"]
        assert [failure.reason for failure in outcome.failures] == ["RESOURCE:FARGATE"]


async def test_what_stops_in_one_cluster_makes_room_for_another() -> None:
    async with world() as it:
        await it.machine(cpu=512)
        (first,) = (await it.place()).tasks
        assert (await it.place(of=1)).tasks == ()
        await it.stop(first)
        assert len((await it.place(of=1)).tasks) == 1


async def test_a_placer_that_starts_anew_finds_the_tasks_that_are_there() -> None:
    async with world() as it:
        await it.machine(cpu=1024)
        await it.place(2)
        other = Placer(it.store, SystemClock(), SeededIds(9))
        it.placer, before = other, it.placer
        async with asyncio.TaskGroup() as group:
            running = group.create_task(other.run())
            assert (await it.place(of=1)).tasks == ()
            running.cancel()
        it.placer = before


async def test_a_cluster_that_was_deleted_meanwhile_takes_no_task() -> None:
    async with world() as it:
        await it.machine()
        await it.place()

        def delete(tx: Tx) -> None:
            repo = ClusterRepo(tx)
            current = repo.get(it.clusters[1].id)
            assert current is not None
            repo.save(msgspec.structs.replace(current, status="INACTIVE"))

        await it.store.write(delete)
        with pytest.raises(ClusterNotFoundException):
            await it.place(of=1)
        assert len((await it.place()).tasks) == 1


async def test_a_machine_without_its_agent_takes_no_task() -> None:
    async with world() as it:
        machine = await it.machine()
        away = msgspec.structs.replace(machine, agent_connected=False)
        await it.store.write(lambda tx: InstanceRepo(tx).save(away))
        assert (await it.place()).capacity == "The machine's agent is not connected."


async def test_nobody_is_told_of_the_machines() -> None:
    async with world() as it:
        await it.machine()

        def look(tx: Tx) -> tuple[Any, ...]:
            repo = ClusterRepo(tx)
            names = [one.name for one in repo.page(*HOME, after_id=0, limit=10)]
            return names, repo.find(*HOME, FLEET), EventRepo(tx).newest(*HOME, 10).documents

        assert await it.store.read(look) == (["one", "two"], None, ())


async def test_no_room_is_no_error_of_the_placer() -> None:
    async with world() as it:
        await it.machine(cpu=256)
        try:
            outcome = await it.place(3)
        except AwsError as error:  # pragma: no cover - the failure
            raise AssertionError(error.message) from error
        assert outcome.tasks == ()
        assert not outcome.no_instances


async def test_a_task_that_ends_is_news_for_whoever_waits_for_room_in_any_cluster() -> None:
    async with world() as it:
        await it.machine()
        (task,) = (await it.place()).tasks
        news: list[Change] = []
        async with asyncio.timeout(20):
            async for batch in it.store.feed.subscribe(frozenset({FARGATE_CHANGED})):
                news += batch.changes
                if batch.resync:
                    await it.stop(task)
                elif news:
                    break
        assert {change.key for change in news} == {"/".join(HOME)}


def test_services_of_fargate_wait_for_room_of_their_account() -> None:
    waits, here = Waits(), service(2)
    there = msgspec.structs.replace(
        here,
        id=here.id + 1,
        deployments=(msgspec.structs.replace(here.primary, launch_type="FARGATE"),),
    )
    for one in (here, there):
        waits.for_room(one)
    room = Change(kind=FARGATE_CHANGED, key=f"{there.account_id}/{there.region}")
    assert set(waits.concerned(room)) == {str(there.id)}
    assert set(waits.concerned(room)) == set()
    waits.for_room(there)
    waits.has_room(there)
    assert set(waits.concerned(room)) == set()
