"""Writes that are guarded by the version they were decided on."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Any, NamedTuple

from sqlalchemy import ClauseElement, Delete, Table, Update, and_, bindparam, delete, select, update

from homeport.core.errors import StaleWriteError
from homeport.store.tx import Tx

_ID = "guard_id_"
_VERSION = "guard_version"
_LOOK_ROWS = 500


def guarded_update(
    tx: Tx, table: Table, row_id: Any, expected_version: int, values: Mapping[str, Any]
) -> int:
    """Set `values` where the row still has `expected_version`; return its new version.

    `row_id` is the primary key, a tuple where it has several columns. Raise
    `StaleWriteError` when someone else wrote first or the row is gone.
    """
    statement = _update(table, tuple(sorted(values)))
    result = tx.execute(statement, _params(table, row_id, expected_version, values))
    if result.rowcount != 1:
        raise StaleWriteError(f"{table.name} {row_id} is no longer at version {expected_version}")
    return expected_version + 1


class GuardedRow(NamedTuple):
    """One row of a bulk update; all rows of one call set the same columns."""

    row_id: int
    expected_version: int
    values: Mapping[str, Any]


def guarded_update_many(tx: Tx, table: Table, rows: Sequence[GuardedRow]) -> None:
    """Like `guarded_update` for each row, in bulk: all rows or `StaleWriteError`.

    The table has one integer key column. The versions are looked at first,
    because asyncpg does not say how many rows a bulk statement changed; what
    happens in between is the transaction's isolation's concern.
    """
    key = table.primary_key.columns[0]
    for start in range(0, len(rows), _LOOK_ROWS):
        chunk = rows[start : start + _LOOK_ROWS]
        look = select(key, table.c.version).where(key.in_([row.row_id for row in chunk]))
        found = {row[0]: row[1] for row in tx.execute(look)}
        for row in chunk:
            if found.get(row.row_id) != row.expected_version:
                raise StaleWriteError(
                    f"{table.name} {row.row_id} is no longer at version {row.expected_version}"
                )
    if rows:
        statement = _update(table, tuple(sorted(rows[0].values)))
        tx.execute(statement, [_params(table, *row) for row in rows])


def guarded_delete(tx: Tx, table: Table, row_id: Any, expected_version: int) -> None:
    """Delete the row if it still has `expected_version`, or raise `StaleWriteError`."""
    result = tx.execute(_delete(table), _guard(table, row_id, expected_version))
    if result.rowcount != 1:
        raise StaleWriteError(f"{table.name} {row_id} is no longer at version {expected_version}")


def _params(table: Table, row_id: Any, expected_version: int, values: Mapping[str, Any]) -> dict[str, Any]:
    if "version" in values:
        raise ValueError("the version is counted here")
    if any(isinstance(value, ClauseElement) for value in values.values()):
        raise TypeError("a guarded write was decided on values, so it writes values, not SQL")
    params = {f"set_{name}": value for name, value in values.items()}
    return params | _guard(table, row_id, expected_version)


def _guard(table: Table, row_id: Any, expected_version: int) -> dict[str, Any]:
    key = row_id if isinstance(row_id, tuple) else (row_id,)
    if len(key) != len(table.primary_key.columns):
        raise ValueError(f"{table.name} has {len(table.primary_key.columns)} key columns, not {len(key)}")
    return {f"{_ID}{n}": part for n, part in enumerate(key)} | {_VERSION: expected_version}


def _is_at_version(table: Table) -> Any:
    return and_(
        *(column == bindparam(f"{_ID}{n}") for n, column in enumerate(table.primary_key.columns)),
        table.c.version == bindparam(_VERSION),
    )


@lru_cache(maxsize=1024)
def _update(table: Table, names: tuple[str, ...]) -> Update:
    """Building a statement costs four times what running it does, so each is built once."""
    return (
        update(table)
        .where(_is_at_version(table))
        .values({name: bindparam(f"set_{name}", type_=table.c[name].type) for name in names})
        .values(version=bindparam(_VERSION) + 1)
    )


@lru_cache(maxsize=256)
def _delete(table: Table) -> Delete:
    return delete(table).where(_is_at_version(table))
