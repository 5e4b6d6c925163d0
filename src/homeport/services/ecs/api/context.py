"""What ECS's handlers are given, and the look-ups that most of them begin with."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from homeport.core.call import Call
from homeport.core.clock import Clock
from homeport.core.ids import Ids
from homeport.core.operations import Operations
from homeport.core.pages import Pages
from homeport.services.ecs.api.resources import cluster_keys, ecs_keys
from homeport.services.ecs.api.task_views import TaskViews
from homeport.services.ecs.errors import ClusterNotFoundException
from homeport.services.ecs.model import Cluster, TaskDefinition, names_fleet
from homeport.services.ecs.plan.identifiers import Home, TaskDefinitionName, cluster_name
from homeport.services.ecs.plan.launch import Launches
from homeport.services.ecs.ports import (
    AlarmStates,
    ConnectNames,
    Networks,
    ServiceRegistries,
    TargetGroups,
    TaskPlacer,
    TrafficShifter,
)
from homeport.services.ecs.repo.clusters import ClusterRepo
from homeport.services.ecs.repo.task_definitions import TaskDefinitionRepo
from homeport.store.base import Store
from homeport.store.tx import Tx

ops = Operations("ecs", keys=ecs_keys, keys_of=cluster_keys)

Request = Mapping[str, Any]
Answer = dict[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Ecs:
    """The service's parts, built by `app`. `tasks_per_service`: the quota of that name."""

    store: Store
    clock: Clock
    ids: Ids
    placer: TaskPlacer
    pages: Pages
    tasks_per_service: int
    runs_functions: bool = False
    """Whether something calls the functions of lifecycle hooks."""
    launches: Launches = field(default_factory=Launches)
    views: TaskViews = field(default_factory=TaskViews)
    target_groups: TargetGroups | None = None
    shifter: TrafficShifter | None = None
    alarms: AlarmStates | None = None
    registries: ServiceRegistries | None = None
    networks: Networks | None = None
    connect: ConnectNames | None = None
    no_networks: str = "it has no network of its own."
    """Why there are no `networks`, for people."""


def home(call: Call) -> Home:
    """Where the request is made."""
    return Home(call.account_id, call.region)


def find_cluster(tx: Tx, call: Call, reference: str | None) -> Cluster:
    """The ACTIVE cluster that a request names. Raise `ClusterNotFoundException`."""
    name = cluster_name(home(call), reference)
    cluster = None if name is None else ClusterRepo(tx).find(call.account_id, call.region, name)
    if cluster is None:
        raise ClusterNotFoundException("Cluster not found.")
    if cluster.status == "INACTIVE":
        raise ClusterNotFoundException("The referenced cluster was inactive.")
    return cluster


def agents_cluster(tx: Tx, call: Call, reference: str | None) -> Cluster:
    """The cluster that an agent names: also Fargate's fleet, for which its permission was asked."""
    if not names_fleet(reference):
        return find_cluster(tx, call, reference)
    fleet = ClusterRepo(tx).fleet(call.account_id, call.region)
    if fleet is None:
        raise ClusterNotFoundException("Cluster not found.")
    return fleet


def find_task_definition(tx: Tx, call: Call, name: TaskDefinitionName) -> TaskDefinition | None:
    """That revision, or the family's latest ACTIVE one."""
    if not name.here:
        return None
    repo = TaskDefinitionRepo(tx)
    if name.revision is None:
        return repo.latest_active(call.account_id, call.region, name.family)
    return repo.exact(call.account_id, call.region, name.family, name.revision)
