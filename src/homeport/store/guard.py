"""Writes that are guarded by the version they were decided on."""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from typing import Any

from sqlalchemy import ClauseElement, Delete, Table, Update, and_, bindparam, delete, update

from homeport.core.errors import StaleWriteError
from homeport.store.tx import Tx

_ID = "guard_id_"
_VERSION = "guard_version"


def guarded_update(
    tx: Tx, table: Table, row_id: Any, expected_version: int, values: Mapping[str, Any]
) -> int:
    """Set `values` where the row still has `expected_version`; return its new version.

    `row_id` is the primary key, a tuple where it has several columns. Raise
    `StaleWriteError` when someone else wrote first or the row is gone.
    """
    if "version" in values:
        raise ValueError("the version is counted here")
    if any(isinstance(value, ClauseElement) for value in values.values()):
        raise TypeError("a guarded write was decided on values, so it writes values, not SQL")
    statement = _update(table, tuple(sorted(values)))
    params = {f"set_{name}": value for name, value in values.items()}
    result = tx.execute(statement, params | _guard(table, row_id, expected_version))
    if result.rowcount != 1:
        raise StaleWriteError(f"{table.name} {row_id} is no longer at version {expected_version}")
    return expected_version + 1


def guarded_delete(tx: Tx, table: Table, row_id: Any, expected_version: int) -> None:
    """Delete the row if it still has `expected_version`, or raise `StaleWriteError`."""
    result = tx.execute(_delete(table), _guard(table, row_id, expected_version))
    if result.rowcount != 1:
        raise StaleWriteError(f"{table.name} {row_id} is no longer at version {expected_version}")


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
