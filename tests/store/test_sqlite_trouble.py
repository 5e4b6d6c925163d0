"""When the disk is full, the file locked, damaged or somebody else's: it says so, and goes on when it can."""

from __future__ import annotations

import asyncio
import sqlite3
import stat
from collections.abc import AsyncIterator
from itertools import count
from pathlib import Path

import pytest
import sqlalchemy as sa

from homeport.store import (
    StoreDamagedError,
    StoreError,
    StoreFullError,
    StoreInUseError,
    StoreLockedError,
    open_store,
)
from homeport.store import sqlite as sqlite_module
from homeport.store.migrations import upgrade
from homeport.store.sqlite import SqliteStore
from tests.store.conftest import add_thing, make_thing_table, names, thing


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[SqliteStore]:
    opened = SqliteStore(tmp_path / "homeport.db")
    opened.prepare(upgrade)
    await opened.write(make_thing_table)
    yield opened
    await opened.close()


def let_it_grow_by(store: SqliteStore, pages: int) -> None:
    """As on a full disk: SQLITE_FULL for every page beyond."""
    (count,) = store._writer.raw.execute("PRAGMA page_count").fetchone()
    store._writer.raw.execute(f"PRAGMA max_page_count={count + pages}").fetchone()


LARGE = {"text": "x" * 20_000}
"""Some five pages."""


async def fill(store: SqliteStore, *, bulk: bool = False) -> list[str]:
    """Write until it is full; the names that were acknowledged."""
    kept: list[str] = []

    async def write_for_ever() -> None:
        for n in count():
            name = f"n{n:03}"
            await store.write(lambda tx, name=name: add_thing(tx, name, body=LARGE), bulk=bulk)  # type: ignore[misc]
            kept.append(name)

    with pytest.raises(StoreFullError, match="full") as caught:
        await write_for_ever()
    assert "homeport.db" in caught.value.remedy
    return kept


@pytest.mark.parametrize("bulk", [False, True])
async def test_a_full_disk_is_said_and_what_was_acknowledged_is_there(store: SqliteStore, bulk: bool) -> None:
    let_it_grow_by(store, 60)
    kept = await fill(store, bulk=bulk)
    assert kept
    assert await store.read(names) == kept, "reading goes on"
    let_it_grow_by(store, 10_000)
    await store.write(lambda tx: add_thing(tx, "after"), bulk=bulk)
    assert await store.read(names) == [*kept, "after"]


async def test_of_a_group_that_meets_a_full_disk_all_are_told(store: SqliteStore) -> None:
    let_it_grow_by(store, 60)

    results = await asyncio.gather(
        *(store.write(lambda tx, n=n: add_thing(tx, f"n{n:03}", body=LARGE)) for n in range(40)),  # type: ignore[misc]
        return_exceptions=True,
    )
    refusals = [r for r in results if isinstance(r, BaseException)]
    assert any(isinstance(r, StoreFullError) for r in refusals)
    assert all(isinstance(r, StoreError) for r in refusals), "none of them is to blame"
    acknowledged = [f"n{n:03}" for n, r in enumerate(results) if isinstance(r, int)]
    assert sorted(await store.read(names)) == acknowledged
    let_it_grow_by(store, 10_000)
    await store.write(lambda tx: add_thing(tx, "after"))


async def test_the_feed_tells_nothing_of_what_found_no_room(store: SqliteStore) -> None:
    subscription = store.feed.subscribe(frozenset({"thing"}))
    assert (await anext(subscription)).resync
    let_it_grow_by(store, 60)
    kept = await fill(store)
    let_it_grow_by(store, 10_000)
    await store.write(lambda tx: add_thing(tx, "after"))
    told: list[str] = []
    while "after" not in told:
        told += [change.key for change in (await anext(subscription)).changes]
    assert told == [*kept, "after"]


