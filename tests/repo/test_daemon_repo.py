"""Daemons, their revisions and deployments, and task definitions of another kind."""

from __future__ import annotations

from datetime import timedelta

import pytest
from msgspec.structs import replace

from homeport.core.errors import StaleWriteError
from homeport.services.ecs.model import DAEMON_TASK_DEFINITION
from homeport.services.ecs.repo.daemons import DaemonRepo
from homeport.services.ecs.repo.events import EventRepo
from homeport.services.ecs.repo.task_definitions import TaskDefinitionRepo
from homeport.services.ecs.repo.tasks import TaskRepo
from homeport.store import DuplicateKeyError, Store, Tx
from tests.repo import nouns
from tests.repo.nouns import ACCOUNT, NOON, REGION


async def test_a_name_is_one_daemons_until_that_is_gone(store: Store) -> None:
    first = await store.write(lambda tx: DaemonRepo(tx).add(nouns.daemon(1, "agent")))
    with pytest.raises(DuplicateKeyError):
        await store.write(lambda tx: DaemonRepo(tx).add(nouns.daemon(1, "agent")))
    await store.write(lambda tx: DaemonRepo(tx).add(nouns.daemon(2, "agent")))
    await store.write(lambda tx: DaemonRepo(tx).save(replace(first, status="DELETED")))
    assert await store.read(lambda tx: DaemonRepo(tx).find(1, "agent")) is None
    second = await store.write(lambda tx: DaemonRepo(tx).add(nouns.daemon(1, "agent")))
    assert await store.read(lambda tx: DaemonRepo(tx).find(1, "agent")) == second
    assert await store.read(lambda tx: [one.id for one in DaemonRepo(tx).of_cluster(1)]) == [second.id]
    assert first.id not in await store.read(lambda tx: DaemonRepo(tx).live_ids())


async def test_a_deployment_that_was_written_meanwhile_is_stale(store: Store) -> None:
    fresh = nouns.daemon_deployment(1, "d1")
    added = await store.write(lambda tx: DaemonRepo(tx).add_deployment(fresh))
    moved = replace(added, status="IN_PROGRESS")
    saved = await store.write(lambda tx: DaemonRepo(tx).save_deployment(moved, was="PENDING", now=NOON))
    assert (await store.read(lambda tx: DaemonRepo(tx).deployments(["d1"])))["d1"] == saved
    with pytest.raises(StaleWriteError):
        await store.write(lambda tx: DaemonRepo(tx).save_deployment(moved, was="PENDING", now=NOON))


async def test_a_deployment_tells_when_its_status_changes_and_only_then(store: Store) -> None:
    def names(tx: Tx) -> list[str]:
        return [told["detail"]["eventName"] for told in EventRepo(tx).newest(ACCOUNT, REGION, 10).documents]

    one = await store.write(lambda tx: DaemonRepo(tx).add_deployment(nouns.daemon_deployment(1, "d1")))
    for status in ("IN_PROGRESS", "IN_PROGRESS", "ROLLBACK_FAILED"):
        was, after = one.status, replace(one, status=status)
        one = await store.write(
            lambda tx, after=after, was=was: DaemonRepo(tx).save_deployment(after, was=was, now=NOON)  # type: ignore[misc]
        )
    assert await store.read(names) == [
        "DAEMON_DEPLOYMENT_PENDING",
        "DAEMON_DEPLOYMENT_IN_PROGRESS",
        "DAEMON_DEPLOYMENT_ROLLBACK_FAILED",
    ]


async def test_closed_deployments_are_forgotten_when_they_are_old(store: Store) -> None:
    def make(tx: Tx) -> None:
        repo = DaemonRepo(tx)
        for uid, status in (("old", "SUCCESSFUL"), ("open", "IN_PROGRESS")):
            repo.add_deployment(nouns.daemon_deployment(1, uid, status=status))
        later = NOON + timedelta(days=1)
        repo.add_deployment(nouns.daemon_deployment(1, "new", status="STOPPED", created_at=later))

    await store.write(make)
    await store.write(lambda tx: DaemonRepo(tx).purge(NOON + timedelta(hours=1), limit=10))
    found = await store.read(lambda tx: DaemonRepo(tx).deployments(["old", "open", "new"]))
    assert sorted(found) == ["new", "open"]


