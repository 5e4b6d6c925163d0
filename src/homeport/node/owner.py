"""The one coroutine that owns a task: the only writer of its state.

It asks `progress` what to do, runs the steps, notes what came of them, writes it down and reports it. It
sleeps until a step ends, the engine hints at a change, or an instant that the plan named has come.
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
    ContainerState,
    Create,
    Desired,
    MarkStopped,
    Phase,
    Preparation,
    Prepare,
    Pull,
    Restart,
    Start,
    Step,
    Stop,
    StopTask,
    TaskRules,
    TaskState,
    TaskStatus,
)
from homeport.node.names import container_name
from homeport.node.ports import ContainerStatus, DriverError, RunState
from homeport.node.progress import earliest, plan_progress, task_status
from homeport.node.report import TaskReport, build_report, first_report
from homeport.node.reporter import Reporter
from homeport.node.runner import AWAY, StepRunner
from homeport.node.state import Journal, SavedProgress
from homeport.node.steps import cleanup, environment, health, pull, start, stop, volumes
from homeport.node.steps.tools import Extras, Tools

log = get_logger("node.task")

CLEANUP_RETRY = timedelta(seconds=30)


class TaskOwner:
    """One task, from its acceptance until nothing is left of it."""

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
        self.task = task
        self.rules = rules
        self.state: TaskState = progress.state
        self.acked = progress.acked
        self.statuses: dict[str, ContainerStatus] = {}
        self.durable = asyncio.Event()
        self._names = {container_name(task, name): name for name in rules.containers}
        self._docker = {name: docker for docker, name in self._names.items()}
        self._tools = tools
        self._journal = journal
        self._reporter = reporter
        self._admission = admission
        self._on_health = on_health
        self._woken = asyncio.Event()
        self._steps = StepRunner(task.arn, dice=tools.dice, failed=self._failed, ended=self._woken.set)
        self._preparing: asyncio.Task[None] | None = None
        self._cleaning = self._released = False
        self._extras: dict[str, Extras] = {}
        self._image_env: dict[str, tuple[str, ...]] = {}
        self._dirty: set[str] = set(rules.containers) if resumed else set()
        self._unseen: set[str] = set(self._dirty)
        self._asked: set[str] = set()
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
    def docker_names(self) -> tuple[str, ...]:
        """Every container of the task, made or not."""
        return tuple(self._names)

    @property
    def status(self) -> TaskStatus:
        """What is known of the task."""
        return task_status(self.rules, self.state)

    @property
    def alive(self) -> bool:
        """Whether any of its containers may still run."""
        return self.status is not TaskStatus.STOPPED

    @property
    def metadata_status(self) -> str:
        """The least of its containers' phases, as the metadata endpoint shows it."""
        return min(
            (lifecycle.container(self.state, n).phase for n in self.rules.containers), default=Phase.STOPPED
        ).name

    def hint(self, docker_name: str | None = None) -> None:
        """A container may have changed (`None`: any of them)."""
        if docker_name is None:
            self._dirty |= set(self.rules.containers)
        elif docker_name in self._names:
            self._dirty.add(self._names[docker_name])
        self._woken.set()

    def admitted(self) -> None:
        """The task fits now."""
        self.state = replace(self.state, admitted=True)
        self._woken.set()

    def want_stopped(self, reason: str = "") -> None:
        """The desired status falls. There is no way back."""
        self.state = lifecycle.raised(self.rules, self.state, reason=reason, now=self._now())
        self._woken.set()

    def settled(self, report: TaskReport) -> None:
        """A report was accepted, or is not wanted."""
        self.acked = report
        if report.final:
            self._plan_cleanup()
        self._written = None
        self._woken.set()

    # ---- the loop ---------------------------------------------------------------------------

    async def run(self) -> None:
        """Until the task is cleaned up. Cancel it to leave everything as it is."""
        async with asyncio.TaskGroup() as group:
            self._steps.enter(group)
            while not self._over:
                self._woken.clear()
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
        if now >= self._inspect_at:
            self._inspect_at = now + self._inspect_interval()
            self._dirty |= {
                n for n in self.rules.containers if lifecycle.container(self.state, n).phase is Phase.RUNNING
            }
        wake_at: datetime | None = None
        while not self._unseen:  # a restarted agent looks before it acts
            plan = plan_progress(
                self.rules,
                self.state,
                busy=self._steps.busy,
                preparing=self._preparing is not None,
                now=now,
                pull_upfront=self._tools.settings.pull_dependents_upfront,
            )
            wake_at = plan.wake_at
            if not plan.actions:
                break
            for action in plan.actions:
                self._do(action)
        for name in sorted(self._dirty - self._steps.busy.keys()):
            self._look(name)
        self.state = lifecycle.noticed(self.rules, self.state, now)
        if self.state.desired is Desired.STOPPED and self._preparing is not None:
            self._preparing.cancel()
        if self.status is TaskStatus.STOPPED and not self._released:
            self._release()
        wake_at = earliest(wake_at, self._report(now))
        self.write_down()
        wake_at = earliest(wake_at, self._clean_up(now))
        return earliest(wake_at, self._inspect_at)

    async def _sleep_until(self, wake_at: datetime | None) -> None:
        if self._over:
            return
        delay = None if wake_at is None else max((wake_at - self._now()).total_seconds(), 0.001)
        try:
            async with asyncio.timeout(delay):
                await self._woken.wait()
        except TimeoutError:
            return

    # ---- actions ----------------------------------------------------------------------------

    def _do(self, action: Action) -> None:
        match action:
            case Prepare():
                self._preparing = self._steps.spawn(self._prepare())
            case Pull(name):
                self._steps.begin(name, Step.PULL, lambda: self._pull(name))
            case Create(name):
                self._begin_create(name)
            case Start(name):
                self._change(name, lambda known: replace(known, start_asked=True))
                self._steps.begin(name, Step.START, lambda: self._start(name))
            case Restart(name):
                self._steps.begin(name, Step.START, lambda: self._restart(name))
            case Stop(name, grace_seconds):
                self._steps.begin(name, Step.STOP, lambda: self._stop(name, grace_seconds))
            case Cancel(name):
                self._steps.cancel(name)
            case MarkStopped(name, exit_code, reason):
                self._change(
                    name,
                    lambda known: lifecycle.stopped(
                        known, exit_code=exit_code, reason=reason, at=self._now()
                    ),
                )
            case StopTask():
                self.state = lifecycle.raised(self.rules, self.state, now=self._now())

    async def _prepare(self) -> None:
        try:
            await self._steps.while_away(lambda: volumes.make_limits(self._tools, self.task))
            await self._steps.while_away(lambda: volumes.make_volumes(self._tools, self.task))
            self._extras = dict(await environment.fetch_environment(self._tools, self.task))
        except (DriverError, environment.FetchError) as error:
            self.want_stopped(str(error))
        except Exception as error:  # the edge of a task: others go on
            log.exception("task.preparation_failed", task=self.task.arn)
            self.want_stopped(f"HomeportAgentError: {error!r}")
        else:
            self.state = replace(self.state, preparation=Preparation.READY)
        finally:
            self._preparing = None
            self._woken.set()

    async def _pull(self, name: str) -> None:
        payload = start.payload_container(self.task, name)
        if payload is not None:
            outcome = await pull.pull(self._tools, self.task, payload, self._pull_began)
            self._image_env[name] = outcome.image_env
            if outcome.ended is not None:
                ended = max(outcome.ended, self.state.pull_stopped_at or outcome.ended)
                self.state = replace(self.state, pull_stopped_at=ended)
            self._change(name, lambda known: replace(known, image_digest=outcome.digest))
        self._change(name, lambda known: lifecycle.reached(known, Phase.PULLED))

    def _pull_began(self) -> None:
        if self.state.pull_started_at is None:
            self.state = replace(self.state, pull_started_at=self._now())
            self._woken.set()

    def _begin_create(self, name: str) -> None:
        payload = start.payload_container(self.task, name)
        known = lifecycle.container(self.state, name)
        if payload is not None and not known.host_ports and self.task.network_mode in {"", "bridge"}:
            try:
                chosen = self._tools.host_ports.assign(self.task.arn, payload)
            except DriverError as error:
                reason = str(error)
                self._change(name, lambda known: lifecycle.stopped(known, reason=reason, at=self._now()))
                return
            self._change(name, lambda known: replace(known, host_ports=chosen))
        self._steps.begin(name, Step.CREATE, lambda: self._create(name))

    async def _create(self, name: str) -> None:
        payload = start.payload_container(self.task, name)
        if payload is not None and name not in self._image_env:
            info = await self._tools.drivers.images.inspect(payload.image)
            self._image_env[name] = info.env if info is not None else ()
        docker_id = await start.create(
            self._tools,
            self.task,
            payload,
            extras=self._extras.get(name, Extras()),
            host_ports=lifecycle.container(self.state, name).host_ports,
            image_env=self._image_env.get(name, ()),
        )
        self._change(
            name,
            lambda known: replace(
                lifecycle.reached(known, Phase.CREATED), docker_id=docker_id, docker_name=self._docker[name]
            ),
        )

    async def _start(self, name: str) -> None:
        """Never a second time: what was asked before and did start is only looked at."""
        await self.durable.wait()
        docker_name = self._docker[name]
        if name in self._asked:
            status = await health.look(self._tools, docker_name)
            fresh = status is not None and status.state is RunState.CREATED
        else:
            fresh = True
        if fresh:
            self._asked.add(name)
            await start.start(self._tools, docker_name)
        await self._see(name)

    async def _restart(self, name: str) -> None:
        status = await health.look(self._tools, self._docker[name])
        if status is not None and status.state is not RunState.RUNNING:
            await start.start(self._tools, self._docker[name])
            self._change(name, lambda known: lifecycle.restarted(known, self._now()))
        await self._see(name)

    async def _stop(self, name: str, grace_seconds: float) -> None:
        await stop.stop(self._tools, self._docker[name], grace_seconds)
        await self._see(name)

    # ---- looking ----------------------------------------------------------------------------

    def _look(self, name: str) -> None:
        self._dirty.discard(name)
        self._steps.begin(name, Step.INSPECT, lambda: self._see(name))

    async def _see(self, name: str) -> None:
        self._dirty.discard(name)
        status = await health.look(self._tools, self._docker[name])
        self._unseen.discard(name)
        if status is None:
            self.statuses.pop(name, None)
        else:
            self.statuses[name] = status
        known = lifecycle.container(self.state, name)
        if known.phase is Phase.STOPPED:
            if status is not None and status.state is RunState.RUNNING:  # it came up after it was given up
                await stop.stop(self._tools, self._docker[name], 0)
            return
        seen = lifecycle.observed(
            known, self.rules.containers[name], status, desired=self.state.desired, now=self._now()
        )
        if seen != known:
            self._change(name, lambda _: seen)
        if seen.health != known.health or seen.phase is not known.phase:
            self._on_health()

    # ---- failing ----------------------------------------------------------------------------

    async def _failed(self, name: str, step: Step, reason: str) -> None:
        log.warning("container.failed", task=self.task.arn, container=name, step=step, reason=reason)
        if step is Step.INSPECT:
            self._dirty.add(name)
            await asyncio.sleep(AWAY.max_seconds)
            return
        if step is Step.STOP:
            await asyncio.sleep(AWAY.max_seconds)
            return
        if step is Step.START and await self._runs_nevertheless(name):
            return
        self._change(
            name,
            lambda known: lifecycle.stopped(lifecycle.failed(known, reason), at=self._now()),
        )

    async def _runs_nevertheless(self, name: str) -> bool:
        """Whether a start that was said to have failed did not."""
        try:
            await self._steps.while_away(lambda: self._see(name))
        except DriverError:
            return False
        known = lifecycle.container(self.state, name)
        return known.phase is Phase.RUNNING and not known.restart_due

    # ---- saying -----------------------------------------------------------------------------

    def _report(self, now: datetime) -> datetime | None:
        """Hand in what is new; when there will be more to say although nothing happens."""
        if self._unseen:
            return None
        report, wake_at = self._announcer.hears(build_report(self.task, self.rules, self.state), now)
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
        wait = timedelta(seconds=self._tools.settings.cleanup_wait_seconds if self.rules.containers else 0)
        self._cleanup_at = stopped_at + wait

    def _clean_up(self, now: datetime) -> datetime | None:
        if self._cleanup_at is None or self._cleaning or self._steps.busy:
            return None
        if now < self._cleanup_at:
            return self._cleanup_at
        self._cleaning = True
        self._steps.spawn(self._remove())
        return None

    async def _remove(self) -> None:
        try:
            await self._steps.while_away(
                lambda: cleanup.remove_task(self._tools, self.task, self.rules.containers)
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
            self._woken.set()

    # ---- small things -----------------------------------------------------------------------

    def _change(self, name: str, change: Callable[[ContainerState], ContainerState]) -> None:
        known = lifecycle.container(self.state, name)
        self.state = lifecycle.with_container(self.state, name, change(known))

    def _now(self) -> datetime:
        return self._tools.clock.now()

    def _inspect_interval(self) -> timedelta:
        jitter = 0.9 + 0.2 * self._tools.dice()
        return timedelta(seconds=self._tools.settings.inspect_interval_seconds * jitter)
