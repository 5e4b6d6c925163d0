"""Reports go out: per task one at a time and in order, different tasks side by side, no timer on the way.

Which errors are final. Source: recordings of the real agent: an InvalidParameterException discards the
report, everything else is tried until it works. Where the real agent then waits five minutes, or for ever
on a growing delay, a heartbeat of the control plane makes the next attempt due at once.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

from homeport.agentproto.messages import Task
from homeport.core.backoff import Backoff, Dice
from homeport.core.log import get_logger
from homeport.node.api import Api, ApiError, ApiUnreachableError
from homeport.node.report import TaskReport, request_of

log = get_logger("node.reporter")

TRANSIENT = Backoff(first_seconds=0.05, factor=2.0, ceiling_seconds=30.0)
REFUSED = Backoff(first_seconds=1.0, factor=1.3, ceiling_seconds=30.0)
DISCARDING = frozenset({"InvalidParameterException"})

Settled = Callable[[TaskReport], None]
Send = Callable[[TaskReport, Task | None], Awaitable[None]]


def send_with(api: Api, cluster: str) -> Send:
    """Reports as SubmitTaskStateChange."""

    async def send(report: TaskReport, task: Task | None) -> None:
        await api.call("ecs", "SubmitTaskStateChange", request_of(report, task, cluster))

    return send


@dataclass(slots=True)
class _Line:
    """One task's reports, the first of which is on its way."""

    task: Task | None
    settled: Settled
    queue: list[TaskReport] = field(default_factory=list)


class Reporter:
    """All tasks' reports."""

    def __init__(self, send: Send, *, dice: Dice) -> None:
        self._send = send
        self._dice = dice
        self._lines: dict[str, _Line] = {}
        self._group: asyncio.TaskGroup | None = None
        self._nudge = asyncio.Event()

    async def run(self) -> None:
        """Send until cancelled; what was submitted before is sent first."""
        async with asyncio.TaskGroup() as group:
            self._group = group
            for arn in self._lines:
                group.create_task(self._drain(arn))
            try:
                await asyncio.Event().wait()
            finally:
                self._group = None

    def submit(self, report: TaskReport, task: Task | None, settled: Settled) -> None:
        """Queue a report; `settled` is called when it was accepted or discarded.

        It takes the place of a waiting report of the same status.
        """
        line = self._lines.get(report.task_arn)
        if line is None:
            line = self._lines[report.task_arn] = _Line(task, settled)
            line.queue.append(report)
            if self._group is not None:
                self._group.create_task(self._drain(report.task_arn))
            return
        line.settled = settled
        if len(line.queue) > 1 and line.queue[-1].status is report.status:
            line.queue[-1] = report
        else:
            line.queue.append(report)

    def unsent(self, arn: str) -> tuple[TaskReport, ...]:
        """A task's reports that nobody has accepted yet, in order."""
        line = self._lines.get(arn)
        return tuple(line.queue) if line is not None else ()

    def nudge(self) -> None:
        """The control plane is there: whatever waits for its next attempt makes it now."""
        self._nudge.set()
        self._nudge = asyncio.Event()

    async def _drain(self, arn: str) -> None:
        line = self._lines[arn]
        while line.queue:
            report = line.queue[0]
            await self._deliver(report, line.task)
            line.queue.pop(0)
            if not line.queue:
                del self._lines[arn]
            line.settled(report)

    async def _deliver(self, report: TaskReport, task: Task | None) -> None:
        failures = 0
        while True:
            try:
                await self._send(report, task)
            except ApiError as error:
                if error.code in DISCARDING:
                    log.warning(
                        "report.discarded", task=report.task_arn, status=report.status, error=str(error)
                    )
                    return
                backoff = TRANSIENT if error.transient else REFUSED
                log.warning("report.failed", task=report.task_arn, status=report.status, error=str(error))
            except ApiUnreachableError as error:
                backoff = TRANSIENT
                if failures == 0:
                    log.info("report.waiting", task=report.task_arn, status=report.status, error=str(error))
            else:
                log.info("report.accepted", task=report.task_arn, status=report.status)
                return
            failures += 1
            await self._pause(backoff.delay_seconds(failures, self._dice))

    async def _pause(self, seconds: float) -> None:
        try:
            async with asyncio.timeout(seconds):
                await self._nudge.wait()
        except TimeoutError:
            return
