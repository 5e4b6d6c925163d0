"""A work queue of keys: what is queued is queued once, what is in hand is never handed out twice.

After kubernetes' `workqueue`: a key that is added while somebody works on it
is queued again as soon as that work is done, so no news is lost and no two
workers meet on one key.
"""

from __future__ import annotations

import asyncio
from collections.abc import Hashable
from datetime import datetime
from typing import Generic, TypeVar

from homeport.core.clock import Clock

K = TypeVar("K", bound=Hashable)


class WorkQueue(Generic[K]):
    """Keys that want to be looked at. Belongs to one event loop."""

    def __init__(self) -> None:
        self._ready: asyncio.Queue[K] = asyncio.Queue()
        self._queued: set[K] = set()
        self._in_hand: set[K] = set()
        self._added_in_hand: set[K] = set()
        self._timers: dict[K, asyncio.TimerHandle] = {}

    def add(self, key: K) -> None:
        """Have `key` looked at as soon as a worker is free."""
        if key in self._in_hand:
            self._added_in_hand.add(key)
        elif key not in self._queued:
            self._queued.add(key)
            self._ready.put_nowait(key)

    def add_after(self, key: K, delay_seconds: float) -> None:
        """Have `key` looked at once `delay_seconds` have passed.

        Of several delays the earliest counts. All are dropped when the key is
        handed out for any reason: whoever looks at it says anew when to wake.
        """
        if delay_seconds <= 0:
            self.add(key)
            return
        loop = asyncio.get_running_loop()
        due = loop.time() + delay_seconds
        timer = self._timers.get(key)
        if timer is not None:
            if timer.when() <= due:
                return
            timer.cancel()
        self._timers[key] = loop.call_at(due, self._timer_fired, key)

    def add_at(self, key: K, instant: datetime, clock: Clock) -> None:
        """Have `key` looked at at `instant`; at once when that is past."""
        self.add_after(key, (instant - clock.now()).total_seconds())

    async def get(self) -> K:
        """Wait for a key and take it in hand; `done` must follow."""
        key = await self._ready.get()
        self._queued.discard(key)
        self._in_hand.add(key)
        if (timer := self._timers.pop(key, None)) is not None:
            timer.cancel()
        return key

    def done(self, key: K) -> None:
        """Lay `key` down; it is queued again if it was added meanwhile."""
        self._in_hand.remove(key)
        if key in self._added_in_hand:
            self._added_in_hand.remove(key)
            self.add(key)

    @property
    def idle(self) -> bool:
        """Nothing is queued or in hand. Delayed keys do not count."""
        return not (self._queued or self._in_hand)

    def __len__(self) -> int:
        """How many keys wait for a worker now."""
        return len(self._queued)

    def _timer_fired(self, key: K) -> None:
        del self._timers[key]
        self.add(key)
