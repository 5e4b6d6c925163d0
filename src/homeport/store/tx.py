"""A transaction as the function inside it sees it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal, Protocol

from sqlalchemy import Connection, CursorResult, Executable

DialectName = Literal["sqlite", "postgresql"]

ONE_STATEMENT = 1
ROWS_PER_STATEMENT = 50


class TooLongForTheLoop(BaseException):
    """The function does more than may run on the event loop: run it again in a thread.

    Not an `Exception`, so that a function's own `except` does not eat it.
    """


class Watch(Protocol):
    """Stops queries that take too long on the event loop."""

    stoppable: bool


class Tx:
    """One open transaction. Good only inside the function it was given to.

    `allowance` is how many statements may be run here; a bulk statement counts
    one more per `ROWS_PER_STATEMENT` rows. `None`: as many as it likes. `watch`
    is told what may be stopped half-way: anything in a read, and queries in a
    write (SQLite undoes the whole group when a writing statement is stopped).
    """

    __slots__ = (
        "_allowance",
        "_connection",
        "_results",
        "_watch",
        "_writable",
        "dialect",
        "touched",
    )

    def __init__(
        self,
        connection: Connection,
        dialect: DialectName,
        *,
        writable: bool,
        allowance: int | None = None,
        watch: Watch | None = None,
    ) -> None:
        self._connection: Connection | None = connection
        self._writable = writable
        self._allowance = allowance
        self._watch = watch
        self._results: list[CursorResult[*tuple[Any, ...]]] = []
        self.dialect: DialectName = dialect
        self.touched: dict[tuple[str, str], None] = {}

    def execute(
        self,
        statement: Executable,
        params: Mapping[str, Any] | Sequence[Mapping[str, Any]] | None = None,
    ) -> CursorResult[*tuple[Any, ...]]:
        """Run `statement`, once per mapping in a list of `params`.

        An empty list runs nothing and is a mistake. Read the result inside
        the function: it is closed with the transaction. `rowcount` is not
        known for a list on PostgreSQL.
        """
        if self._connection is None:
            raise RuntimeError("this transaction is over")
        if self._allowance is not None:
            self._allowance -= ONE_STATEMENT
            if isinstance(params, Sequence):
                self._allowance -= len(params) // ROWS_PER_STATEMENT
            if self._allowance < 0:
                raise TooLongForTheLoop
        if params is not None and not params and isinstance(params, Sequence):
            raise ValueError("no rows to run the statement with")
        if self._watch is not None:
            self._watch.stoppable = statement.is_select or not self._writable
        result = self._connection.execute(statement, params)
        if result.returns_rows:
            self._results.append(result)
        return result

    def touch(self, kind: str, key: str) -> None:
        """Tell the change feed, in this transaction, that the thing `key` of `kind` was written."""
        if not self._writable:
            raise RuntimeError("a read changes nothing")
        self.touched[kind, key] = None

    @property
    def allowance(self) -> int | None:
        """How many more statements may be run here."""
        return self._allowance

    def end(self) -> None:
        """Close what was left open. The store calls this; a result read to its end costs nothing."""
        self._connection = None
        if self._watch is not None:
            self._watch.stoppable = False
        for result in self._results:
            result.close()
        self._results.clear()
