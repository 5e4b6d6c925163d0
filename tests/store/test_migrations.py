"""The migrations make exactly what the code says, and opening is quick."""

from __future__ import annotations

import asyncio
import importlib
import os
import subprocess
import sys
from pathlib import Path

import pytest
import sqlalchemy as sa
from tools.migrate import differences, load_every_table

from homeport.store import StoreVersionError, metadata, open_memory_store, open_store
from homeport.store.migrations import HERE, current, revisions, upgrade
from homeport.store.postgres import _engine
from homeport.store.schema import change
from homeport.store.sqlite import SqliteStore

SAME_PATH = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}


def test_versions_are_one_unbroken_line() -> None:
    found = revisions()
    assert found == tuple(f"{n:04}" for n in range(1, len(found) + 1))
    for before, after in zip((None, *found), found, strict=False):
        (path,) = (HERE / "versions").glob(f"{after}_*.py")
        module = importlib.import_module(f"homeport.store.migrations.versions.{path.stem}")
        assert (module.revision, module.down_revision) == (after, before)


@pytest.fixture(autouse=True)
def _every_table() -> None:
    load_every_table()


async def test_migrating_makes_exactly_the_tables_of_the_code_on_sqlite(tmp_path: Path) -> None:
    store = SqliteStore(tmp_path / "homeport.db")
    store.prepare(upgrade)
    assert differences(store._writer.connection) == []
    await store.close()


@pytest.mark.postgres
async def test_migrating_makes_exactly_the_tables_of_the_code_on_postgresql(postgres_url: str) -> None:
    store = await open_store(postgres_url)
    engine = _engine(postgres_url)
    async with engine.connect() as connection:
        assert await connection.run_sync(differences) == []
    await engine.dispose()
    await store.close()


async def test_the_comparison_sees_a_table_that_no_migration_makes(tmp_path: Path) -> None:
    """Test of the test."""
    store = SqliteStore(tmp_path / "homeport.db")
    store.prepare(upgrade)
    extra = sa.Table("forgotten", metadata, sa.Column("id", sa.Integer, primary_key=True))
    try:
        assert differences(store._writer.connection) != []
    finally:
        metadata.remove(extra)
        await store.close()


async def test_a_store_in_memory_has_the_same_tables() -> None:
    store = open_memory_store()
    assert differences(store._writer.connection) == []
    await store.close()


async def test_opening_again_changes_nothing(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/homeport.db"
    for _ in range(2):
        store = await open_store(url)
        rows = await store.read(lambda tx: tx.execute(sa.select(change.c.key)).scalars().all())
        assert rows == ["origin"]
        assert await store.read(lambda tx: current(tx._connection)) == revisions()[-1]  # type: ignore[arg-type]
        await store.close()


async def test_a_database_of_a_newer_homeport_is_refused_untouched(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/homeport.db"
    store = await open_store(url)
    await store.write(
        lambda tx: tx.execute(sa.text("UPDATE alembic_version SET version_num = '9999'")) and None
    )
    await store.close()
    with pytest.raises(StoreVersionError, match="9999"):
        await open_store(url)
    with pytest.raises(StoreVersionError):  # the first refusal let go of the file
        await open_store(url)


async def test_a_migration_that_fails_leaves_nothing_behind(tmp_path: Path) -> None:
    def half(connection: sa.Connection) -> None:
        connection.execute(sa.text("CREATE TABLE half (id INTEGER)"))
        raise LookupError

    store = SqliteStore(tmp_path / "homeport.db")
    with pytest.raises(LookupError):
        store.prepare(half)
    assert not sa.inspect(store._writer.connection).has_table("half")
    store.prepare(upgrade)
    await store.close()


@pytest.mark.parametrize("url", ["mysql://x", "homeport.db", "sqlite:relative.db"])
async def test_other_urls_are_refused(url: str) -> None:
    with pytest.raises(ValueError, match="not a store URL"):
        await open_store(url)


async def test_a_missing_folder_is_made(tmp_path: Path) -> None:
    store = await open_store(f"sqlite:///{tmp_path}/a/b/homeport.db")
    await store.close()
    assert (tmp_path / "a/b/homeport.db").exists()


@pytest.mark.slow
def test_opening_an_existing_database_imports_neither_alembic_nor_asyncpg(tmp_path: Path) -> None:
    """They take longer to import than the database takes to open."""
    url = f"sqlite:///{tmp_path}/homeport.db"

    async def make() -> None:
        await (await open_store(url)).close()

    asyncio.run(make())
    program = (
        "import asyncio, sys\n"
        "from homeport.store import open_store\n"
        "async def main():\n"
        f"    await (await open_store({url!r})).close()\n"
        "asyncio.run(main())\n"
        "print(*(name for name in ('alembic', 'asyncpg', 'mako') if name in sys.modules))\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True, env=SAME_PATH
    )
    assert done.stdout.strip() == ""
