"""Nouns with as little in them as can be."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from homeport.services.ecs.model import (
    CapacityProvider,
    Cluster,
    ContainerInstance,
    Daemon,
    DaemonDeployment,
    DaemonRevision,
    Deployment,
    Service,
    Task,
    TaskDefinition,
    TaskSet,
)

NOON = datetime(2030, 1, 1, 12, tzinfo=UTC)
ACCOUNT, REGION = "000000000000", "us-east-1"
HOME: dict[str, Any] = {"account_id": ACCOUNT, "region": REGION}
IN_CLUSTER: dict[str, Any] = {**HOME, "cluster_name": "default"}


def uid(number: int) -> str:
    return f"{number:032x}"


def cluster(name: str = "default", **changes: Any) -> Cluster:
    return Cluster(**{**HOME, "name": name, "created_at": NOON, **changes})


def capacity_provider(name: str = "mine", **changes: Any) -> CapacityProvider:
    members = {"group": f"{name}-group", "group_reference": f"{name}-group", "created_at": NOON}
    return CapacityProvider(**{**HOME, "name": name, **members, **changes})


def instance(cluster_id: int, number: int, **changes: Any) -> ContainerInstance:
    members = {"uid": uid(number), "ec2_instance_id": f"i-{number}", "registered_at": NOON}
    return ContainerInstance(**{**IN_CLUSTER, "cluster_id": cluster_id, **members, **changes})


def definition(family: str, revision: int, **changes: Any) -> TaskDefinition:
    members = {"family": family, "revision": revision, "registered_at": NOON, "registered_by": "me"}
    return TaskDefinition(**{**HOME, **members, "body": {"family": family}, **changes})


def task(cluster_id: int, number: int, **changes: Any) -> Task:
    members = {
        "uid": uid(number),
        "task_definition_id": 1,
        "family": "web",
        "revision": 1,
        "group": "family:web",
    }
    return Task(**{**IN_CLUSTER, "cluster_id": cluster_id, **members, "created_at": NOON, **changes})


def deployment(number: int = 1) -> Deployment:
    return Deployment(
        id=f"ecs-svc/{number}",
        task_definition_id=number,
        task_definition=f"web:{number}",
        created_at=NOON,
        updated_at=NOON,
        counted_until=NOON,
    )


def task_set(service_id: int, number: int, **changes: Any) -> TaskSet:
    members = {"deployment": deployment(number), "stability_at": NOON, "updated_at": NOON}
    return TaskSet(
        **{
            **IN_CLUSTER,
            "service_id": service_id,
            "service_name": "web",
            **members,
            "created_at": NOON,
            **changes,
        }
    )


def service(cluster_id: int, name: str, **changes: Any) -> Service:
    members = {"name": name, "desired_count": 1, "deployments": (deployment(),), "created_by": "me"}
    return Service(**{**IN_CLUSTER, "cluster_id": cluster_id, **members, "created_at": NOON, **changes})


def daemon(cluster_id: int, name: str, **changes: Any) -> Daemon:
    members = {"name": name, "deployment": "d1", "revision": "r1", "created_by": "me"}
    times = {"created_at": NOON, "updated_at": NOON, "counted_until": NOON}
    return Daemon(**{**IN_CLUSTER, "cluster_id": cluster_id, **members, **times, **changes})


def daemon_deployment(daemon_id: int, uid: str, **changes: Any) -> DaemonDeployment:
    members = {"daemon_id": daemon_id, "daemon_name": "agent", "uid": uid, "target": "r1"}
    return DaemonDeployment(**{**IN_CLUSTER, **members, "created_at": NOON, **changes})


def daemon_revision(daemon_id: int, uid: str, **changes: Any) -> DaemonRevision:
    members = {"daemon_id": daemon_id, "daemon_name": "agent", "uid": uid}
    made = {"task_definition_id": 1, "task_definition": "agent:1", "created_at": NOON}
    return DaemonRevision(**{**IN_CLUSTER, **members, **made, **changes})
