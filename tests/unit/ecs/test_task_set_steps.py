"""Steps of task sets against a store: nothing to do, no room, other writers, and services that are gone."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from datetime import timedelta
from typing import Any

import msgspec
import pytest
from tests.kit.stores import Counting
from tests.repo import nouns

from homeport.core.clock import FixedClock
from homeport.core.errors import StaleWriteError
from homeport.core.ids import SeededIds
from homeport.runtime import Change
from homeport.services.ecs.control.replicas import ReplicaController
from homeport.services.ecs.model import Service, Task, TaskSet
from homeport.services.ecs.plan.task_definition import normalise
from homeport.services.ecs.ports import PlacementOutcome, PlacementRequest
from homeport.services.ecs.repo.clusters import ClusterRepo
from homeport.services.ecs.repo.services import ServiceRepo
from homeport.services.ecs.repo.task_definitions import TaskDefinitionRepo
from homeport.services.ecs.repo.task_sets import TaskSetRepo
from homeport.services.ecs.repo.tasks import TaskRepo
from homeport.store import Store, Tx, open_memory_store

BODY = normalise(
    {"family": "web", "containerDefinitions": [{"name": "main", "image": "app:1", "memory": 16}]},
    settings={"defaultLogDriverMode": "non-blocking"},
)


class Placing:
    """A placer with room for so many tasks; `meanwhile` happens before it answers."""

    def __init__(self, store: Store) -> None:
        self.room = 0
        self.asked: list[PlacementRequest] = []
        self.meanwhile: Callable[[], Any] | None = None
        self._store = store

    async def place(self, request: PlacementRequest) -> PlacementOutcome:
        self.asked.append(request)
        if self.meanwhile is not None:
            await self.meanwhile()

        def work(tx: Tx) -> tuple[Task, ...]:
            if request.service is not None and not ServiceRepo(tx).is_current(request.service):
                raise StaleWriteError(request.service.arn)
            count = min(request.count, self.room)
            self.room -= count
            return TaskRepo(tx).add_all(
                [
                    msgspec.structs.replace(request.template, uid=nouns.uid(100 * len(self.asked) + n))
                    for n in range(count)
                ]
            )

        return PlacementOutcome(tasks=await self._store.write(work), explanation="no room")

    def pick_for_scale_in(self, cluster_id: int, tasks: Any, strategy: Any, count: int) -> Any:
        return list(tasks)[:count]

    def reserve(self, *_: Any) -> None:
        raise AssertionError("nothing is held for task sets")


class World:
    """A service of two tasks with two task sets, and its controller."""

    def __init__(self, store: Store) -> None:
        self.store = store
        self.placer = Placing(store)
        self.controller = ReplicaController(store, FixedClock(nouns.NOON), SeededIds(1), self.placer)  # type: ignore[arg-type]
        self.key = ""

    async def make(self) -> None:
        def work(tx: Tx) -> int:
            cluster = ClusterRepo(tx).add(nouns.cluster())
            definition = TaskDefinitionRepo(tx).add(nouns.definition("web", 1, body=BODY))
            fresh = nouns.service(cluster.id, "web", desired_count=2, deployments=(), controller="EXTERNAL")
            service = ServiceRepo(tx).add(fresh)
            for number in (1, 2):
                deployment = msgspec.structs.replace(
                    nouns.deployment(number), task_definition_id=definition.id
                )
                TaskSetRepo(tx).add(nouns.task_set(service.id, 1, scale=50.0 * number, deployment=deployment))
            return service.id

        self.key = str(await self.store.write(work))

    async def run_tasks(self) -> None:
        """All of them run, and have done so for long."""

        def work(tx: Tx) -> None:
            for task in TaskRepo(tx).live_of_service(int(self.key)):
                started = nouns.NOON - timedelta(minutes=5)
                TaskRepo(tx).save(msgspec.structs.replace(task, last_status="RUNNING", started_at=started))

        await self.store.write(work)

    async def look(self) -> tuple[Service, tuple[TaskSet, ...], tuple[Task, ...]]:
        def work(tx: Tx) -> Any:
            row = int(self.key)
            return (
                ServiceRepo(tx).get(row),
                TaskSetRepo(tx).of_service(row),
                TaskRepo(tx).live_of_service(row),
            )

        found: tuple[Service, tuple[TaskSet, ...], tuple[Task, ...]] = await self.store.read(work)
        return found

    async def change(self, **members: Any) -> None:
        def work(tx: Tx) -> None:
            service = ServiceRepo(tx).get(int(self.key))
            assert service is not None
            ServiceRepo(tx).save(msgspec.structs.replace(service, **members))

        await self.store.write(work)


@pytest.fixture
async def world() -> AsyncIterator[World]:
    store = open_memory_store()
    made = World(store)
    await made.make()
    yield made
    await store.close()


async def test_each_task_set_starts_its_share_under_its_own_name(world: World) -> None:
    world.placer.room = 9
    await world.controller.reconcile(world.key)
    service, sets, tasks = await world.look()
    assert sorted(str(t.started_by) for t in tasks) == ["ecs-svc/1", "ecs-svc/2", "ecs-svc/2"]
    assert {t.group for t in tasks} == {"service:web"}
    assert [one.computed_desired_count for one in sets] == [1, 2]
    assert [event.message.partition(":")[0] for event in service.events[:2]] == [
        "(service web, taskSet ecs-svc/2) has started 2 tasks",
        "(service web, taskSet ecs-svc/1) has started 1 tasks",
    ]


async def test_nothing_is_written_when_there_is_nothing_to_do(world: World) -> None:
    world.placer.room = 9
    await world.controller.reconcile(world.key)
    before = await world.look()
    await world.controller.reconcile(world.key)
    assert await world.look() == before
    assert len(world.placer.asked) == 2


async def test_a_steady_service_is_looked_at_without_a_write() -> None:
    """A commit each time would keep 1,000 steady services busy."""
    store = Counting(open_memory_store())
    world = World(store)  # type: ignore[arg-type]
    await world.make()
    world.placer.room = 9
    await world.controller.reconcile(world.key)
    await world.run_tasks()
    await world.controller.reconcile(world.key)
    service, sets, _ = await world.look()
    assert (service.steady_at, {one.stability_status for one in sets}) == (nouns.NOON, {"STEADY_STATE"})
    store.writes = 0
    for _ in range(3):
        await world.controller.reconcile(world.key)
    assert store.writes == 0
    await world.change(desired_count=4)
    store.writes = 0
    await world.controller.reconcile(world.key)
    assert store.writes > 0, "or it does not count"
    await store.close()


async def test_no_room_is_told_once_for_each_and_room_that_comes_up_is_heard_of(world: World) -> None:
    await world.controller.reconcile(world.key)
    before = await world.look()
    told = [event.message for event in before[0].events if "was unable to place a task" in event.message]
    assert len(told) == 2
    for _ in range(3):
        assert list(world.controller.keys_of(Change("ecs.fleet", "1"))) == [world.key]
        await world.controller.reconcile(world.key)
        assert await world.look() == before, "or it would wake itself for ever"
    world.placer.room = 3
    await world.controller.reconcile(world.key)
    assert len((await world.look())[2]) == 3


async def test_a_start_that_was_decided_on_another_scale_is_not_made(world: World) -> None:
    world.placer.room = 9

    async def rescale() -> None:
        world.placer.meanwhile = None
        await world.change(desired_count=0)

    world.placer.meanwhile = rescale
    with pytest.raises(StaleWriteError):
        await world.controller.reconcile(world.key)
    assert (await world.look())[2] == ()
    await world.controller.reconcile(world.key)
    assert (await world.look())[2] == ()


async def test_what_is_too_many_is_stopped_and_told(world: World) -> None:
    world.placer.room = 9
    await world.controller.reconcile(world.key)
    await world.change(desired_count=0)
    await world.controller.reconcile(world.key)
    service, _, tasks = await world.look()
    assert {t.desired_status for t in tasks} == {"STOPPED"}
    assert {t.stop_code for t in tasks} == {"ServiceSchedulerInitiated"}
    told = [event.message for event in service.events]
    assert "(service web, taskSet ecs-svc/2) stopped 2 pending tasks." in told


async def test_a_drained_task_set_and_a_deleted_service_leave_no_rows(world: World) -> None:
    def drain(tx: Tx) -> None:
        first = TaskSetRepo(tx).of_service(int(world.key))[0]
        TaskSetRepo(tx).save(msgspec.structs.replace(first, status="DRAINING"))

    await world.store.write(drain)
    await world.controller.reconcile(world.key)
    assert [one.uid for one in (await world.look())[1]] == ["ecs-svc/2"]
    await world.change(status="DRAINING", desired_count=0)
    await world.controller.reconcile(world.key)
    service, sets, _ = await world.look()
    assert (service.status, sets) == ("INACTIVE", ())
    await world.controller.reconcile(world.key)
    assert (await world.look())[0] == service
