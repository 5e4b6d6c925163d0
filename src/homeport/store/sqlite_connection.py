"""One SQLite connection, and the claim to the file.

SQLAlchemy compiles and runs the statements, but the transactions are made here,
on the driver's connection: the driver's own idea of when to BEGIN would turn a
read followed by a write into "database is locked".
"""

from __future__ import annotations

import fcntl
import os
import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

import sqlalchemy as sa
from sqlalchemy.pool import NullPool

from homeport.store.errors import StoreError, StoreInUseError
from homeport.store.sqlite_errors import explained
from homeport.store.tx import TooLongForTheLoop, Tx

T = TypeVar("T")

LOOP_STATEMENTS = 100
"""What one function may run on the loop."""
LOOP_STEPS = 20_000
"""Steps of SQLite's machine that one query may take on the loop: some 2,000 rows, or 2 ms."""


class SqliteConnection:
    """One connection. Used by one thread at a time."""

    def __init__(self, path: str, *, read_only: bool = False) -> None:
        self._path = path
        self.raw = sqlite3.connect(path, isolation_level=None, check_same_thread=False, cached_statements=512)
        engine = sa.create_engine(
            "sqlite://", creator=lambda: self.raw, poolclass=NullPool, isolation_level="AUTOCOMMIT"
        )
        self.connection = engine.connect()
        # SQLAlchemy believes itself in one transaction for ever; the real ones are made on `raw`.
        self.connection.begin()
        self.stoppable = False
        """Whether the query that runs may be stopped when it takes too long."""
        self.stopped = False
        pragmas = (
            "journal_mode=WAL",
            "synchronous=FULL",
            "foreign_keys=ON",
            "temp_store=MEMORY",
            "cache_size=-32768",
            "journal_size_limit=67108864",
            f"query_only={'ON' if read_only else 'OFF'}",
        )
        try:
            for pragma in pragmas:
                self.run(f"PRAGMA {pragma}")
        except sqlite3.Error as error:
            self.close()
            raise explained(error, path) from error
        self.raw.set_progress_handler(self._progress, LOOP_STEPS)

    def run(self, sql: str) -> None:
        """Run a statement that has no result worth having."""
        self.raw.execute(sql).close()

    def _progress(self) -> bool:
        """SQLite asks every `LOOP_STEPS` steps of a statement whether to stop it."""
        self.stopped = self.stopped or self.stoppable
        return self.stoppable

    def read(self, fn: Callable[[Tx], T], *, on_loop: bool) -> T:
        """Run `fn` on one snapshot; raise `TooLongForTheLoop` when it does not belong there."""
        tx = Tx(
            self.connection,
            "sqlite",
            writable=False,
            allowance=LOOP_STATEMENTS if on_loop else None,
            watch=self if on_loop else None,
        )
        self.stopped = False
        self.run("BEGIN")
        try:
            result = fn(tx)
        except Exception as error:
            if self.stopped:
                raise TooLongForTheLoop from None
            better = explained(error, self._path, reading=True)
            if better is error:
                raise
            raise better from error
        finally:
            tx.end()
            if self.raw.in_transaction:
                self.run("ROLLBACK")
        self.check_not_stopped()
        return result

    def check_not_stopped(self) -> None:
        """Raise `TooLongForTheLoop` if a query was stopped, even if the function went on regardless."""
        if self.stopped:
            raise TooLongForTheLoop

    def check_foreign_keys(self) -> None:
        """Raise `StoreError` if a row refers to one that is not there."""
        if broken := self.raw.execute("PRAGMA foreign_key_check").fetchall():
            raise StoreError(f"The migration would leave dangling rows: {broken[:5]}")

    def close(self) -> None:
        """Let go of the file."""
        self.connection.close()
        self.raw.close()


def claim(path: Path) -> int:
    """Hold the file beside the database that says who has it open; the kernel frees it when we die."""
    fd = os.open(path.with_name(path.name + ".lock"), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(fd)
        raise StoreInUseError(
            f"{path} is open in another process.", "Stop that one, or choose another data directory."
        ) from None
    return fd
