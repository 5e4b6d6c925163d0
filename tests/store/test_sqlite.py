"""What the embedded store promises beyond the contract: durability, groups, and a free event loop."""

from __future__ import annotations

import asyncio
import os
import shutil
import sqlite3
import subprocess
import sys
import threading
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import sqlalchemy as sa

from homeport.store import StoreInUseError, Tx, open_store
from homeport.store import feed as feed_table
from homeport.store.migrations import upgrade
from homeport.store.schema import change
from homeport.store.sqlite import GROUP_WRITES, SqliteStore
from tests.store.conftest import add_thing, make_thing_table, names, thing

SAME_PATH = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}


@pytest.fixture
async def store(tmp_path: Path, migrated_file: Path) -> AsyncIterator[SqliteStore]:
    shutil.copy(migrated_file, tmp_path / "homeport.db")
    opened = SqliteStore(tmp_path / "homeport.db")
    opened.prepare(upgrade)
    await opened.write(make_thing_table)
    yield opened
    await opened.close()


def thread_name(tx: Tx) -> str:
    del tx
    return threading.current_thread().name


def counting_commits(store: SqliteStore) -> list[str]:
    commits: list[str] = []
    store._writer.raw.set_trace_callback(lambda sql: commits.append(sql) if sql == "COMMIT" else None)
    return commits


async def test_writes_that_wait_together_share_a_commit(store: SqliteStore) -> None:
    commits = counting_commits(store)
    await asyncio.gather(*(store.write(lambda tx, n=n: add_thing(tx, f"n{n}")) for n in range(GROUP_WRITES)))  # type: ignore[misc]
    assert len(commits) <= 2
    assert len(await store.read(names)) == GROUP_WRITES


async def test_a_short_write_runs_on_the_loop_and_a_long_one_does_not(store: SqliteStore) -> None:
    assert await store.write(thread_name) == "MainThread"
    assert await store.read(thread_name) == "MainThread"
    assert await store.write(thread_name, bulk=True) == "store-writer"
    assert (await store.read(thread_name, bulk=True)).startswith("store-reader")


async def test_too_many_statements_move_to_a_thread(store: SqliteStore) -> None:
    seen: list[str] = []

    def add_many(tx: Tx) -> None:
        seen.append(threading.current_thread().name)
        for n in range(300):
            add_thing(tx, f"n{n}")

    await store.write(add_many)
    assert seen == ["MainThread", "store-writer"]
    assert len(await store.read(names)) == 300


async def test_a_query_that_takes_too_long_moves_to_a_thread(store: SqliteStore) -> None:
    await store.write(
        lambda tx: tx.execute(thing.insert(), [{"name": f"n{n}"} for n in range(9_000)]) and None
    )

    def scan(seen: list[str]):  # type: ignore[no-untyped-def]
        def work(tx: Tx) -> int:
            seen.append(threading.current_thread().name.partition("_")[0])
            found = tx.execute(sa.select(sa.func.count()).where(thing.c.name.like("%9%8%"))).scalar_one()
            return int(found)

        return work

    read_in: list[str] = []
    wrote_in: list[str] = []
    assert await store.read(scan(read_in)) == await store.write(scan(wrote_in)) > 0
    assert read_in == ["MainThread", "store-reader"]
    assert wrote_in == ["MainThread", "store-writer"]


async def test_stopping_a_long_query_undoes_only_its_own_write(store: SqliteStore) -> None:
    await store.write(
        lambda tx: tx.execute(thing.insert(), [{"name": f"n{n}"} for n in range(9_000)]) and None
    )

    def write_then_scan(tx: Tx) -> int:
        add_thing(tx, "scanner")
        return int(tx.execute(sa.select(sa.func.count()).where(thing.c.name.like("%9%8%"))).scalar_one())

    await asyncio.gather(
        store.write(lambda tx: add_thing(tx, "before")),
        store.write(write_then_scan),
        store.write(lambda tx: add_thing(tx, "after")),
    )
    assert sorted((await store.read(names))[9_000:]) == ["after", "before", "scanner"]


async def test_a_function_that_swallows_being_stopped_is_run_again_all_the_same(store: SqliteStore) -> None:
    await store.write(
        lambda tx: tx.execute(thing.insert(), [{"name": f"n{n}"} for n in range(9_000)]) and None
    )

    def careless(tx: Tx) -> int:
        try:
            return int(tx.execute(sa.select(sa.func.count()).where(thing.c.name.like("%9%8%"))).scalar_one())
        except sa.exc.OperationalError:
            return -1

    assert await store.read(careless) > 0
    assert await store.write(careless) > 0


async def test_short_writes_get_through_between_long_ones(store: SqliteStore) -> None:
    done: list[str] = []

    async def long(n: int) -> None:
        await store.write(
            lambda tx: tx.execute(thing.insert(), [{"name": f"{n}/{m}"} for m in range(999)]) and None,
            bulk=True,
        )
        done.append("long")

    async def short() -> None:
        await store.write(lambda tx: add_thing(tx, "short"))
        done.append("short")

    await asyncio.gather(*(long(n) for n in range(4)), short())
    assert done.index("short") <= 1


