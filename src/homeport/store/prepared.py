"""Statements compiled once.

Building and looking up a statement costs SQLAlchemy ten times what SQLite needs to run it. What runs on every
request is therefore written as a module constant with `bindparam`s, compiled on first use per database,
and run on the driver's own connection; types convert as always.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, cast

from sqlalchemy import BindParameter, ColumnElement, Dialect, Float, bindparam
from sqlalchemy.sql.expression import ClauseElement, Executable
from sqlalchemy.sql.selectable import SelectBase

Processor = Callable[[Any], Any]
Conversions = tuple[tuple[int, Processor], ...]
"""By position."""

SIZES = (1, 2, 5, 10, 20, 50, 100, 200, 500)
"""For how many items of a list a statement is compiled."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Compiled:
    """A statement in one database's SQL.

    `names` are the placeholders', in order; `constants` are what the statement
    itself says; `conversions` are those of single placeholders, `results` of single columns.
    """

    sql: str
    names: tuple[str, ...]
    constants: Mapping[str, Any]
    conversions: Conversions
    results: Conversions

    def arguments(self, params: Mapping[str, Any]) -> tuple[Any, ...]:
        """The placeholders' values. Raise `KeyError` for a parameter that is missing."""
        if self.constants:
            params = {**self.constants, **params}
        values = [params[name] for name in self.names]
        for index, convert in self.conversions:
            values[index] = convert(values[index])
        return tuple(values)

    def row(self, raw: Sequence[Any]) -> tuple[Any, ...]:
        """A row as Python's values."""
        values = list(raw)
        for index, convert in self.results:
            values[index] = convert(values[index])
        return tuple(values)


class Prepared:
    """One statement. `column_keys`: what an insert without `values` sets."""

    def __init__(self, statement: Executable, *, column_keys: Sequence[str] | None = None) -> None:
        self._statement = statement
        self._column_keys = column_keys
        self._compiled: dict[str, Compiled] = {}

    def on(self, dialect: Dialect) -> Compiled:
        """The statement for a database; compiled at the first call."""
        found = self._compiled.get(dialect.name)
        if found is None:
            found = self._compiled[dialect.name] = _compile(self._statement, dialect, self._column_keys)
        return found


class PreparedList:
    """A statement over a list of values of `column`: `make(items)` builds it for so many parameters.

    A list is padded with its last item to the next of `SIZES`, so that few statements are compiled.
    """

    def __init__(
        self, column: ColumnElement[Any], make: Callable[[list[BindParameter[Any]]], Executable]
    ) -> None:
        self._type = column.type
        self._make = make
        self._by_size: dict[int, Prepared] = {}

    def chunks(self, items: Sequence[Any]) -> list[tuple[Prepared, dict[str, Any]]]:
        """The statements to run, each with its parameters; none for an empty list."""
        found = []
        for start in range(0, len(items), SIZES[-1]):
            chunk = items[start : start + SIZES[-1]]
            size = next(size for size in SIZES if size >= len(chunk))
            padded = [*chunk, *([chunk[-1]] * (size - len(chunk)))]
            found.append((self._of_size(size), {f"item_{i}": item for i, item in enumerate(padded)}))
        return found

    def _of_size(self, size: int) -> Prepared:
        found = self._by_size.get(size)
        if found is None:
            items = [bindparam(f"item_{i}", type_=self._type) for i in range(size)]
            found = self._by_size[size] = Prepared(self._make(items))
        return found


def _compile(statement: Executable, dialect: Dialect, column_keys: Sequence[str] | None) -> Compiled:
    assert isinstance(statement, ClauseElement)
    compiled: Any = cast("Any", statement).compile(
        dialect=dialect, column_keys=None if column_keys is None else list(column_keys)
    )
    names = tuple(compiled.positiontup or ())
    columns: Iterable[Any] = statement.selected_columns if isinstance(statement, SelectBase) else ()
    return Compiled(
        sql=str(compiled),
        names=names,
        constants={name: compiled.binds[name].value for name in names if not compiled.binds[name].required},
        conversions=_needed(
            compiled.binds[name].type.dialect_impl(dialect).bind_processor(dialect) for name in names
        ),
        results=_needed(_reader(column.type, dialect) for column in columns),
    )


def _reader(kind: Any, dialect: Dialect) -> Processor | None:
    """How a column's value becomes Python's. asyncpg gives floats as such, and its dialect cannot say so."""
    if isinstance(kind, Float) and dialect.name == "postgresql":
        return None
    found: Processor | None = kind.dialect_impl(dialect).result_processor(dialect, None)
    return found


def _needed(processors: Iterable[Processor | None]) -> Conversions:
    return tuple((index, convert) for index, convert in enumerate(processors) if convert is not None)
