"""SQLite's errors in our words: what it is, and what to do about it.

Source: https://sqlite.org/rescode.html; the low byte of a result code is its kind.
"""

from __future__ import annotations

import sqlite3

import sqlalchemy as sa

from homeport.core.errors import UnstorableError
from homeport.store.errors import (
    DuplicateKeyError,
    StoreAwayError,
    StoreDamagedError,
    StoreFullError,
    StoreLockedError,
)

_DUPLICATE = frozenset({sqlite3.SQLITE_CONSTRAINT_UNIQUE, sqlite3.SQLITE_CONSTRAINT_PRIMARYKEY})


def driver_error(error: BaseException) -> sqlite3.Error | None:
    """The driver's own error, whether SQLAlchemy wrapped it or not; `None`: it is none."""
    cause = error.orig if isinstance(error, sa.exc.DBAPIError) else error
    return cause if isinstance(cause, sqlite3.Error) else None


def explained(error: BaseException, path: str, *, reading: bool = False) -> BaseException:
    """What to raise instead of `error`; itself when the database is not to blame."""
    if isinstance(error, OverflowError):
        return UnstorableError(f"A value cannot be stored or looked for: {error}")
    cause = driver_error(error)
    code = getattr(cause, "sqlite_errorcode", None)
    if cause is None or code is None:
        return error
    if reading and code == sqlite3.SQLITE_READONLY:
        return error  # a read that writes is a mistake of ours
    better = DuplicateKeyError(str(cause)) if code in _DUPLICATE else _by_kind(code & 0xFF, cause, path)
    if better is None:
        return error
    better.__cause__ = error
    return better


def _by_kind(kind: int, cause: sqlite3.Error, path: str) -> BaseException | None:
    match kind:
        case sqlite3.SQLITE_FULL:
            return StoreFullError("The disk that holds Homeport's state is full.", f"Make room for {path}.")
        case sqlite3.SQLITE_BUSY | sqlite3.SQLITE_LOCKED:
            return StoreLockedError(
                "Another program keeps Homeport's database locked.",
                f"Find it (fuser -v {path}) and let it finish; a backup is best made with `.backup`.",
            )
        case sqlite3.SQLITE_CORRUPT | sqlite3.SQLITE_NOTADB:
            return StoreDamagedError(
                f"Homeport's database is damaged ({cause}).",
                f"Put a backup in the place of {path} (and remove {path}-wal and {path}-shm), "
                "or move it away to begin anew.",
            )
        case sqlite3.SQLITE_IOERR | sqlite3.SQLITE_CANTOPEN | sqlite3.SQLITE_READONLY:
            return StoreAwayError(
                f"Homeport's database cannot be read or written ({cause}).",
                f"See that the disk under {path} works and that this user may write there.",
            )
    return None
