"""Runs a controller over a work queue; retry and back-off live here and nowhere else."""

from __future__ import annotations

import asyncio
from collections.abc import Hashable
from dataclasses import dataclass
from datetime import datetime
from typing import Generic, Protocol, TypeVar

from homeport.core.backoff import Backoff, Dice, no_dice
from homeport.core.clock import Clock
from homeport.core.errors import StaleWriteError
from homeport.core.log import get_logger
from homeport.runtime.queue import WorkQueue

log = get_logger(__name__)

K = TypeVar("K", bound=Hashable)
K_contra = TypeVar("K_contra", bound=Hashable, contravariant=True)


@dataclass(frozen=True, slots=True, kw_only=True)
class Next:
    """When the key wants to be looked at again if no news comes; `None`: never."""

    wake_at: datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ControllerReport:
    """A controller's work as it is now, in keys. `failing`: those that wait to be tried again."""

    name: str
    waiting: int
    failing: int


class Controller(Protocol[K_contra]):
    """Makes what is desired true, one key at a time.

    `reconcile` reads the state anew, decides, applies; it may be called at any
    time and any number of times. It raises to be called again after a pause.
    """

    @property
    def name(self) -> str: ...

    async def reconcile(self, key: K_contra) -> Next: ...


class Runner(Generic[K]):
    """`workers` loops that hand the queue's keys to `controller`.

    A failing key backs off alone; the others go on. A stale write is retried
    at once up to `stale_tries` times in a row, then it counts as a failure.
    """

    def __init__(
        self,
        controller: Controller[K],
        queue: WorkQueue[K],
        clock: Clock,
        *,
        workers: int = 1,
        backoff: Backoff | None = None,
        dice: Dice = no_dice,
        stale_tries: int = 5,
    ) -> None:
        self._controller = controller
        self._queue = queue
        self._clock = clock
        self._workers = workers
        self._backoff = backoff or Backoff()
        self._dice = dice
        self._stale_tries = stale_tries
        self._failures: dict[K, int] = {}

    async def run(self) -> None:
        """Work until cancelled."""
        async with asyncio.TaskGroup() as group:
            for number in range(self._workers):
                group.create_task(self._work(), name=f"{self._controller.name}-{number}")

    def report(self) -> ControllerReport:
        """What waits here, and what fails."""
        return ControllerReport(
            name=self._controller.name, waiting=len(self._queue), failing=len(self._failures)
        )

    def failures(self, key: K) -> int:
        """How often in a row `key` has failed; 0 after a success."""
        return self._failures.get(key, 0)

    async def _work(self) -> None:
        while True:
            key = await self._queue.get()
            try:
                await self._look_at(key)
            except BaseException:
                # Stopped in the middle (a lease was lost, a loop restarts): whoever goes on begins with it.
                self._queue.add(key)
                raise
            finally:
                self._queue.done(key)

    async def _look_at(self, key: K) -> None:
        try:
            result = await self._reconcile(key)
        except Exception:
            failures = self._failures[key] = self.failures(key) + 1
            delay = self._backoff.delay_seconds(failures, self._dice)
            log.exception(
                "reconcile.failed",
                controller=self._controller.name,
                key=key,
                failures=failures,
                retry_in_seconds=delay,
            )
            self._queue.add_after(key, delay)
            return
        self._failures.pop(key, None)
        if result.wake_at is not None:
            self._queue.add_at(key, result.wake_at, self._clock)

    async def _reconcile(self, key: K) -> Next:
        for _ in range(self._stale_tries - 1):
            try:
                return await self._controller.reconcile(key)
            except StaleWriteError as stale:
                log.debug("reconcile.stale", controller=self._controller.name, key=key, error=str(stale))
        return await self._controller.reconcile(key)
