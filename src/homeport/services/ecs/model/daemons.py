"""Daemons: agents that run once on every container instance of their capacity providers."""

from __future__ import annotations

from datetime import datetime

from homeport.services.ecs.model.base import Document, Noun

OPEN_DAEMON_DEPLOYMENTS = ("PENDING", "IN_PROGRESS", "STOP_REQUESTED", "ROLLBACK_IN_PROGRESS")
DRAIN_PERCENT = 25.0
"""Of a capacity provider's instances, when nothing is said. Source: developer guide, "Daemon deployments"."""


class Provider(Noun, frozen=True, kw_only=True):
    """A capacity provider that a daemon was associated with, and its group of instances."""

    arn: str
    group: str


class DaemonRevision(Noun, frozen=True, kw_only=True):
    """What a daemon was made of when a deployment began; never changes. `images`: (container, image)."""

    id: int = 0
    daemon_id: int
    cluster_name: str
    account_id: str
    region: str
    daemon_name: str
    uid: str
    task_definition_id: int
    task_definition: str
    providers: tuple[Provider, ...] = ()
    images: tuple[tuple[str, str], ...] = ()
    propagate_tags: str = "NONE"
    enable_managed_tags: bool = False
    critical: bool = True
    created_at: datetime

    @property
    def arn(self) -> str:
        """Its ARN."""
        head = f"arn:aws:ecs:{self.region}:{self.account_id}"
        return f"{head}:daemon-revision/{self.cluster_name}/{self.daemon_name}/{self.uid}"


class DaemonRollback(Noun, frozen=True, kw_only=True):
    """Why a deployment went back, when, and to which revision (its uid)."""

    reason: str
    started_at: datetime
    revision: str


class DaemonDeployment(Noun, frozen=True, kw_only=True):
    """One deployment of a daemon. `target` and `sources` are uids of revisions.

    A deployment without `target` takes the daemon away. `failures`: tasks of what it brings that
    did not start or did not last; at `threshold` it has `tripped`. `baked_from`: since when every
    instance runs what it should.
    """

    id: int = 0
    version: int = 1
    daemon_id: int
    cluster_name: str
    account_id: str
    region: str
    daemon_name: str
    uid: str
    target: str | None = None
    sources: tuple[str, ...] = ()
    drain_percent: float = DRAIN_PERCENT
    bake_minutes: int = 0
    alarm_names: tuple[str, ...] = ()
    status: str = "PENDING"
    status_reason: str | None = None
    created_at: datetime
    started_at: datetime | None = None
    stopped_at: datetime | None = None
    finished_at: datetime | None = None
    failures: int = 0
    threshold: int = 0
    tripped: bool = False
    baked_from: datetime | None = None
    rollback: DaemonRollback | None = None

    @property
    def arn(self) -> str:
        """Its ARN."""
        head = f"arn:aws:ecs:{self.region}:{self.account_id}"
        return f"{head}:daemon-deployment/{self.cluster_name}/{self.daemon_name}/{self.uid}"

    @property
    def is_open(self) -> bool:
        """Whether it may still change."""
        return self.status in OPEN_DAEMON_DEPLOYMENTS


class Daemon(Noun, frozen=True, kw_only=True):
    """A daemon. It is DELETED once its last task is gone; nobody sees it then.

    `revision` is the uid of what its instances are to run, `last_good` of what a failed
    deployment goes back to; `definition_ids`: the definitions of both. Stops before
    `counted_until` are counted; after so many `failed_starts` in a row there is no start before
    `retry_at` on the instances `failing_on`.
    """

    id: int = 0
    version: int = 1
    cluster_id: int
    cluster_name: str
    account_id: str
    region: str
    name: str
    status: str = "ACTIVE"
    revision: str | None = None
    last_good: str | None = None
    deployment: str
    definition_ids: tuple[int, ...] = ()
    failed_starts: int = 0
    counted_until: datetime
    retry_at: datetime | None = None
    failing_on: tuple[int, ...] = ()
    tags: tuple[Document, ...] = ()
    created_at: datetime
    updated_at: datetime
    created_by: str

    @property
    def arn(self) -> str:
        """Its ARN."""
        return f"arn:aws:ecs:{self.region}:{self.account_id}:daemon/{self.cluster_name}/{self.name}"

    @property
    def group(self) -> str:
        """The group of its tasks."""
        return daemon_group(self.name)


def daemon_group(name: str) -> str:
    """The group of a daemon's tasks [our choice: AWS documents none]."""
    return f"daemon:{name}"
