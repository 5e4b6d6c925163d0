"""ECS's nouns, frozen.

A noun is stored whole as one JSON document; `id` and `version` are the row's.
Instants are aware UTC datetimes, memory is MiB, CPU is CPU units (1024 a vCPU).
Task definitions are wire-shaped mappings and have no class of their own.
"""

from __future__ import annotations

from homeport.services.ecs.model.base import Document, Noun
from homeport.services.ecs.model.capacity_providers import GROUP_ATTRIBUTE, CapacityProvider
from homeport.services.ecs.model.clusters import (
    DAEMON_TASK_DEFINITION,
    TASK_DEFINITION,
    Attribute,
    Cluster,
    ContainerInstance,
    TaskDefinition,
)
from homeport.services.ecs.model.connect import Connect, ConnectEndpoint
from homeport.services.ecs.model.daemons import (
    DRAIN_PERCENT,
    OPEN_DAEMON_DEPLOYMENTS,
    Daemon,
    DaemonDeployment,
    DaemonRevision,
    DaemonRollback,
    Provider,
    daemon_group,
)
from homeport.services.ecs.model.fargate import FARGATE, FARGATE_PROVIDERS, FARGATE_SPOT, FLEET, names_fleet
from homeport.services.ecs.model.history import OPEN_DEPLOYMENTS, Rollback, ServiceDeployment, ServiceRevision
from homeport.services.ecs.model.networks import SubnetPlace, TaskInterface, TaskNetwork
from homeport.services.ecs.model.registries import Registry
from homeport.services.ecs.model.services import (
    Alarms,
    AlarmWatch,
    Breaker,
    Deployment,
    EarlySuccess,
    Rebalancing,
    Service,
    ServiceEvent,
)
from homeport.services.ecs.model.strategies import (
    DeploymentStrategy,
    HookAnswer,
    HookRun,
    LifecycleHook,
    Staging,
)
from homeport.services.ecs.model.targets import (
    CLASSIC,
    LoadBalancer,
    Target,
    TargetPlace,
    classic_arn,
    classic_name,
)
from homeport.services.ecs.model.task_sets import TaskSet
from homeport.services.ecs.model.tasks import Container, Demand, Protection, Task

__all__ = [
    "CLASSIC",
    "DAEMON_TASK_DEFINITION",
    "DRAIN_PERCENT",
    "FARGATE",
    "FARGATE_PROVIDERS",
    "FARGATE_SPOT",
    "FLEET",
    "GROUP_ATTRIBUTE",
    "OPEN_DAEMON_DEPLOYMENTS",
    "OPEN_DEPLOYMENTS",
    "TASK_DEFINITION",
    "AlarmWatch",
    "Alarms",
    "Attribute",
    "Breaker",
    "CapacityProvider",
    "Cluster",
    "Connect",
    "ConnectEndpoint",
    "Container",
    "ContainerInstance",
    "Daemon",
    "DaemonDeployment",
    "DaemonRevision",
    "DaemonRollback",
    "Demand",
    "Deployment",
    "DeploymentStrategy",
    "Document",
    "EarlySuccess",
    "HookAnswer",
    "HookRun",
    "LifecycleHook",
    "LoadBalancer",
    "Noun",
    "Protection",
    "Provider",
    "Rebalancing",
    "Registry",
    "Rollback",
    "Service",
    "ServiceDeployment",
    "ServiceEvent",
    "ServiceRevision",
    "Staging",
    "SubnetPlace",
    "Target",
    "TargetPlace",
    "Task",
    "TaskDefinition",
    "TaskInterface",
    "TaskNetwork",
    "TaskSet",
    "classic_arn",
    "classic_name",
    "daemon_group",
    "names_fleet",
]
