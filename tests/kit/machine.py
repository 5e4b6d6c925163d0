"""A machine with a container engine, in memory: it passes the drivers' contract, and it can have bad days.

What a container does is its command: `stay` (until asked), `deaf` (until killed), `exit N` (at once),
`run SECONDS N`, `missing` (no such program). A health check `["CMD", "after", "5"]` is passed after five
seconds, `["CMD", "never"]` never.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from homeport.core.clock import Clock
from homeport.node.ports import (
    ContainerSpec,
    ContainerStatus,
    DriverError,
    Drivers,
    DriverUnavailableError,
    EngineInfo,
    Health,
    ImageInfo,
    PortBinding,
    PullProgress,
    RegistryLogin,
    RunState,
    Sample,
    VolumeSpec,
)

GIB = 1 << 30


@dataclass(slots=True, kw_only=True)
class FakeContainer:
    """One container as the machine has it."""

    spec: ContainerSpec
    id: str
    created_at: datetime
    state: RunState = RunState.CREATED
    exit_code: int | None = None
    error: str = ""
    oom_killed: bool = False
    started_at: datetime | None = None
    finished_at: datetime | None = None
    health: Health | None = None
    starts: int = 0
    timers: list[asyncio.TimerHandle] = field(default_factory=list)
    gone: asyncio.Event = field(default_factory=asyncio.Event)


class FakeMachine:
    """Containers, images, volumes and cgroups of one machine. `drivers` speaks to it."""

    def __init__(
        self,
        clock: Clock,
        *,
        images: tuple[str, ...] = ("app:1",),
        latency: Callable[[], float] = lambda: 0.0,
        dice: random.Random | None = None,
        cpus: int = 4,
        memory_bytes: int = 8 * GIB,
    ) -> None:
        self.clock = clock
        self.latency = latency
        self.dice = dice or random.Random(0)
        self.containers: dict[str, FakeContainer] = {}
        self.images: dict[str, ImageInfo] = {}
        self.registry: dict[str, float] = {}
        self.volumes: dict[str, VolumeSpec] = {}
        self.written: dict[str, int] = {}
        """Bytes that containers have in their layers, and volumes in them, by name."""
        self.cgroups: dict[str, Mapping[str, Any]] = {}
        self.history: list[tuple[str, str]] = []
        self.exits: dict[str, list[int]] = {}
        self.on_start: Callable[[FakeContainer], None] = lambda container: None
        self.event_loss = 0.0
        self.pulls = 0
        self.logins: list[RegistryLogin | None] = []
        self.asked: list[str] = []
        self.slow: dict[str, float] = {}
        self.starting = 0
        self.starting_max = 0
        self.info = EngineInfo(
            version="24.0",
            api_version="1.43",
            cpus=cpus,
            memory_bytes=memory_bytes,
            log_drivers=("json-file", "none"),
            volume_plugins=("local",),
            cgroup_version="2",
            cgroup_driver="cgroupfs",
            architecture="x86_64",
            operating_system="Test",
        )
        self._up = asyncio.Event()
        self._up.set()
        self._ids = 0
        self._listeners: list[asyncio.Queue[str]] = []
        for image in images:
            self.add_image(image)

    @property
    def drivers(self) -> Drivers:
        return Drivers(
            containers=FakeContainers(self),
            images=FakeImages(self),
            volumes=FakeVolumes(self),
            cgroups=FakeCgroups(self),
        )

    def add_image(self, name: str, size_bytes: int = 1000) -> None:
        self.images[name] = ImageInfo(
            id=f"sha256:{name}",
            digest=f"sha256:digest-{name}",
            env=("PATH=/bin",),
            names=(name,),
            size_bytes=size_bytes,
        )

    # ---- what may befall it -----------------------------------------------------------------

    def go_down(self) -> None:
        """The engine stops answering; containers run on."""
        self._up.clear()

    def come_up(self) -> None:
        self._up.set()
        self.tell("")

    def reboot(self) -> None:
        """Power loss: every process is gone."""
        for container in list(self.containers.values()):
            if container.state is RunState.RUNNING:
                self.end(container, 137)

    def vanish(self, name: str) -> None:
        """Somebody removed it behind the agent's back."""
        if (container := self.containers.pop(name, None)) is not None:
            self._quiet(container)
            container.gone.set()
            self.tell(name)

    def end(self, container: FakeContainer, code: int, *, oom: bool = False) -> None:
        """Its process ends."""
        if container.state is not RunState.RUNNING:
            return
        self._quiet(container)
        container.state = RunState.EXITED
        container.exit_code = code
        container.oom_killed = oom
        container.finished_at = self.clock.now()
        container.gone.set()
        name = container.spec.name
        self.history.append(("die", name))
        self.exits.setdefault(name, []).append(code)
        self.tell(name)

    # ---- how it works -----------------------------------------------------------------------

    async def answer(self, call: str) -> bool:
        """One call's way; whether it takes effect although the caller will not learn of it."""
        self.asked.append(call)
        if not self._up.is_set():
            raise DriverUnavailableError("the engine does not answer")
        if delay := self.latency() + self.slow.get(call, 0.0):
            await asyncio.sleep(delay)
        if self._up.is_set():
            return False
        if self.dice.random() < 0.5:
            raise DriverUnavailableError("the engine went away before it did anything")
        return True

    def finish(self, lost: bool) -> None:
        if lost:
            raise DriverUnavailableError("the engine went away before it answered")

    def tell(self, name: str) -> None:
        for listener in self._listeners:
            if not name or self.dice.random() >= self.event_loss:
                listener.put_nowait(name)

    async def events(self) -> AsyncIterator[str]:
        queue: asyncio.Queue[str] = asyncio.Queue()
        self._listeners.append(queue)
        try:
            await self._up.wait()
            yield ""
            while True:
                name = await queue.get()
                await self._up.wait()
                yield name
        finally:
            self._listeners.remove(queue)

    def make(self, spec: ContainerSpec) -> str:
        if (found := self.containers.get(spec.name)) is not None:
            return found.id
        if spec.image not in self.images:
            raise DriverError("CannotCreateContainerError", f"No such image: {spec.image}")
        self._ids += 1
        container = FakeContainer(spec=spec, id=f"{self._ids:064x}", created_at=self.clock.now())
        self.containers[spec.name] = container
        self.history.append(("create", spec.name))
        self.tell(spec.name)
        return container.id

    def begin(self, name: str) -> None:
        container = self.containers.get(name)
        if container is None:
            raise DriverError("CannotStartContainerError", f"No such container: {name}")
        if container.state is RunState.RUNNING:
            return
        command = list(container.spec.config.get("Cmd") or ["stay"])
        if command[0] == "missing":
            container.error = "exec: no such file"
            container.exit_code = 127
            raise DriverError("CannotStartContainerError", container.error)
        container.state = RunState.RUNNING
        container.starts += 1
        container.exit_code = None
        container.started_at = self.clock.now()
        container.finished_at = None
        container.gone = asyncio.Event()
        self.history.append(("start", name))
        self.on_start(container)
        self.tell(name)
        self._schedule(container, command)

    def _schedule(self, container: FakeContainer, command: list[str]) -> None:
        loop = asyncio.get_running_loop()
        match command:
            case ["exit", code]:
                self.end(container, int(code))
            case ["run", seconds, code]:
                timer = loop.call_later(float(seconds), self.end, container, int(code))
                container.timers.append(timer)
        check = (container.spec.config.get("Healthcheck") or {}).get("Test") or ()
        if check:
            container.health = Health(status="UNKNOWN")
            if list(check[:2]) == ["CMD", "after"]:
                container.timers.append(loop.call_later(float(check[2]), self.feel, container, "HEALTHY"))

    def feel(self, container: FakeContainer, status: str) -> None:
        """Its health check says so."""
        container.health = Health(status=status, since=self.clock.now(), output="checked")
        self.tell(container.spec.name)

    def _quiet(self, container: FakeContainer) -> None:
        for timer in container.timers:
            timer.cancel()
        container.timers.clear()

    def forget(self, name: str) -> None:
        if (container := self.containers.pop(name, None)) is not None:
            if container.state is RunState.RUNNING:
                self.end(container, 137)
            self.history.append(("remove", name))
            self.tell(name)

    def status(self, name: str) -> ContainerStatus | None:
        container = self.containers.get(name)
        if container is None:
            return None
        bindings = (container.spec.host_config.get("PortBindings") or {}).items()
        log = container.spec.host_config.get("LogConfig") or {}
        return ContainerStatus(
            name=name,
            docker_id=container.id,
            state=container.state,
            exit_code=container.exit_code if container.state is RunState.EXITED else None,
            oom_killed=container.oom_killed,
            error=container.error,
            created_at=container.created_at,
            started_at=container.started_at,
            finished_at=container.finished_at,
            health=container.health,
            ports=tuple(
                PortBinding(
                    bind_ip=each["HostIp"],
                    container_port=int(port.partition("/")[0]),
                    host_port=int(each["HostPort"]),
                    protocol=port.partition("/")[2],
                )
                for port, hosts in bindings
                for each in hosts
            ),
            image=container.spec.image,
            image_id=self.images[container.spec.image].id if container.spec.image in self.images else "",
            labels=container.spec.config.get("Labels") or {},
            log_driver=log.get("Type") or "json-file",
            log_options=log.get("Config") or {},
        )


