"""The change feed: which keys were written, for everybody who derives something from them.

Every commit writes the keys it touched to the table `change` in the same
transaction; subscribers read the table from where they are. They are woken
(by an event in the process, by NOTIFY between processes) and never rely on it.

Order, and why nothing is skipped. On SQLite there is one writer, which numbers
the rows. On PostgreSQL a sequence hands out numbers *before* commit, so a
reader of "seq > last" misses a row whose transaction commits late. Each row
therefore carries its transaction's id, rows are read in (xid, seq) order, and
only those *settled*: below `pg_snapshot_xmin(pg_current_snapshot())`, under
which no transaction runs any more and none will ever begin. Writers never queue.

Old rows are trimmed. A reader asks for the row it read last as well: if that is
gone it may have missed others, and all its subscribers resync.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable
from typing import NamedTuple, Self

from sqlalchemy import bindparam, delete, func, insert, literal_column, select, text, tuple_
from sqlalchemy import types as sa_types

from homeport.runtime.changes import Batch, Change
from homeport.store.prepared import Prepared
from homeport.store.schema import change
from homeport.store.tx import Tx

PAGE_ROWS = 2_000
BATCH_ROWS = 1_000
MEMORY_ROWS = 50_000
KEEP_ROWS = 100_000
TRIM_ROWS = 5_000
UNSETTLED_FIRST_SECONDS = 0.002
UNSETTLED_CEILING_SECONDS = 0.1

ORIGIN = Change("store", "origin")
"""A first row, so that every position is a row that exists."""


class Position(NamedTuple):
    """A row of the feed."""

    xid: int
    seq: int


class Page(NamedTuple):
    """Settled rows after a position; `unsettled`: there are some that a reader may not take yet."""

    changes: list[Change]
    end: Position
    unsettled: bool = False
    gap: bool = False


class _Row(NamedTuple):
    xid: int
    seq: int
    kind: str
    key: str
    settled: bool


_SETTLED = "xid < pg_snapshot_xmin(pg_current_snapshot())::text::bigint"
_COLUMNS = (change.c.xid, change.c.seq, change.c.kind, change.c.key)
_READ = {
    "sqlite": Prepared(
        select(*_COLUMNS, literal_column("1").label("settled"))
        .where(change.c.xid == bindparam("after_xid"), change.c.seq >= bindparam("after_seq"))
        .order_by(change.c.seq)
        .limit(bindparam("rows"))
    ),
    "postgresql": Prepared(
        select(*_COLUMNS, literal_column(_SETTLED).label("settled"))
        .where(
            tuple_(change.c.xid, change.c.seq)
            >= tuple_(
                bindparam("after_xid", type_=change.c.xid.type),
                bindparam("after_seq", type_=change.c.seq.type),
            )
        )
        .order_by(change.c.xid, change.c.seq)
        .limit(bindparam("rows"))
    ),
}
_LAST = {
    "sqlite": text("SELECT xid, seq FROM change ORDER BY xid DESC, seq DESC LIMIT 1"),
    "postgresql": text(
        f"SELECT xid, seq FROM change WHERE {_SETTLED} ORDER BY xid DESC, seq DESC LIMIT 1"  # noqa: S608
    ),
}
# Two subqueries, because SQLite looks at every row to find a minimum and a maximum at once.
_ENDS = select(
    select(func.min(change.c.seq)).where(change.c.xid == 0).scalar_subquery().label("first"),
    select(func.max(change.c.seq)).where(change.c.xid == 0).scalar_subquery().label("last"),
)
APPEND_NUMBERED = "INSERT INTO change (xid, seq, kind, key) VALUES (0, ?, ?, ?)"
"""SQLite's one writer hands out the numbers itself, and runs this for a whole group of writes."""
_APPEND = text(
    "INSERT INTO change (xid, kind, key)"
    " SELECT pg_current_xact_id()::text::bigint, t.kind, t.key"
    " FROM unnest(:kinds, :keys) WITH ORDINALITY AS t(kind, key, n) ORDER BY t.n"
).bindparams(
    bindparam("kinds", type_=sa_types.ARRAY(sa_types.Text)),
    bindparam("keys", type_=sa_types.ARRAY(sa_types.Text)),
)


def append(tx: Tx, touched: dict[tuple[str, str], None]) -> None:
    """Write the touched keys under this PostgreSQL transaction's id."""
    tx.execute(_APPEND, {"kinds": [kind for kind, _ in touched], "keys": [key for _, key in touched]})


