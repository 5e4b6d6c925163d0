"""Runs a task's steps: at most one per container, waits out an absent engine, lets no error get further."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any

from homeport.core.backoff import Backoff, Dice
from homeport.core.log import get_logger
from homeport.node.model import Step
from homeport.node.ports import DriverError, DriverUnavailableError

log = get_logger("node.task")

AWAY = Backoff(first_seconds=0.2, factor=2.0, ceiling_seconds=5.0)
"""Between looks for an engine that does not answer."""

Work = Callable[[], Coroutine[Any, Any, None]]
Failed = Callable[[str, Step, str], Awaitable[None]]
"""Called with the container, the step and the reason."""


class StepRunner:
    """The steps of one task that are under way."""

    def __init__(self, label: str, *, dice: Dice, failed: Failed, ended: Callable[[], None]) -> None:
        """`label` names the task in the log; `ended` is called after every step."""
        self.busy: dict[str, Step] = {}
        self._label = label
        self._dice = dice
        self._failed = failed
        self._ended = ended
        self._tasks: dict[str, asyncio.Task[None]] = {}
        self._group: asyncio.TaskGroup | None = None

    def enter(self, group: asyncio.TaskGroup) -> None:
        """Steps run in `group`."""
        self._group = group
        self.busy.clear()
        self._tasks.clear()

    def begin(self, name: str, step: Step, work: Work) -> None:
        """Work on a container that nothing works on."""
        self.busy[name] = step
        self._tasks[name] = self.spawn(self._run(name, step, work))

    def spawn(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        """Work beside the containers' steps."""
        if self._group is None:
            raise RuntimeError("the task's owner does not run")
        return self._group.create_task(work)

    def cancel(self, name: str) -> None:
        """Give a step up: its result is not wanted any more."""
        self.busy.pop(name, None)
        if (running := self._tasks.pop(name, None)) is not None:
            running.cancel()

    async def while_away(self, work: Work) -> None:
        """Do it as soon as the engine answers."""
        failures = 0
        while True:
            try:
                return await work()
            except DriverUnavailableError as error:
                failures += 1
                if failures == 1:
                    log.warning("engine.away", task=self._label, error=str(error))
            await asyncio.sleep(AWAY.delay_seconds(failures, self._dice))

    async def _run(self, name: str, step: Step, work: Work) -> None:
        me = asyncio.current_task()
        try:
            await self.while_away(work)
        except DriverError as error:
            await self._failed(name, step, str(error))
        except Exception as error:  # the edge of a step: the container fails, and nothing else
            log.exception("step.failed", task=self._label, container=name, step=step)
            await self._failed(name, step, f"HomeportAgentError: {step}: {error!r}")
        finally:
            if self._tasks.get(name) is me:
                del self._tasks[name]
                self.busy.pop(name, None)
            self._ended()
