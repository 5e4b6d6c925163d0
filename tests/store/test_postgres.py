"""What the shared store promises beyond the contract: replicas, conflicts, lost connections."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import asyncpg
import pytest
import sqlalchemy as sa

from homeport.core.errors import UnstorableError
from homeport.store import StoreAwayError, Tx
from homeport.store import feed as feed_table
from homeport.store.migrations import upgrade
from homeport.store.postgres import PostgresStore
from homeport.store.schema import change
from tests.kit import postgres
from tests.store.conftest import add_thing, make_thing_table, names, thing

pytestmark = pytest.mark.postgres

NEVER = 3600.0


async def replica(url: str, *, poll_seconds: float = NEVER) -> PostgresStore:
    store = PostgresStore(url, poll_seconds=poll_seconds)
    await store.prepare(upgrade)
    return store


@pytest.fixture
async def store(postgres_url: str) -> AsyncIterator[PostgresStore]:
    opened = await replica(postgres_url)
    await opened.write(make_thing_table)
    yield opened
    await opened.close()


async def keys_until(store: PostgresStore, count: int) -> list[str]:
    found: list[str] = []
    async with asyncio.timeout(60):
        async for batch in store.feed.subscribe(frozenset({"thing"})):
            found += [c.key for c in batch.changes]
            if len(found) >= count:
                break
    return found


async def test_nothing_is_skipped_when_transactions_commit_in_another_order_than_they_began(
    store: PostgresStore, postgres_url: str
) -> None:
    """The trap: a sequence hands out numbers before commit, so "seq > last" misses the slow one."""
    subscription = store.feed.subscribe()
    assert (await anext(subscription)).resync
    slow = await asyncpg.connect(postgres_url)
    transaction = slow.transaction()
    await transaction.start()
    await slow.execute(
        "INSERT INTO change (xid, kind, key) VALUES (pg_current_xact_id()::text::bigint, 'thing', 'slow')"
    )
    await store.write(lambda tx: tx.touch("thing", "quick"))
    page = await store.read(lambda tx: feed_table.read_page(tx, feed_table.last_position(tx)))
    assert page.changes == []
    assert page.unsettled, "the quick one is visible, but may not be taken before the slow one has ended"
    await transaction.commit()
    await slow.close()
    async with asyncio.timeout(20):
        told = [c.key for c in (await anext(subscription)).changes]
        while len(told) < 2:
            told += [c.key for c in (await anext(subscription)).changes]
    assert told == ["slow", "quick"]


async def test_the_feed_skips_nothing_among_many_replicas_and_writers(postgres_url: str) -> None:
    """8 writers on 2 replicas, with transactions of very different lengths; 3 readers."""
    stores = [await replica(postgres_url) for _ in range(2)]
    expected = [f"{w}/{n}" for w in range(8) for n in range(30)]

    def work(key: str, pause: float):  # type: ignore[no-untyped-def]
        def write(tx: Tx) -> None:
            tx.execute(sa.text("SELECT pg_current_xact_id()"))  # takes the number now ...
            tx.execute(sa.text("SELECT pg_sleep(:pause)"), {"pause": pause})  # ... and commits late
            tx.touch("thing", key)

        return write

    async def writer(number: int) -> None:
        for n in range(30):
            await stores[number % 2].write(work(f"{number}/{n}", 0.001 * ((number * 7 + n * 3) % 11)))

    async with asyncio.TaskGroup() as group:
        readers = [group.create_task(keys_until(s, len(expected))) for s in (*stores, stores[0])]
        await asyncio.sleep(0)
        for reader in readers:
            assert not reader.done()
        await asyncio.gather(*(s.feed.start() for s in stores))
        for number in range(8):
            group.create_task(writer(number))
    for reader in readers:
        assert sorted(reader.result()) == sorted(expected)
    for store in stores:
        await store.close()


async def test_a_commit_wakes_the_other_replicas_without_polling(
    store: PostgresStore, postgres_url: str
) -> None:
    other = await replica(postgres_url, poll_seconds=NEVER)
    subscription = other.feed.subscribe()
    assert (await anext(subscription)).resync
    for n in range(4):  # the first may be told by beginning to listen
        async with asyncio.TaskGroup() as group:
            told = group.create_task(anext(subscription))  # type: ignore[arg-type]
            await asyncio.sleep(0)
            await store.write(lambda tx, n=n: add_thing(tx, f"n{n}"))  # type: ignore[misc]
            async with asyncio.timeout(20):
                assert [c.key for c in (await told).changes] == [f"n{n}"]
    await other.close()


async def test_readers_poll_when_no_notification_comes(postgres_url: str) -> None:
    store = await replica(postgres_url, poll_seconds=0.01)
    subscription = store.feed.subscribe()
    assert (await anext(subscription)).resync
    silent = await asyncpg.connect(postgres_url)
    await silent.execute(
        "INSERT INTO change (xid, kind, key) VALUES (pg_current_xact_id()::text::bigint, 'thing', 'quiet')"
    )
    await silent.close()
    async with asyncio.timeout(20):
        assert [c.key for c in (await anext(subscription)).changes] == ["quiet"]
    await store.close()


async def test_a_conflict_runs_the_function_again(store: PostgresStore, postgres_url: str) -> None:
    row_id = await store.write(lambda tx: add_thing(tx, "a"))
    rival = await asyncpg.connect(postgres_url)
    loop = asyncio.get_running_loop()
    runs: list[int] = []
    meddling: list[asyncio.Future[object]] = []

    def work(tx: Tx) -> None:
        version = tx.execute(sa.select(thing.c.version).where(thing.c.id == row_id)).scalar_one()
        runs.append(version)
        if len(runs) == 1:
            # Someone else writes between our look and our act.
            meddling.append(loop.create_task(rival.execute("UPDATE thing SET version = 10")))
            tx.execute(sa.text("SELECT pg_sleep(0.2)"))
        tx.execute(sa.update(thing).where(thing.c.id == row_id).values(version=version + 1))

    await store.write(work)
    await meddling[0]
    await rival.close()
    assert runs == [1, 10]
    version = await store.read(lambda tx: tx.execute(sa.select(thing.c.version)).scalar_one())
    assert version == 11


async def test_many_counters_of_one_row_all_get_through(store: PostgresStore) -> None:
    row_id = await store.write(lambda tx: add_thing(tx, "a"))

    def count(tx: Tx) -> None:
        version = tx.execute(sa.select(thing.c.version).where(thing.c.id == row_id)).scalar_one()
        tx.execute(sa.update(thing).where(thing.c.id == row_id).values(version=version + 1))

    await asyncio.gather(*(store.write(count) for _ in range(40)))
    assert await store.read(lambda tx: tx.execute(sa.select(thing.c.version)).scalar_one()) == 41


async def test_connections_that_were_cut_are_replaced(store: PostgresStore, postgres_url: str) -> None:
    """As after a fail-over: every connection of the pool is dead at once."""
    await asyncio.gather(*(store.read(names) for _ in range(8)))
    admin = await asyncpg.connect(postgres_url)
    await admin.execute(
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
        " WHERE datname = current_database() AND pid <> pg_backend_pid()"
    )
    assert await store.read(names) == []
    await admin.execute(
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
        " WHERE datname = current_database() AND pid <> pg_backend_pid()"
    )
    await admin.close()
    await store.write(lambda tx: add_thing(tx, "a"))
    assert await store.read(names) == ["a"]


async def test_replicas_may_start_at_the_same_time_on_an_empty_database(postgres_cluster: str) -> None:
    url = await postgres.create_database(postgres_cluster, "empty_together")
    stores = await asyncio.gather(*(replica(url) for _ in range(3)))
    await stores[0].write(make_thing_table)
    await asyncio.gather(*(s.write(lambda tx, n=n: add_thing(tx, f"n{n}")) for n, s in enumerate(stores)))  # type: ignore[misc]
    assert sorted(await stores[2].read(names)) == ["n0", "n1", "n2"]
    for store in stores:
        await store.close()


async def test_replicas_may_trim_at_the_same_time(store: PostgresStore) -> None:
    for n in range(4):
        await store.write(lambda tx, n=n: [tx.touch("thing", f"{n}/{m}") for m in range(50)] and None)  # type: ignore[misc]
    await asyncio.gather(
        *(store.write(lambda tx: feed_table.trim(tx, keep_rows=20, rows=50)) for _ in range(6))
    )
    while await store.write(lambda tx: feed_table.trim(tx, keep_rows=20, rows=50)):
        pass
    left = await store.read(
        lambda tx: tx.execute(sa.select(sa.func.count()).select_from(change)).scalar_one()
    )
    assert left == 20


async def test_several_hosts_are_tried_until_one_is_the_primary(postgres_url: str) -> None:
    dead = "127.0.0.1:1"
    user, _, rest = postgres_url.partition("@")
    store = await replica(f"{user}@{dead},{rest}")
    assert await store.read(lambda tx: tx.execute(sa.select(1)).scalar_one()) == 1
    await store.close()


async def test_a_nul_character_is_the_callers_mistake(store: PostgresStore) -> None:
    """PostgreSQL's text has no room for it."""
    with pytest.raises(UnstorableError, match="0x00"):
        await store.read(lambda tx: tx.execute(sa.select(thing).where(thing.c.name == "a\0")).all())
    with pytest.raises(UnstorableError, match="0x00"):
        await store.write(lambda tx: add_thing(tx, "a\0"))


