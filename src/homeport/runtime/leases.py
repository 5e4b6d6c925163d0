"""Holding a lease while there is work to do under it.

The lease only says who *should* work; what makes it safe is its epoch, which
every guarded write may check in its own transaction (`store.leases.check_lease`).
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Protocol

from homeport.core.backoff import Dice, no_dice
from homeport.core.log import get_logger

log = get_logger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class Lease:
    """`holder` may act on `name` until `expires_at`.

    `epoch` grows with every change of hands and never returns: a fencing token.
    """

    name: str
    holder: str
    epoch: int
    expires_at: datetime


class LeaseStore(Protocol):
    """Where leases are kept; `None` means somebody else has it."""

    async def acquire(self, name: str, holder: str, ttl: timedelta) -> Lease | None: ...

    async def renew(self, lease: Lease, ttl: timedelta) -> Lease | None: ...

    async def release(self, lease: Lease) -> None: ...


class LeaseKeeper:
    """Runs `work` whenever, and only while, `holder` has the lease `name`.

    It asks and renews every third of `ttl`. When the lease cannot be renewed
    in time - taken, or the store is away - `work` is cancelled before the
    lease ends by our own clock, then asking starts again. Leaving in order
    gives the lease back, so that the next holder need not wait.
    """

    def __init__(
        self,
        leases: LeaseStore,
        name: str,
        holder: str,
        work: Callable[[Lease], Awaitable[None]],
        *,
        ttl: timedelta = timedelta(seconds=6),
        dice: Dice = no_dice,
    ) -> None:
        self._leases = leases
        self._name = name
        self._holder = holder
        self._work = work
        self._ttl = ttl
        self._step_seconds = ttl.total_seconds() / 3
        self._dice = dice
        self.held: Lease | None = None

    async def run(self) -> None:
        """Take part until cancelled, or until `work` returns."""
        while True:
            asked_at = asyncio.get_running_loop().time()
            lease = await self._leases.acquire(self._name, self._holder, self._ttl)
            if lease is None:
                # Waiters that came together should not ask together for ever.
                await asyncio.sleep(self._step_seconds * (1.0 + 0.2 * self._dice()))
            elif await self._hold(lease, asked_at):
                return

    async def _hold(self, lease: Lease, asked_at: float) -> bool:
        """Whether `work` came to its end while the lease was ours."""
        log.info("lease.acquired", lease=self._name, holder=self._holder, epoch=lease.epoch)
        self.held = lease
        lost = False
        try:
            async with asyncio.TaskGroup() as group:
                work = group.create_task(self._run_work(lease), name=f"lease-{self._name}")
                lost = not await self._renew_while(work, lease, asked_at)
                if lost:
                    work.cancel()
        finally:
            self.held = None
            log.info("lease.ended", lease=self._name, holder=self._holder, epoch=lease.epoch, lost=lost)
            if not lost:
                # The lease ends by itself if giving it back fails.
                with suppress(Exception):
                    await asyncio.shield(self._leases.release(lease))
        return not lost

    async def _run_work(self, lease: Lease) -> None:
        await self._work(lease)

    async def _renew_while(self, work: asyncio.Task[None], lease: Lease, asked_at: float) -> bool:
        """Renew until `work` is done (true) or the lease is lost (false).

        The time to stop counts from *before* the last successful request: the
        store cannot have started the lease's time earlier than that.
        """
        clock = asyncio.get_running_loop().time
        while True:
            stop_at = asked_at + self._ttl.total_seconds() - self._step_seconds / 2
            await asyncio.wait([work], timeout=min(self._step_seconds, max(stop_at - clock(), 0)))
            if work.done():
                return True
            now = clock()
            if now >= stop_at:
                return False
            try:
                async with asyncio.timeout(stop_at - now):
                    renewed = await self._leases.renew(lease, self._ttl)
            except Exception as error:  # noqa: BLE001 - tried again until the time is up
                log.warning("lease.renewal_failed", lease=self._name, error=str(error))
                continue
            if renewed is None:
                return False
            asked_at, lease = now, renewed
            self.held = renewed
