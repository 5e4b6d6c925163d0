"""What the metadata endpoint shows, and whom it asks: the engine implements `MetadataSource`.

Views are frozen snapshots in the contracts' own words; `metadata.view` turns
them into the endpoint's JSON. Endpoint ids come from `node.names.endpoint_id`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Protocol

from homeport.agentproto.messages import Container, RoleCredentials, Task
from homeport.node.ports import ContainerStatus, Sample, TaskInterface


@dataclass(frozen=True, slots=True, kw_only=True)
class ContainerView:
    """One container of a task. `status` is Docker's latest word, if it was created.

    Statuses are the agent's: NONE, PULLED, CREATED, RUNNING, STOPPED, ...
    `docker_name` is its name even while it does not exist yet.
    """

    container: Container
    docker_name: str
    desired_status: str
    known_status: str
    status: ContainerStatus | None = None
    restart_count: int | None = None
    """How often a restart policy restarted it; `None` without a restart policy."""
    kind: str = "NORMAL"
    interface: TaskInterface | None = None
    """The task's, in network mode awsvpc."""
    shown_id: str = ""
    """What is shown in place of Docker's id; empty: that."""
    shown_name: str = ""
    """The same of Docker's name."""

    @property
    def docker_id(self) -> str:
        """Its id as it is shown, once it was created."""
        return (self.shown_id or self.status.docker_id) if self.status else ""


@dataclass(frozen=True, slots=True, kw_only=True)
class TaskView:
    """One task with all its containers, internal ones (pause) excepted."""

    task: Task
    cluster: str
    """As configured: the short name on an instance."""
    desired_status: str
    known_status: str
    containers: tuple[ContainerView, ...] = ()
    pull_started_at: datetime | None = None
    pull_stopped_at: datetime | None = None
    execution_stopped_at: datetime | None = None
    vpc_id: str = ""
    """Empty: unknown, or not shown. Whoever answers asks for it (`Vpcs`)."""
    ec2_instance_id: str = ""
    """Of the instance that the task is on; empty: that is nobody's to see, as Fargate's are."""
    storage: tuple[int, int] | None = None
    """Fargate: bytes that its containers have written, and how many they may."""


class Vpcs(Protocol):
    """In which VPCs tasks are."""

    async def vpc_of(self, task_arn: str, *, interface_id: str, instance_id: str) -> str:
        """The VPC of a task's interface, by its EC2 id; without one, of its instance. Empty: unknown."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class InstanceView:
    """Introspection's `/v1/metadata`. `version` in full: `Amazon ECS Agent - v... (*...)`."""

    cluster: str
    container_instance_arn: str
    version: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Usage:
    """The two latest samples of a running container; the earlier one gives network rates."""

    now: Sample
    before: Sample | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Tags:
    """Tags for `taskWithTags`. `errors` are members of `Errors`, with the wire's names."""

    task: Mapping[str, str] = field(default_factory=dict)
    instance: Mapping[str, str] = field(default_factory=dict)
    errors: tuple[Mapping[str, Any], ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Protection:
    """A task's scale-in protection as ECS answered. `expires_at` only while it is on."""

    task_arn: str
    enabled: bool
    expires_at: datetime | None = None


class ProtectionRefusedError(Exception):
    """ECS put the task among the `failures` of its answer."""

    def __init__(self, *, arn: str, reason: str, detail: str = "") -> None:
        super().__init__(reason)
        self.arn = arn
        self.reason = reason
        self.detail = detail


class ProtectionFailedError(Exception):
    """The call to ECS itself failed; `code` is the exception's name, `status` its HTTP status."""

    def __init__(self, *, code: str, message: str, status: int, request_id: str = "") -> None:
        super().__init__(f"{code}: {message}")
        self.code = code
        self.message = message
        self.status = status
        self.request_id = request_id


@dataclass(frozen=True, slots=True, kw_only=True)
class HeldCredentials:
    """What an id stands for: a task's, and its credentials; `None`: they are still to be delivered again."""

    task: str
    credentials: RoleCredentials | None


class MetadataSource(Protocol):
    """One container instance's engine, as its metadata endpoint sees it.

    Several local instances may share one endpoint: everything is looked up
    by ids that are unique among them, and an unknown id is simply `None`.
    """

    def instance(self) -> InstanceView: ...

    def tasks(self) -> tuple[TaskView, ...]:
        """Every task that this instance still knows, stopped ones until they are cleaned up."""
        ...

    def by_endpoint(self, endpoint_id: str) -> tuple[TaskView, ContainerView] | None:
        """The container that owns the endpoint id."""
        ...

    def credentials(self, credentials_id: str) -> HeldCredentials | None:
        """Of a task's role, while the task lives. What the node itself uses is nobody's to ask for."""
        ...

    async def usage(self, container: ContainerView) -> Usage | None:
        """`None` when it does not run."""
        ...

    async def tags(self, task: TaskView) -> Tags: ...

    async def protection(self, task: TaskView) -> Protection:
        """GetTaskProtection with the task role. Raise `ProtectionRefusedError`, `ProtectionFailedError`."""
        ...

    async def protect(self, task: TaskView, *, enabled: bool, minutes: int | None) -> Protection:
        """UpdateTaskProtection with the task role. Raise as `protection` does."""
        ...
