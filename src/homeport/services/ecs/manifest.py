"""What `app` reads of this service."""

from __future__ import annotations

from homeport.services.ecs.api import (  # noqa: F401  each fills the operations table
    agent,
    capacity_providers,
    clusters,
    container_instances,
    daemon_deployments,
    daemon_task_definitions,
    daemons,
    gateways,
    service_deployments,
    services,
    settings,
    tags,
    task_definitions,
    task_sets,
    tasks,
)
from homeport.services.ecs.api.agent import ACS_PATH, TCS_PATH
from homeport.services.ecs.api.context import Ecs, ops
from homeport.services.ecs.api.facts import Facts
from homeport.services.ecs.api.resources import FARGATE_AGENT, agent_access
from homeport.services.ecs.control.agents import AgentHub
from homeport.services.ecs.control.alarms import AlarmController
from homeport.services.ecs.control.event_bus import EventBus
from homeport.services.ecs.control.explainer import Explainer
from homeport.services.ecs.control.fleet_feed import FleetFeed
from homeport.services.ecs.control.managed_daemons import DaemonController
from homeport.services.ecs.control.placer import Placer
from homeport.services.ecs.control.reaper import Reaper
from homeport.services.ecs.control.registries import RegistryController
from homeport.services.ecs.control.replicas import ReplicaController
from homeport.services.ecs.control.spot import SpotInterruptions
from homeport.services.ecs.control.stages import Outside
from homeport.services.ecs.control.targets import TargetController
from homeport.services.ecs.control.task_roles import roles_of
from homeport.services.ecs.control.zones import ZoneWatch
from homeport.services.ecs.model import (
    CLASSIC,
    FLEET,
    Connect,
    ConnectEndpoint,
    Service,
    SubnetPlace,
    Task,
    TaskInterface,
    TaskNetwork,
)
from homeport.services.ecs.plan.traffic import weights_of
from homeport.services.ecs.ports import (
    ALARMS_CHANGED,
    ROLES_CHANGED,
    TARGETS_CHANGED,
    AgentHello,
    AlarmStates,
    ConnectNames,
    ConnectNamespace,
    ConnectProxy,
    ConnectRefusedError,
    ConnectShares,
    NetworkRefusedError,
    Networks,
    NoInterfaceError,
    RefusedAgentError,
    RegistryFacts,
    RegistryInstance,
    RegistryRefusedError,
    RoleAssumer,
    RoleSession,
    RuleShares,
    ServiceRegistries,
    TargetAddress,
    TargetGroup,
    TargetGroupMissingError,
    TargetGroups,
    TargetGroupsError,
    Targets,
    TargetState,
    TargetUse,
    TrafficShifter,
)
from homeport.services.ecs.repo import tables  # noqa: F401  defines the tables
from homeport.services.ecs.repo.clusters import ClusterRepo
from homeport.services.ecs.repo.events import EventPosition
from homeport.services.ecs.repo.services import ServiceRepo
from homeport.services.ecs.repo.tasks import CREDENTIALS_ENDED, FARGATE_CHANGED, TaskRepo

name = "ecs"
operations = ops
invalid_input = "InvalidParameterException"
facts = Facts()
takes = None

__all__ = [
    "ACS_PATH",
    "ALARMS_CHANGED",
    "CLASSIC",
    "CREDENTIALS_ENDED",
    "FARGATE_AGENT",
    "FARGATE_CHANGED",
    "FLEET",
    "ROLES_CHANGED",
    "TARGETS_CHANGED",
    "TCS_PATH",
    "AgentHello",
    "AgentHub",
    "AlarmController",
    "AlarmStates",
    "ClusterRepo",
    "Connect",
    "ConnectEndpoint",
    "ConnectNames",
    "ConnectNamespace",
    "ConnectProxy",
    "ConnectRefusedError",
    "ConnectShares",
    "DaemonController",
    "Ecs",
    "EventBus",
    "EventPosition",
    "Explainer",
    "FleetFeed",
    "NetworkRefusedError",
    "Networks",
    "NoInterfaceError",
    "Outside",
    "Placer",
    "Reaper",
    "RefusedAgentError",
    "RegistryController",
    "RegistryFacts",
    "RegistryInstance",
    "RegistryRefusedError",
    "ReplicaController",
    "RoleAssumer",
    "RoleSession",
    "RuleShares",
    "Service",
    "ServiceRegistries",
    "ServiceRepo",
    "SpotInterruptions",
    "SubnetPlace",
    "TargetAddress",
    "TargetController",
    "TargetGroup",
    "TargetGroupMissingError",
    "TargetGroups",
    "TargetGroupsError",
    "TargetState",
    "TargetUse",
    "Targets",
    "Task",
    "TaskInterface",
    "TaskNetwork",
    "TaskRepo",
    "TrafficShifter",
    "ZoneWatch",
    "agent_access",
    "facts",
    "invalid_input",
    "name",
    "operations",
    "roles_of",
    "takes",
    "weights_of",
]
