"""PostgreSQL's errors in our words: what it is, and what to do about it.

Source: PostgreSQL manual, appendix A, "PostgreSQL Error Codes".
"""

from __future__ import annotations

import asyncpg
import sqlalchemy as sa

from homeport.core.errors import UnstorableError
from homeport.store.errors import DuplicateKeyError, StoreAwayError, StoreFullError

CONFLICTS = frozenset({"40001", "40P01"})
"""serialization_failure and deadlock_detected: undone by the database, to be run again."""
DUPLICATE = "23505"
"""unique_violation: somebody else made the row meanwhile, or we are mistaken."""
_READ_ONLY = "25006"
"""The primary has become a standby: the next connection goes to the new one."""
_UNSTORABLE = "22"
"""Data exceptions: what was to be stored or looked for is no value of the column's type."""
_FULL = ("53100", "53200")
_AWAY = ("08", "53", "57P", "58")
"""Connection lost, out of resources, shutting down or starting up, system error."""


def sqlstate(error: BaseException) -> str:
    """The database's own code; empty when the error is not the database's."""
    cause = error.orig if isinstance(error, sa.exc.DBAPIError) else error
    return str(getattr(cause, "sqlstate", None) or "")


def may_run_again(error: sa.exc.DBAPIError) -> bool:
    """Whether the database certainly undid the transaction, for a reason that may pass."""
    return error.connection_invalidated or sqlstate(error) in CONFLICTS or is_stranded(error)


def is_stranded(error: BaseException) -> bool:
    """Whether the connection leads to a server that may not write (any more)."""
    return sqlstate(error) == _READ_ONLY


def explained(error: BaseException, *, reading: bool = False) -> BaseException:
    """What to raise instead of `error`; itself when the database is not to blame."""
    # A read that writes is a mistake of ours, not a server that may not write.
    better = None if reading and is_stranded(error) else _better(error)
    if better is None:
        return error
    better.__cause__ = error
    return better


def _better(error: BaseException) -> BaseException | None:
    code = sqlstate(error)
    if code == DUPLICATE:
        return DuplicateKeyError(str(error))
    if code.startswith(_UNSTORABLE) or isinstance(_cause(error), asyncpg.DataError):
        return UnstorableError(f"A value cannot be stored or looked for: {_first_line(error)}")
    if code in _FULL:
        return StoreFullError(
            "The database has no room left.", f"Make room on its server ({_first_line(error)})."
        )
    if code.startswith(_AWAY) or code == _READ_ONLY or _cannot_talk(error):
        return StoreAwayError(
            "The database does not answer.", f"See that it runs and can be reached ({_first_line(error)})."
        )
    return None


def _cannot_talk(error: BaseException) -> bool:
    if isinstance(error, sa.exc.DBAPIError):
        return error.connection_invalidated
    return isinstance(error, OSError | TimeoutError | asyncpg.InterfaceError | sa.exc.TimeoutError)


def _cause(error: BaseException) -> BaseException:
    """asyncpg's own error, below SQLAlchemy's and its adapter's."""
    found = error.orig if isinstance(error, sa.exc.DBAPIError) and error.orig is not None else error
    return found.__cause__ or found


def _first_line(error: BaseException) -> str:
    cause = _cause(error)
    return str(cause).partition("\n")[0] or type(cause).__name__
