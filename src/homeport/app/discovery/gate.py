"""In which order the firewall and the proxy learn of the tasks behind doors.

The proxy's packets to a task that the firewall does not know (yet, or any more) are dropped without a word,
and a client waits for a connection that never comes. So the firewall opens first and closes last.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection, Iterable

from homeport.app.discovery.doors import Door, End
from homeport.core.log import get_logger

log = get_logger("connect.gate")
PATIENCE_SECONDS = 2.0
"""How long the proxy waits for the firewall: behind one that does not work it is not better off."""
Way = tuple[str, End]
"""From a door's address to a task."""


def ways_of(doors: Iterable[Door]) -> frozenset[Way]:
    """All that the proxy may connect to."""
    return frozenset((door.address, end) for door in doors for port in door.ports for end in port.endpoints)


class DoorGate:
    """Between the two. Without a firewall nothing waits."""

    def __init__(self) -> None:
        self._used: frozenset[Way] = frozenset()
        self._open: frozenset[Way] | None = None
        self._moved = asyncio.Event()
        self._tell: Callable[[], None] = lambda: None

    def guard(self, tell: Callable[[], None]) -> None:
        """There is a firewall; it is to look again when it is told."""
        self._open, self._tell = self._open or frozenset(), tell

    @property
    def used(self) -> frozenset[Way]:
        """What the proxy may still connect to, whatever the rows say."""
        return self._used

    def opened(self, ways: Collection[Way]) -> None:
        """The firewall lets these through, and no others."""
        self._open = frozenset(ways)
        self._moved.set()
        self._moved = asyncio.Event()

    async def ready(self, ways: frozenset[Way]) -> None:
        """Wait until the proxy may be told of these."""
        self._used |= ways
        try:
            async with asyncio.timeout(PATIENCE_SECONDS):
                while self._open is not None and not ways <= self._open:
                    await self._moved.wait()
        except TimeoutError:
            log.warning("connect.firewall_late", ways=len(ways))

    def settled(self, ways: frozenset[Way]) -> None:
        """The proxy connects to these only."""
        if self._used != ways:
            self._used = ways
            self._tell()
