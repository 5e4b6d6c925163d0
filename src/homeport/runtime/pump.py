"""From news to work: changes become keys in work queues."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from homeport.core.log import get_logger
from homeport.runtime.changes import Batch, Change, Subscription
from homeport.runtime.queue import WorkQueue

log = get_logger(__name__)

RESYNC_SECONDS = 600.0


def same_key(change: Change) -> tuple[str, ...]:
    """For kinds whose key is the controller's key."""
    return (change.key,)


@dataclass(frozen=True, slots=True, kw_only=True)
class Route:
    """Sends the changes of `kinds` to `queue`.

    `keys_of` names the controller's keys that a change concerns; `list_keys`
    names all of them, for the times when news may have been missed.
    """

    kinds: frozenset[str]
    queue: WorkQueue[Any]
    list_keys: Callable[[], Awaitable[Iterable[Any]]]
    keys_of: Callable[[Change], Iterable[Any]] = same_key


class FeedPump:
    """Drains one subscription into the routes' queues until cancelled.

    All keys are listed when the subscription says so and, should a bug ever
    lose news, every `resync_seconds` regardless. It raises when listing fails:
    its supervisor starts it again, which begins with listing.
    """

    def __init__(
        self,
        subscribe: Callable[[frozenset[str]], Subscription],
        routes: Sequence[Route],
        *,
        resync_seconds: float = RESYNC_SECONDS,
    ) -> None:
        self._subscribe = subscribe
        self._routes = tuple(routes)
        self._resync_seconds = resync_seconds
        self._by_kind: dict[str, tuple[Route, ...]] = {
            kind: tuple(route for route in self._routes if kind in route.kinds)
            for kind in {kind for route in self._routes for kind in route.kinds}
        }

    async def run(self) -> None:
        """Pump until cancelled or until the subscription ends."""
        async with asyncio.TaskGroup() as group:
            slow = group.create_task(self._resync_slowly(), name="feed-resync")
            async for batch in self._subscribe(frozenset(self._by_kind)):
                await self._deliver(batch)
            slow.cancel()

    async def _deliver(self, batch: Batch) -> None:
        if batch.resync:
            await self._resync()
        for change in batch.changes:
            for route in self._by_kind.get(change.kind, ()):
                for key in route.keys_of(change):
                    route.queue.add(key)

    async def _resync(self) -> None:
        for route in self._routes:
            for key in await route.list_keys():
                route.queue.add(key)
        log.debug("feed.resynced", kinds=sorted(self._by_kind))

    async def _resync_slowly(self) -> None:
        while True:
            await asyncio.sleep(self._resync_seconds)
            await self._resync()
