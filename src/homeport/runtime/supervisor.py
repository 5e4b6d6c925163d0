"""Owns a process's long-running loops: a loop that crashes is started again, and says so."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from enum import StrEnum
from types import TracebackType
from typing import Self

from homeport.core.backoff import Backoff, Dice, no_dice
from homeport.core.log import get_logger

log = get_logger(__name__)

Loop = Callable[[], Awaitable[None]]


class LoopState(StrEnum):
    """What a supervised loop does now."""

    RUNNING = "RUNNING"
    BACKING_OFF = "BACKING_OFF"
    FINISHED = "FINISHED"
    STOPPED = "STOPPED"


@dataclass(frozen=True, slots=True, kw_only=True)
class LoopReport:
    """One loop as it is now. `crashes` counts since the start of the process."""

    name: str
    state: LoopState
    crashes: int
    last_error: str


class Supervisor:
    """`async with Supervisor() as supervisor: supervisor.start("name", loop)`.

    A loop that raises is started again after a pause that grows while it keeps
    crashing and shrinks back once it ran for `steady_seconds`. A loop that
    returns is finished. Leaving the block cancels every loop and waits for it.
    """

    def __init__(
        self,
        *,
        backoff: Backoff | None = None,
        dice: Dice = no_dice,
        steady_seconds: float = 60.0,
    ) -> None:
        self._backoff = backoff or Backoff()
        self._dice = dice
        self._steady_seconds = steady_seconds
        self._group = asyncio.TaskGroup()
        self._tasks: dict[str, asyncio.Task[None]] = {}
        self._reports: dict[str, LoopReport] = {}

    async def __aenter__(self) -> Self:
        await self._group.__aenter__()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        for task in self._tasks.values():
            task.cancel()
        await self._group.__aexit__(kind, error, trace)

    def start(self, name: str, loop: Loop) -> None:
        """Run `loop` from now on. A name is used once at a time."""
        task = self._tasks.get(name)
        if task is not None and not task.done():
            raise ValueError(f"{name} is already running")
        self._reports[name] = LoopReport(name=name, state=LoopState.RUNNING, crashes=0, last_error="")
        self._tasks[name] = self._group.create_task(self._keep(name, loop), name=name)

    async def stop(self, name: str) -> None:
        """Cancel the loop and wait until it is gone. An unknown or ended one is stopped already."""
        task = self._tasks.get(name)
        if task is not None and not task.done():
            task.cancel()
            await asyncio.wait([task])

    def reports(self) -> tuple[LoopReport, ...]:
        """Every loop that was started, by name."""
        return tuple(self._reports[name] for name in sorted(self._reports))

    async def _keep(self, name: str, loop: Loop) -> None:
        clock = asyncio.get_running_loop().time
        crashes = in_a_row = 0
        error = ""
        state = LoopState.STOPPED
        try:
            while True:
                self._report(name, LoopState.RUNNING, crashes, error)
                started = clock()
                try:
                    await loop()
                    state = LoopState.FINISHED
                    return
                except Exception as crash:
                    in_a_row = 1 if clock() - started >= self._steady_seconds else in_a_row + 1
                    crashes += 1
                    error = f"{type(crash).__name__}: {crash}"
                    delay = self._backoff.delay_seconds(in_a_row, self._dice)
                    log.exception("loop.crashed", loop=name, crashes=crashes, restart_in_seconds=delay)
                self._report(name, LoopState.BACKING_OFF, crashes, error)
                await asyncio.sleep(delay)
        finally:
            self._report(name, state, crashes, error)

    def _report(self, name: str, state: LoopState, crashes: int, error: str) -> None:
        self._reports[name] = LoopReport(name=name, state=state, crashes=crashes, last_error=error)
