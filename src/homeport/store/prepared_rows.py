"""Rows that are one document each, as in `store.rows`, of tables that are written often: all is prepared."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Generic

import sqlalchemy as sa

from homeport.core.errors import StaleWriteError
from homeport.store.prepared import Prepared, PreparedList
from homeport.store.rows import N, noun_of, with_changes
from homeport.store.tx import Tx


class PreparedRows(Generic[N]):
    """A table's nouns.

    Beside `id`, `version` and `body` an insert sets the columns of `first` and `always`, a save those of
    `always`. Queries select `columns`.
    """

    def __init__(self, table: sa.Table, *, first: Sequence[str] = (), always: Sequence[str] = ()) -> None:
        row = table.c
        is_as_read = (row.id == sa.bindparam("row_id"), row.version == sa.bindparam("read_version"))
        set_always: dict[str, Any] = {name: sa.bindparam(name) for name in always}
        self.columns = (row.id, row.version, row.body)
        self._get = Prepared(sa.select(*self.columns).where(row.id == sa.bindparam("row_id")))
        self._get_many = PreparedList(row.id, lambda ids: sa.select(*self.columns).where(row.id.in_(ids)))
        self._insert = Prepared(
            table.insert().returning(row.id), column_keys=("version", *first, *always, "body")
        )
        self._save = Prepared(
            sa.update(table)
            .where(*is_as_read)
            .values(version=row.version + 1, body=sa.bindparam("body"), **set_always)
        )
        self._remove = Prepared(sa.delete(table).where(*is_as_read))

    def noun(self, row: Sequence[Any]) -> N:
        """The noun in a row of `columns`."""
        found: N = noun_of(row)
        return found

    def nouns(self, rows: Iterable[Sequence[Any]]) -> tuple[N, ...]:
        """The nouns in rows of `columns`."""
        return tuple(map(self.noun, rows))

    def first(self, tx: Tx, query: Prepared, params: Mapping[str, Any]) -> N | None:
        """The first that a query of `columns` finds."""
        row = tx.first(query, params)
        return None if row is None else self.noun(row)

    def get(self, tx: Tx, row_id: int) -> N | None:
        """The noun of that row."""
        return self.first(tx, self._get, {"row_id": row_id})

    def get_many(self, tx: Tx, ids: Iterable[int]) -> dict[int, N]:
        """Those rows, by id."""
        return {row[0]: self.noun(row) for row in tx.rows_of(self._get_many, ids)}

    def insert(self, tx: Tx, noun: N, **columns: Any) -> N:
        """The noun with its row's id. Raise `DuplicateKeyError` when what must be unique is taken."""
        row_id = tx.insert(self._insert, {"version": 1, "body": noun, **columns})
        return with_changes(noun, id=row_id, version=1)

    def save(self, tx: Tx, noun: N, about: str, **columns: Any) -> N:
        """The noun with its next version. Raise `StaleWriteError(about)` when someone else wrote first."""
        guard = {"row_id": noun.id, "read_version": noun.version}
        if tx.change(self._save, {**guard, "body": noun, **columns}) != 1:
            raise StaleWriteError(about)
        return with_changes(noun, version=noun.version + 1)

    def remove(self, tx: Tx, noun: N, about: str) -> None:
        """Raise `StaleWriteError(about)` when someone else wrote first."""
        if tx.change(self._remove, {"row_id": noun.id, "read_version": noun.version}) != 1:
            raise StaleWriteError(about)
