"""What a look at a service costs: nothing is written for nothing, and only what changed is read again."""

from __future__ import annotations

import random
from collections import Counter
from datetime import timedelta

import msgspec
import pytest
from tests.kit.stores import Counting
from tests.repo import nouns
from tests.unit.ecs.test_replica_stops import NoPlacer, running

from homeport.core.clock import FixedClock
from homeport.core.ids import SeededIds
from homeport.services.ecs.control.replicas import ReplicaController
from homeport.services.ecs.control.service_steps import TASKS_NAMED_MAX, told_stops
from homeport.services.ecs.model import Service
from homeport.services.ecs.plan.rollout import TaskStop
from homeport.services.ecs.repo.clusters import ClusterRepo
from homeport.services.ecs.repo.services import ServiceRepo
from homeport.services.ecs.repo.task_definitions import TaskDefinitionRepo
from homeport.services.ecs.repo.tasks import TaskRepo
from homeport.store import Tx, open_memory_store


def make(tx: Tx, count: int) -> Service:
    cluster = ClusterRepo(tx).add(nouns.cluster())
    definition = TaskDefinitionRepo(tx).add(nouns.definition("web", 1))
    fresh = nouns.service(cluster.id, "web", desired_count=count)
    deployment = msgspec.structs.replace(fresh.primary, task_definition_id=definition.id)
    service = ServiceRepo(tx).add(msgspec.structs.replace(fresh, deployments=(deployment,)))
    TaskRepo(tx).add_all([running(cluster.id, service.id, number) for number in range(1, count + 1)])
    return service


async def test_a_steady_service_is_looked_at_without_a_write() -> None:
    inner = open_memory_store()
    store = Counting(inner)
    service = await inner.write(lambda tx: make(tx, 3))
    controller = ReplicaController(store, FixedClock(nouns.NOON), SeededIds(1), NoPlacer())  # type: ignore[arg-type]
    await controller.reconcile(str(service.id))
    settled, store.writes = store.writes, 0
    for _ in range(3):
        await controller.reconcile(str(service.id))
    assert (settled > 0, store.writes) == (True, 0)
    after = await inner.read(lambda tx: ServiceRepo(tx).get(service.id))
    assert after is not None
    assert after.steady_at == nouns.NOON
    await inner.close()


@pytest.mark.parametrize("seed", range(20))
async def test_known_tasks_and_those_that_changed_are_what_there_is(seed: int) -> None:
    dice, store = random.Random(seed), open_memory_store()
    service = await store.write(lambda tx: make(tx, 12))
    known = {t.id: t for t in await store.read(lambda tx: TaskRepo(tx).live_of_service(service.id))}
    for task_id in dice.sample(sorted(known), 6):
        known.pop(task_id)  # never read
    changed = set()

    def change(tx: Tx) -> None:
        for task in TaskRepo(tx).live_of_service(service.id):
            match dice.randrange(4):
                case 0:
                    TaskRepo(tx).save(msgspec.structs.replace(task, last_status="ACTIVATING"))
                case 1:
                    gone = nouns.NOON + timedelta(seconds=1)
                    ended = msgspec.structs.replace(task, last_status="STOPPED", stopped_at=gone)
                    TaskRepo(tx).save(ended)
                case _:
                    continue
            changed.add(task.id)

    await store.write(change)
    plain = await store.read(lambda tx: TaskRepo(tx).live_of_service(service.id))
    again = await store.read(lambda tx: TaskRepo(tx).live_of_service(service.id, known))
    assert again == plain
    assert all(task is known[task.id] for task in again if task.id in known and task.id not in changed)
    counts = await store.read(lambda tx: TaskRepo(tx).standings_of_service(service.id))
    assert counts == Counter((task.started_by, task.last_status) for task in plain)
    await store.close()


def test_an_event_names_a_bounded_number_of_tasks_and_all_events_name_all() -> None:
    tasks = [running(1, 1, number) for number in range(1, 2 * TASKS_NAMED_MAX + 8)]
    told = list(told_stops("(service web)", [TaskStop(task=task, reason="") for task in tasks]))
    assert [message.count("(task ") for message in told] == [TASKS_NAMED_MAX, TASKS_NAMED_MAX, 7]
    assert all(sum(f"(task {task.uid})" in message for message in told) == 1 for task in tasks)
