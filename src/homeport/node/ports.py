"""What the node's engine needs from the machine, in its own words.

`node.drivers` implements these on Docker Engine and Linux; `tests/kit` has
fakes that pass the same contract tests. Every call may be repeated with the
same effect as one call: names are the identity, chosen by the caller, so that
a restarted agent finds what it made before.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any, Protocol


class DriverError(Exception):
    """A driver's refusal, with the ECS agent's error name.

    `name` is what a container's `reason` starts with: CannotPullContainerError,
    CannotCreateContainerError, CannotStartContainerError, DockerTimeoutError, ...
    """

    def __init__(self, name: str, text: str) -> None:
        super().__init__(f"{name}: {text}")
        self.name = name
        self.text = text


class DriverUnavailableError(Exception):
    """The container engine does not answer (restarting?): wait for it and ask again."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ContainerSpec:
    """A container to create: Docker's create-API bodies, already merged."""

    name: str
    image: str
    config: Mapping[str, Any]
    host_config: Mapping[str, Any]
    networking_config: Mapping[str, Any] = field(default_factory=dict)


class RunState(StrEnum):
    """Docker's container states, as far as an agent distinguishes them."""

    CREATED = "created"
    RUNNING = "running"
    EXITED = "exited"


@dataclass(frozen=True, slots=True, kw_only=True)
class PortBinding:
    """A published port, as DescribeTasks shows it."""

    bind_ip: str
    container_port: int
    host_port: int
    protocol: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Health:
    """`status`: HEALTHY, UNHEALTHY or UNKNOWN."""

    status: str = "UNKNOWN"
    since: datetime | None = None
    exit_code: int | None = None
    output: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class ContainerStatus:
    """A container as it is now. `error` is Docker's text about a failed start."""

    name: str
    docker_id: str
    state: RunState
    exit_code: int | None = None
    oom_killed: bool = False
    error: str = ""
    created_at: datetime | None = None
    started_at: datetime | None = None
    finished_at: datetime | None = None
    health: Health | None = None
    ports: tuple[PortBinding, ...] = ()
    ip_addresses: tuple[str, ...] = ()
    network_mode: str = ""
    image: str = ""
    image_id: str = ""
    labels: Mapping[str, str] = field(default_factory=dict)
    mounts: tuple[Mapping[str, str], ...] = ()
    log_driver: str = ""
    log_options: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class ImageInfo:
    """An image on this machine. `digest` is the repository digest, if it has one."""

    id: str
    digest: str | None
    env: tuple[str, ...] = ()
    size_bytes: int = 0
    names: tuple[str, ...] = ()
    created_at: datetime | None = None
    exposed: tuple[str, ...] = ()
    """Ports that its Dockerfile names: `80/tcp`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RegistryLogin:
    """Credentials for one registry."""

    username: str
    password: str
    server: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class PullProgress:
    """Bytes so far over all layers; totals grow while layers are discovered."""

    image: str
    done_bytes: int
    total_bytes: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Sample:
    """Usage at one moment, from Docker's stats. CPU in nanoseconds, memory in bytes."""

    read_at: datetime
    cpu_total_ns: int
    online_cpus: int
    memory_bytes: int
    rx_bytes: int
    tx_bytes: int
    read_bytes: int
    write_bytes: int
    raw: Mapping[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class VolumeSpec:
    """A Docker volume to create."""

    name: str
    driver: str = "local"
    driver_opts: Mapping[str, str] = field(default_factory=dict)
    labels: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class EngineInfo:
    """The container engine and the machine. Memory in bytes."""

    version: str
    api_version: str
    cpus: int
    memory_bytes: int
    log_drivers: tuple[str, ...]
    volume_plugins: tuple[str, ...]
    cgroup_version: str
    cgroup_driver: str
    architecture: str
    operating_system: str
    security_options: tuple[str, ...] = ()
    gpu_runtime: bool = False


class ContainerDriver(Protocol):
    """Containers, by name."""

    async def info(self) -> EngineInfo: ...

    async def create(self, spec: ContainerSpec) -> str:
        """Create, or find, the container; its Docker id. Raise `DriverError`."""
        ...

    async def start(self, name: str) -> None:
        """Start it; started already is fine. Raise `DriverError`."""
        ...

    async def stop(self, name: str, *, grace_seconds: float) -> None:
        """Ask, wait up to `grace_seconds`, then kill. A missing container is stopped."""
        ...

    async def kill(self, name: str) -> None: ...

    async def remove(self, name: str) -> None:
        """Remove it and its anonymous volumes, running or not. Missing is fine."""
        ...

    async def status(self, name: str) -> ContainerStatus | None:
        """What it is now; `None`: it does not exist."""
        ...

    async def names(self, *, label: str, value: str) -> tuple[str, ...]:
        """Names of all containers, running or not, that carry `label=value`."""
        ...

    def events(self) -> AsyncIterator[str]:
        """Names of containers that changed: hints, may be lost or repeated.

        The name `""` says that everything may have changed (the engine was away).
        """
        ...

    async def sample(self, name: str) -> Sample | None:
        """Usage now; `None` when it does not run."""
        ...

    async def logs(self, name: str, *, tail: int) -> tuple[str, ...]: ...

    async def written(self, name: str) -> int:
        """Bytes in its own layer, on top of its image's; 0 for a missing container. It takes a while."""
        ...


class ImageDriver(Protocol):
    """Images on this machine."""

    async def inspect(self, image: str) -> ImageInfo | None: ...

    async def pull(
        self, image: str, *, login: RegistryLogin | None, progress: Callable[[PullProgress], None]
    ) -> None:
        """Raise `DriverError` (CannotPullContainerError, ...)."""
        ...

    async def remove(self, image: str) -> None: ...

    async def images(self) -> tuple[ImageInfo, ...]: ...


class VolumeDriver(Protocol):
    """Docker volumes, by name."""

    async def create(self, spec: VolumeSpec) -> None: ...

    async def inspect(self, name: str) -> VolumeSpec | None: ...

    async def remove(self, name: str) -> None: ...

    async def size(self, name: str) -> int:
        """Bytes in it; 0 for a missing volume, and where nobody may look. It takes a while."""
        ...


class CgroupDriver(Protocol):
    """Limits of whole tasks and of whole local instances."""

    def parent_of(self, task_id: str) -> str:
        """The `CgroupParent` that a task's containers get."""
        ...

    async def create(
        self, task_id: str, *, cpus: float | None, shares: int, memory_bytes: int | None
    ) -> None:
        """Make the task's group under the instance's; repeated calls set the limits again."""
        ...

    async def remove(self, task_id: str) -> None: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class TaskInterface:
    """A task's network interface, as the payload tells it.

    `address` is its own in the subnet `subnet` (a CIDR), `gateway` the subnet's first address: what AWS
    tells, not necessarily what packets go through. `dns` and `search` are resolv.conf's.
    """

    attachment_id: str
    mac: str
    address: str
    subnet: str
    gateway: str = ""
    dns: tuple[str, ...] = ()
    search: tuple[str, ...] = ()
    private_dns_name: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Publication:
    """A port of a sandbox that is reached at `host_port` of the instance. `protocol`: tcp or udp."""

    container_port: int
    protocol: str
    host_port: int


@dataclass(frozen=True, slots=True, kw_only=True)
class SandboxSpec:
    """A network namespace to make: a container that holds it, and its way in and out.

    `name` is the holder's, chosen beforehand. Without `interface` it gets an inner address of the driver's
    choice, and ports of it are published at the instance's. `hostname`: "" leaves it to the driver.
    `extra_hosts` are (name, address). Empty `dns` and `dns_search`: the interface's, else the driver's own.
    `labels` and `cgroup_parent` may be left out: a holder may serve one task after the other.
    `holds_more`: containers join its PID or IPC namespace, too, so that it must be nobody worth attacking.
    """

    name: str
    interface: TaskInterface | None = None
    published: tuple[Publication, ...] = ()
    hostname: str = ""
    extra_hosts: tuple[tuple[str, str], ...] = ()
    dns: tuple[str, ...] = ()
    dns_search: tuple[str, ...] = ()
    dns_options: tuple[str, ...] = ()
    labels: Mapping[str, str] = field(default_factory=dict)
    cgroup_parent: str | None = None
    holds_more: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Sandbox:
    """A network namespace that is there and whole. `docker_id`: of the container that holds it."""

    name: str
    docker_id: str
    address: str
    mac: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Counters:
    """What went through a sandbox's interface since it was made, seen from inside."""

    rx_bytes: int = 0
    rx_packets: int = 0
    rx_errors: int = 0
    rx_dropped: int = 0
    tx_bytes: int = 0
    tx_packets: int = 0
    tx_errors: int = 0
    tx_dropped: int = 0


class SandboxDriver(Protocol):
    """Network namespaces that containers join by `container:<name>`.

    Names are the identity. The holder is a container like any other to `ContainerDriver.status` and
    `events`, with a shareable IPC namespace; it is removed through here alone.
    """

    async def ensure(self, spec: SandboxSpec) -> Sandbox:
        """Make it, or find it and see that it is whole. The same call again has the same effect.

        Raise `DriverError`, after which parts of it may be there until `remove`.
        """
        ...

    async def find(self, name: str) -> Sandbox | None:
        """The sandbox; `None` when there is none, its holder does not run, or it is not whole."""
        ...

    async def publish(self, spec: SandboxSpec) -> None:
        """Have its ports lead to it, whoever took them away, and nothing else.

        Missing is fine. Raise `DriverError`.
        """
        ...

    async def remove(self, name: str) -> None:
        """Whatever is there of it: holder, link, routes, rules. Missing is fine. Raise `DriverError`.

        When this returns its address and its published ports may be given to others.
        """
        ...

    async def names(self) -> tuple[str, ...]:
        """Those of this instance of which anything is there; none that is kept for later."""
        ...

    async def counters(self, name: str) -> Counters | None:
        """Its traffic; `None` when it is not there."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Drivers:
    """Everything the engine drives. Without `sandboxes` containers are on Docker's own bridge."""

    containers: ContainerDriver
    images: ImageDriver
    volumes: VolumeDriver
    cgroups: CgroupDriver | None
    sandboxes: SandboxDriver | None = None
