"""A service that found no room hears of room that came up while somebody was still looking."""

from __future__ import annotations

from typing import Any

import msgspec
from tests.repo import nouns

from homeport.core.clock import FixedClock
from homeport.core.ids import SeededIds
from homeport.runtime import Change
from homeport.services.ecs.control.replicas import ReplicaController
from homeport.services.ecs.plan.task_definition import normalise
from homeport.services.ecs.ports import PlacementOutcome, PlacementRequest
from homeport.services.ecs.repo.clusters import ClusterRepo
from homeport.services.ecs.repo.services import ServiceRepo
from homeport.services.ecs.repo.task_definitions import TaskDefinitionRepo
from homeport.store import Tx, open_memory_store

BODY = normalise(
    {"family": "web", "containerDefinitions": [{"name": "main", "image": "app:1", "memory": 16}]},
    settings={"defaultLogDriverMode": "non-blocking"},
)


class NoRoom:
    """A placer that finds no room; meanwhile room comes up."""

    def __init__(self) -> None:
        self.controller: ReplicaController | None = None
        self.woken: list[str] = []

    async def place(self, request: PlacementRequest) -> PlacementOutcome:
        assert self.controller is not None
        self.woken += self.controller.keys_of(Change("ecs.fleet", str(request.cluster.id)))
        return PlacementOutcome(tasks=(), explanation="no room")


async def test_room_that_comes_up_during_the_search_wakes_the_service() -> None:
    store, placer = open_memory_store(), NoRoom()

    def make(tx: Tx) -> Any:
        cluster = ClusterRepo(tx).add(nouns.cluster())
        definition = TaskDefinitionRepo(tx).add(nouns.definition("web", 1, body=BODY))
        fresh = nouns.service(cluster.id, "web")
        deployment = msgspec.structs.replace(fresh.primary, task_definition_id=definition.id)
        return ServiceRepo(tx).add(msgspec.structs.replace(fresh, deployments=(deployment,)))

    service = await store.write(make)
    placer.controller = ReplicaController(store, FixedClock(nouns.NOON), SeededIds(1), placer)
    await placer.controller.reconcile(str(service.id))
    assert placer.woken == [str(service.id)]
    await placer.controller.reconcile(str(service.id))
    assert placer.woken == [str(service.id)] * 2, "and again, as long as it waits"
    await store.close()
