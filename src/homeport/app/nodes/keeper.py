"""An agent that fails for a reason that nobody foresaw begins again, as after a crash of its process.

Its journal and its containers are all that it needs for that. Nobody else in the process is to notice:
not the control plane, not the other instances.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

from homeport.core.log import get_logger

log = get_logger("app.nodes")

AGAIN_SECONDS = 5.0

Run = Callable[[asyncio.Event], Awaitable[None]]
"""One life of an agent; it sets the event once it is at work."""


async def keep_running(run: Run, *, final: tuple[type[Exception], ...]) -> None:
    """Until it ends by itself. Raise what is `final`, and whatever keeps it from its first work."""
    at_work = asyncio.Event()
    while True:
        try:
            return await run(at_work)
        except Exception as error:
            if not at_work.is_set() or _is_one_of(error, final):
                raise
            log.exception("node.failed")
        await asyncio.sleep(AGAIN_SECONDS)


def _is_one_of(error: Exception, kinds: tuple[type[Exception], ...]) -> bool:
    if isinstance(error, ExceptionGroup):
        return error.subgroup(kinds) is not None
    return isinstance(error, kinds)


async def pass_on(event: asyncio.Event, other: asyncio.Event) -> None:
    """What is heard of the one is said of the other."""
    await event.wait()
    other.set()