async def test_a_server_that_is_away_is_said_and_work_goes_on_when_it_is_back() -> None:
    """The server is stopped for real, and started again on its data and its port."""
    with postgres.stoppable() as server:
        store = await replica(await postgres.create_database(server.url, "away"), poll_seconds=0.05)
        await store.write(make_thing_table)
        subscription = store.feed.subscribe(frozenset({"thing"}))
        assert (await anext(subscription)).resync
        await store.write(lambda tx: add_thing(tx, "before"))
        await asyncio.to_thread(server.stop)
        for _ in range(2):
            with pytest.raises(StoreAwayError, match="does not answer") as caught:
                await store.write(lambda tx: add_thing(tx, "lost"))
            assert caught.value.remedy
            with pytest.raises(StoreAwayError):
                await store.read(names)
        await asyncio.to_thread(server.start)
        await store.write(lambda tx: add_thing(tx, "after"))
        assert await store.read(names) == ["before", "after"]
        async with asyncio.timeout(30):
            told: list[str] = []
            fresh = store.feed.subscribe(frozenset({"thing"}))
            assert (await anext(fresh)).resync
            await store.write(lambda tx: add_thing(tx, "later"))
            while "later" not in told:
                told += [change.key for change in (await anext(fresh)).changes]
        await store.close()
