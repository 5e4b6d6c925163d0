"""ECS's nouns, frozen.

A noun is stored whole as one JSON document; `id` and `version` are the row's.
Instants are aware UTC datetimes, memory is MiB, CPU is CPU units (1024 a vCPU).
Task definitions are wire-shaped mappings and have no class of their own.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

import msgspec

Document = Mapping[str, Any]


class Noun(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Base of what is stored: absent members take no room."""


class Cluster(Noun, frozen=True, kw_only=True):
    """A cluster. `placement_epoch` and `fleet_epoch` guard placements (see `control.placer`)."""

    id: int = 0
    version: int = 1
    account_id: str
    region: str
    name: str
    status: str = "ACTIVE"
    created_at: datetime
    settings: tuple[Document, ...] = ()
    configuration: Document | None = None
    tags: tuple[Document, ...] = ()
    placement_epoch: int = 0
    fleet_epoch: int = 0

    @property
    def arn(self) -> str:
        """Its ARN."""
        return f"arn:aws:ecs:{self.region}:{self.account_id}:cluster/{self.name}"


class TaskDefinition(Noun, frozen=True, kw_only=True):
    """One revision; `body` is the wire's `taskDefinition` without ARN, revision, status and dates."""

    id: int = 0
    version: int = 1
    account_id: str
    region: str
    family: str
    revision: int
    status: str = "ACTIVE"
    registered_at: datetime
    registered_by: str
    deregistered_at: datetime | None = None
    delete_requested_at: datetime | None = None
    body: Document
    tags: tuple[Document, ...] = ()

    @property
    def arn(self) -> str:
        """Its ARN, with the revision."""
        return f"arn:aws:ecs:{self.region}:{self.account_id}:task-definition/{self.family}:{self.revision}"


class Attribute(Noun, frozen=True, kw_only=True):
    """`custom`: put there by a user, who may have ten of them."""

    name: str
    value: str | None = None
    custom: bool = False


class ContainerInstance(Noun, frozen=True, kw_only=True):
    """A registered instance. Ports are the reserved ones; `payloads` counts messages sent to its agent."""

    id: int = 0
    version: int = 1
    cluster_id: int
    cluster_name: str
    account_id: str
    region: str
    uid: str
    ec2_instance_id: str
    status: str = "ACTIVE"
    status_reason: str | None = None
    agent_connected: bool = False
    agent_version: str = ""
    agent_hash: str = ""
    docker_version: str = ""
    cpu: int = 0
    memory: int = 0
    ports_tcp: tuple[int, ...] = ()
    ports_udp: tuple[int, ...] = ()
    gpu_ids: tuple[str, ...] = ()
    attributes: tuple[Attribute, ...] = ()
    tags: tuple[Document, ...] = ()
    registered_at: datetime
    health: tuple[Document, ...] = ()
    agent_update_status: str | None = None
    changed_epoch: int = 0

    @property
    def arn(self) -> str:
        """Its ARN, long format."""
        return (
            f"arn:aws:ecs:{self.region}:{self.account_id}:container-instance/{self.cluster_name}/{self.uid}"
        )

    def attribute(self, name: str) -> str | None:
        """The value of the attribute of that name, if it has one."""
        return next((a.value for a in self.attributes if a.name == name), None)


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
    network_interfaces: tuple[Document, ...] = ()
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
    started_by: str | None = None
    instance_id: int | None = None
    instance_uid: str | None = None
    availability_zone: str | None = None
    service_id: int | None = None
    service_name: str | None = None
    desired_status: str = "RUNNING"
    last_status: str = "PENDING"
    demand: Demand = Demand()
    cpu: str | None = None
    memory: str | None = None
    containers: tuple[Container, ...] = ()
    overrides: Document = {}
    asked_overrides: Document = {}
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
    log_mode: str = "non-blocking"
    """The account's default delivery mode of log drivers when the task was made."""

    @property
    def arn(self) -> str:
        """Its ARN, long format."""
        return f"arn:aws:ecs:{self.region}:{self.account_id}:task/{self.cluster_name}/{self.uid}"

    @property
    def instance_arn(self) -> str | None:
        """The ARN of the instance it was placed on."""
        if self.instance_uid is None:
            return None
        head = f"arn:aws:ecs:{self.region}:{self.account_id}"
        return f"{head}:container-instance/{self.cluster_name}/{self.instance_uid}"

    @property
    def task_definition_arn(self) -> str:
        """The ARN of its revision."""
        head = f"arn:aws:ecs:{self.region}:{self.account_id}"
        return f"{head}:task-definition/{self.family}:{self.revision}"

    def container_arn(self, container: Container) -> str:
        """The ARN of one of its containers."""
        head = f"arn:aws:ecs:{self.region}:{self.account_id}"
        return f"{head}:container/{self.cluster_name}/{self.uid}/{container.uid}"


