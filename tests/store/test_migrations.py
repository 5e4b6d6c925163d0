"""The migrations make exactly what the code says, and opening is quick."""

from __future__ import annotations

import asyncio
import importlib
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import sqlalchemy as sa
from tools.migrate import differences, load_every_table

from homeport.services.iam.manifest import AttachmentRepo, EntityRepo, KeyRepo, User, policies_of_user
from homeport.store import StoreVersionError, metadata, open_memory_store, open_store
from homeport.store.migrations import HERE, config, current, revisions, upgrade
from homeport.store.postgres import _engine
from homeport.store.schema import change
from homeport.store.sqlite import SqliteStore
from tests.kit import postgres

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


def _rows(connection: sa.Connection) -> dict[str, list[dict[str, object]]]:
    """Every row of every table, by table."""
    found = sa.MetaData()
    found.reflect(connection)
    return {
        table.name: [dict(row) for row in connection.execute(sa.select(table)).mappings()]
        for table in found.sorted_tables
        if table.name != "alembic_version"
    }


MOVED = {
    "iam_user": {
        "account_id": "000000000000",
        "body": '{"account_id":"000000000000","name":"Ann","user_id":"AIDA1",'
        '"created_at":"2026-01-01T00:00:00Z","policies":["arn:aws:iam::aws:policy/AdministratorAccess"]}',
    }
}
"""Tables whose rows a later version moved elsewhere, with what it must be able to read of them."""


def _fill(connection: sa.Connection) -> None:
    """Two rows in every table, as its own columns allow."""
    found = sa.MetaData()
    found.reflect(connection)
    for table in found.sorted_tables:
        if table.name == "alembic_version":
            continue
        for number in (7, 8):
            row = {c.name: _sample(c, number) for c in table.columns}
            connection.execute(table.insert(), {**row, **MOVED.get(table.name, {})})


def _sample(column: sa.Column[object], number: int) -> object:
    kinds: dict[type, object] = {
        bool: True,
        int: number,
        float: number + 0.5,
        bytes: bytes([number]) * 16,
        str: f"{number}",
    }
    return kinds[column.type.python_type]


def _upgraded_to(revision: str) -> Callable[[sa.Connection], None]:
    def work(connection: sa.Connection) -> None:
        from alembic import command

        command.upgrade(config(connection), revision)

    return work


FORGOTTEN = {"sts_session"}
"""What an upgrade leaves out on purpose: sessions did not tell when they were issued (0011)."""


def _kept(before: dict[str, list[dict[str, object]]], after: dict[str, list[dict[str, object]]]) -> None:
    for name, rows in before.items():
        if name in MOVED or name in FORGOTTEN:
            continue
        told = [{column: row[column] for column in rows[0]} for row in after[name]]
        assert all(row in told for row in rows), name


@pytest.mark.parametrize("revision", revisions())
async def test_an_upgrade_from_any_version_keeps_every_row_on_sqlite(tmp_path: Path, revision: str) -> None:
    def old(connection: sa.Connection) -> None:
        _upgraded_to(revision)(connection)
        _fill(connection)

    first = SqliteStore(tmp_path / "homeport.db")
    first.prepare(old)
    before = _rows(first._writer.connection)
    await first.close()
    assert all(before.values())
    second = SqliteStore(tmp_path / "homeport.db")
    second.prepare(upgrade)
    _kept(before, _rows(second._writer.connection))
    assert differences(second._writer.connection) == []
    await second.write(lambda tx: tx.touch("thing", "a"))
    await second.close()


@pytest.mark.postgres
@pytest.mark.parametrize("revision", revisions())
async def test_an_upgrade_from_any_version_keeps_every_row_on_postgresql(
    postgres_cluster: str, revision: str
) -> None:
    url = await postgres.create_database(postgres_cluster, f"from{revision}")
    engine = _engine(url)
    async with engine.begin() as connection:
        await connection.run_sync(_upgraded_to(revision))
        await connection.run_sync(_fill)
        before = await connection.run_sync(_rows)
    # Two replicas of the newer program come up at the same time.
    stores = await asyncio.gather(open_store(url), open_store(url))
    async with engine.connect() as connection:
        _kept(before, await connection.run_sync(_rows))
        assert await connection.run_sync(differences) == []
    await engine.dispose()
    for store in stores:
        await store.write(lambda tx: tx.touch("thing", "a"))
        await store.close()


