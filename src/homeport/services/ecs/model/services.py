"""Services, and what they are made of."""

from __future__ import annotations

from datetime import datetime

import msgspec

from homeport.services.ecs.model.base import Document, Noun
from homeport.services.ecs.model.connect import Connect
from homeport.services.ecs.model.networks import TaskNetwork
from homeport.services.ecs.model.registries import Registry
from homeport.services.ecs.model.strategies import DeploymentStrategy, Staging
from homeport.services.ecs.model.targets import LoadBalancer, TargetPlace


class AlarmWatch(Noun, frozen=True, kw_only=True):
    """What was seen of a deployment's alarms.

    `ignored`: those in ALARM when it began; `problem`: why the last look saw nothing.
    """

    has_looked: bool = False
    ignored: tuple[str, ...] = ()
    triggered: tuple[str, ...] = ()
    bake_seconds: float = 0.0
    problem: str = ""


class Deployment(Noun, frozen=True, kw_only=True):
    """One deployment of a service; the newest is PRIMARY.

    `failed_tasks` is what the circuit breaker counts; `failed_starts`: consecutive
    tasks that never ran; `short_lives`: consecutive tasks that ran for a few
    seconds only; `counted_until`: stops before it are in these counts;
    `retry_at`: no start before it; `has_run`: one of its tasks has reached RUNNING;
    `healthy_until`: when the latest of them became healthy; `failing_on`: instances where
    its tasks did not last (DAEMON), which alone wait for `retry_at`.
    """

    id: str
    revision: str = ""
    """The uid of the service revision that it deploys."""
    status: str = "PRIMARY"
    task_definition_id: int
    task_definition: str
    launch_type: str = "EC2"
    platform_version: str | None = None
    """Of Fargate, as it was asked for: LATEST stays LATEST."""
    strategy: tuple[Document, ...] = ()
    """The capacity provider strategy that shares its tasks; without one, any instance will do."""
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
    failing_on: tuple[int, ...] = ()
    staging: Staging | None = None
    """Where it is, while it goes through stages with two revisions side by side."""
    alarm_watch: AlarmWatch | None = None
    baking_since: datetime | None = None
    """Since when nothing is left to do but to watch its alarms."""
    load_balancers: tuple[LoadBalancer, ...] = ()
    registries: tuple[Registry, ...] = ()
    connect: Connect | None = None
    network: TaskNetwork | None = None
    """Where in a VPC its tasks are, if they are awsvpc."""

    @property
    def target_places(self) -> tuple[TargetPlace, ...]:
        """Where its tasks are registered."""
        return tuple(balancer.place for balancer in self.load_balancers)


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


class Alarms(Noun, frozen=True, kw_only=True):
    """Alarms that fail a deployment. `given` is what was asked for, as it is shown again."""

    names: tuple[str, ...] = ()
    enable: bool = False
    rollback: bool = False
    given: Document = msgspec.field(default_factory=dict)


class EarlySuccess(Noun, frozen=True, kw_only=True):
    """When a rolling deployment completes before it is steady. `cleanup`: BLOCKING or DEFERRED.

    `given` is what was asked for, as it is shown again; empty where nothing was.
    """

    enable: bool = False
    healthy_percent: int = 100
    cleanup: str = "BLOCKING"
    given: Document = msgspec.field(default_factory=dict)


class Rebalancing(Noun, frozen=True, kw_only=True):
    """Tasks are being moved between Availability Zones.

    `surplus`: how many there may be above the desired count meanwhile. `blocked`: there was no
    room, which was told; what comes of trying again is told only once there is.
    """

    surplus: int
    blocked: bool = False


class Service(Noun, frozen=True, kw_only=True):
    """A service. Deployments newest first, events newest first (100 kept).

    The `desired_count` of a DAEMON service is how many ACTIVE instances qualify.
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
    scheduling_strategy: str = "REPLICA"
    launch_type: str = "EC2"
    deployments: tuple[Deployment, ...]
    events: tuple[ServiceEvent, ...] = ()
    minimum_healthy_percent: int = 100
    maximum_percent: int = 200
    breaker: Breaker = Breaker()
    early_success: EarlySuccess = EarlySuccess()
    alarms: Alarms = Alarms()
    deployment_strategy: DeploymentStrategy = DeploymentStrategy()
    health_check_grace_seconds: int = 0
    az_rebalancing: bool = False
    rebalancing: Rebalancing | None = None
    last_completed: Deployment | None = None
    steady_at: datetime | None = None
    placement_constraints: tuple[Document, ...] = ()
    placement_strategy: tuple[Document, ...] = ()
    controller: str = "ECS"
    """Who conducts its deployments: ECS, or EXTERNAL (it has task sets then, and no deployments)."""
    has_targets: bool = False
    """Whether it was ever given a load balancer: its tasks may be registered somewhere."""
    has_registries: bool = False
    """The same of service registries."""
    role: str = ""
    """The ARN of the role that ECS uses its load balancers with; empty: ECS does it in its own name."""
    explicit_controller: bool = False
    enable_managed_tags: bool = False
    propagate_tags: str = "NONE"
    tags: tuple[Document, ...] = ()
    created_at: datetime
    created_by: str
    request: Document = msgspec.field(default_factory=dict)
    """What CreateService asked for: a repeat must ask for the same."""

    @property
    def arn(self) -> str:
        """Its ARN, long format."""
        return f"arn:aws:ecs:{self.region}:{self.account_id}:service/{self.cluster_name}/{self.name}"

    def in_connect(self, namespace: str) -> bool:
        """Whether it takes part in Service Connect in the namespace of that ARN."""
        connect = self.primary.connect
        return connect is not None and connect.namespace == namespace

    @property
    def is_external(self) -> bool:
        """Whether it is made of task sets that somebody else conducts."""
        return self.controller == "EXTERNAL"

    @property
    def is_daemon(self) -> bool:
        """Whether it runs one task on every instance that qualifies."""
        return self.scheduling_strategy == "DAEMON"

    @property
    def primary(self) -> Deployment:
        """The newest deployment."""
        return self.deployments[0]

    def wanted_of(self, deployment: Deployment) -> int:
        """How many tasks of one of its deployments are wanted; while there are stages, of two."""
        if not self.deployments or self.status != "ACTIVE":
            return self.desired_count if deployment.status == "PRIMARY" else 0
        staging = self.primary.staging
        wanted = deployment.status == "PRIMARY" if staging is None else staging.wants(deployment.id)
        return self.desired_count if wanted else 0