class FakeContainers:
    """`ContainerDriver` on a `FakeMachine`."""

    def __init__(self, machine: FakeMachine) -> None:
        self._machine = machine

    async def info(self) -> EngineInfo:
        self._machine.finish(await self._machine.answer("info"))
        return self._machine.info

    async def create(self, spec: ContainerSpec) -> str:
        lost = await self._machine.answer("create")
        made = self._machine.make(spec)
        self._machine.finish(lost)
        return made

    async def start(self, name: str) -> None:
        machine = self._machine
        machine.starting += 1
        machine.starting_max = max(machine.starting_max, machine.starting)
        try:
            lost = await machine.answer("start")
            machine.begin(name)
            machine.finish(lost)
        finally:
            machine.starting -= 1

    async def stop(self, name: str, *, grace_seconds: float) -> None:
        machine = self._machine
        lost = await machine.answer("stop")
        container = machine.containers.get(name)
        if container is None or container.state is not RunState.RUNNING:
            return
        if list(container.spec.config.get("Cmd") or ()) == ["deaf"]:
            try:
                async with asyncio.timeout(grace_seconds):
                    await container.gone.wait()
            except TimeoutError:
                machine.end(container, 137)
        else:
            machine.end(container, 0)
        machine.finish(lost)

    async def kill(self, name: str) -> None:
        lost = await self._machine.answer("kill")
        if (container := self._machine.containers.get(name)) is not None:
            self._machine.end(container, 137)
        self._machine.finish(lost)

    async def remove(self, name: str) -> None:
        lost = await self._machine.answer("remove")
        self._machine.forget(name)
        self._machine.finish(lost)

    async def status(self, name: str) -> ContainerStatus | None:
        self._machine.finish(await self._machine.answer("status"))
        return self._machine.status(name)

    async def names(self, *, label: str, value: str) -> tuple[str, ...]:
        self._machine.finish(await self._machine.answer("names"))
        found = self._machine.containers.items()
        return tuple(n for n, c in found if (c.spec.config.get("Labels") or {}).get(label) == value)

    def events(self) -> AsyncIterator[str]:
        return self._machine.events()

    async def sample(self, name: str) -> Sample | None:
        self._machine.finish(await self._machine.answer("sample"))
        container = self._machine.containers.get(name)
        if container is None or container.state is not RunState.RUNNING or container.started_at is None:
            return None
        now = self._machine.clock.now()
        seconds = (now - container.started_at).total_seconds()
        return Sample(
            read_at=now,
            cpu_total_ns=int(seconds * 1e9 * 0.5),
            online_cpus=self._machine.info.cpus,
            memory_bytes=64 << 20,
            rx_bytes=int(seconds * 100),
            tx_bytes=int(seconds * 10),
            read_bytes=4096,
            write_bytes=8192,
            raw={},
        )

    async def logs(self, name: str, *, tail: int) -> tuple[str, ...]:
        self._machine.finish(await self._machine.answer("logs"))
        return ("line",)[:tail] if name in self._machine.containers else ()

    async def written(self, name: str) -> int:
        self._machine.finish(await self._machine.answer("written"))
        return self._machine.written.get(name, 0) if name in self._machine.containers else 0