class Deployment(Noun, frozen=True, kw_only=True):
    """One deployment of a service; the newest is PRIMARY.

    `failed_tasks` is what the circuit breaker counts; `failed_starts`: consecutive
    tasks that never ran; `short_lives`: consecutive tasks that ran for a few
    seconds only; `counted_until`: stops before it are in these counts;
    `retry_at`: no start before it; `has_run`: one of its tasks has reached RUNNING;
    `healthy_until`: when the latest of them became healthy.
    """

    id: str
    revision: str = ""
    """The uid of the service revision that it deploys."""
    status: str = "PRIMARY"
    task_definition_id: int
    task_definition: str
    launch_type: str = "EC2"
    created_at: datetime
    updated_at: datetime
    rollout_state: str = "IN_PROGRESS"
    rollout_state_reason: str = ""
    failed_tasks: int = 0
    failed_starts: int = 0
    short_lives: int = 0
    has_run: bool = False
    healthy_until: datetime | None = None
    counted_until: datetime
    retry_at: datetime | None = None


class ServiceEvent(Noun, frozen=True, kw_only=True):
    """A line of a service's history."""

    id: str
    created_at: datetime
    message: str


class Breaker(Noun, frozen=True, kw_only=True):
    """A deployment circuit breaker. `threshold_value` is a percentage, or for COUNT the number itself."""

    enable: bool = False
    rollback: bool = False
    reset_on_healthy: bool = True
    threshold_type: str = "BOUNDED_PERCENT"
    threshold_value: int = 50


class Service(Noun, frozen=True, kw_only=True):
    """A REPLICA service. Deployments newest first, events newest first (100 kept).

    `last_completed` is what a failed deployment rolls back to; `steady_at`: when it
    was last told to be steady, `None` while it is not.
    """

    id: int = 0
    version: int = 1
    cluster_id: int
    cluster_name: str
    account_id: str
    region: str
    name: str
    status: str = "ACTIVE"
    desired_count: int
    launch_type: str = "EC2"
    deployments: tuple[Deployment, ...]
    events: tuple[ServiceEvent, ...] = ()
    minimum_healthy_percent: int = 100
    maximum_percent: int = 200
    breaker: Breaker = Breaker()
    health_check_grace_seconds: int = 0
    last_completed: Deployment | None = None
    steady_at: datetime | None = None
    placement_constraints: tuple[Document, ...] = ()
    placement_strategy: tuple[Document, ...] = ()
    explicit_controller: bool = False
    enable_managed_tags: bool = False
    propagate_tags: str = "NONE"
    tags: tuple[Document, ...] = ()
    created_at: datetime
    created_by: str
    request: Document = {}
    """What CreateService asked for: a repeat must ask for the same."""

    @property
    def arn(self) -> str:
        """Its ARN, long format."""
        return f"arn:aws:ecs:{self.region}:{self.account_id}:service/{self.cluster_name}/{self.name}"

    @property
    def primary(self) -> Deployment:
        """The newest deployment."""
        return self.deployments[0]


class ServiceRevision(Noun, frozen=True, kw_only=True):
    """What a service was made of when a deployment began; never changes."""

    id: int = 0
    service_id: int
    cluster_name: str
    account_id: str
    region: str
    service_name: str
    uid: str
    task_definition: str
    launch_type: str = "EC2"
    created_at: datetime

    @property
    def arn(self) -> str:
        """Its ARN."""
        head = f"arn:aws:ecs:{self.region}:{self.account_id}"
        return f"{head}:service-revision/{self.cluster_name}/{self.service_name}/{self.uid}"


class Rollback(Noun, frozen=True, kw_only=True):
    """Why and to which revision a service deployment rolled back."""

    reason: str
    started_at: datetime
    revision: str


class ServiceDeployment(Noun, frozen=True, kw_only=True):
    """The history of one deployment (`deployment_id`, `ecs-svc/N`) of a service.

    `target` and `sources` are uids of revisions; `configuration` is the deployment
    configuration as it was shown when the deployment began.
    """

    id: int = 0
    version: int = 1
    service_id: int
    cluster_name: str
    account_id: str
    region: str
    service_name: str
    uid: str
    deployment_id: str
    target: str
    sources: tuple[str, ...] = ()
    configuration: Document = {}
    status: str = "PENDING"
    status_reason: str | None = None
    created_at: datetime
    started_at: datetime | None = None
    stopped_at: datetime | None = None
    finished_at: datetime | None = None
    updated_at: datetime
    failures: int = 0
    threshold: int = 0
    rollback: Rollback | None = None

    @property
    def arn(self) -> str:
        """Its ARN."""
        head = f"arn:aws:ecs:{self.region}:{self.account_id}"
        return f"{head}:service-deployment/{self.cluster_name}/{self.service_name}/{self.uid}"

    @property
    def is_open(self) -> bool:
        """Whether it may still change."""
        return self.status in OPEN_DEPLOYMENTS


OPEN_DEPLOYMENTS = ("PENDING", "IN_PROGRESS", "STOP_REQUESTED", "ROLLBACK_REQUESTED", "ROLLBACK_IN_PROGRESS")
