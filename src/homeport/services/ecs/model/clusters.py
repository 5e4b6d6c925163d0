"""Clusters, their instances, and what runs there."""

from __future__ import annotations

from datetime import datetime

from homeport.services.ecs.model.base import Document, Noun
from homeport.services.ecs.model.fargate import FLEET

TASK_DEFINITION, DAEMON_TASK_DEFINITION = "task-definition", "daemon-task-definition"


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
    capacity_providers: tuple[str, ...] = ()
    default_strategy: tuple[Document, ...] = ()
    """The capacity provider strategy of what asks for neither a launch type nor a strategy."""
    connect_namespace: str = ""
    """The ARN of the namespace of those that ask for Service Connect and name none."""
    placement_epoch: int = 0
    fleet_epoch: int = 0

    @property
    def arn(self) -> str:
        """Its ARN."""
        return f"arn:aws:ecs:{self.region}:{self.account_id}:cluster/{self.name}"


class TaskDefinition(Noun, frozen=True, kw_only=True):
    """One revision; `body` is the wire's `taskDefinition` without ARN, revision, status and dates.

    `kind` is what its ARN says: daemons have task definitions of their own kind.
    """

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
    kind: str = TASK_DEFINITION
    body: Document
    tags: tuple[Document, ...] = ()

    @property
    def arn(self) -> str:
        """Its ARN, with the revision."""
        return f"arn:aws:ecs:{self.region}:{self.account_id}:{self.kind}/{self.family}:{self.revision}"


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

    @property
    def is_hidden(self) -> bool:
        """Whether it is a machine of Fargate's, which nobody is shown."""
        return self.cluster_name == FLEET

    def attribute(self, name: str) -> str | None:
        """The value of the attribute of that name, if it has one."""
        return next((a.value for a in self.attributes if a.name == name), None)
