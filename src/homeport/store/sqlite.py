"""The embedded store: SQLite, one writer with group commit.

Why it is built like this (measured; docs/adr/0002-store.md):

- Transaction functions run **on the event loop**; only the COMMIT, which waits
  for the disk, goes to the writer thread. Statements of a few microseconds in
  a thread of their own would fight the loop for the interpreter lock around
  each of them: under a busy loop that is 16 times slower, and unfair.
- Writes that wait while a COMMIT is under way form the next **group**: one
  BEGIN IMMEDIATE ... COMMIT, each write in a SAVEPOINT of its own, so that each
  fails alone. A caller hears of success after the COMMIT only.
- What is long must not hold the loop. A function that runs too many statements,
  or a query that takes too many steps, is undone and run again in a thread.
"""

from __future__ import annotations

import asyncio
import os
import sqlite3
import threading
from collections import deque
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

import sqlalchemy as sa

from homeport.runtime.changes import Change
from homeport.store import feed as feed_table
from homeport.store.errors import StoreClosedError, StoreError
from homeport.store.feed import Feed, FeedSource, Page, Position
from homeport.store.sqlite_connection import LOOP_STATEMENTS, SqliteConnection, claim
from homeport.store.sqlite_errors import explained
from homeport.store.threads import Courtesy, Worker
from homeport.store.tx import TooLongForTheLoop, Tx

T = TypeVar("T")

GROUP_WRITES = 128
GROUP_STATEMENTS = 400
"""When a group on the loop is full. At 30 to 60 us a statement that is 10 to 25 ms."""
READERS = 4
LOCK_WAIT_MS = 10_000
_LOST = "The database undid the transaction."


@dataclass(slots=True, eq=False)
class _Job:
    fn: Callable[[Tx], Any]
    future: asyncio.Future[Any]


@dataclass(slots=True, eq=False)
class _Group:
    """Writes that commit together."""

    done: list[tuple[_Job, Any]] = field(default_factory=list)
    failed: list[tuple[_Job, BaseException]] = field(default_factory=list)
    touched: dict[tuple[str, str], None] = field(default_factory=dict)
    changes_before: int = 0
    first_seq: int = 0
    """The number of the first of its change rows."""


