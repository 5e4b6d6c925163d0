"""The feed tells every subscriber of every commit, or to list everything."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import pytest
import sqlalchemy as sa

from homeport.runtime import Batch, Change, Subscription
from homeport.store import FeedSubscription, Store, Tx
from homeport.store import feed as feed_module
from homeport.store.opening import open_store
from homeport.store.schema import change


async def take(subscription: FeedSubscription, seconds: float = 20) -> Batch:
    async with asyncio.timeout(seconds):
        return await anext(subscription)


async def begun(store: Store, kinds: frozenset[str] | None = None) -> FeedSubscription:
    subscription = store.feed.subscribe(kinds)
    assert await take(subscription) == Batch(resync=True)
    return subscription


def touch(*keys: str, kind: str = "thing") -> Callable[[Tx], None]:
    def work(tx: Tx) -> None:
        for key in keys:
            tx.touch(kind, key)

    return work


async def collect(subscription: FeedSubscription, count: int) -> list[str]:
    found: list[str] = []
    while len(found) < count:
        batch = await take(subscription)
        assert not batch.resync
        found += [c.key for c in batch.changes]
    return found


async def test_a_subscription_begins_with_a_resync_then_tells_what_is_committed(store: Store) -> None:
    await store.write(touch("before"))
    subscription = await begun(store)
    await store.write(touch("a"))
    await store.write(touch("b", "c"))
    assert await collect(subscription, 3) == ["a", "b", "c"]


async def test_a_commit_between_two_looks_is_not_missed(store: Store) -> None:
    """Level-triggered consumers list after the resync, so what comes after it must be told."""
    subscription = store.feed.subscribe()
    await store.write(touch("early"))
    assert (await take(subscription)).resync
    await store.write(touch("late"))
    assert (await collect(subscription, 1))[-1] == "late"


async def test_a_waiting_subscriber_is_woken_by_the_commit(store: Store) -> None:
    subscription = await begun(store)
    async with asyncio.TaskGroup() as group:
        waiting = group.create_task(take(subscription))
        await asyncio.sleep(0)
        assert not waiting.done()
        await store.write(touch("a"))
        assert (await waiting).changes == (Change("thing", "a"),)


async def test_what_was_undone_is_not_told(store: Store) -> None:
    def refuse(tx: Tx) -> None:
        tx.touch("thing", "undone")
        raise LookupError

    subscription = await begun(store)
    results = await asyncio.gather(
        store.write(touch("a")), store.write(refuse), store.write(touch("b")), return_exceptions=True
    )
    assert isinstance(results[1], LookupError)
    assert sorted(await collect(subscription, 2)) == ["a", "b"]


async def test_a_key_is_told_once_per_transaction(store: Store) -> None:
    subscription = await begun(store)
    await store.write(touch("a", "b", "a", "a"))
    assert await collect(subscription, 2) == ["a", "b"]
    rows = await store.read(
        lambda tx: tx.execute(sa.select(change.c.key).where(change.c.kind == "thing")).all()
    )
    assert len(rows) == 2


async def test_only_the_kinds_asked_for_are_told(store: Store) -> None:
    subscription = await begun(store, frozenset({"wanted"}))
    await store.write(touch("x", kind="other"))
    await store.write(touch("y", kind="wanted"))
    assert (await take(subscription)).changes == (Change("wanted", "y"),)


async def test_every_subscriber_is_told_everything(store: Store) -> None:
    subscriptions = [await begun(store) for _ in range(5)]
    async with asyncio.TaskGroup() as group:
        told = [group.create_task(collect(s, 100)) for s in subscriptions]
        for n in range(100):
            await store.write(touch(f"k{n:03}"))
    expected = [f"k{n:03}" for n in range(100)]
    assert [task.result() for task in told] == [expected] * 5


async def test_many_writers_and_nothing_is_skipped(store: Store) -> None:
    subscription = await begun(store)

    async def write(writer: int) -> None:
        for n in range(25):
            await store.write(touch(f"{writer}/{n}"))

    async with asyncio.TaskGroup() as group:
        told = group.create_task(collect(subscription, 8 * 25))
        for writer in range(8):
            group.create_task(write(writer))
    assert sorted(told.result()) == sorted(f"{w}/{n}" for w in range(8) for n in range(25))


async def test_a_large_commit_arrives_in_batches(store: Store) -> None:
    subscription = await begun(store)
    keys = [f"k{n:05}" for n in range(5_000)]
    await store.write(touch(*keys))
    sizes: list[int] = []
    found: list[str] = []
    while len(found) < len(keys):
        batch = await take(subscription)
        sizes.append(len(batch.changes))
        found += [c.key for c in batch.changes]
    assert found == keys
    assert max(sizes) <= feed_module.BATCH_ROWS


async def test_a_subscriber_that_falls_too_far_behind_is_cut_to_a_resync(store: Store) -> None:
    store.feed._memory_rows = 50
    slow, quick = await begun(store), await begun(store)
    for n in range(40):
        await store.write(touch(*(f"{n}/{m}" for m in range(5))))
        assert (await take(quick)).changes
    assert await take(slow) == Batch(resync=True)
    await store.write(touch("after"))
    assert await collect(slow, 1) == ["after"]


async def test_rows_that_were_trimmed_unread_become_a_resync(store: Store) -> None:
    subscription = await begun(store)
    await store.write(touch(*(f"k{n}" for n in range(30))))
    await store.write(lambda tx: feed_module.trim(tx, keep_rows=10))
    assert await take(subscription) == Batch(resync=True)
    await store.write(touch("after"))
    assert "after" in await collect(subscription, 1)


async def test_trimming_keeps_the_newest_and_goes_in_batches(store: Store) -> None:
    await store.write(touch(*(f"k{n:02}" for n in range(30))))
    trimmed = [await store.write(lambda tx: feed_module.trim(tx, keep_rows=10, rows=15)) for _ in range(3)]
    assert trimmed == [15, 6, 0]  # 30 rows and the origin
    left = await store.read(
        lambda tx: tx.execute(sa.select(change.c.key).order_by(change.c.xid, change.c.seq)).scalars().all()
    )
    assert left == [f"k{n:02}" for n in range(20, 30)]
    await store.write(lambda tx: feed_module.trim(tx, keep_rows=0))
    left = await store.read(lambda tx: tx.execute(sa.select(change.c.key)).scalars().all())
    assert left == ["k29"], "the newest row marks the readers' place"


async def test_a_cancelled_wait_loses_nothing(store: Store) -> None:
    subscription = await begun(store)
    told: list[str] = []
    given_up = 0
    for n in range(20):
        try:
            async with asyncio.timeout(0):
                told += [c.key for c in (await anext(subscription)).changes]
        except TimeoutError:
            given_up += 1
        await store.write(touch(f"k{n:02}"))
    assert given_up > 0
    told += await collect(subscription, 20 - len(told))
    assert told == [f"k{n:02}" for n in range(20)]


async def test_closing_the_store_ends_the_subscriptions(store: Store) -> None:
    subscription = await begun(store)
    async with asyncio.TaskGroup() as group:
        ended = group.create_task(_drain(subscription))
        await asyncio.sleep(0)
        await store.close()
        async with asyncio.timeout(20):
            assert await ended == []


async def _drain(subscription: FeedSubscription) -> list[Batch]:
    return [batch async for batch in subscription]


def test_a_subscription_is_what_the_runtime_asks_for(store: Store) -> None:
    subscription: Subscription = store.feed.subscribe()  # the type checker is the judge
    assert aiter(subscription) is subscription


async def test_the_one_writer_hands_its_rows_over_and_nobody_reads_them(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    sqlite_store = await open_store("sqlite://")
    subscription = await begun(sqlite_store)
    await sqlite_store.write(touch("first"))
    assert await collect(subscription, 1) == ["first"]  # the first look reads, to know where it is

    def not_read(tx: Tx, after: object) -> object:
        raise AssertionError("the table was read")

    monkeypatch.setattr(feed_module, "read_page", not_read)
    for number in range(5):
        await asyncio.gather(*(sqlite_store.write(touch(f"{number}-{n}")) for n in range(3)))
    assert len(await collect(subscription, 15)) == 15
    late = await begun(sqlite_store)
    await sqlite_store.write(touch("last"))
    assert await collect(late, 1) == await collect(subscription, 1) == ["last"]
    await sqlite_store.close()
