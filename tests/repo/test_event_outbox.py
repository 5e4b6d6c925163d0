"""The outbox of ECS events on both databases: order, pages, purge, gaps, consumers."""

from __future__ import annotations

import asyncio
from typing import Any

import msgspec
import pytest

from homeport.core.errors import StaleWriteError
from homeport.services.ecs.control.event_bus import Delivery, EventBus
from homeport.services.ecs.model import Task
from homeport.services.ecs.repo.clusters import ClusterRepo
from homeport.services.ecs.repo.events import EventPage, EventPosition, EventRepo
from homeport.services.ecs.repo.tasks import TaskRepo
from homeport.store import Store
from tests.repo.nouns import ACCOUNT, REGION, cluster, task

ORIGIN = EventPosition(0, 0, 0)


async def placed(store: Store, count: int) -> tuple[Task, ...]:
    home = await store.write(lambda tx: ClusterRepo(tx).find(ACCOUNT, REGION, "default"))
    if home is None:
        home = await store.write(lambda tx: ClusterRepo(tx).add(cluster()))
    new = [task(home.id, number) for number in range(1, count + 1)]
    return await store.write(lambda tx: TaskRepo(tx).add_all(new))


async def moved(store: Store, one: Task, **changes: Any) -> Task:
    return await store.write(lambda tx: TaskRepo(tx).save(msgspec.structs.replace(one, **changes)))


async def after(store: Store, position: EventPosition, limit: int = 100) -> EventPage:
    return await store.read(lambda tx: EventRepo(tx).after(position, limit))


def told(page: EventPage) -> list[tuple[str, int, str]]:
    return [
        (d["resources"][0][-1], d["detail"]["version"], d["detail"]["lastStatus"]) for d in page.documents
    ]


async def test_what_was_read_late_tells_every_version_as_it_was(store: Store) -> None:
    one, two = await placed(store, 2)
    one = await moved(store, one, last_status="RUNNING")
    await moved(store, two, last_status="STOPPED")
    await moved(store, one, last_status="STOPPED")
    assert told(await after(store, ORIGIN)) == [
        ("1", 1, "PENDING"),
        ("2", 1, "PENDING"),
        ("1", 2, "RUNNING"),
        ("2", 2, "STOPPED"),
        ("1", 3, "STOPPED"),
    ]


@pytest.mark.parametrize("limit", [1, 2, 3, 4])
async def test_pages_end_anywhere_and_nothing_comes_twice(store: Store, limit: int) -> None:
    one, *_ = await placed(store, 5)
    await moved(store, one, last_status="RUNNING")
    whole = (await after(store, ORIGIN)).documents
    position, found = ORIGIN, []
    for _ in range(9):
        page = await after(store, position, limit)
        assert len(page.documents) <= limit
        assert not page.gap
        found += page.documents
        position = EventPosition.parse(str(page.end))
    assert tuple(found) == whole
    assert len({document["id"] for document in found}) == 6


async def test_a_write_that_failed_tells_nothing(store: Store) -> None:
    (one,) = await placed(store, 1)
    await moved(store, one, last_status="RUNNING")
    with pytest.raises(StaleWriteError):
        await moved(store, one, last_status="STOPPED")
    assert [version for _, version, _ in told(await after(store, ORIGIN))] == [1, 2]


async def test_writers_at_once_leave_each_tasks_versions_in_order(store: Store) -> None:
    tasks = await placed(store, 4)

    async def live(one: Task) -> None:
        for status in ("PENDING", "RUNNING", "RUNNING", "STOPPED"):
            one = await moved(store, one, last_status=status)

    async with asyncio.TaskGroup() as group:
        for one in tasks:
            group.create_task(live(one))
    documents = (await after(store, ORIGIN)).documents
    for one in tasks:
        mine = [d["detail"]["version"] for d in documents if d["resources"] == [one.arn]]
        assert mine == [1, 2, 3, 4, 5]


async def test_the_newest_come_oldest_first_and_say_where_to_go_on(store: Store) -> None:
    one, _ = await placed(store, 2)
    await moved(store, one, last_status="RUNNING")
    page = await store.read(lambda tx: EventRepo(tx).newest(ACCOUNT, REGION, 2))
    assert told(page) == [("2", 1, "PENDING"), ("1", 2, "RUNNING")]
    assert (await after(store, page.end)).documents == ()
    other = await store.read(lambda tx: EventRepo(tx).newest(ACCOUNT, "eu-west-1", 2))
    assert other.documents == ()


async def test_a_purge_keeps_the_newest_and_tells_who_was_too_slow(store: Store) -> None:
    (one,) = await placed(store, 1)
    early = (await after(store, ORIGIN)).end
    for _ in range(5):
        one = await moved(store, one, last_status="RUNNING")

    def purge(**limits: Any) -> Any:
        given = {"older_than_seconds": 3600.0, "beyond": 100, "limit": 100, **limits}
        return store.write(lambda tx: EventRepo(tx).purge(**given))

    assert await purge() == 0
    assert await purge(beyond=3) == 3
    assert await purge(older_than_seconds=-60.0, limit=1) == 1
    page = await after(store, early)
    assert (page.gap, [version for _, version, _ in told(page)]) == (True, [5, 6])
    assert not (await after(store, page.end)).gap
    assert await purge(older_than_seconds=-60.0) == 1
    assert not (await after(store, page.end)).gap


async def test_a_consumer_goes_on_where_it_was_and_hears_again_what_it_did_not_take(store: Store) -> None:
    (one,) = await placed(store, 1)
    bus, heard, came, refuses = EventBus(store), list[int](), asyncio.Event(), [True]

    async def take(delivery: Delivery) -> None:
        if refuses.pop() if refuses else False:
            raise ConnectionError
        heard.extend(d["detail"]["version"] for d in delivery.documents)
        came.set()

    await store.write(lambda tx: EventRepo(tx).keep_position("test", EventRepo(tx).end()))
    one = await moved(store, one, last_status="RUNNING")
    with pytest.raises(ConnectionError):
        await bus.deliver("test", take)
    await moved(store, one, last_status="STOPPED")
    async with asyncio.timeout(20), asyncio.TaskGroup() as group:
        running = group.create_task(bus.deliver("test", take))
        await came.wait()
        running.cancel()
    assert heard == [2, 3]
