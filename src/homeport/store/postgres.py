"""The shared store: PostgreSQL through asyncpg, for any number of replicas.

Writes are SERIALIZABLE, so a transaction function may look and then act as on
SQLite with its one writer; a conflict runs it again. NOTIFY is sent *after* a
commit, from a connection of its own: inside the transaction it would take a
lock that makes all commits of the database queue. It may get lost; readers poll.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from typing import Any, TypeVar

import asyncpg
import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine

from homeport.core.backoff import Backoff
from homeport.core.errors import StaleWriteError
from homeport.core.log import get_logger
from homeport.store import feed as feed_table
from homeport.store.errors import StoreAwayError, StoreClosedError
from homeport.store.feed import Feed, FeedSource, Page, Position
from homeport.store.postgres_errors import DUPLICATE, explained, is_stranded, may_run_again, sqlstate
from homeport.store.tx import Tx

log = get_logger(__name__)

T = TypeVar("T")

CHANNEL = "homeport_change"
CONNECTIONS = 16
TRIES = 20
POLL_SECONDS = 1.0
TRIM_SECONDS = 30.0
COMMAND_TIMEOUT_SECONDS = 60.0
"""A host that vanished without a word must not hold a request for ever."""
MIGRATION_LOCK = 0x686F6D65  # any number, the same for all replicas
SETTINGS = {
    "application_name": "homeport",
    # A replica that hangs inside a transaction would hold back everybody's feed.
    "idle_in_transaction_session_timeout": "60s",
    "jit": "off",
}


def _engine(url: str) -> AsyncEngine:
    """`url` goes to asyncpg as it is, several hosts and all; of several, the primary is used."""
    hosts = url.partition("://")[2].partition("/")[0].rpartition("@")[2]
    target = {} if "target_session_attrs" in url or "," not in hosts else {"target_session_attrs": "primary"}

    async def connect() -> Any:
        return await asyncpg.connect(
            url, server_settings=SETTINGS, command_timeout=COMMAND_TIMEOUT_SECONDS, **target
        )

    return create_async_engine(
        "postgresql+asyncpg://",
        async_creator=connect,
        pool_size=CONNECTIONS,
        max_overflow=0,
        pool_timeout=30,
        pool_use_lifo=True,
    )


class PostgresStore:
    """A store in a PostgreSQL database. Belongs to one event loop; use `open`."""

    def __init__(self, url: str, *, poll_seconds: float = POLL_SECONDS) -> None:
        self._url = url
        self._engine = _engine(url)
        self._for_reading = self._engine.execution_options(
            isolation_level="REPEATABLE READ", postgresql_readonly=True
        )
        self._for_writing = self._engine.execution_options(isolation_level="SERIALIZABLE")
        self._after_conflict = asyncio.Lock()
        self._closed = False
        self._inside = 0
        self._nobody_inside = asyncio.Event()
        self._nobody_inside.set()
        self._news = asyncio.Event()
        self._keeper: asyncio.Task[None] | None = None
        self.feed = Feed(FeedSource(last=self._feed_last, page=self._feed_page, poll_seconds=poll_seconds))

    async def prepare(self, make_schema: Callable[[sa.Connection], None]) -> None:
        """Bring the schema up to date, one replica at a time, and begin to listen."""
        async with self._engine.begin() as connection:
            await connection.execute(sa.text(f"SELECT pg_advisory_xact_lock({MIGRATION_LOCK})"))
            await connection.run_sync(make_schema)
            await connection.run_sync(lambda sync: feed_table.ensure_origin(_tx(sync)))
        # Owned by this store: `close` cancels it and waits for it.
        self._keeper = asyncio.get_running_loop().create_task(self._keep(), name="store-keeper")

    async def read(self, fn: Callable[[Tx], T], *, bulk: bool = False) -> T:
        """Run `fn` on one snapshot."""
        del bulk  # the database does the work either way
        async with self._under_way():
            with _explaining(reading=True):
                try:
                    return await self._read(fn)
                except sa.exc.DBAPIError as error:
                    if not error.connection_invalidated:
                        raise
                return await self._read(fn)

    async def write(self, fn: Callable[[Tx], T], *, bulk: bool = False) -> T:
        """Run `fn` serializably and return once it is committed."""
        del bulk
        async with self._under_way():
            with _explaining():
                return await self._write(fn)

    async def _read(self, fn: Callable[[Tx], T]) -> T:
        async with self._for_reading.connect() as connection:
            return await connection.run_sync(lambda sync: _run(sync, fn, writable=False)[0])

    async def _write(self, fn: Callable[[Tx], T]) -> T:
        try:
            return await self._attempt(fn)
        except sa.exc.DBAPIError as error:
            # Who looked before somebody else's insert and inserts after it will see it the next time.
            if not (may_run_again(error) or sqlstate(error) == DUPLICATE):
                raise
        # Those that lost go one by one: the database lets one of two win, so they all get through.
        async with self._after_conflict:
            backoff = Backoff(first_seconds=0.001, ceiling_seconds=0.1)
            for failures in range(1, TRIES):
                try:
                    return await self._attempt(fn)
                except sa.exc.DBAPIError as error:
                    if not may_run_again(error):
                        raise
                await asyncio.sleep(backoff.delay_seconds(failures))
        raise StaleWriteError(f"{TRIES} serialization conflicts in a row")

    async def close(self) -> None:
        """Refuse what comes, and disconnect once the transactions under way have ended."""
        if self._closed:
            return
        self._closed = True
        self.feed.close()
        if self._keeper is not None:
            self._keeper.cancel()
            with suppress(asyncio.CancelledError):
                await self._keeper
        await self._nobody_inside.wait()
        await self._engine.dispose()

    @asynccontextmanager
    async def _under_way(self) -> AsyncIterator[None]:
        """Let `close` wait for a transaction, whose connection it could not end otherwise."""
        if self._closed:
            raise StoreClosedError
        self._inside += 1
        self._nobody_inside.clear()
        try:
            yield
        finally:
            self._inside -= 1
            if not self._inside:
                self._nobody_inside.set()

    async def _attempt(self, fn: Callable[[Tx], T]) -> T:
        async with self._for_writing.connect() as connection:
            try:
                result, touched = await connection.run_sync(lambda sync: _run(sync, fn, writable=True))
            except sa.exc.DBAPIError as error:
                if is_stranded(error):
                    await connection.invalidate()
                raise
            try:
                await connection.commit()
            except sa.exc.DBAPIError as error:
                # Lost while committing: nobody knows whether it was. It must not be run again.
                if error.connection_invalidated:
                    raise StoreAwayError(
                        "The connection to the database was lost at the last moment: "
                        "the change may have been made or not.",
                        "Ask what is there before repeating it, or repeat it under its client token.",
                    ) from error
                raise
        if touched:
            self.feed.wake()
            self._news.set()
        return result

    async def _keep(self) -> None:
        """Listen for other replicas' commits, tell them of ours, and trim the feed."""
        failures = 0
        backoff = Backoff(ceiling_seconds=10.0)
        while True:
            try:
                async with asyncio.timeout(10):
                    connection = await asyncpg.connect(
                        self._url, server_settings=SETTINGS, command_timeout=10
                    )
                try:
                    await connection.add_listener(CHANNEL, self._heard)
                    connection.add_termination_listener(lambda _: self._news.set())
                    self.feed.wake()
                    failures = 0
                    await self._tell(connection)
                finally:
                    connection.terminate()
            except Exception as error:  # noqa: BLE001 - it is logged and tried again
                failures += 1
                delay = backoff.delay_seconds(failures)
                log.warning("store.listening_failed", error=str(error), retry_in_seconds=delay)
                await asyncio.sleep(delay)

    async def _tell(self, connection: Any) -> None:
        loop = asyncio.get_running_loop()
        trim_at = loop.time() + TRIM_SECONDS
        while not connection.is_closed():
            with suppress(TimeoutError):
                async with asyncio.timeout_at(trim_at):
                    await self._news.wait()
            if self._news.is_set():
                self._news.clear()  # what is committed from here on sends its own
                await connection.execute(f"NOTIFY {CHANNEL}")
            if loop.time() >= trim_at:
                trim_at = loop.time() + TRIM_SECONDS
                await connection.execute("SELECT 1")  # is anybody there?
                while await self.write(feed_table.trim) == feed_table.TRIM_ROWS:
                    pass
        raise ConnectionError("the listening connection was lost")

    def _heard(self, connection: Any, sender: int, *_: object) -> None:
        if sender != connection.get_server_pid():
            self.feed.wake()

    async def _feed_last(self) -> Position:
        return await self.read(feed_table.last_position)

    async def _feed_page(self, after: Position) -> Page:
        return await self.read(lambda tx: feed_table.read_page(tx, after))


def _tx(connection: sa.Connection, *, writable: bool = True) -> Tx:
    return Tx(connection, "postgresql", writable=writable)


def _run(
    connection: sa.Connection, fn: Callable[[Tx], T], *, writable: bool
) -> tuple[T, dict[tuple[str, str], None]]:
    tx = _tx(connection, writable=writable)
    try:
        result = fn(tx)
        if tx.touched:
            feed_table.append(tx, tx.touched)
    finally:
        tx.end()
    return result, tx.touched


@contextmanager
def _explaining(*, reading: bool = False) -> Iterator[None]:
    """Turn the database's errors into ours."""
    try:
        yield
    except Exception as error:
        better = explained(error, reading=reading)
        if better is error:
            raise
        raise better from error