async def test_revisions_are_found_by_their_ids(store: Store) -> None:
    added = await store.write(lambda tx: DaemonRepo(tx).add_revision(nouns.daemon_revision(1, "r1")))
    assert await store.read(lambda tx: DaemonRepo(tx).revisions(["r1", None, "r2"])) == {"r1": added}


async def test_a_family_of_daemons_has_numbers_of_its_own(store: Store) -> None:
    def register(tx: Tx, *kind: str) -> str:
        repo = TaskDefinitionRepo(tx, *kind)
        revision = repo.next_revision(ACCOUNT, REGION, "agent")
        members = {"kind": kind[0]} if kind else {}
        return repo.add(nouns.definition("agent", revision, **members)).arn.rpartition(":")[2]

    assert [await store.write(register) for _ in range(2)] == ["1", "2"]
    assert await store.write(lambda tx: register(tx, DAEMON_TASK_DEFINITION)) == "1"
    for kind, newest in (((), 2), ((DAEMON_TASK_DEFINITION,), 1)):
        found = await store.read(
            lambda tx, kind=kind: TaskDefinitionRepo(tx, *kind).latest_active(ACCOUNT, REGION, "agent")  # type: ignore[misc]
        )
        assert found is not None
        assert found.revision == newest
    pages = await store.read(
        lambda tx: TaskDefinitionRepo(tx).page(
            ACCOUNT, REGION, family=None, status="ACTIVE", descending=False, after=None, limit=9
        )
    )
    assert pages == (("agent", 1), ("agent", 2))


async def test_a_definition_is_deleted_with_the_last_daemon_that_uses_it(store: Store) -> None:
    def make(tx: Tx) -> int:
        leaving = {"kind": DAEMON_TASK_DEFINITION, "status": "DELETE_IN_PROGRESS"}
        row = TaskDefinitionRepo(tx, DAEMON_TASK_DEFINITION).add(nouns.definition("agent", 1, **leaving)).id
        DaemonRepo(tx).add(nouns.daemon(1, "agent", definition_ids=(row,)))
        return row

    def settled(tx: Tx) -> str:
        daemon = DaemonRepo(tx).find(1, "agent")
        DaemonRepo(tx).settle_definitions(daemon or nouns.daemon(1, "gone"), NOON)
        return TaskDefinitionRepo(tx).by_ids([row])[row].status

    row = await store.write(make)
    assert await store.write(settled) == "DELETE_IN_PROGRESS"
    daemon = await store.read(lambda tx: DaemonRepo(tx).find(1, "agent"))
    assert daemon is not None
    await store.write(lambda tx: DaemonRepo(tx).save(replace(daemon, status="DELETED")))
    assert await store.write(settled) == "DELETED"


async def test_tasks_are_found_by_their_daemon(store: Store) -> None:
    def make(tx: Tx) -> None:
        tasks = TaskRepo(tx)
        mine = tasks.add_all([nouns.task(1, n, daemon_id=7, instance_id=n) for n in (1, 2)])
        tasks.add_all([nouns.task(1, 3, daemon_id=8, instance_id=1), nouns.task(1, 4, instance_id=1)])
        tasks.save(replace(mine[1], last_status="STOPPED", desired_status="STOPPED", stopped_at=NOON))

    await store.write(make)

    def uids(tx: Tx) -> list[list[str]]:
        tasks = TaskRepo(tx)
        found = (
            tasks.live_of_daemon(7),
            tasks.live_of_daemons(1),
            tasks.stopped_of_daemon(7, after=NOON - timedelta(seconds=1)),
            tasks.stopped_of_daemon(7, after=NOON),
        )
        return [[task.uid for task in row] for row in found]

    one, two, three = map(nouns.uid, (1, 2, 3))
    assert await store.read(uids) == [[one], [one, three], [two], []]
