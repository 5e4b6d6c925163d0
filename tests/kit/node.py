"""A control plane in memory, and a world of one node: what the engine's tests and its simulator use.

The fakes of the machine are in `machine`; they are named again here because this is where tests look.
"""

from __future__ import annotations

import asyncio
import json
import random
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from typing import Any

import msgspec

from homeport.agentproto.messages import (
    AckPublishMetric,
    AckRequest,
    Container,
    DockerConfig,
    Frame,
    HeartbeatMessage,
    PayloadMessage,
    PublishHealthRequest,
    Task,
    TaskStopVerificationMessage,
    decode_frame,
    encode_frame,
)
from homeport.core.backoff import dice_from
from homeport.core.clock import Clock
from homeport.core.ids import SeededIds
from homeport.core.sigv4 import Credentials
from homeport.node.agent import NodeAgent
from homeport.node.api import ApiError, ApiUnreachableError
from homeport.node.ports import Drivers
from homeport.node.settings import ImageGcSettings, NodeSettings
from homeport.node.sockets import AgentLink
from homeport.node.state import Disk, VolatileDisk
from tests.kit.machine import FakeCgroups, FakeContainers, FakeImages, FakeMachine, FakeVolumes

__all__ = [
    "FakeCgroups",
    "FakeContainers",
    "FakeControlPlane",
    "FakeImages",
    "FakeMachine",
    "FakeVolumes",
    "container",
    "make_agent",
    "settings",
    "task",
]

CLUSTER_ARN = "arn:aws:ecs:us-east-1:000000000000:cluster/default"
HEARTBEAT_SECONDS = 20.0
RESEND_SECONDS = 7.0


def arn(name: str) -> str:
    return f"arn:aws:ecs:us-east-1:000000000000:task/default/{name}"


def container(name: str = "app", *command: str, health: tuple[str, ...] = (), **members: Any) -> Container:
    """A container of the image `app:1` that behaves as `command` says (see `machine`)."""
    config: dict[str, Any] = {"Healthcheck": {"Test": ["CMD", *health]}} if health else {}
    if health:
        members["health_check_type"] = "docker"
    return Container(
        name=name,
        image=members.pop("image", "app:1"),
        command=command or ("stay",),
        cpu=members.pop("cpu", 10),
        memory=members.pop("memory", 16),
        docker_config=DockerConfig(config=json.dumps(config)),
        **members,
    )


def task(name: str, *containers: Container, **members: Any) -> Task:
    return Task(
        arn=arn(name),
        family="web",
        version="1",
        task_cluster_arn=CLUSTER_ARN,
        containers=containers or (container(),),
        **members,
    )


def settings(**changes: Any) -> NodeSettings:
    return replace(
        NodeSettings(
            endpoint_url="http://control-plane.test",
            credentials=Credentials(access_key_id="AKIDEXAMPLE", secret_access_key="secret"),
            data_dir=None,
            images=ImageGcSettings(enabled=False),
        ),
        **changes,
    )


@dataclass(slots=True, kw_only=True)
class PlaneTask:
    """What the control plane wants of a task, and knows of it."""

    task: Task
    desired: str = "RUNNING"
    delivered: bool = False
    status: str = "PENDING"
    reports: list[dict[str, Any]] = field(default_factory=list)

    @property
    def final(self) -> list[dict[str, Any]]:
        return [report for report in self.reports if report["status"] == "STOPPED"]


class _Wire:
    """The agent's end of a socket in memory."""

    def __init__(self, plane: FakeControlPlane, which: str) -> None:
        self.which = which
        self._plane = plane
        self._inbox: asyncio.Queue[str | None] = asyncio.Queue()
        self.closed = False
        self.close_code: int | None = None

    async def receive(self) -> str | None:
        if self.closed and self._inbox.empty():
            return None
        return await self._inbox.get()

    async def send(self, text: str) -> None:
        if self.closed:
            raise ConnectionResetError("closed")
        self._plane.heard(self, decode_frame(text[text.index("{") :]))

    async def close(self, code: int, reason: str) -> None:
        self.hang_up(code)

    def push(self, frame: Frame) -> None:
        if not self.closed:
            self._inbox.put_nowait(encode_frame(frame))

    def hang_up(self, code: int | None = None) -> None:
        if not self.closed:
            self.closed = True
            self.close_code = code
            self._inbox.put_nowait(None)
            self._plane.wires.discard(self)


