"""ECS's events for whoever follows: level-triggered, in order, at least once.

News only says that there may be documents; they are read from the outbox after a position. A consumer with a
name has its position kept and goes on there after a restart. A `gap` says that it was away for too long.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

from homeport.services.ecs.repo.events import EventPage, EventPosition, EventRepo
from homeport.store.base import Store
from homeport.store.tx import Tx

KINDS = frozenset({"ecs.task", "ecs.instance", "ecs.service"})
"""Whatever writes to the outbox touches one of these."""
PAGE = 200


@dataclass(frozen=True, slots=True, kw_only=True)
class Delivery:
    """Documents for a consumer. `gap`: some before them were forgotten before it came."""

    documents: tuple[dict[str, Any], ...]
    gap: bool = False


class EventBus:
    """Reads the outbox for consumers of this process."""

    def __init__(self, store: Store) -> None:
        self._store = store

    async def newest(self, account_id: str, region: str, count: int) -> EventPage:
        """The last documents of an account and region."""
        return await self._store.read(lambda tx: EventRepo(tx).newest(account_id, region, count))

    async def after(
        self, account_id: str, region: str, position: EventPosition, *, limit: int, wait_seconds: float
    ) -> EventPage:
        """Documents of an account and region after a position; waits so long for the first of them."""

        async def look(start: EventPosition) -> EventPage:
            return await self._store.read(lambda tx: _read_on(tx, start, limit, account_id, region))

        news = self._store.feed.subscribe(KINDS)
        await anext(news, None)  # what is committed from here on is news
        page = await look(position)
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(wait_seconds):
                while not (page.documents or page.gap) and await anext(news, None) is not None:
                    page = await look(page.end)
        return page

    async def deliver(self, consumer: str, take: Callable[[Delivery], Awaitable[None]]) -> None:
        """Hand a consumer every document after the last that it took, until cancelled.

        A new consumer begins with what comes after now. What `take` raises ends this; the same
        documents come again then.
        """
        position = await self._begin(consumer)
        async for _ in self._store.feed.subscribe(KINDS):
            while (page := await self._page(position)).end != position or page.gap:
                if page.documents or page.gap:
                    await take(Delivery(documents=page.documents, gap=page.gap))
                position = await self._kept(consumer, page.end if page.end != position else None)

    async def _page(self, position: EventPosition) -> EventPage:
        return await self._store.read(lambda tx: EventRepo(tx).after(position, PAGE))

    async def _kept(self, consumer: str, position: EventPosition | None) -> EventPosition:
        """Keep how far the consumer has come; `None`: the end of everything."""

        def work(tx: Tx) -> EventPosition:
            repo = EventRepo(tx)
            reached = repo.end() if position is None else position
            repo.keep_position(consumer, reached)
            return reached

        return await self._store.write(work)

    async def _begin(self, consumer: str) -> EventPosition:
        known = await self._store.read(lambda tx: EventRepo(tx).position_of(consumer))
        return known if known is not None else await self._kept(consumer, None)


def _read_on(tx: Tx, start: EventPosition, limit: int, account_id: str, region: str) -> EventPage:
    """The first page that has something for this account and region."""
    while True:
        page = EventRepo(tx).after(start, limit, account_id=account_id, region=region)
        if page.documents or page.gap or page.end == start:
            return page
        start = page.end
