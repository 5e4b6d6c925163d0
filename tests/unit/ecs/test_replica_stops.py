"""A service's healthy task is stopped only if enough others are healthy when the stop is written."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import msgspec
from tests.repo import nouns

from homeport.core.clock import FixedClock
from homeport.core.ids import SeededIds
from homeport.services.ecs.control.replicas import ReplicaController
from homeport.services.ecs.model import Container, Task
from homeport.services.ecs.ports import PlacementOutcome, PlacementRequest
from homeport.services.ecs.repo.clusters import ClusterRepo
from homeport.services.ecs.repo.services import ServiceRepo
from homeport.services.ecs.repo.task_definitions import TaskDefinitionRepo
from homeport.services.ecs.repo.tasks import TaskRepo
from homeport.store import Tx, open_memory_store


class NoPlacer:
    """Nothing is started here."""

    async def place(self, request: PlacementRequest) -> PlacementOutcome:
        raise AssertionError(request)

    def pick_for_scale_in(self, _cluster: int, tasks: Any, _strategy: Any, count: int) -> Any:
        return tasks[:count]


class Meanwhile:
    """A store in which something happens between what is read and what is written."""

    def __init__(self, inner: Any, happens: Callable[[Tx], Any]) -> None:
        self._inner = inner
        self._happens = happens
        self.feed = inner.feed

    async def read(self, fn: Any, *, bulk: bool = False) -> Any:
        return await self._inner.read(fn, bulk=bulk)

    async def write(self, fn: Any, *, bulk: bool = False) -> Any:
        happens, self._happens = self._happens, lambda _tx: None
        await self._inner.write(happens)
        return await self._inner.write(fn, bulk=bulk)


def running(cluster_id: int, service_id: int, number: int) -> Task:
    container = Container(
        name="app", uid=nouns.uid(0), image="app:1", has_health_check=True, health_status="HEALTHY"
    )
    return nouns.task(
        cluster_id,
        number,
        service_id=service_id,
        started_by="ecs-svc/1",
        last_status="RUNNING",
        started_at=nouns.NOON - timedelta(hours=1),
        containers=(container,),
    )


async def test_a_task_that_fell_ill_since_the_plan_keeps_the_others() -> None:
    store = open_memory_store()

    def make(tx: Tx) -> Any:
        cluster = ClusterRepo(tx).add(nouns.cluster())
        definition = TaskDefinitionRepo(tx).add(nouns.definition("web", 1))
        fresh = nouns.service(cluster.id, "web", desired_count=2)
        deployment = msgspec.structs.replace(fresh.primary, task_definition_id=definition.id)
        service = ServiceRepo(tx).add(msgspec.structs.replace(fresh, deployments=(deployment,)))
        tasks = tuple(running(cluster.id, service.id, number) for number in (1, 2, 3))
        TaskRepo(tx).add_all(tasks)
        return service

    service = await store.write(make)

    def falls_ill(tx: Tx) -> None:
        repo = TaskRepo(tx)
        task = repo.live_of_service(service.id)[2]
        ill = msgspec.structs.replace(task.containers[0], health_status="UNKNOWN")
        repo.save(msgspec.structs.replace(task, containers=(ill,)))

    controller = ReplicaController(
        Meanwhile(store, falls_ill), FixedClock(nouns.NOON), SeededIds(1), NoPlacer()
    )
    await controller.reconcile(str(service.id))
    live = await store.read(lambda tx: TaskRepo(tx).live_of_service(service.id))
    assert [task.desired_status for task in live] == ["RUNNING", "RUNNING", "STOPPED"], "the ill one goes"
    await store.close()
