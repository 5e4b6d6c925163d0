"""The one coroutine that owns a task: the only writer of its state.

It asks `progress` what to do, has `work` do it, writes down what came of it and reports it. It sleeps
until a step ends, the engine hints at a change, or an instant that the plan named has come.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import replace
from datetime import datetime, timedelta

from homeport.agentproto.messages import Task
from homeport.core.log import get_logger
from homeport.node import lifecycle
from homeport.node.admission import Admission
from homeport.node.announcer import Announcer
from homeport.node.credentials import APPLICATION, EXECUTION
from homeport.node.model import (
    Action,
    Cancel,
    Create,
    Desired,
    MarkStopped,
    Prepare,
    Pull,
    Restart,
    Start,
    Stop,
    StopTask,
    TaskRules,
    TaskState,
)
from homeport.node.ports import DriverError
from homeport.node.progress import earliest, plan_progress
from homeport.node.record import TaskRecord
from homeport.node.report import TaskReport, build_report, first_report
from homeport.node.reporter import Reporter
from homeport.node.state import Journal, SavedProgress
from homeport.node.steps import cleanup
from homeport.node.steps.tools import Tools
from homeport.node.work import ContainerWork

log = get_logger("node.task")

CLEANUP_RETRY = timedelta(seconds=30)


class TaskOwner:
    """One task, from its acceptance until nothing is left of it. What is known of it is its `record`."""

    def __init__(
        self,
        task: Task,
        rules: TaskRules,
        progress: SavedProgress,
        *,
        tools: Tools,
        journal: Journal,
        reporter: Reporter,
        admission: Admission,
        on_health: Callable[[], None],
        resumed: bool = False,
    ) -> None:
        self.record = TaskRecord(task, rules, progress.state)
        self.acked = progress.acked
        self._tools = tools
        self._journal = journal
        self._reporter = reporter
        self._admission = admission
        self._names = {docker: name for name, docker in self.record.docker_names.items()}
        self._work = ContainerWork(self.record, tools=tools, on_health=on_health, unseen=resumed)
        self._cleaning = self._released = False
        self._announcer = Announcer(
            progress.unsent[-1] if progress.unsent else progress.acked or first_report(task.arn),
            interim=timedelta(seconds=tools.settings.interim_report_seconds),
        )
        self._cleanup_at: datetime | None = None
        self._inspect_at = tools.clock.now() + self._inspect_interval()
        self._written: TaskState | None = progress.state if resumed else None
        self._over = False
        for report in progress.unsent:
            reporter.submit(report, task, self.settled)
        if self.acked is not None and self.acked.final:
            self._plan_cleanup()

    # ---- what others may ask ----------------------------------------------------------------

    @property
    def task(self) -> Task:
        """As it was accepted."""
        return self.record.task

    @property
    def state(self) -> TaskState:
        """What is known of it."""
        return self.record.state

    def hint(self, docker_name: str | None = None) -> None:
        """A container may have changed (`None`: any of them)."""
        if docker_name is None:
            self._work.dirty |= set(self.record.rules.containers)
        elif docker_name in self._names:
            self._work.dirty.add(self._names[docker_name])
        self.record.woken.set()

    def admitted(self) -> None:
        """The task fits now."""
        self.record.state = replace(self.state, admitted=True)
        self.record.woken.set()

    def want_stopped(self, reason: str = "") -> None:
        """The desired status falls. There is no way back."""
        self.record.want_stopped(self._now(), reason=reason)

    def settled(self, report: TaskReport) -> None:
        """A report was accepted, or is not wanted."""
        self.acked = report
        if report.final:
            self._plan_cleanup()
        self._written = None
        self.record.woken.set()

    # ---- the loop ---------------------------------------------------------------------------

    async def run(self) -> None:
        """Until the task is cleaned up. Cancel it to leave everything as it is."""
        async with asyncio.TaskGroup() as group:
            self._work.steps.enter(group)
            while not self._over:
                self.record.woken.clear()
                wake_at = self._advance()
                await self._sleep_until(wake_at)

    def write_down(self) -> None:
        """Journal the state, if it changed."""
        if self._written is self.state or self._over:
            return
        self._written = self.state
        progress = SavedProgress(
            state=self.state, acked=self.acked, unsent=self._reporter.unsent(self.task.arn)
        )
        self._journal.save_progress(self.task.arn, progress)

    def _advance(self) -> datetime | None:
        """Everything that can be done now; when there may be more although nothing happens."""
        now = self._now()
        record, work = self.record, self._work
        if now >= self._inspect_at:
            self._inspect_at = now + self._inspect_interval()
            work.dirty |= {name for name in record.rules.containers if record.runs(name)}
        wake_at = self._act(now)
        work.look()
        record.state = lifecycle.noticed(record.rules, record.state, now)
        if record.state.desired is Desired.STOPPED:
            work.stop_preparing()
        if not record.alive and not self._released:
            self._release()
        wake_at = earliest(wake_at, self._report(now))
        self.write_down()
        wake_at = earliest(wake_at, self._clean_up(now))
        return earliest(wake_at, self._inspect_at)

    def _act(self, now: datetime) -> datetime | None:
        """Do what the plan says until it says nothing more; the instant that it waits for."""
        record, work = self.record, self._work
        while not work.unseen:  # a restarted agent looks before it acts
            plan = plan_progress(
                record.rules,
                record.state,
                busy=work.steps.busy,
                preparing=work.preparing,
                now=now,
                pull_upfront=self._tools.settings.pull_dependents_upfront,
            )
            if not plan.actions:
                return plan.wake_at
            for action in plan.actions:
                self._do(action, now)
        return None

    def _do(self, action: Action, now: datetime) -> None:
        work = self._work
        match action:
            case Prepare():
                work.prepare()
            case Pull(name):
                work.pull(name)
            case Create(name):
                work.create(name)
            case Start(name):
                work.start(name)
            case Restart(name):
                work.restart(name)
            case Stop(name, grace_seconds):
                work.stop(name, grace_seconds)
            case Cancel(name):
                work.steps.cancel(name)
            case MarkStopped(name, exit_code, reason):
                self.record.change(
                    name, lambda known: lifecycle.stopped(known, exit_code=exit_code, reason=reason, at=now)
                )
            case StopTask(reason):
                self.record.want_stopped(now, reason=reason)

    async def _sleep_until(self, wake_at: datetime | None) -> None:
        if self._over:
            return
        delay = None if wake_at is None else max((wake_at - self._now()).total_seconds(), 0.001)
        try:
            async with asyncio.timeout(delay):
                await self.record.woken.wait()
        except TimeoutError:
            return

    # ---- saying -----------------------------------------------------------------------------

    def _report(self, now: datetime) -> datetime | None:
        """Hand in what is new; when there will be more to say although nothing happens."""
        if self._work.unseen:
            return None
        report, wake_at = self._announcer.hears(build_report(self.task, self.record.rules, self.state), now)
        if report is not None:
            self._written = None
            self._reporter.submit(report, self.task, self.settled)
        return wake_at

    def _release(self) -> None:
        """Others may have what it held."""
        self._released = True
        self._admission.release(self.task.arn)
        self._tools.host_ports.release(self.task.arn)
        self._tools.credentials.drop(self.task.arn, APPLICATION)

    # ---- the end ----------------------------------------------------------------------------

    def _plan_cleanup(self) -> None:
        stopped_at = self.state.stopped_at or self._now()
        kept = self._tools.settings.cleanup_wait_seconds if self.record.rules.containers else 0
        self._cleanup_at = stopped_at + timedelta(seconds=kept)

    def _clean_up(self, now: datetime) -> datetime | None:
        if self._cleanup_at is None or self._cleaning or self._work.steps.busy:
            return None
        if now < self._cleanup_at:
            return self._cleanup_at
        self._cleaning = True
        self._work.steps.spawn(self._remove())
        return None

    async def _remove(self) -> None:
        try:
            await self._work.steps.while_away(
                lambda: cleanup.remove_task(self._tools, self.task, self.record.rules)
            )
        except DriverError as error:
            log.warning("task.cleanup_failed", task=self.task.arn, error=str(error))
            self._cleanup_at = self._now() + CLEANUP_RETRY
        else:
            for kind in (APPLICATION, EXECUTION):
                self._tools.credentials.drop(self.task.arn, kind)
            self._over = True
        finally:
            self._cleaning = False
            self.record.woken.set()

    def _now(self) -> datetime:
        return self._tools.clock.now()

    def _inspect_interval(self) -> timedelta:
        jitter = 0.9 + 0.2 * self._tools.dice()
        return timedelta(seconds=self._tools.settings.inspect_interval_seconds * jitter)
