"""The work on one task's containers: each step that is begun notes in the record what came of it.

At most one step works on a container at a time (`runner`). What a step finds out is the engine's word,
looked up after the deed: a step that failed may have had its effect nevertheless.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import replace
from datetime import datetime

from homeport.agentproto.messages import Container
from homeport.core.log import get_logger
from homeport.core.redact import without_values
from homeport.node import lifecycle
from homeport.node.model import Phase, Preparation, Step
from homeport.node.network_work import NetworkWork
from homeport.node.ports import DriverError, RunState
from homeport.node.record import TaskRecord
from homeport.node.runner import AWAY, StepRunner
from homeport.node.secret_values import discreet, secret_options
from homeport.node.steps import environment, health, pull, start, stop, volumes
from homeport.node.steps.tools import Extras, Tools

log = get_logger("node.task")


class ContainerWork:
    """What is under way on one task's containers.

    `dirty` names containers that may have changed, `unseen` those that a
    restarted agent has not looked at yet.
    """

    def __init__(
        self, record: TaskRecord, *, tools: Tools, on_health: Callable[[], None], unseen: bool
    ) -> None:
        self.steps = StepRunner(record.task.arn, dice=tools.dice, failed=self._failed, ended=record.woken.set)
        self.dirty: set[str] = set(record.rules.containers) if unseen else set()
        self.unseen: set[str] = set(self.dirty)
        self._record = record
        self._tools = tools
        self._on_health = on_health
        self._networks = NetworkWork(record, tools, unseen=unseen)
        self._preparing: asyncio.Task[None] | None = None
        self._extras: dict[str, Extras] = {}
        self._options: dict[str, tuple[str, ...]] = {}
        self._image_env: dict[str, tuple[str, ...]] = {}
        self._asked: set[str] = set()

    # ---- what may be begun ------------------------------------------------------------------

    @property
    def preparing(self) -> bool:
        """Whether what all containers share is being made."""
        return self._preparing is not None

    def prepare(self) -> None:
        """Make what all containers share."""
        self._preparing = self.steps.spawn(self._prepare())

    def stop_preparing(self) -> None:
        """It is not wanted any more."""
        if self._preparing is not None:
            self._preparing.cancel()

    def pull(self, name: str) -> None:
        """Bring its image here."""
        self.steps.begin(name, Step.PULL, lambda: self._pull(name))

    def create(self, name: str) -> None:
        """Create it, with host ports of its own."""
        record = self._record
        is_network = record.rules.containers[name].sandbox
        payload = self._networks.joining(name) if is_network else start.payload_container(record.task, name)
        if payload is not None and record.task.network_mode in {"", "bridge"}:
            try:
                self._assign_ports(payload)
            except DriverError as error:
                self._gave_up(name, str(error))
                return
        if is_network:  # from here on there may be something of it, whoever asks
            record.change(name, lambda known: replace(known, start_asked=True))
        self.steps.begin(name, Step.CREATE, lambda: self._create(name))

    def start(self, name: str) -> None:
        """Start it for the first time."""
        self._record.change(name, lambda known: replace(known, start_asked=True))
        self.steps.begin(name, Step.START, lambda: self._start(name))

    def restart(self, name: str) -> None:
        """Start it again, as its policy says."""
        self.steps.begin(name, Step.START, lambda: self._restart(name))

    def stop(self, name: str, grace_seconds: float) -> None:
        """Ask it to stop, and see to it that it does."""
        self.steps.begin(name, Step.STOP, lambda: self._stop(name, grace_seconds))

    def look(self) -> None:
        """Look at every container that may have changed, unless a step works on it."""
        for name in sorted(self.dirty - self.steps.busy.keys()):
            self.dirty.discard(name)
            self.steps.begin(name, Step.INSPECT, lambda name=name: self._see(name))  # type: ignore[misc]

    def _assign_ports(self, payload: Container) -> None:
        record = self._record
        if not record.of(payload.name).host_ports:
            chosen = self._tools.host_ports.assign(record.task.arn, payload)
            record.change(payload.name, lambda known: replace(known, host_ports=chosen))

    # ---- the steps --------------------------------------------------------------------------

    async def _prepare(self) -> None:
        record, tools = self._record, self._tools
        try:
            await self.steps.while_away(lambda: volumes.make_limits(tools, record.task))
            await self.steps.while_away(lambda: volumes.make_volumes(tools, record.task))
            self._extras = dict(await environment.fetch_environment(tools, record.task))
        except (DriverError, environment.FetchError) as error:
            record.want_stopped(self._now(), reason=str(error))
        except Exception as error:  # the edge of a task: others go on
            log.exception("task.preparation_failed", task=record.task.arn)
            record.want_stopped(self._now(), reason=f"HomeportAgentError: {error!r}")
        else:
            record.state = replace(record.state, preparation=Preparation.READY)
        finally:
            self._preparing = None
            record.woken.set()

    async def _pull(self, name: str) -> None:
        record = self._record
        payload = start.payload_container(record.task, name)
        if payload is not None:
            outcome = await pull.pull(self._tools, record.task, payload, self._pull_began)
            self._image_env[name] = outcome.image_env
            if outcome.ended is not None:
                ended = max(outcome.ended, record.state.pull_stopped_at or outcome.ended)
                record.state = replace(record.state, pull_stopped_at=ended)
            record.change(name, lambda known: replace(known, image_digest=outcome.digest))
        record.change(name, lambda known: lifecycle.reached(known, Phase.PULLED))

    def _pull_began(self) -> None:
        record = self._record
        if record.state.pull_started_at is None:
            record.state = replace(record.state, pull_started_at=self._now())
            record.woken.set()

    async def _create(self, name: str) -> None:
        record = self._record
        if record.rules.containers[name].sandbox:
            await self._networks.make(name)
            return
        payload = start.payload_container(record.task, name)
        if payload is not None and name not in self._image_env:
            info = await self._tools.drivers.images.inspect(payload.image)
            self._image_env[name] = info.env if info is not None else ()
        docker_id = await start.create(
            self._tools,
            record.task,
            payload,
            extras=self._extras.get(name, Extras()),
            host_ports=record.of(name).host_ports,
            image_env=self._image_env.get(name, ()),
            network=self._networks.docker_name(name),
            link_env=await self._networks.link_environment(name, self._extras),
        )
        docker_name = record.docker_names[name]
        record.change(
            name,
            lambda known: replace(
                lifecycle.reached(known, Phase.CREATED), docker_id=docker_id, docker_name=docker_name
            ),
        )

    async def _start(self, name: str) -> None:
        """Never a second time: what was asked before and did start is only looked at."""
        await self._record.durable.wait()
        docker_name = self._record.docker_names[name]
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
        docker_name = self._record.docker_names[name]
        status = await health.look(self._tools, docker_name)
        if status is not None and status.state is not RunState.RUNNING:
            await start.start(self._tools, docker_name)
            self._record.change(name, lambda known: lifecycle.restarted(known, self._now()))
        await self._see(name)

    async def _stop(self, name: str, grace_seconds: float) -> None:
        if self._record.rules.containers[name].sandbox:
            await self._networks.unmake(name)
            return
        await stop.stop(self._tools, self._record.docker_names[name], grace_seconds)
        await self._see(name)

    async def _see(self, name: str) -> None:
        record = self._record
        self.dirty.discard(name)
        if record.rules.containers[name].sandbox:
            await self._networks.see(name)
            self.unseen.discard(name)
            return
        status = await health.look(self._tools, record.docker_names[name])
        self.unseen.discard(name)
        if status is None:
            record.statuses.pop(name, None)
        else:
            status = self._networks.outside(name, status)
            payload = start.payload_container(record.task, name)
            if payload is not None and payload.secrets:
                self._options[name] = secret_options(status, payload)
                status = discreet(status, payload, self._fetched(name))
            record.statuses[name] = status
        known = record.of(name)
        if known.phase is Phase.STOPPED:
            if status is not None and status.state is RunState.RUNNING:  # it came up after it was given up
                await stop.stop(self._tools, record.docker_names[name], 0)
            return
        seen = lifecycle.observed(
            known, record.rules.containers[name], status, desired=record.state.desired, now=self._now()
        )
        if seen != known:
            record.change(name, lambda _: seen)
        if seen.health != known.health or seen.phase is not known.phase:
            self._on_health()

    # ---- failing ----------------------------------------------------------------------------

    async def _failed(self, name: str, step: Step, reason: str) -> None:
        reason = without_values(reason, self._fetched(name))
        log.warning("container.failed", task=self._record.task.arn, container=name, step=step, reason=reason)
        if step is Step.INSPECT:
            self.dirty.add(name)
            await asyncio.sleep(AWAY.ceiling_seconds)
            return
        if step is Step.STOP:
            await asyncio.sleep(AWAY.ceiling_seconds)
            return
        if step is Step.START and await self._runs_nevertheless(name):
            return
        self._gave_up(name, reason)

    async def _runs_nevertheless(self, name: str) -> bool:
        """Whether a start that was said to have failed did not."""
        try:
            await self.steps.while_away(lambda: self._see(name))
        except DriverError:
            return False
        known = self._record.of(name)
        return known.phase is Phase.RUNNING and not known.restart_due

    def _gave_up(self, name: str, reason: str) -> None:
        self._record.change(
            name, lambda known: lifecycle.stopped(lifecycle.failed(known, reason), at=self._now())
        )

    def _fetched(self, name: str) -> tuple[str, ...]:
        """What no text may tell. A restarted agent knows what it has seen in Docker."""
        return (*self._extras.get(name, Extras()).values, *self._options.get(name, ()))

    def _now(self) -> datetime:
        return self._tools.clock.now()
