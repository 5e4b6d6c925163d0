"""The placer decides on what it knows, and never commits what is no longer so."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import msgspec
import pytest

from homeport.core.clock import SystemClock
from homeport.core.errors import AwsError
from homeport.core.ids import SeededIds
from homeport.services.ecs.control.placer import Placer
from homeport.services.ecs.errors import ClusterNotFoundException
from homeport.services.ecs.model import Attribute, Cluster, ContainerInstance, Task, TaskDefinition
from homeport.services.ecs.plan.launch import launch_of, task_template
from homeport.services.ecs.plan.task_definition import normalise
from homeport.services.ecs.ports import PlacementOutcome, PlacementRequest
from homeport.services.ecs.repo.clusters import ClusterRepo
from homeport.services.ecs.repo.instances import InstanceRepo
from homeport.services.ecs.repo.task_definitions import TaskDefinitionRepo
from homeport.services.ecs.repo.tasks import TaskRepo
from homeport.store.base import Store
from homeport.store.opening import open_memory_store
from homeport.store.tx import Tx

ACCOUNT, REGION = "000000000000", "us-east-1"
NOW = datetime(2030, 1, 1, tzinfo=UTC)
BODY = normalise(
    {"family": "app", "containerDefinitions": [{"name": "app", "image": "app:1", "memory": 100}]},
    settings={"defaultLogDriverMode": "non-blocking"},
)


@dataclass(slots=True)
class World:
    """A cluster whose instances have room for two tasks each; no feed tells the placer anything."""

    store: Store
    placer: Placer
    cluster: Cluster
    definition: TaskDefinition
    ids: SeededIds

    async def instance(self) -> ContainerInstance:
        instance = ContainerInstance(
            cluster_id=self.cluster.id,
            cluster_name="default",
            account_id=ACCOUNT,
            region=REGION,
            uid=self.ids.token(16).hex(),
            ec2_instance_id="i-1",
            registered_at=NOW,
            cpu=1024,
            memory=200,
            agent_connected=True,
            attributes=tuple(Attribute(name=a["name"]) for a in BODY["requiresAttributes"]),
        )
        return await self.store.write(lambda tx: InstanceRepo(tx).add(instance))

    async def place(self, count: int = 1) -> PlacementOutcome:
        launch = launch_of(self.definition, {})
        template = task_template(
            cluster=self.cluster,
            definition=self.definition,
            launch=launch,
            group=None,
            started_by=None,
            tags=(),
            log_mode="non-blocking",
            now=NOW,
        )
        return await self.placer.place(
            PlacementRequest(
                cluster=self.cluster,
                definition=self.definition,
                template=template,
                demand=template.demand,
                count=count,
                required_attributes=launch.demand.required_attributes,
            )
        )

    async def stop(self, task: Task) -> None:
        def work(tx: Tx) -> None:
            repo = TaskRepo(tx)
            current = repo.get(task.id)
            assert current is not None
            stopped = {"desired_status": "STOPPED", "last_status": "STOPPED"}
            repo.save(msgspec.structs.replace(current, **stopped, stopped_at=datetime.now(UTC)))

        await self.store.write(work)

    async def outcome_of_one(self) -> str:
        try:
            return f"{len((await self.place()).tasks)} tasks"
        except AwsError as error:
            return error.message


@asynccontextmanager
async def world() -> AsyncIterator[World]:
    store = open_memory_store()
    ids = SeededIds(7)
    placer = Placer(store, SystemClock(), ids)

    def make(tx: Tx) -> tuple[Cluster, TaskDefinition]:
        fresh = Cluster(account_id=ACCOUNT, region=REGION, name="default", created_at=NOW)
        definition = TaskDefinition(
            account_id=ACCOUNT,
            region=REGION,
            family="app",
            revision=1,
            registered_at=NOW,
            registered_by="test",
            body=BODY,
        )
        return ClusterRepo(tx).add(fresh), TaskDefinitionRepo(tx).add(definition)

    cluster, definition = await store.write(make)
    async with asyncio.TaskGroup() as group:
        running = group.create_task(placer.run())
        yield World(store, placer, cluster, definition, ids)
        running.cancel()
    await store.close()


async def test_room_that_came_up_is_used_before_the_feed_tells_of_it() -> None:
    async with world() as it:
        await it.instance()
        full = await it.place(2)
        assert len(full.tasks) == 2
        assert [failure.reason for failure in (await it.place()).failures] == ["RESOURCE:MEMORY"]
        await it.stop(full.tasks[0])
        assert len((await it.place()).tasks) == 1


async def test_an_instance_that_left_meanwhile_is_not_placed_on() -> None:
    async with world() as it:
        first, second = await it.instance(), await it.instance()
        warm = await it.place()

        def leave(tx: Tx) -> None:
            repo = InstanceRepo(tx)
            current = repo.get(first.id)
            assert current is not None
            repo.save(msgspec.structs.replace(current, status="DRAINING"))

        await it.store.write(leave)
        placed = (await it.place()).tasks + (await it.place()).tasks
        room = 2 - sum(task.instance_id == second.id for task in warm.tasks)
        assert [task.instance_id for task in placed] == [second.id] * min(room, 2)


async def test_an_instance_that_came_meanwhile_is_found() -> None:
    async with world() as it:
        await it.instance()
        assert len((await it.place(2)).tasks) == 2
        await it.instance()
        assert len((await it.place(2)).tasks) == 2


async def test_a_cluster_that_was_deleted_meanwhile_takes_no_task() -> None:
    async with world() as it:
        await it.instance()
        await it.place()

        def delete(tx: Tx) -> None:
            repo = ClusterRepo(tx)
            current = repo.get(it.cluster.id)
            assert current is not None
            repo.save(msgspec.structs.replace(current, status="INACTIVE"))

        await it.store.write(delete)
        with pytest.raises(ClusterNotFoundException):
            await it.place()


async def test_what_two_placers_decide_at_once_never_overfills_an_instance() -> None:
    async with world() as it:
        await it.instance()
        other = Placer(it.store, SystemClock(), SeededIds(8))
        async with asyncio.TaskGroup() as group:
            running = group.create_task(other.run())
            here = it
            there = World(it.store, other, it.cluster, it.definition, it.ids)
            outcomes = await asyncio.gather(*(w.place() for w in (here, there, here, there)))
            running.cancel()
        assert sum(len(outcome.tasks) for outcome in outcomes) == 2


class SlowToCommit:
    """A store whose writes wait for a sign."""

    def __init__(self, store: Store) -> None:
        self.feed = store.feed
        self.asked = asyncio.Event()
        self.sign = asyncio.Event()
        self._store = store

    async def read(self, fn: Any, *, bulk: bool = False) -> Any:
        return await self._store.read(fn, bulk=bulk)

    async def write(self, fn: Any, *, bulk: bool = False) -> Any:
        self.asked.set()
        await self.sign.wait()
        return await self._store.write(fn, bulk=bulk)

    async def close(self) -> None:
        return


async def test_a_placer_that_is_interrupted_answers_and_goes_on_when_it_runs_again() -> None:
    async with world() as it:
        await it.instance()
        slow = SlowToCommit(it.store)
        placer = Placer(slow, SystemClock(), SeededIds(8))
        calm = World(it.store, placer, it.cluster, it.definition, it.ids)
        async with asyncio.TaskGroup() as group:
            running = group.create_task(placer.run())
            in_hand = group.create_task(calm.outcome_of_one())
            await slow.asked.wait()
            waiting = group.create_task(calm.outcome_of_one())
            await asyncio.sleep(0)
            running.cancel()
            await asyncio.wait([running, in_hand])
            slow.sign.set()
            again = group.create_task(placer.run())
            await asyncio.wait([waiting])
            again.cancel()
        assert "interrupted" in in_hand.result()
        assert waiting.result() == "1 tasks"