async def test_another_programs_lock_is_waited_for_then_named(
    store: SqliteStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sqlite_module, "LOCK_WAIT_MS", 50)
    rival = sqlite3.connect(tmp_path / "homeport.db", isolation_level=None)
    rival.execute("BEGIN IMMEDIATE")
    with pytest.raises(StoreLockedError, match="locked") as caught:
        await store.write(lambda tx: add_thing(tx, "a"))
    assert "fuser" in caught.value.remedy
    assert await store.read(names) == []
    rival.execute("ROLLBACK")
    rival.close()
    await store.write(lambda tx: add_thing(tx, "b"))
    assert await store.read(names) == ["b"]


async def test_a_locked_database_cannot_be_opened_and_says_why(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sqlite_module, "LOCK_WAIT_MS", 50)
    url = f"sqlite:///{tmp_path}/homeport.db"
    await (await open_store(url)).close()
    rival = sqlite3.connect(tmp_path / "homeport.db", isolation_level=None)
    rival.execute("BEGIN IMMEDIATE")
    with pytest.raises(StoreLockedError):
        await open_store(url)
    rival.close()
    await (await open_store(url)).close()


@pytest.mark.parametrize(
    "content", [b"not a database, not at all" * 100, b"SQLite format 3\x00" + b"\xff" * 8000]
)
async def test_a_file_that_is_no_database_is_refused_with_a_remedy(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "homeport.db"
    path.write_bytes(content)
    for _ in range(2):  # the first refusal let go of the file
        with pytest.raises(StoreDamagedError, match="damaged") as caught:
            await open_store(f"sqlite:///{path}")
        assert "backup" in caught.value.remedy
    assert path.read_bytes() == content, "untouched: somebody may want to save what can be saved"


async def test_a_page_that_rots_is_said_and_the_rest_goes_on(tmp_path: Path) -> None:
    path = tmp_path / "homeport.db"
    first = await open_store(f"sqlite:///{path}")
    await first.write(make_thing_table)
    await first.write(
        lambda tx: tx.execute(thing.insert(), [{"name": f"n{n:05}"} for n in range(2_000)]) and None
    )
    await first.close()
    db = sqlite3.connect(path)
    (root,) = db.execute("SELECT rootpage FROM sqlite_master WHERE name = 'thing'").fetchone()
    (size,) = db.execute("PRAGMA page_size").fetchone()
    db.close()
    with path.open("r+b") as file:
        file.seek((root - 1) * size)
        file.write(b"\xff" * size)
    store = await open_store(f"sqlite:///{path}")
    for _ in range(2):
        with pytest.raises(StoreDamagedError, match="damaged"):
            await store.read(names)
        with pytest.raises(StoreDamagedError, match="damaged"):
            await store.write(lambda tx: add_thing(tx, "a"))
    await store.write(lambda tx: tx.touch("thing", "other tables"))
    await store.close()


def modes_in(folder: Path) -> dict[str, int]:
    return {file.name: stat.S_IMODE(file.stat().st_mode) for file in folder.iterdir()}


async def test_files_are_readable_by_their_owner_alone(tmp_path: Path) -> None:
    """They hold secrets. A file that somebody restored with a wider mode is narrowed."""
    path = tmp_path / "homeport.db"
    path.touch(mode=0o644)
    path.chmod(0o644)
    store = await open_store(f"sqlite:///{path}")
    await store.write(lambda tx: tx.touch("thing", "a"))
    modes = modes_in(tmp_path)
    await store.close()
    assert modes == dict.fromkeys(
        ("homeport.db", "homeport.db-wal", "homeport.db-shm", "homeport.db.lock"), 0o600
    )


async def test_a_database_in_use_names_the_remedy(store: SqliteStore, tmp_path: Path) -> None:
    with pytest.raises(StoreInUseError, match="another process") as caught:
        await open_store(f"sqlite:///{tmp_path}/homeport.db")
    assert caught.value.remedy


async def test_a_statement_that_is_wrong_is_not_blamed_on_the_disk(store: SqliteStore) -> None:
    with pytest.raises(sa.exc.OperationalError):
        await store.write(lambda tx: tx.execute(sa.text("SELECT 1 FROM nowhere")))
