"""A fake agent on a fake machine: hears payloads as agents do, submits reports through the API as they do.

Its tasks outlive its connection; reports are repeated until they are acknowledged, so the control plane
hears some of them twice and some late.
"""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any, Protocol

from homeport.agentproto.messages import (
    ContainerHealth,
    Frame,
    PayloadMessage,
    PublishHealthRequest,
    TaskHealth,
)
from homeport.services.ecs.control.agent_telemetry import TcsSession
from homeport.services.ecs.control.agents import AgentHub
from homeport.services.ecs.ports import AgentHello, RefusedAgentError

RETRY_SECONDS = (0.5, 2.0, 8.0)


@dataclass(frozen=True, slots=True, kw_only=True)
class Character:
    """What tasks of a definition do."""

    starts: bool = True
    checked: bool = False
    healthy: bool = True
    lives_seconds: float | None = None
    """They end by themselves after so long."""


class Plane(Protocol):
    """The control plane as a node sees it."""

    hub: AgentHub


class Surroundings(Protocol):
    """What nodes share: how lucky they are, and the way to the API."""

    dice: random.Random
    calm: asyncio.Event
    violations: list[str]
    faults: Counter[str]
    account_id: str
    region: str

    def plane(self) -> Any: ...

    def character(self, family: str, revision: str) -> Character: ...

    async def call(self, operation: str, **members: Any) -> Any: ...


@dataclass(slots=True)
class SimTask:
    """One task on the machine."""

    arn: str
    character: Character
    wake: asyncio.Event = field(default_factory=asyncio.Event)
    """Set when it is to stop, or crashes."""
    stopping: bool = False
    status: str = "PENDING"
    health: str = "UNKNOWN"


class Socket:
    """The node's end of one work socket."""

    def __init__(self) -> None:
        self.frames: asyncio.Queue[Frame | None] = asyncio.Queue()

    def send(self, frame: Frame) -> None:
        self.frames.put_nowait(frame)

    def close(self) -> None:
        self.frames.put_nowait(None)

    replaced = close


