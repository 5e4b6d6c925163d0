"""Time as an argument.

Everything that needs the time takes a `Clock`; only this module asks the
machine for it.
"""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from typing import Protocol


class Clock(Protocol):
    """Where wall time comes from."""

    def now(self) -> datetime:
        """The current instant, aware, in UTC."""
        ...


class SystemClock:
    """The machine's own clock, for production."""

    def now(self) -> datetime:
        """The current instant, aware, in UTC."""
        return datetime.now(UTC)


class LoopClock:
    """Wall time derived from the running event loop, for virtual-time tests."""

    def __init__(self, epoch: datetime) -> None:
        self._epoch = epoch
        self._start: float | None = None

    def now(self) -> datetime:
        """`epoch` plus what the loop's clock has advanced since the first call."""
        loop_time = asyncio.get_running_loop().time()
        if self._start is None:
            self._start = loop_time
        return self._epoch + timedelta(seconds=loop_time - self._start)


class FixedClock:
    """A clock that shows what it was set to."""

    def __init__(self, instant: datetime) -> None:
        self.instant = instant

    def now(self) -> datetime:
        """The instant that was set."""
        return self.instant