def ensure_origin(tx: Tx) -> None:
    """Give an empty feed its first row."""
    if tx.execute(select(change.c.seq).limit(1)).first() is None:
        row = {"xid": 0, "seq": 1, "kind": ORIGIN.kind, "key": ORIGIN.key}
        tx.execute(insert(change), row)


def last_position(tx: Tx) -> Position:
    """The newest settled row; before everything when there is none yet."""
    row = tx.execute(_LAST[tx.dialect]).first()
    return Position(0, 0) if row is None else Position(row.xid, row.seq)


def read_page(tx: Tx, after: Position, rows: int = PAGE_ROWS) -> Page:
    """The settled rows after `after`, at most `rows`."""
    statement = _READ[tx.dialect]
    params = {"after_xid": after.xid, "after_seq": after.seq, "rows": rows + 1}
    found = [_Row._make(row) for row in tx.rows(statement, params)]
    settled = [row for row in found if row.settled]
    unsettled = len(settled) < len(found)
    if after == Position(0, 0):
        fresh = settled
    elif settled and Position(settled[0].xid, settled[0].seq) == after:
        fresh = settled[1:]
    else:
        return Page([], after, gap=True)
    end = Position(fresh[-1].xid, fresh[-1].seq) if fresh else after
    return Page([Change(row.kind, row.key) for row in fresh], end, unsettled)


def trim(tx: Tx, *, keep_rows: int = KEEP_ROWS, rows: int = TRIM_ROWS) -> int:
    """Delete up to `rows` of the oldest rows beyond the newest `keep_rows`; return how many.

    Several replicas may trim at once: on PostgreSQL they pass over each other's rows.
    """
    keep_rows = max(keep_rows, 1)  # the newest row marks everybody's position
    if tx.dialect == "sqlite":  # one writer numbers without holes, so nothing need be counted
        ends = tx.execute(_ENDS).one()
        surplus = min(ends.last - ends.first + 1 - keep_rows, rows)
        if surplus <= 0:
            return 0
        statement = delete(change).where(change.c.xid == 0, change.c.seq < ends.first + surplus)
        return tx.execute(statement).rowcount
    count = tx.execute(select(func.count()).select_from(change)).scalar_one()
    surplus = min(count - keep_rows, rows)
    if surplus <= 0:
        return 0
    oldest = select(change.c.xid, change.c.seq).order_by(change.c.xid, change.c.seq).limit(surplus)
    gone = oldest.with_for_update(skip_locked=True).cte("gone")
    return tx.execute(delete(change).where(change.c.xid == gone.c.xid, change.c.seq == gone.c.seq)).rowcount


class FeedSource:
    """How a feed reads its table; each store makes one."""

    def __init__(
        self,
        *,
        last: Callable[[], Awaitable[Position]],
        page: Callable[[Position], Awaitable[Page]],
        poll_seconds: float | None,
    ) -> None:
        self.last = last
        self.page = page
        self.poll_seconds = poll_seconds