class FakeImages:
    """`ImageDriver`: `machine.registry` says what can be pulled, and in how many seconds."""

    def __init__(self, machine: FakeMachine) -> None:
        self._machine = machine
        self.logins = machine.logins

    async def inspect(self, image: str) -> ImageInfo | None:
        self._machine.finish(await self._machine.answer("images.inspect"))
        return self._machine.images.get(image)

    async def pull(
        self, image: str, *, login: RegistryLogin | None, progress: Callable[[PullProgress], None]
    ) -> None:
        self.logins.append(login)
        self._machine.pulls += 1
        lost = await self._machine.answer("images.pull")
        seconds = self._machine.registry.get(image)
        if seconds is None:
            raise DriverError("CannotPullContainerError", f"{image}: not found")
        await asyncio.sleep(seconds)
        progress(PullProgress(image=image, done_bytes=1000, total_bytes=1000))
        self._machine.add_image(image)
        self._machine.finish(lost)

    async def remove(self, image: str) -> None:
        self._machine.finish(await self._machine.answer("images.remove"))
        self._machine.images.pop(image, None)

    async def images(self) -> tuple[ImageInfo, ...]:
        self._machine.finish(await self._machine.answer("images.images"))
        return tuple(self._machine.images.values())


class FakeVolumes:
    """`VolumeDriver`."""

    def __init__(self, machine: FakeMachine) -> None:
        self._machine = machine

    async def create(self, spec: VolumeSpec) -> None:
        lost = await self._machine.answer("volumes.create")
        self._machine.volumes.setdefault(spec.name, spec)
        self._machine.finish(lost)

    async def inspect(self, name: str) -> VolumeSpec | None:
        self._machine.finish(await self._machine.answer("volumes.inspect"))
        return self._machine.volumes.get(name)

    async def size(self, name: str) -> int:
        self._machine.finish(await self._machine.answer("volumes.size"))
        return self._machine.written.get(name, 0) if name in self._machine.volumes else 0

    async def remove(self, name: str) -> None:
        lost = await self._machine.answer("volumes.remove")
        self._machine.volumes.pop(name, None)
        self._machine.finish(lost)


class FakeCgroups:
    """`CgroupDriver`."""

    def __init__(self, machine: FakeMachine) -> None:
        self._machine = machine

    def parent_of(self, task_id: str) -> str:
        return f"/homeport/{task_id}"

    async def create(
        self, task_id: str, *, cpus: float | None, shares: int, memory_bytes: int | None
    ) -> None:
        self._machine.finish(await self._machine.answer("cgroups.create"))
        self._machine.cgroups[task_id] = {"cpus": cpus, "shares": shares, "memory_bytes": memory_bytes}

    async def remove(self, task_id: str) -> None:
        self._machine.finish(await self._machine.answer("cgroups.remove"))
        self._machine.cgroups.pop(task_id, None)