class SimNode:
    """One container instance. `gone`: its machine burned down with everything on it."""

    def __init__(self, around: Surroundings, arn: str, group: asyncio.TaskGroup) -> None:
        self._around = around
        self._group = group
        self._socket: Socket | None = None
        self._tcs: TcsSession | None = None
        self.arn = arn
        self.tasks: dict[str, SimTask] = {}
        self.gone = False
        self.cluster, self.name = "default", ""
        self._jobs: list[asyncio.Task[None]] = []

    @property
    def running(self) -> set[str]:
        return {arn for arn, task in self.tasks.items() if task.status == "RUNNING"}

    def drop(self) -> None:
        """The connection breaks."""
        if self._socket is not None:
            self._socket.close()

    def vanish(self) -> None:
        self.gone = True
        self.drop()
        for job in self._jobs:
            job.cancel()

    async def run(self) -> None:
        """Stay connected, as far as that is possible."""
        while not self.gone:
            plane = self._around.plane()
            if plane is not None:
                await self._connected(plane)
            if not self.gone:
                await asyncio.sleep(self._around.dice.uniform(0.3, 12.0))

    async def _connected(self, plane: Any) -> None:
        hello = AgentHello(
            account_id=self._around.account_id,
            region=self._around.region,
            cluster=self.cluster,
            container_instance=self.arn,
        )
        socket = Socket()
        try:
            session = await plane.hub.open_acs(hello, socket)
            self._tcs = await plane.hub.open_tcs(hello, socket)
        except RefusedAgentError:
            self.gone = True
            return
        except Exception:  # noqa: BLE001 - the gateway would close the socket, whatever it was
            return
        self._socket = socket
        await self._tell_health()
        while (frame := await socket.frames.get()) is not None:
            if not self._around.calm.is_set() and self._around.dice.random() < 0.03:
                self._around.faults["message lost"] += 1
                break  # the frame is lost, and with it the connection
            await asyncio.sleep(self._around.dice.choice((0.0, 0.01, 0.3)))
            if isinstance(frame, PayloadMessage):
                self._take(frame)
        self._socket = self._tcs = None
        try:
            await session.closed()
        except Exception:  # noqa: BLE001 - its process is away: the next one will notice
            return

    def _take(self, payload: PayloadMessage) -> None:
        for told in payload.tasks:
            task = self.tasks.get(told.arn)
            if told.desired_status == "STOPPED":
                if task is None:
                    task = self.tasks[told.arn] = SimTask(told.arn, Character(), status="STOPPED")
                    self._begin(self._report(task.arn, "STOPPED"))
                task.stopping = True
                task.wake.set()
            elif task is None:
                character = self._around.character(told.family, told.version)
                task = self.tasks[told.arn] = SimTask(told.arn, character)
                self._begin(self._live(task))

    def _begin(self, job: Any) -> None:
        self._jobs = [running for running in self._jobs if not running.done()]
        self._jobs.append(self._group.create_task(job))

    # ---- one task's life --------------------------------------------------------------------

    async def _live(self, task: SimTask) -> None:
        dice = self._around.dice
        pull = dice.uniform(0.2, 4.0)
        if not self._around.calm.is_set() and dice.random() < 0.08:
            self._around.faults["slow pull"] += 1
            pull = dice.uniform(30, 120)  # a slow registry; or it hangs until the agent gives up
        if await _within(pull, task.wake.wait):
            await self._end(task, "")
            return
        if not task.character.starts:
            await self._end(task, "CannotPullContainerError: no such image")
            return
        task.status = "RUNNING"
        await self._report(task.arn, "RUNNING")
        if task.character.checked:
            self._begin(self._check_health(task))
        lives = task.character.lives_seconds
        if not self._around.calm.is_set() and lives is None and dice.random() < 0.1:
            self._around.faults["task crashes"] += 1
            lives = dice.uniform(1, 200)

        await _within(lives, task.wake.wait)
        if task.stopping:
            await asyncio.sleep(dice.choice((0.1, 2.0, 30.0)))  # it takes its stopTimeout
        await self._end(task, "")

    async def _end(self, task: SimTask, reason: str) -> None:
        task.status = "STOPPED"
        await self._report(task.arn, "STOPPED", reason)

    async def _check_health(self, task: SimTask) -> None:
        await asyncio.sleep(self._around.dice.uniform(2, 20))
        while task.status == "RUNNING":
            sick = not task.character.healthy
            if not self._around.calm.is_set() and task.health == "HEALTHY":
                sick = self._around.dice.random() < 0.05
            said = "UNHEALTHY" if sick else "HEALTHY"
            if said != task.health:
                task.health = said
                await self._tell_health()
            await asyncio.sleep(20)

    async def _tell_health(self) -> None:
        if self._tcs is None:
            return
        tasks = tuple(
            TaskHealth(
                task_arn=task.arn,
                containers=(ContainerHealth(container_name="app", health_status=task.health),),
            )
            for task in self.tasks.values()
            if task.status == "RUNNING" and task.health != "UNKNOWN"
        )
        try:
            await self._tcs.received(PublishHealthRequest(tasks=tasks))
        except Exception:  # noqa: BLE001 - told again with the next connection
            self.drop()

    def bindings(self, _arn: str, _status: str) -> dict[str, Any]:
        """What a report says of the container's ports."""
        return {}

    # ---- reports ----------------------------------------------------------------------------

    async def _report(self, arn: str, status: str, reason: str = "") -> None:
        """Until it is acknowledged; lost ways and lost answers included."""
        dice = self._around.dice
        container: dict[str, Any] = {"containerName": "app", "status": status, **self.bindings(arn, status)}
        if status == "STOPPED" and not reason:
            container["exitCode"] = 137
        tries = 0
        while True:
            await asyncio.sleep(dice.choice((0.0, 0.01, 0.2)))
            luck = 1.0 if self._around.calm.is_set() else dice.random()
            if luck > 0.1:
                try:
                    await self._around.call(
                        "SubmitTaskStateChange",
                        task=arn,
                        status=status,
                        reason=reason,
                        containers=[container],
                    )
                except Exception:  # noqa: BLE001 - agents repeat what was not acknowledged
                    luck = 0.0
            if luck > 0.2:
                return
            self._around.faults["report or its answer lost"] += 1
            await asyncio.sleep(RETRY_SECONDS[min(tries, 2)])
            tries += 1


async def _within(seconds: float | None, what: Callable[[], Awaitable[Any]]) -> bool:
    """Whether it came about in time."""
    try:
        async with asyncio.timeout(seconds):
            await what()
    except TimeoutError:
        return False
    return True