class Feed:
    """One process's view of the change feed, shared by its subscribers.

    Whoever needs news first reads the table for all; what was read is kept for
    the others, up to `memory_rows`. Belongs to one event loop.
    """

    def __init__(self, source: FeedSource, *, memory_rows: int = MEMORY_ROWS) -> None:
        self._source = source
        self._memory_rows = memory_rows
        self._rows: deque[Change] = deque()
        self._first = 0
        """The number, counted by this process, of the first row in memory."""
        self._position: Position | None = None
        self._reading = asyncio.Lock()
        self._signals = 0
        self._seen_signals = -1
        self._unsettled_reads = 0
        self._reads = 0
        self._waiters: dict[asyncio.Future[None], frozenset[str] | None] = {}
        """Who waits for news, and of which kinds."""
        self._closed = False

    def subscribe(self, kinds: frozenset[str] | None = None) -> FeedSubscription:
        """A stream of the changes of `kinds`, or of all; it begins with a resync."""
        return FeedSubscription(self, kinds)

    def wake(self) -> None:
        """There may be news. Call it on the feed's event loop."""
        self._signals += 1
        self._wake(None)

    def _wake(self, kinds: set[str] | None) -> None:
        """Wake those who wait for one of `kinds`; `None`: everybody."""
        for waiter, wanted in list(self._waiters.items()):
            if kinds is None or wanted is None or not wanted.isdisjoint(kinds):
                del self._waiters[waiter]
                if not waiter.done():
                    waiter.set_result(None)

    def offer(self, first: Position, changes: list[Change]) -> None:
        """These rows, from `first` on, were just committed: nobody needs to read them.

        Taken only when they follow at once on what is known; else they are read like all news.
        """
        known, follows = self._position, first._replace(seq=first.seq - 1)
        caught_up = self._seen_signals == self._signals
        if known == follows and caught_up and not self._reading.locked():
            self._take(changes, first._replace(seq=first.seq + len(changes) - 1))
            self._wake({change.kind for change in changes})
        else:
            self.wake()

    def close(self) -> None:
        """End every subscription."""
        self._closed = True
        self.wake()

    @property
    def closed(self) -> bool:
        """Whether the store is closed."""
        return self._closed

    @property
    def end(self) -> int:
        """The number of the next row to come."""
        return self._first + len(self._rows)

    @property
    def is_read(self) -> bool:
        """Whether all news that this process was told of is in memory."""
        return self._seen_signals == self._signals and not self._reading.locked()

    async def start(self) -> int:
        """Where a new or resyncing subscriber begins: what is committed later comes after it."""
        async with self._reading:
            if self._position is None:
                self._position = await self._source.last()
        return self.end

    def taken(self, start: int) -> list[Change] | None:
        """Up to `BATCH_ROWS` rows from number `start`; `None` when they are gone from memory."""
        if start < self._first:
            return None
        skip = start - self._first
        return [self._rows[n] for n in range(skip, min(skip + BATCH_ROWS, len(self._rows)))]

    async def more(self, start: int, kinds: frozenset[str] | None) -> None:
        """Wait until there may be rows of these kinds from number `start`."""
        reads = self._reads
        if self._seen_signals == self._signals:
            await self._wait(self._patience_seconds(), kinds)
        async with self._reading:
            # Someone else may have read for us while we waited.
            if self._reads == reads and self.end == start and not self._closed:
                await self._read()

    def _patience_seconds(self) -> float | None:
        if not self._unsettled_reads:
            return self._source.poll_seconds
        doubled: float = UNSETTLED_FIRST_SECONDS * 2.0 ** (self._unsettled_reads - 1)
        return min(doubled, UNSETTLED_CEILING_SECONDS)

    async def _wait(self, seconds: float | None, kinds: frozenset[str] | None) -> None:
        loop = asyncio.get_running_loop()
        waiter: asyncio.Future[None] = loop.create_future()
        self._waiters[waiter] = kinds
        try:
            if seconds is None:
                await waiter
            else:
                await asyncio.wait((waiter,), timeout=seconds)
        finally:
            self._waiters.pop(waiter, None)

    async def _read(self) -> None:
        signals = self._signals
        self._reads += 1
        if self._position is None:
            self._position = await self._source.last()
        page = await self._source.page(self._position)
        if page.gap:
            self._forget()
            return
        self._take(page.changes, page.end)
        if len(page.changes) < PAGE_ROWS:
            self._seen_signals = signals
        # Once a long-running transaction holds rows back, looking often would not free them.
        self._unsettled_reads = min(self._unsettled_reads + 1, 10) if page.unsettled else 0

    def _take(self, changes: list[Change], end: Position) -> None:
        self._rows.extend(changes)
        self._position = end
        while len(self._rows) > self._memory_rows:
            self._rows.popleft()
            self._first += 1

    def _forget(self) -> None:
        """Rows were trimmed before they were read: all begin anew."""
        self._first = self.end + 1
        self._rows.clear()
        self._position = None


class FeedSubscription:
    """One subscriber's place in the feed. Nothing needs closing; drop it when done."""

    def __init__(self, feed: Feed, kinds: frozenset[str] | None) -> None:
        self._feed = feed
        self._kinds = kinds
        self._next: int | None = None

    def __aiter__(self) -> Self:
        return self

    def is_current(self) -> bool:
        """Whether nothing of its kinds is known to this process and not yet taken here.

        For those who may not act on what they remember while news waits. Never waits itself.
        """
        if self._next is None or not self._feed.is_read:
            return False
        while rows := self._feed.taken(self._next):
            if any(self._kinds is None or row.kind in self._kinds for row in rows):
                return False
            self._next += len(rows)
        return rows is not None

    async def __anext__(self) -> Batch:
        """The next changes. Cancelling it loses nothing."""
        while not self._feed.closed:
            if self._next is None:
                self._next = await self._feed.start()
                return Batch(resync=True)
            rows = self._feed.taken(self._next)
            if rows is None:
                self._next = None
            elif not rows:
                await self._feed.more(self._next, self._kinds)
            else:
                self._next += len(rows)
                wanted = dict.fromkeys(r for r in rows if self._kinds is None or r.kind in self._kinds)
                if wanted:
                    return Batch(tuple(wanted))
        raise StopAsyncIteration