class SqliteStore:
    """A store in one SQLite file, or in memory. Belongs to one event loop and one process.

    In memory (`path=None`) everything happens on the event loop and there is
    no thread: it is repeatable and runs under virtual time.
    """

    def __init__(self, path: Path | None, *, keep_changes: int = feed_table.KEEP_ROWS) -> None:
        self._lock_fd = None if path is None else claim(path)
        self._loop = asyncio.get_running_loop()
        name = ":memory:" if path is None else str(path)
        self._path = name
        try:
            self._writer = SqliteConnection(name)
            self._loop_reader = self._writer if path is None else SqliteConnection(name, read_only=True)
        except BaseException:
            if self._lock_fd is not None:
                os.close(self._lock_fd)
            raise
        self._keep_changes = keep_changes
        self._small: deque[_Job] = deque()
        self._bulk: deque[_Job] = deque()
        self._last_was_bulk = False
        self._busy = False
        self._closed = False
        self._idle: asyncio.Future[None] | None = None
        self._courtesy = Courtesy(self._loop)
        self._worker = None if path is None else Worker(self._loop, self._courtesy, "store-writer")
        self._readers = ThreadPoolExecutor(READERS, thread_name_prefix="store-reader")
        self._own = threading.local()
        self._pooled: list[SqliteConnection] = []
        self._patience_ms: int | None = None
        self._next_seq = 0
        self._untrimmed = 0
        self.feed = Feed(FeedSource(last=self._feed_last, page=self._feed_page, poll_seconds=None))

    def prepare(self, make_schema: Callable[[sa.Connection], None]) -> None:
        """Bring the schema up to date with `make_schema`; called once, before anything else."""
        db = self._writer
        # Alembic changes a table by making a new one and dropping the old: nothing may cascade then.
        db.run("PRAGMA foreign_keys=OFF")
        self._be_patient(LOCK_WAIT_MS)
        try:
            db.run("BEGIN IMMEDIATE")
            make_schema(db.connection)
            db.check_foreign_keys()
            tx = Tx(db.connection, "sqlite", writable=True)
            feed_table.ensure_origin(tx)
            self._next_seq = feed_table.last_position(tx).seq + 1
            tx.end()
            db.run("COMMIT")
        except BaseException as error:
            self._undo()
            better = explained(error, self._path)
            if better is error:
                raise
            raise better from error
        db.run("PRAGMA foreign_keys=ON")

    async def read(self, fn: Callable[[Tx], T], *, bulk: bool = False) -> T:
        """Run `fn` on one snapshot: on the loop if it is short, else in a reader thread."""
        if self._closed:
            raise StoreClosedError
        if self._worker is None:
            return self._read_in_memory(fn)
        if not bulk:
            with suppress(TooLongForTheLoop):
                return self._loop_reader.read(fn, on_loop=True)
        self._courtesy.enter()
        try:
            return await self._loop.run_in_executor(self._readers, self._read_in_thread, fn)
        finally:
            self._courtesy.leave()

    async def write(self, fn: Callable[[Tx], T], *, bulk: bool = False) -> T:
        """Run `fn` alone and return once it is on the disk."""
        if self._closed:
            raise StoreClosedError
        future: asyncio.Future[T] = self._loop.create_future()
        (self._bulk if bulk and self._worker is not None else self._small).append(_Job(fn, future))
        if not self._busy:
            self._busy = True
            self._loop.call_soon(self._next_group)
        return await future

    async def close(self) -> None:
        """Finish the writes that wait, then let go of the database."""
        if self._closed:
            return
        self._closed = True
        self.feed.close()
        if self._busy:
            self._idle = self._loop.create_future()
            await self._idle
        if self._worker is None:
            self._shut()
        else:
            await self._loop.run_in_executor(None, self._shut)

    def _shut(self) -> None:
        if self._worker is not None:
            self._worker.stop()
        self._readers.shutdown()
        for db in {self._writer, self._loop_reader, *self._pooled}:
            db.close()
        if self._lock_fd is not None:
            os.close(self._lock_fd)

    def _read_in_memory(self, fn: Callable[[Tx], T]) -> T:
        """There is one connection only, so it must be kept from writing meanwhile."""
        self._writer.run("PRAGMA query_only=ON")
        try:
            return self._writer.read(fn, on_loop=False)
        finally:
            self._writer.run("PRAGMA query_only=OFF")

    def _read_in_thread(self, fn: Callable[[Tx], T]) -> T:
        db: SqliteConnection | None = getattr(self._own, "db", None)
        if db is None:
            db = self._own.db = SqliteConnection(self._path, read_only=True)
            self._pooled.append(db)
        return db.read(fn, on_loop=False)

    # Writing: `_next_group` -> `_run` each -> `_seal` -> `_commit` -> `_committed`, one group at a time.

    def _next_group(self) -> None:
        """Begin the next group, on the loop. Short and long writes take turns."""
        while self._bulk and (not self._small or not self._last_was_bulk):
            self._last_was_bulk = True
            job = self._bulk.popleft()
            if not job.future.cancelled():
                self._run_in_thread([job])
                return
        self._last_was_bulk = False
        if self._small:
            if self._begin():
                self._commit_small(self._run_small())
            else:
                count = min(len(self._small), GROUP_WRITES)
                self._run_in_thread([self._small.popleft() for _ in range(count)])
            return
        self._busy = False
        if self._idle is not None and not self._idle.done():
            self._idle.set_result(None)

    def _begin(self) -> bool:
        """Whether the write lock was free. Only another process (a backup) may hold it."""
        try:
            self._undo()
            self._be_patient(0)
            self._writer.run("BEGIN IMMEDIATE")
        except sqlite3.Error:
            return False  # the thread tries again, and has the patience
        return True

    def _be_patient(self, milliseconds: int) -> None:
        """How long the writer waits for a lock that another process holds."""
        if self._patience_ms != milliseconds:
            self._writer.run(f"PRAGMA busy_timeout={milliseconds}")
            self._patience_ms = milliseconds

    def _run_small(self) -> _Group:
        """Run short writes on the loop until the group is full."""
        group = _Group(changes_before=self._writer.raw.total_changes)
        statements_left = GROUP_STATEMENTS
        for _ in range(min(len(self._small), GROUP_WRITES)):
            job = self._small.popleft()
            if job.future.cancelled():
                continue
            statements_left -= 1 + self._run(group, job, on_loop=self._worker is not None)
            if statements_left <= 0 or not self._writer.raw.in_transaction:
                break
        return group

    def _commit_small(self, group: _Group) -> None:
        """Commit what ran on the loop; only what waits for the disk needs the thread."""
        error = self._seal(group)
        if self._worker is None or error is not None or not self._changed(group):
            self._committed(group, error or self._commit())
        else:
            self._worker.start(lambda: partial(self._committed, group, self._commit()), short=True)

    def _run_in_thread(self, jobs: list[_Job]) -> None:
        if self._worker is None:
            raise AssertionError("a store in memory has no writer thread")
        self._worker.start(lambda: partial(self._committed, *self._run_long(jobs)), short=False)

    def _run_long(self, jobs: list[_Job]) -> tuple[_Group, BaseException | None]:
        """In the writer thread: a whole group, however long it takes."""
        group = _Group()
        try:
            self._be_patient(LOCK_WAIT_MS)
            self._writer.run("BEGIN IMMEDIATE")
        except sqlite3.Error as error:
            group.failed = [(job, error) for job in jobs]
            return group, None
        for job in jobs:
            self._run(group, job, on_loop=False)
        return group, self._seal(group) or self._commit()

    def _run(self, group: _Group, job: _Job, *, on_loop: bool) -> int:
        """Run one write in a savepoint; return how many statements it took."""
        db = self._writer
        if not db.raw.in_transaction:
            group.failed.append((job, StoreError(_LOST)))
            return 0
        allowance = LOOP_STATEMENTS if on_loop else None
        watch = db if on_loop else None
        tx = Tx(db.connection, "sqlite", writable=True, allowance=allowance, watch=watch)
        db.stopped = False
        db.run("SAVEPOINT one")
        try:
            result = job.fn(tx)
            tx.end()
            db.check_not_stopped()
            db.run("RELEASE one")
        except BaseException as error:  # noqa: BLE001 - it is the caller's, whatever it is
            tx.end()
            self._undo_one()
            if db.stopped or isinstance(error, TooLongForTheLoop):
                self._bulk.append(job)
            else:
                group.failed.append((job, error))
        else:
            group.touched.update(tx.touched)
            group.done.append((job, result))
        return LOOP_STATEMENTS - (tx.allowance or 0) if on_loop else 0

    def _changed(self, group: _Group) -> bool:
        """Whether there is anything to wait for the disk for."""
        return bool(group.touched) or self._writer.raw.total_changes != group.changes_before

    def _seal(self, group: _Group) -> BaseException | None:
        """Write the group's change rows, or say why that was not possible."""
        if not group.touched:
            return None
        group.first_seq = self._next_seq
        rows = enumerate(group.touched, group.first_seq)
        try:
            self._writer.raw.executemany(feed_table.APPEND_NUMBERED, [(n, *key) for n, key in rows]).close()
            self._trim(len(group.touched))
        except BaseException as error:  # noqa: BLE001 - it is the callers', whatever it is
            self._undo()
            return error
        self._next_seq += len(group.touched)  # should the group be undone, readers do not mind holes
        return None

    def _commit(self) -> BaseException | None:
        """Make the group durable, or say why it is not."""
        if not self._writer.raw.in_transaction:
            return StoreError(_LOST)
        try:
            self._writer.run("COMMIT")
        except BaseException as error:  # noqa: BLE001 - it is the callers', whatever it is
            self._undo()
            return error
        return None

    def _undo_one(self) -> None:
        """Take back the write that failed; where that fails, the whole group."""
        if self._writer.raw.in_transaction:  # a full disk makes SQLite undo everything by itself
            try:
                self._writer.run("ROLLBACK TO one")
                self._writer.run("RELEASE one")
            except sqlite3.Error:
                self._undo()

    def _undo(self) -> None:
        if self._writer.raw.in_transaction:
            with suppress(sqlite3.Error):  # tried again before the next transaction
                self._writer.run("ROLLBACK")

    def _trim(self, added: int) -> None:
        self._untrimmed += added
        if self._untrimmed >= min(feed_table.TRIM_ROWS, self._keep_changes):
            tx = Tx(self._writer.connection, "sqlite", writable=True)
            feed_table.trim(tx, keep_rows=self._keep_changes, rows=2 * self._untrimmed)
            tx.end()
            self._untrimmed = 0

    def _committed(self, group: _Group, error: BaseException | None) -> None:
        """On the loop: tell the callers, wake the feed, go on."""
        error = None if error is None else explained(error, self._path)
        for job, result in group.done:
            if not job.future.done():
                if error is None:
                    job.future.set_result(result)
                else:
                    _fail(job.future, error)
        for job, refusal in group.failed:
            if not job.future.done():
                _fail(job.future, explained(refusal, self._path))
        if error is None and group.touched:
            changes = [Change(*key) for key in group.touched]
            self.feed.offer(Position(0, group.first_seq), changes)
        self._loop.call_soon(self._next_group)

    async def _feed_last(self) -> Position:
        return await self.read(feed_table.last_position)

    async def _feed_page(self, after: Position) -> Page:
        return await self.read(lambda tx: feed_table.read_page(tx, after))


def _fail(future: asyncio.Future[Any], error: BaseException) -> None:
    if isinstance(error, StopIteration):  # a future refuses it
        error = RuntimeError(f"a transaction raised {error!r}")
    future.set_exception(error)
