"""The engine's nouns: what a task asks for, what is known about it, and what to do next.

Everything here is a frozen value; `progress` decides on them, `lifecycle`
moves them forward, `journal` writes them down.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import IntEnum, StrEnum
from typing import TypeAlias

from homeport.node.ports import PortBinding


class Phase(IntEnum):
    """How far a container has come. It only ever grows."""

    NONE = 0
    PULLED = 1
    CREATED = 2
    RUNNING = 3
    STOPPED = 4


class Desired(StrEnum):
    """What the control plane (or a stopped essential container) wants of a task."""

    RUNNING = "RUNNING"
    STOPPED = "STOPPED"


class TaskStatus(StrEnum):
    """A task's status as it is reported. Source: SubmitTaskStateChange."""

    PENDING = "PENDING"
    RUNNING = "RUNNING"
    STOPPED = "STOPPED"


class Condition(StrEnum):
    """When a dependency is met. CREATE is implied by `volumesFrom`, START by `links`."""

    CREATE = "CREATE"
    START = "START"
    COMPLETE = "COMPLETE"
    SUCCESS = "SUCCESS"
    HEALTHY = "HEALTHY"


class Step(StrEnum):
    """Work on a container that is under way."""

    PULL = "pull"
    CREATE = "create"
    START = "start"
    STOP = "stop"
    INSPECT = "inspect"


@dataclass(frozen=True, slots=True, kw_only=True)
class Dependency:
    """Another container of the task, and what must be true of it first."""

    container: str
    condition: Condition


@dataclass(frozen=True, slots=True, kw_only=True)
class Restarts:
    """Restart in place. `period_seconds`: it must have run that long to be restarted."""

    period_seconds: int
    ignored_exit_codes: frozenset[int]


@dataclass(frozen=True, slots=True, kw_only=True)
class ContainerRule:
    """What the engine must honour about one container."""

    name: str
    essential: bool
    depends_on: tuple[Dependency, ...] = ()
    start_timeout_seconds: int | None = None
    stop_timeout_seconds: float = 30.0
    restarts: Restarts | None = None
    health_checked: bool = False
    internal: bool = False
    """The node's own, in no report: a holder of namespaces."""
    sandbox: bool = False
    """An internal one that holds a network: the sandbox driver makes and removes it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TaskRules:
    """A task as a graph of containers, in the order of the payload.

    `dependents` names, for each container, those that wait for it (and stop before it);
    `networks`, for each container that joins one, the holder of its network.
    """

    arn: str
    containers: Mapping[str, ContainerRule]
    dependents: Mapping[str, tuple[str, ...]]
    networks: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class HealthState:
    """Docker's word on a container's health, as it is published on TCS."""

    status: str = "UNKNOWN"
    since: datetime | None = None
    output: str = ""
    exit_code: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ContainerState:
    """What is known about one container.

    `ran`: a process was seen in it. `start_asked`: the engine was told to start it, so a
    container that is gone afterwards is not made again. `restart_due`: it exited and its
    policy brings it back. `reason` is the first error and never changes.
    """

    phase: Phase = Phase.NONE
    docker_name: str = ""
    docker_id: str = ""
    image_digest: str = ""
    exit_code: int | None = None
    reason: str = ""
    ran: bool = False
    start_asked: bool = False
    restart_due: bool = False
    restarts: int = 0
    created_at: datetime | None = None
    started_at: datetime | None = None
    finished_at: datetime | None = None
    health: HealthState = HealthState()
    ports: tuple[PortBinding, ...] = ()
    host_ports: tuple[tuple[int, str, int], ...] = ()
    """(container port, protocol, host port) that the engine chose, kept over restarts."""
    ip_addresses: tuple[str, ...] = ()
    image_id: str = ""


class Preparation(StrEnum):
    """Whether what all containers share (cgroup, volumes, secrets) is there."""

    NONE = "NONE"
    READY = "READY"


@dataclass(frozen=True, slots=True, kw_only=True)
class TaskState:
    """What is known about one task."""

    desired: Desired = Desired.RUNNING
    admitted: bool = False
    sandboxed: bool = False
    """Its networks are sandboxes. Decided when it is accepted: what runs stays where it is."""
    preparation: Preparation = Preparation.NONE
    containers: Mapping[str, ContainerState] = field(default_factory=dict)
    reason: str = ""
    pull_started_at: datetime | None = None
    pull_stopped_at: datetime | None = None
    execution_stopped_at: datetime | None = None
    stopped_at: datetime | None = None


# ---- actions ------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Prepare:
    """Make what all containers share."""


@dataclass(frozen=True, slots=True)
class Pull:
    """Bring the container's image to this machine."""

    container: str


@dataclass(frozen=True, slots=True)
class Create:
    """Create the container."""

    container: str


@dataclass(frozen=True, slots=True)
class Start:
    """Start the container, for the first time."""

    container: str


@dataclass(frozen=True, slots=True)
class Restart:
    """Start it again, as its restart policy says."""

    container: str


@dataclass(frozen=True, slots=True)
class Stop:
    """Ask it to stop; kill it after `grace_seconds`."""

    container: str
    grace_seconds: float


@dataclass(frozen=True, slots=True)
class Cancel:
    """Give up the step that is under way: its result is no longer wanted."""

    container: str


@dataclass(frozen=True, slots=True)
class MarkStopped:
    """It does not run and never will."""

    container: str
    exit_code: int | None = None
    reason: str = ""


@dataclass(frozen=True, slots=True)
class StopTask:
    """An essential container, or a network, is gone: everything else stops."""

    reason: str = ""


Action: TypeAlias = Prepare | Pull | Create | Start | Restart | Stop | Cancel | MarkStopped | StopTask


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What to do now, and when to ask again although nothing changed."""

    actions: tuple[Action, ...] = ()
    wake_at: datetime | None = None