async def test_a_commit_that_fails_fails_everyone_in_it_and_the_store_goes_on(
    store: SqliteStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = store._writer.run

    def full_disk(sql: str) -> None:
        if sql == "COMMIT":
            raise sqlite3.OperationalError("database or disk is full")
        real(sql)

    monkeypatch.setattr(store._writer, "run", full_disk)
    results = await asyncio.gather(
        *(store.write(lambda tx, n=n: add_thing(tx, f"n{n}")) for n in range(3)),
        return_exceptions=True,  # type: ignore[misc]
    )
    assert [type(r) for r in results] == [sqlite3.OperationalError] * 3
    monkeypatch.undo()
    assert await store.read(names) == []
    await store.write(lambda tx: add_thing(tx, "a"))
    assert await store.read(names) == ["a"]


async def test_a_transaction_that_sqlite_undid_by_itself_is_never_acknowledged(store: SqliteStore) -> None:
    def lose_everything(tx: Tx) -> None:
        store._writer.raw.execute("ROLLBACK")  # as after a full disk
        add_thing(tx, "stray")

    results = await asyncio.gather(
        store.write(lambda tx: add_thing(tx, "a")),
        store.write(lose_everything),
        store.write(lambda tx: add_thing(tx, "b")),
        return_exceptions=True,
    )
    assert isinstance(results[0], Exception)
    assert isinstance(results[1], Exception)
    acknowledged = [] if isinstance(results[2], Exception) else ["b"]
    assert [name for name in await store.read(names) if name != "stray"] == acknowledged


async def test_a_write_waits_for_another_programs_lock_without_blocking_the_loop(
    store: SqliteStore, tmp_path: Path
) -> None:
    backup = sqlite3.connect(tmp_path / "homeport.db", isolation_level=None, check_same_thread=False)
    backup.execute("BEGIN IMMEDIATE")
    async with asyncio.TaskGroup() as group:
        write = group.create_task(store.write(lambda tx: add_thing(tx, "a")))
        for _ in range(20):
            await asyncio.sleep(0)
        assert not write.done()
        assert await store.read(names) == []  # the loop is free
        backup.execute("ROLLBACK")
    backup.close()
    assert await store.read(names) == ["a"]


async def test_two_processes_may_not_share_a_database(store: SqliteStore, tmp_path: Path) -> None:
    with pytest.raises(StoreInUseError):
        await open_store(f"sqlite:///{tmp_path}/homeport.db")
    await store.close()
    again = await open_store(f"sqlite:///{tmp_path}/homeport.db")
    await again.close()


async def test_what_was_written_is_there_after_reopening_and_the_feed_goes_on(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/homeport.db"
    first = await open_store(url)
    await first.write(make_thing_table)
    await first.write(lambda tx: add_thing(tx, "a"))
    await first.close()
    second = await open_store(url)
    subscription = second.feed.subscribe()
    assert (await anext(subscription)).resync
    await second.write(lambda tx: add_thing(tx, "b"))
    assert [c.key for c in (await anext(subscription)).changes] == ["b"]
    assert await second.read(names) == ["a", "b"]
    await second.close()


async def test_the_feed_is_trimmed_along_the_way(tmp_path: Path) -> None:
    store = SqliteStore(tmp_path / "homeport.db", keep_changes=100)
    store.prepare(upgrade)
    for n in range(500):
        await store.write(lambda tx, n=n: tx.touch("thing", str(n)))  # type: ignore[misc]
    rows = await store.read(
        lambda tx: tx.execute(sa.select(sa.func.count()).select_from(change)).scalar_one()
    )
    assert 100 <= rows < 2 * 100 + feed_table.BATCH_ROWS
    assert rows <= 200
    await store.close()


async def test_a_write_that_changes_nothing_waits_for_no_disk(store: SqliteStore) -> None:
    started: list[object] = []
    assert store._worker is not None
    real = store._worker.start
    store._worker.start = lambda job, short: (started.append(job), real(job, short=short))[1]  # type: ignore[method-assign,assignment,return-value]
    await store.write(names)
    assert started == []
    await store.write(lambda tx: add_thing(tx, "a"))
    assert len(started) == 1


@pytest.mark.slow
def test_no_acknowledged_write_is_lost_by_kill_9(tmp_path: Path) -> None:
    """The child prints a number once its write is acknowledged; it is killed in full flight."""
    path = tmp_path / "homeport.db"
    for round_number in range(2):
        child = subprocess.Popen(
            [sys.executable, "-c", _WRITE_FOR_EVER, str(path), str(round_number)],
            stdout=subprocess.PIPE,
            env=SAME_PATH,
            text=True,
        )
        assert child.stdout is not None
        acknowledged = {int(child.stdout.readline()) for _ in range(400)}
        child.kill()
        acknowledged |= {
            int(line) for line in child.stdout.read().splitlines(keepends=True) if line.endswith("\n")
        }
        child.stdout.close()
        child.wait()
        db = sqlite3.connect(path)
        kept = {row[0] for row in db.execute("SELECT version FROM thing")}
        told = {int(row[0]) for row in db.execute("SELECT key FROM change WHERE kind = 'thing'")}
        (verdict,) = db.execute("PRAGMA integrity_check").fetchone()
        db.close()
        assert verdict == "ok"
        assert acknowledged <= kept
        assert kept == told, "a row and its change are one commit"


_WRITE_FOR_EVER = """
import asyncio, sys
from homeport.store import open_store
from tests.store.conftest import make_thing_table, thing

async def main(path, round_number):
    store = await open_store(f"sqlite:///{path}")
    if round_number == 0:
        await store.write(make_thing_table)

    async def write(writer):
        number = (round_number * 100 + writer) * 1_000_000
        while True:
            number += 1
            def work(tx):
                tx.execute(thing.insert(), {"version": number})
                tx.touch("thing", str(number))
            await store.write(work)
            print(number, flush=True)

    async with asyncio.TaskGroup() as group:
        for writer in range(8):
            group.create_task(write(writer))

asyncio.run(main(sys.argv[1], int(sys.argv[2])))
"""
