"""Read again, decide again."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TypeVar

from homeport.core.errors import StaleWriteError

T = TypeVar("T")


async def decide_again(attempt: Callable[[], Awaitable[T]], *, tries: int = 8) -> T:
    """Run `attempt` until it does not meet a stale write, at most `tries` times.

    `attempt` must read its state anew each time. There is no pause: a stale
    write means that somebody else made progress. After the last try the
    `StaleWriteError` is raised.
    """
    for _ in range(tries - 1):
        try:
            return await attempt()
        except StaleWriteError:
            continue
    return await attempt()
