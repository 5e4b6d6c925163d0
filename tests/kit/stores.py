"""Databases for tests: one PostgreSQL for the whole run, a database of it for each test."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from itertools import count
from typing import Any

import pytest

from homeport.store import open_store
from tests.kit import postgres

_numbers = count()


@pytest.fixture(scope="session")
def postgres_cluster() -> Iterator[str]:
    """The server's URL; it has a database `migrated`, to be copied."""
    with postgres.cluster() as base:
        asyncio.run(_make_template(base))
        yield base


async def _make_template(base: str) -> None:
    """Migrating once and copying is quicker than migrating for every test."""
    await (await open_store(await postgres.create_database(base, "migrated"))).close()


async def fresh_database(base: str) -> str:
    """The URL of a database with every table and no row."""
    return await postgres.create_database(base, f"fresh{next(_numbers)}", template="migrated")


@pytest.fixture
async def postgres_url(postgres_cluster: str) -> AsyncIterator[str]:
    """A database of this test alone."""
    url = await fresh_database(postgres_cluster)
    yield url
    await postgres.drop_database(postgres_cluster, url.rpartition("/")[2])


class Counting:
    """A store that counts the transactions that may write."""

    def __init__(self, inner: Any) -> None:
        self._inner = inner
        self.feed = inner.feed
        self.writes = 0

    async def read(self, fn: Any, *, bulk: bool = False) -> Any:
        return await self._inner.read(fn, bulk=bulk)

    async def write(self, fn: Any, *, bulk: bool = False) -> Any:
        self.writes += 1
        return await self._inner.write(fn, bulk=bulk)

    async def close(self) -> None:
        await self._inner.close()
