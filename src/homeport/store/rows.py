"""Rows that are one document each, guarded by a version: how they are read, inserted, written and removed.

The table has columns `id`, `version` and `body`, and whatever is queried beside them; the noun in
`body` knows its row's id and version. Tables that are written often have prepared statements.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol, TypeVar

import msgspec
import sqlalchemy as sa
from sqlalchemy.schema import SchemaItem

from homeport.core.errors import StaleWriteError
from homeport.store.schema import metadata
from homeport.store.tx import Tx
from homeport.store.types import Document, RowId


class Row(Protocol):
    """A noun that lies in such a row."""

    @property
    def id(self) -> int: ...

    @property
    def version(self) -> int: ...


N = TypeVar("N", bound=Row)


def row_table(name: str, of: Any, *beside: SchemaItem, has_home: bool = True) -> sa.Table:
    """A table of such rows: `of` is what `body` holds; `has_home`: with columns for an account and a region.

    `beside` are its other columns, constraints and indexes.
    """
    home = (
        sa.Column("account_id", sa.String(12), nullable=False),
        sa.Column("region", sa.String(32), nullable=False),
    )
    return sa.Table(
        name,
        metadata,
        sa.Column("id", RowId, primary_key=True, autoincrement=True),
        sa.Column("version", sa.BigInteger, nullable=False),
        *(home if has_home else ()),
        *beside,
        sa.Column("body", Document(of), nullable=False),
    )


def nouns(table: sa.Table) -> sa.Select[Any]:
    """What `first_noun` and `all_nouns` read, still to be narrowed and ordered."""
    return sa.select(table.c.id, table.c.version, table.c.body)


def first_noun(tx: Tx, query: sa.Select[Any]) -> Any | None:
    """The first that a query of `nouns` finds."""
    row = tx.execute(query).first()
    return None if row is None else noun_of(row)


def all_nouns(tx: Tx, query: sa.Select[Any]) -> list[Any]:
    """All that a query of `nouns` finds, in its order."""
    return [noun_of(row) for row in tx.execute(query)]


def noun_of(row: Sequence[Any]) -> Any:
    """The noun in a row of `id, version, body`."""
    return msgspec.structs.replace(row[2], id=row[0], version=row[1])


def insert_row(tx: Tx, table: sa.Table, noun: N, **columns: Any) -> N:
    """The noun with its row's id. Raise `DuplicateKeyError` when something that must be unique is taken."""
    result = tx.execute(table.insert().values(version=1, body=noun, **columns))
    assert result.inserted_primary_key is not None
    return with_changes(noun, id=int(result.inserted_primary_key[0]))


def write_row(tx: Tx, table: sa.Table, noun: N, about: str, **columns: Any) -> N:
    """The noun with its row's next version. Raise `StaleWriteError(about)` when someone else wrote first."""
    result = tx.execute(
        sa.update(table)
        .where(table.c.id == noun.id, table.c.version == noun.version)
        .values(version=noun.version + 1, body=noun, **columns)
    )
    if result.rowcount != 1:
        raise StaleWriteError(about)
    return with_changes(noun, version=noun.version + 1)


def remove_row(tx: Tx, table: sa.Table, noun: Row, about: str) -> None:
    """Raise `StaleWriteError(about)` when someone else wrote first."""
    result = tx.execute(sa.delete(table).where(table.c.id == noun.id, table.c.version == noun.version))
    if result.rowcount != 1:
        raise StaleWriteError(about)


def with_changes(noun: N, **changes: int) -> N:
    """The noun with another id or version."""
    changed: N = msgspec.structs.replace(noun, **changes)  # type: ignore[type-var]
    return changed
