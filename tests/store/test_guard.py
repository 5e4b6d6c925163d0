"""Every write is guarded by the version it was decided on."""

from __future__ import annotations

import pytest
import sqlalchemy as sa

from homeport.core.errors import StaleWriteError
from homeport.store import GuardedRow, Store, Tx, guarded_delete, guarded_update, guarded_update_many
from tests.store.conftest import add_thing, names, thing

pair = sa.Table(
    "pair",
    sa.MetaData(),
    sa.Column("left", sa.Text, primary_key=True),
    sa.Column("right", sa.Text, primary_key=True),
    sa.Column("version", sa.BigInteger, nullable=False),
    sa.Column("note", sa.Text),
)


def _state(tx: Tx) -> list[tuple[str, int]]:
    return [(row.name, row.version) for row in tx.execute(sa.select(thing).order_by(thing.c.id))]


async def test_a_write_at_the_expected_version_counts_it_up(store: Store) -> None:
    row_id = await store.write(lambda tx: add_thing(tx, "a"))
    version = await store.write(lambda tx: guarded_update(tx, thing, row_id, 1, {"name": "b"}))
    assert version == 2
    assert await store.read(_state) == [("b", 2)]


async def test_a_stale_write_is_refused_and_changes_nothing(store: Store) -> None:
    row_id = await store.write(lambda tx: add_thing(tx, "a"))
    await store.write(lambda tx: guarded_update(tx, thing, row_id, 1, {"name": "first"}))
    with pytest.raises(StaleWriteError):
        await store.write(lambda tx: guarded_update(tx, thing, row_id, 1, {"name": "second"}))
    with pytest.raises(StaleWriteError):
        await store.write(lambda tx: guarded_delete(tx, thing, row_id, 1))
    assert await store.read(_state) == [("first", 2)]


async def test_a_row_that_is_gone_is_a_stale_write(store: Store) -> None:
    row_id = await store.write(lambda tx: add_thing(tx, "a"))
    await store.write(lambda tx: guarded_delete(tx, thing, row_id, 1))
    assert await store.read(names) == []
    with pytest.raises(StaleWriteError):
        await store.write(lambda tx: guarded_update(tx, thing, row_id, 1, {"name": "b"}))


async def test_documents_are_written_through_a_guard_as_documents(store: Store) -> None:
    row_id = await store.write(lambda tx: add_thing(tx, "a"))
    await store.write(lambda tx: guarded_update(tx, thing, row_id, 1, {"body": {"x": [1]}}))
    assert await store.read(lambda tx: tx.execute(sa.select(thing.c.body)).scalar_one()) == {"x": [1]}


async def test_a_key_of_several_columns_is_a_tuple(store: Store) -> None:
    def make(tx: Tx) -> None:
        tx.execute(sa.schema.CreateTable(pair))
        tx.execute(pair.insert(), {"left": "a", "right": "b", "version": 7})

    await store.write(make)
    assert await store.write(lambda tx: guarded_update(tx, pair, ("a", "b"), 7, {"note": "x"})) == 8
    with pytest.raises(ValueError, match="key columns"):
        await store.write(lambda tx: guarded_update(tx, pair, "a", 8, {"note": "x"}))


async def test_sql_and_a_version_of_ones_own_are_refused(store: Store) -> None:
    row_id = await store.write(lambda tx: add_thing(tx, "a"))
    with pytest.raises(TypeError):
        await store.write(lambda tx: guarded_update(tx, thing, row_id, 1, {"name": sa.func.upper("a")}))
    with pytest.raises(ValueError, match="version"):
        await store.write(lambda tx: guarded_update(tx, thing, row_id, 1, {"version": 9}))
    assert await store.read(_state) == [("a", 1)]


async def test_many_rows_are_updated_together_or_not_at_all(store: Store) -> None:
    ids = await store.write(lambda tx: [add_thing(tx, f"n{n:04}") for n in range(1200)])
    rows = [GuardedRow(row_id, 1, {"name": f"m{row_id:05}"}) for row_id in ids]
    await store.write(lambda tx: guarded_update_many(tx, thing, rows))
    after = await store.read(_state)
    assert after == [(f"m{row_id:05}", 2) for row_id in ids]

    again = [GuardedRow(row_id, 2, {"name": f"k{row_id:05}"}) for row_id in ids[:-1]]
    stale = GuardedRow(ids[-1], 1, {"name": "stale"})
    with pytest.raises(StaleWriteError):
        await store.write(lambda tx: guarded_update_many(tx, thing, [*again, stale]))
    assert await store.read(_state) == after
    await store.write(lambda tx: guarded_update_many(tx, thing, []))
