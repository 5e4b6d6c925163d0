"""The repository of targets, and of what its tasks hold back, on both databases."""

from __future__ import annotations

import pytest
from msgspec.structs import replace

from homeport.core.errors import StaleWriteError
from homeport.services.ecs.model import Target, TargetPlace, Task
from homeport.services.ecs.repo.clusters import ClusterRepo
from homeport.services.ecs.repo.targets import TargetRepo
from homeport.services.ecs.repo.tasks import TaskRepo
from homeport.store import DuplicateKeyError, Store, Tx
from tests.repo import nouns


def target(task_id: int, address: str = "i-1", service_id: int = 7) -> Target:
    return Target(
        service_id=service_id,
        task_id=task_id,
        task_uid=nouns.uid(task_id),
        started_by="ecs-svc/1",
        target_group="tg/one",
        target=address,
        port=49153,
        container_port=80,
    )


async def test_targets_are_found_by_service_and_by_address(store: Store) -> None:
    def work(tx: Tx) -> None:
        repo = TargetRepo(tx)
        first, second = repo.add(target(1)), repo.add(target(2, "i-2"))
        other = repo.add(target(3, "i-1", service_id=8))
        assert repo.of_service(7) == (first, second)
        assert set(repo.at(["i-1"])) == {first, other}
        assert repo.service_ids() == {7, 8}
        assert ("ecs.service", "8") in tx.touched
        repo.remove(first)
        assert repo.get(first.id) is None

    await store.write(work)


async def test_a_task_has_one_target_for_a_port_in_a_group(store: Store) -> None:
    await store.write(lambda tx: TargetRepo(tx).add(target(1)))
    with pytest.raises(DuplicateKeyError):
        await store.write(lambda tx: TargetRepo(tx).add(target(1, "i-2")))


async def test_a_target_is_not_written_over(store: Store) -> None:
    first = await store.write(lambda tx: TargetRepo(tx).add(target(1)))
    second = await store.write(lambda tx: TargetRepo(tx).save(replace(first, status="REGISTERED")))
    assert second.version == 2
    with pytest.raises(StaleWriteError):
        await store.write(lambda tx: TargetRepo(tx).save(replace(first, status="DRAINING")))
    with pytest.raises(StaleWriteError):
        await store.write(lambda tx: TargetRepo(tx).remove(first))


async def test_an_agent_has_no_stop_due_while_targets_drain(store: Store) -> None:
    place = TargetPlace(target_group="tg/one", container="app", port=80)

    def work(tx: Tx) -> None:
        cluster = ClusterRepo(tx).add(nouns.cluster())
        made: Task = nouns.task(
            cluster.id, 1, instance_id=5, service_id=7, last_status="RUNNING", target_places=(place,)
        )
        repo = TaskRepo(tx)
        (task,) = repo.add_all([made])
        held = repo.save(replace(task, desired_status="STOPPED", last_status="DEACTIVATING"))
        assert held.is_held
        assert repo.to_stop(5) == ()
        freed = repo.save(replace(held, last_status="STOPPING"))
        assert repo.to_stop(5) == (freed,)
        assert repo.service_ids() == {7}

    await store.write(work)
