"""What a service was, and how it came to be what it is."""

from __future__ import annotations

from datetime import datetime

import msgspec

from homeport.services.ecs.model.base import Document, Noun
from homeport.services.ecs.model.connect import Connect
from homeport.services.ecs.model.networks import TaskNetwork
from homeport.services.ecs.model.registries import Registry
from homeport.services.ecs.model.strategies import Staging
from homeport.services.ecs.model.targets import LoadBalancer

OPEN_DEPLOYMENTS = ("PENDING", "IN_PROGRESS", "STOP_REQUESTED", "ROLLBACK_REQUESTED", "ROLLBACK_IN_PROGRESS")


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
    platform_version: str | None = None
    strategy: tuple[Document, ...] = ()
    load_balancers: tuple[LoadBalancer, ...] = ()
    registries: tuple[Registry, ...] = ()
    connect: Connect | None = None
    network: TaskNetwork | None = None
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
    configuration: Document = msgspec.field(default_factory=dict)
    status: str = "PENDING"
    status_reason: str | None = None
    created_at: datetime
    started_at: datetime | None = None
    stopped_at: datetime | None = None
    finished_at: datetime | None = None
    updated_at: datetime
    failures: int = 0
    threshold: int = 0
    triggered_alarms: tuple[str, ...] = ()
    rollback: Rollback | None = None
    staging: Staging | None = None
    """Where it is, or was last, among its stages."""
    final_counts: Document = msgspec.field(default_factory=dict)
    """Of a deployment that completed early: (requested, running, pending) tasks by revision, as it ended."""

    @property
    def arn(self) -> str:
        """Its ARN."""
        head = f"arn:aws:ecs:{self.region}:{self.account_id}"
        return f"{head}:service-deployment/{self.cluster_name}/{self.service_name}/{self.uid}"

    @property
    def is_open(self) -> bool:
        """Whether it may still change."""
        return self.status in OPEN_DEPLOYMENTS
