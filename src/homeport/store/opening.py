"""Opening a store by its URL."""

from __future__ import annotations

from pathlib import Path

from homeport.store.base import Store
from homeport.store.migrations import upgrade
from homeport.store.schema import metadata
from homeport.store.sqlite import SqliteStore


async def open_store(url: str) -> Store:
    """Open the store at `url` and bring its schema up to date.

    `sqlite:///relative.db`, `sqlite:////absolute.db`, `sqlite://` (in memory),
    or `postgresql://user:password@host1:5432,host2:5432/database`.
    """
    if url == "sqlite://":
        return open_memory_store()
    if url.startswith("sqlite:///"):
        path = Path(url.removeprefix("sqlite:///"))
        _make_private(path)
        store = SqliteStore(path)
        try:
            store.prepare(upgrade)
        except BaseException:
            await store.close()
            raise
        return store
    if url.startswith(("postgresql://", "postgres://")):
        # Imported here: an embedded server should not load asyncpg.
        from homeport.store.postgres import PostgresStore

        shared = PostgresStore(url)
        try:
            await shared.prepare(upgrade)
        except BaseException:
            await shared.close()
            raise
        return shared
    raise ValueError(f"not a store URL: {url.partition('://')[0]}://...")


def open_memory_store() -> SqliteStore:
    """A store in memory, without threads, for tests and the simulator.

    It has every table that is defined by now; a test proves that migrating
    makes the same ones.
    """
    store = SqliteStore(None)
    store.prepare(metadata.create_all)
    return store


def _make_private(path: Path) -> None:
    """Make the file before SQLite does: it holds secrets. SQLite's other files take its mode."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.touch(mode=0o600)
    if path.stat().st_mode & 0o077:  # restored from a backup, perhaps
        path.chmod(0o600)
