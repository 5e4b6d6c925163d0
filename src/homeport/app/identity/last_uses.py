"""When access keys and roles were last used: noted on every request, written together now and then."""

from __future__ import annotations

import asyncio

from homeport.core.call import Call
from homeport.core.clock import Clock
from homeport.core.errors import UnavailableError
from homeport.core.log import get_logger
from homeport.services.iam.manifest import LastUse, LastUseRepo
from homeport.store.base import Store

log = get_logger("last-uses")

WRITE_AFTER_SECONDS = 60.0
"""How long a use may be known here only. AWS promises a few hours."""


class LastUses:
    """Collects uses in memory. What was noted since the last writing is lost with the process."""

    def __init__(self, store: Store, clock: Clock) -> None:
        self._store = store
        self._clock = clock
        self._noted: dict[str, LastUse] = {}
        self._some = asyncio.Event()

    def note(self, call: Call) -> None:
        """A request was proven: by a long-term key, or by a session of a role."""
        user_id, _, session = call.principal.user_id.partition(":")
        key = user_id if session else call.access_key_id
        if session or key.startswith("AKIA"):
            self._noted[key] = LastUse(at=self._clock.now(), region=call.region, service=call.service)
            self._some.set()

    async def write(self) -> None:
        """Write what was noted."""
        noted, self._noted = self._noted, {}
        self._some.clear()
        if noted:
            await self._store.write(lambda tx: LastUseRepo(tx).record(noted))

    async def run(self) -> None:
        """Write a while after something was noted; until cancelled."""
        while True:
            await self._some.wait()
            await asyncio.sleep(WRITE_AFTER_SECONDS)
            try:
                await self.write()
            except UnavailableError as reason:
                log.warning("last_uses.lost", reason=str(reason))
