"""What ECS needs from outside, in its own words."""

from __future__ import annotations

from homeport.services.ecs.ports.agents import AgentHello, Outbox, RefusedAgentError
from homeport.services.ecs.ports.balancing import (
    TARGETS_CHANGED,
    RuleShares,
    TargetAddress,
    TargetGroup,
    TargetGroupMissingError,
    TargetGroups,
    TargetGroupsError,
    TargetState,
    TrafficShifter,
)
from homeport.services.ecs.ports.deployments import (
    ALARMS_CHANGED,
    AlarmsError,
    AlarmState,
    AlarmStates,
    LifecycleHookInvoker,
    alarm_key,
)
from homeport.services.ecs.ports.networks import (
    NetworkRefusedError,
    Networks,
    NoInterfaceError,
    Obstacle,
    OpenPaths,
    Paths,
)
from homeport.services.ecs.ports.placing import (
    ClientToken,
    PlacementFailure,
    PlacementOutcome,
    PlacementRequest,
    Share,
    TaskPlacer,
)
from homeport.services.ecs.ports.registries import (
    ConnectNames,
    ConnectNamespace,
    ConnectRefusedError,
    RegistryFacts,
    RegistryInstance,
    RegistryRefusedError,
    ServiceRegistries,
)
from homeport.services.ecs.ports.roles import (
    ROLES_CHANGED,
    TASK_APPLICATION,
    TASK_EXECUTION,
    RoleAssumer,
    RoleSession,
)

__all__ = [
    "ALARMS_CHANGED",
    "ROLES_CHANGED",
    "TARGETS_CHANGED",
    "TASK_APPLICATION",
    "TASK_EXECUTION",
    "AgentHello",
    "AlarmState",
    "AlarmStates",
    "AlarmsError",
    "ClientToken",
    "ConnectNames",
    "ConnectNamespace",
    "ConnectRefusedError",
    "LifecycleHookInvoker",
    "NetworkRefusedError",
    "Networks",
    "NoInterfaceError",
    "Obstacle",
    "OpenPaths",
    "Outbox",
    "Paths",
    "PlacementFailure",
    "PlacementOutcome",
    "PlacementRequest",
    "RefusedAgentError",
    "RegistryFacts",
    "RegistryInstance",
    "RegistryRefusedError",
    "RoleAssumer",
    "RoleSession",
    "RuleShares",
    "ServiceRegistries",
    "Share",
    "TargetAddress",
    "TargetGroup",
    "TargetGroupMissingError",
    "TargetGroups",
    "TargetGroupsError",
    "TargetState",
    "TaskPlacer",
    "TrafficShifter",
    "alarm_key",
]
