"""Tasks and their containers."""

from __future__ import annotations

from datetime import datetime

import msgspec

from homeport.services.ecs.model.base import Document, Noun
from homeport.services.ecs.model.clusters import DAEMON_TASK_DEFINITION, TASK_DEFINITION
from homeport.services.ecs.model.networks import TaskInterface
from homeport.services.ecs.model.registries import Registry
from homeport.services.ecs.model.targets import TargetPlace

_STOPS_AT_ONCE = ("EssentialContainerExited", "TerminationNotice")


class Container(Noun, frozen=True, kw_only=True):
    """A container of a task, as last reported. `was_running`: a RUNNING report was seen."""

    name: str
    uid: str
    image: str
    essential: bool = True
    has_health_check: bool = False
    last_status: str = "PENDING"
    runtime_id: str | None = None
    image_digest: str | None = None
    exit_code: int | None = None
    reason: str | None = None
    network_bindings: tuple[Document, ...] = ()
    health_status: str = "UNKNOWN"
    cpu: str = "0"
    memory: str | None = None
    memory_reservation: str | None = None
    gpu_ids: tuple[str, ...] = ()
    gpus: int = 0
    was_running: bool = False


class Demand(Noun, frozen=True, kw_only=True):
    """What a task holds on its instance."""

    cpu: int = 0
    memory: int = 0
    ports_tcp: tuple[int, ...] = ()
    ports_udp: tuple[int, ...] = ()
    gpus: int = 0


class Protection(Noun, frozen=True, kw_only=True):
    """Scale-in protection until `expires_at`."""

    expires_at: datetime


class Task(Noun, frozen=True, kw_only=True):
    """A task. `overrides` is what DescribeTasks echoes, `asked_overrides` what the caller sent."""

    id: int = 0
    version: int = 1
    cluster_id: int
    cluster_name: str
    account_id: str
    region: str
    uid: str
    task_definition_id: int
    family: str
    revision: int
    group: str
    launch_type: str = "EC2"
    capacity_provider: str | None = None
    fleet_id: int | None = None
    """The row of the fleet that its instance is in, where that is not its cluster (see `model.fargate`)."""
    platform_version: str | None = None
    """Of Fargate, resolved: never LATEST."""
    storage_gib: int | None = None
    """Fargate: how much its containers may write, in GiB."""
    started_by: str | None = None
    instance_id: int | None = None
    instance_uid: str | None = None
    availability_zone: str | None = None
    service_id: int | None = None
    service_name: str | None = None
    daemon_id: int | None = None
    daemon_name: str | None = None
    daemon_revision: str | None = None
    """The uid of the revision of its daemon."""
    desired_status: str = "RUNNING"
    last_status: str = "PENDING"
    demand: Demand = Demand()
    cpu: str | None = None
    memory: str | None = None
    containers: tuple[Container, ...] = ()
    overrides: Document = msgspec.field(default_factory=dict)
    asked_overrides: Document = msgspec.field(default_factory=dict)
    attributes: tuple[Document, ...] = ()
    tags: tuple[Document, ...] = ()
    created_at: datetime
    connectivity_at: datetime | None = None
    pull_started_at: datetime | None = None
    pull_stopped_at: datetime | None = None
    started_at: datetime | None = None
    stopping_at: datetime | None = None
    execution_stopped_at: datetime | None = None
    stopped_at: datetime | None = None
    stop_code: str | None = None
    stopped_reason: str | None = None
    protection: Protection | None = None
    target_places: tuple[TargetPlace, ...] = ()
    """Where it is registered with load balancers while it runs."""
    registries: tuple[Registry, ...] = ()
    """Where others find it by name while it runs."""
    has_left: bool = False
    """It is to stop, and nobody finds it there any more."""
    interface: TaskInterface | None = None
    """Of an awsvpc task, from its first moment on; its last status stays with the task."""
    task_role: str | None = None
    """The ARN of the role whose credentials its containers get, overrides included."""
    execution_role: str | None = None
    """The same of the role that its agent uses for it."""
    log_mode: str = "non-blocking"
    """The account's default delivery mode of log drivers when the task was made."""

    @property
    def arn(self) -> str:
        """Its ARN, long format."""
        return f"arn:aws:ecs:{self.region}:{self.account_id}:task/{self.cluster_name}/{self.uid}"

    @property
    def cluster_arn(self) -> str:
        """The ARN of its cluster."""
        return f"arn:aws:ecs:{self.region}:{self.account_id}:cluster/{self.cluster_name}"

    @property
    def placed_in(self) -> int:
        """The row of the cluster, or of the fleet, whose instance it is on."""
        return self.cluster_id if self.fleet_id is None else self.fleet_id

    @property
    def is_held(self) -> bool:
        """Whether it is to stop and its agent must not hear of that yet: first nobody finds it any more.

        One that crashed has nothing to hold: its agent stops the rest of it by itself. One on Spot has no
        time: its containers are told at once that they have two minutes.
        """
        runs = self.last_status in ("ACTIVATING", "RUNNING", "DEACTIVATING")
        stops = self.desired_status == "STOPPED" and self.stop_code not in _STOPS_AT_ONCE
        is_found = bool(self.registries) and not self.has_left
        return (bool(self.target_places) or is_found) and runs and stops

    @property
    def instance_arn(self) -> str | None:
        """The ARN of the instance it was placed on; Fargate's have none that anybody is shown."""
        if self.instance_uid is None or self.fleet_id is not None:
            return None
        head = f"arn:aws:ecs:{self.region}:{self.account_id}"
        return f"{head}:container-instance/{self.cluster_name}/{self.instance_uid}"

    @property
    def task_definition_arn(self) -> str:
        """The ARN of its revision."""
        head = f"arn:aws:ecs:{self.region}:{self.account_id}"
        kind = TASK_DEFINITION if self.daemon_id is None else DAEMON_TASK_DEFINITION
        return f"{head}:{kind}/{self.family}:{self.revision}"

    @property
    def attachment_arn(self) -> str:
        """The ARN of its network interface's attachment; empty: it has none."""
        if self.interface is None:
            return ""
        return f"arn:aws:ecs:{self.region}:{self.account_id}:attachment/{self.interface.uid}"

    def container_arn(self, container: Container) -> str:
        """The ARN of one of its containers."""
        head = f"arn:aws:ecs:{self.region}:{self.account_id}"
        return f"{head}:container/{self.cluster_name}/{self.uid}/{container.uid}"