class FakeControlPlane:
    """Registers instances, sends payloads until they are delivered, takes reports; may lose any of it.

    `violations` collects what a node must never do.
    """

    def __init__(self, clock: Clock, *, seed: int = 0) -> None:
        self.clock = clock
        self.dice = random.Random(seed)
        self.tasks: dict[str, PlaneTask] = {}
        self.wires: set[_Wire] = set()
        self.calls: list[tuple[str, dict[str, Any]]] = []
        self.signed: list[tuple[str, str | None, str | None]] = []
        """Operation, key id where it is not the node's own, region, of each call."""
        self.frames: list[Frame] = []
        self.answers: dict[str, Any] = {}
        self.objects: dict[str, bytes] = {}
        self.refusals: list[ApiError] = []
        self.violations: list[str] = []
        self.on_final: Callable[[Task], None] = lambda task: None
        """Called when a task is said to have stopped."""
        self.down = False
        self.frame_loss = 0.0
        self.frame_repeat = 0.0
        self.answer_loss = 0.0
        self.seq = 0
        self.changed = asyncio.Event()

    # ---- what tests ask of it ---------------------------------------------------------------

    def run_task(self, wanted: Task) -> PlaneTask:
        record = self.tasks[wanted.arn] = PlaneTask(task=wanted)
        self.send(wanted)
        return record

    def stop_task(self, task_arn: str) -> None:
        self.tasks[task_arn].desired = "STOPPED"
        self.send(Task(arn=task_arn, desired_status="STOPPED"))

    def send(self, *tasks: Task) -> None:
        self.seq += 1
        self.push(
            "acs",
            PayloadMessage(
                message_id="|".join([str(self.seq), *(t.arn for t in tasks)]),
                cluster_arn=CLUSTER_ARN,
                container_instance_arn="arn:instance",
                seq_num=self.seq,
                tasks=tasks,
            ),
        )

    def push(self, which: str, frame: Frame) -> None:
        for wire in [wire for wire in self.wires if wire.which == which]:
            if self.dice.random() < self.frame_loss:
                continue
            wire.push(frame)
            if self.dice.random() < self.frame_repeat:
                wire.push(frame)

    def go_down(self) -> None:
        self.down = True
        for wire in list(self.wires):
            wire.hang_up(None)

    def come_up(self) -> None:
        self.down = False

    async def until(self, task_arn: str, status: str) -> dict[str, Any]:
        """The first report of that status."""
        while True:
            for report in self.tasks[task_arn].reports:
                if report["status"] == status:
                    return report
            await self.next_change()

    async def next_change(self) -> None:
        self.changed.clear()
        await self.changed.wait()

    async def run(self) -> None:
        """Heartbeats, and payloads again until they are known to have arrived."""
        loop = asyncio.get_running_loop()
        beat_at = loop.time()
        while True:
            if loop.time() >= beat_at:
                beat_at += HEARTBEAT_SECONDS
                self.push("acs", HeartbeatMessage(message_id=f"beat-{beat_at}"))
                self.push("tcs", HeartbeatMessage())
            self.resend()
            await asyncio.sleep(RESEND_SECONDS)

    def resend(self) -> None:
        for record in self.tasks.values():
            if record.status == "STOPPED":
                continue
            if not record.delivered:
                self.send(record.task)
            elif record.desired == "STOPPED":
                self.send(Task(arn=record.task.arn, desired_status="STOPPED"))

    # ---- the agent's side -------------------------------------------------------------------

    async def call(
        self,
        service: str,
        operation: str,
        request: Mapping[str, Any],
        *,
        credentials: Credentials | None = None,
        region: str | None = None,
    ) -> Mapping[str, Any]:
        await asyncio.sleep(0)
        if self.down:
            raise ApiUnreachableError("nobody there")
        if self.refusals:
            raise self.refusals.pop(0)
        request = json.loads(json.dumps(request))
        self.calls.append((operation, request))
        self.signed.append((operation, credentials.access_key_id if credentials else None, region))
        answer = self._answer(operation, request)
        if self.dice.random() < self.answer_loss:
            raise ApiUnreachableError("the answer was lost")
        return answer

    async def object(self, bucket: str, key: str, *, credentials: Credentials | None = None) -> bytes:
        if (content := self.objects.get(f"{bucket}/{key}")) is None:
            raise ApiError("NoSuchKey", key, 404)
        return content

    def _answer(self, operation: str, request: dict[str, Any]) -> Mapping[str, Any]:
        if operation in self.answers:
            answer = self.answers[operation]
            return answer(request) if callable(answer) else answer
        match operation:
            case "RegisterContainerInstance":
                known = request.get("containerInstanceArn")
                made = f"arn:aws:ecs:us-east-1:000000000000:container-instance/default/{len(self.calls)}"
                return {
                    "containerInstance": {
                        "containerInstanceArn": known or made,
                        "attributes": request["attributes"],
                    }
                }
            case "DiscoverPollEndpoint":
                return {"endpoint": "http://acs.test", "telemetryEndpoint": "http://tcs.test"}
            case "SubmitTaskStateChange":
                self._reported(request)
                return {"acknowledgment": "ok"}
        return {}

    def _reported(self, report: dict[str, Any]) -> None:
        record = self.tasks.get(report["task"])
        if record is None:
            raise ApiError("InvalidParameterException", "unknown task", 400)
        order = ["PENDING", "RUNNING", "STOPPED"]
        if order.index(report["status"]) < order.index(record.status):
            self.violations.append(f"{report['task']} went back from {record.status} to {report['status']}")
        record.status = report["status"]
        record.delivered = True
        record.reports.append(report)
        if report["status"] == "STOPPED":
            self.on_final(record.task)
        self.changed.set()

    def heard(self, wire: _Wire, frame: Frame) -> None:
        self.frames.append(frame)
        if self.dice.random() < self.frame_loss:
            return
        match frame:
            case AckRequest(message_id=message_id):
                for task_arn in message_id.split("|")[1:]:
                    if (record := self.tasks.get(task_arn)) is not None:
                        record.delivered = True
            case TaskStopVerificationMessage():
                pass
            case _ if wire.which == "tcs":
                wire.push(AckPublishMetric(message="ok"))
        self.changed.set()

    def healths(self) -> list[str]:
        """Every health status that was published, in order."""
        return [
            c.health_status
            for frame in self.frames
            if isinstance(frame, PublishHealthRequest)
            for t in frame.tasks
            for c in t.containers
        ]

    @asynccontextmanager
    async def dial(self, url: str, headers: Mapping[str, str]) -> AsyncIterator[_Wire]:
        await asyncio.sleep(0)
        if self.down:
            raise ConnectionRefusedError("nobody there")
        wire = _Wire(self, "acs" if "acs.test" in url else "tcs")
        self.wires.add(wire)
        self.changed.set()
        if wire.which == "acs":
            self.resend()
        try:
            yield wire
        finally:
            wire.hang_up(1000)


def make_agent(
    machine: FakeMachine,
    plane: FakeControlPlane,
    *,
    disk: Disk | None = None,
    drivers: Drivers | None = None,
    seed: int = 0,
    starts: int = 4,
    **changes: Any,
) -> NodeAgent:
    """A real agent in this world."""

    def connect(**arguments: Any) -> AgentLink:
        return AgentLink(**arguments, dial=plane.dial)

    ids = SeededIds(seed)
    return NodeAgent(
        settings(**changes),
        drivers or machine.drivers,
        clock=machine.clock,
        ids=ids,
        dice=dice_from(ids),
        starts=asyncio.Semaphore(starts),
        api=plane,
        connect=connect,
        disk=disk or VolatileDisk(),
        is_free=lambda port, protocol: True,
    )


def without(value: Task, **members: Any) -> Task:
    """`value` with other members."""
    return msgspec.structs.replace(value, **members)
