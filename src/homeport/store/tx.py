"""A transaction as the function inside it sees it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Literal, Protocol

from sqlalchemy import Connection, CursorResult, Executable

from homeport.store.prepared import Compiled, Prepared, PreparedList

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
        rows = len(params) if isinstance(params, Sequence) else None
        if rows == 0:
            raise ValueError("no rows to run the statement with")
        cost = ONE_STATEMENT + (rows or 0) // ROWS_PER_STATEMENT
        result = self._admit(cost, reads=statement.is_select).execute(statement, params)
        if result.returns_rows:
            self._results.append(result)
        return result

    def rows(self, statement: Prepared, params: Mapping[str, Any]) -> list[tuple[Any, ...]]:
        """All rows of a prepared query."""
        compiled, raw = self._run(statement, params)
        return [compiled.row(row) for row in raw] if compiled.results else [tuple(row) for row in raw]

    def first(self, statement: Prepared, params: Mapping[str, Any]) -> tuple[Any, ...] | None:
        """The first row of a prepared query; `None`: there is none."""
        found = self.rows(statement, params)
        return found[0] if found else None

    def rows_of(
        self, statement: PreparedList, items: Iterable[Any], params: Mapping[str, Any] | None = None
    ) -> list[tuple[Any, ...]]:
        """All rows of a prepared query over a list; `params` are its other parameters."""
        found: list[tuple[Any, ...]] = []
        for prepared, listed in statement.chunks(tuple(items)):
            found += self.rows(prepared, {**listed, **(params or {})})
        return found

    def change(self, statement: Prepared, params: Mapping[str, Any]) -> int:
        """Run a prepared statement that writes; how many rows it wrote."""
        connection = self._admit(ONE_STATEMENT, reads=False)
        compiled = statement.on(connection.dialect)
        arguments = compiled.arguments(params)
        if self.dialect == "sqlite":
            return int(_driver(connection).execute(compiled.sql, arguments).rowcount)
        return connection.exec_driver_sql(compiled.sql, arguments).rowcount

    def insert(self, statement: Prepared, params: Mapping[str, Any]) -> int:
        """Run a prepared `INSERT ... RETURNING id`; the id."""
        connection = self._admit(ONE_STATEMENT, reads=False)
        compiled = statement.on(connection.dialect)
        arguments = compiled.arguments(params)
        if self.dialect == "sqlite":
            (row,) = _driver(connection).execute(compiled.sql, arguments).fetchall()
        else:
            row = connection.exec_driver_sql(compiled.sql, arguments).one()
        return int(row[0])

    def change_many(self, statement: Prepared, many: Sequence[Mapping[str, Any]]) -> None:
        """Run a prepared statement that writes once per mapping."""
        connection = self._admit(ONE_STATEMENT + len(many) // ROWS_PER_STATEMENT, reads=False)
        compiled = statement.on(connection.dialect)
        arguments = [compiled.arguments(params) for params in many]
        if self.dialect == "sqlite":
            _driver(connection).executemany(compiled.sql, arguments)
        else:
            connection.exec_driver_sql(compiled.sql, arguments)

    def _run(
        self, statement: Prepared, params: Mapping[str, Any]
    ) -> tuple[Compiled, Sequence[Sequence[Any]]]:
        connection = self._admit(ONE_STATEMENT, reads=True)
        compiled = statement.on(connection.dialect)
        arguments = compiled.arguments(params)
        if self.dialect == "sqlite":
            return compiled, _driver(connection).execute(compiled.sql, arguments).fetchall()
        return compiled, connection.exec_driver_sql(compiled.sql, arguments).all()

    def _admit(self, cost: int, *, reads: bool) -> Connection:
        """Take `cost` off the allowance; the connection to run on."""
        if self._connection is None:
            raise RuntimeError("this transaction is over")
        if self._allowance is not None:
            self._allowance -= cost
            if self._allowance < 0:
                raise TooLongForTheLoop
        if self._watch is not None:
            self._watch.stoppable = reads or not self._writable
        return self._connection

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


def _driver(connection: Connection) -> Any:
    """SQLite's own connection below SQLAlchemy's."""
    return connection.connection.driver_connection
