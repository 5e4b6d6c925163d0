"""The same tests on every store: a file, memory, PostgreSQL."""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import sqlalchemy as sa

from homeport.store import Document, Instant, RowId, Store, Tx, open_store

POSTGRES = pytest.param("postgresql", marks=pytest.mark.postgres)

# Not on the store's own metadata: it is the tests' table, no migration makes it.
thing = sa.Table(
    "thing",
    sa.MetaData(),
    sa.Column("id", RowId, primary_key=True),
    sa.Column("version", sa.BigInteger, nullable=False, server_default="1"),
    sa.Column("name", sa.Text, unique=True),
    sa.Column("body", Document()),
    sa.Column("made_at", Instant),
)


def add_thing(tx: Tx, name: str, **values: object) -> int:
    key = tx.execute(thing.insert(), {"name": name, **values}).inserted_primary_key
    assert key is not None
    tx.touch("thing", name)
    return int(key[0])


def names(tx: Tx) -> list[str]:
    return list(tx.execute(sa.select(thing.c.name).order_by(thing.c.id)).scalars())


def make_thing_table(tx: Tx) -> None:
    tx.execute(sa.schema.CreateTable(thing))


@pytest.fixture(scope="session")
def migrated_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("migrated") / "homeport.db"

    async def make() -> None:
        await (await open_store(f"sqlite:///{path}")).close()

    asyncio.run(make())
    return path


@pytest.fixture(params=["file", "memory", POSTGRES])
def url(request: pytest.FixtureRequest, tmp_path: Path, migrated_file: Path) -> str:
    if request.param == "file":
        shutil.copy(migrated_file, tmp_path / "homeport.db")
        return f"sqlite:///{tmp_path}/homeport.db"
    if request.param == "memory":
        return "sqlite://"
    return str(request.getfixturevalue("postgres_url"))


@pytest.fixture
async def store(url: str) -> AsyncIterator[Store]:
    opened = await open_store(url)
    await opened.write(make_thing_table)
    yield opened
    await opened.close()