def _two_users(connection: sa.Connection) -> None:
    _upgraded_to("0006")(connection)
    for number, name in ((4, "Ann"), (9, "ann")):
        body = MOVED["iam_user"]["body"].replace("Ann", name).replace("AIDA1", f"AIDA{number}")
        values = {"id": number, "version": 3, "account_id": "000000000000", "name": name, "body": body}
        connection.execute(
            sa.text("INSERT INTO iam_user VALUES (:id, :version, :account_id, :name, :body)"), values
        )
        key = {
            "id": f"AKIA{number}", "account": "000000000000", "user": name,
            "body": f'{{"access_key_id":"AKIA{number}","secret_access_key":"s","account_id":"000000000000",'
            f'"user_name":"{name}","created_at":"2026-01-01T00:00:00Z"}}',
        }  # fmt: skip
        connection.execute(sa.text("INSERT INTO iam_access_key VALUES (:id, :account, :user, :body)"), key)


@pytest.fixture(params=["sqlite", pytest.param("postgresql", marks=pytest.mark.postgres)])
async def with_two_users(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    if request.param == "sqlite":
        first = SqliteStore(tmp_path / "homeport.db")
        first.prepare(_two_users)
        await first.close()
        return f"sqlite:///{tmp_path}/homeport.db"
    url = await postgres.create_database(request.getfixturevalue("postgres_cluster"), "twousers")
    engine = _engine(url)
    async with engine.begin() as connection:
        await connection.run_sync(_two_users)
    await engine.dispose()
    return url


async def test_users_keep_their_policies_and_keys_where_entities_are(with_two_users: str) -> None:
    """Their names differed by case alone, which was possible then."""
    store = await open_store(with_two_users)
    ann = await store.read(lambda tx: policies_of_user(tx, "000000000000", "ANN"))
    assert ann is not None
    assert (ann.principal.name, ann.principal.unique_id) == ("Ann", "AIDA4")
    assert await store.read(lambda tx: AttachmentRepo(tx).arns(4)) == (
        "arn:aws:iam::aws:policy/AdministratorAccess",
    )
    other = await store.read(lambda tx: EntityRepo(tx).find(User, "000000000000", "ann-9"))
    assert other is not None
    assert other.arn == "arn:aws:iam::000000000000:user/ann-9"
    (key,) = await store.read(lambda tx: KeyRepo(tx).of("000000000000", "ann-9"))
    assert (key.access_key_id, key.user_name) == ("AKIA9", "ann-9")
    fresh = User(account_id="000000000000", name="new", unique_id="AIDA10", created_at=other.created_at)
    assert (await store.write(lambda tx: EntityRepo(tx).add(fresh))).id > other.id
    await store.close()


@pytest.mark.postgres
async def test_a_newer_database_is_refused_untouched_on_postgresql(postgres_url: str) -> None:
    store = await open_store(postgres_url)
    await store.write(
        lambda tx: tx.execute(sa.text("UPDATE alembic_version SET version_num = '9999'")) and None
    )
    await store.close()
    for _ in range(2):
        with pytest.raises(StoreVersionError, match="9999") as caught:
            await open_store(postgres_url)
        assert "Upgrade Homeport" in caught.value.remedy


@pytest.mark.slow
def test_of_two_processes_that_upgrade_one_database_at_once_one_gets_it(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/homeport.db"

    async def old() -> None:
        store = SqliteStore(tmp_path / "homeport.db")
        store.prepare(_upgraded_to("0001"))
        await store.close()

    asyncio.run(old())
    program = (
        "import asyncio, sys\n"
        "from homeport.store import StoreInUseError, open_store\n"
        "async def main():\n"
        "    try:\n"
        f"        store = await open_store({url!r})\n"
        "    except StoreInUseError as error:\n"
        "        return print('refused', bool(error.remedy), flush=True)\n"
        "    print('opened', flush=True)\n"
        "    sys.stdin.read()\n"  # keeps it open until the other has tried
        "    await store.close()\n"
        "asyncio.run(main())\n"
    )
    both = [
        subprocess.Popen(
            [sys.executable, "-c", program],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env=SAME_PATH,
        )
        for _ in range(2)
    ]
    said = sorted(process.stdout.readline().strip() for process in both if process.stdout)
    for process in both:
        process.communicate()
        assert process.returncode == 0
    assert said == ["opened", "refused True"]
