"""Clusters on the wire."""

from __future__ import annotations

from collections.abc import Mapping

from homeport.services.ecs.model import Cluster
from homeport.services.ecs.view.wire import PENDING, Include, Wire

_STATISTICS = (
    ("runningEC2TasksCount", "tasks", ("RUNNING",), "EC2"),
    ("runningFargateTasksCount", "tasks", ("RUNNING",), "FARGATE"),
    ("pendingEC2TasksCount", "tasks", PENDING, "EC2"),
    ("pendingFargateTasksCount", "tasks", PENDING, "FARGATE"),
    ("runningExternalTasksCount", "tasks", ("RUNNING",), "EXTERNAL"),
    ("pendingExternalTasksCount", "tasks", PENDING, "EXTERNAL"),
    ("activeEC2ServiceCount", "services", ("ACTIVE",), "EC2"),
    ("activeFargateServiceCount", "services", ("ACTIVE",), "FARGATE"),
    ("drainingEC2ServiceCount", "services", ("DRAINING",), "EC2"),
    ("drainingFargateServiceCount", "services", ("DRAINING",), "FARGATE"),
    ("activeExternalServiceCount", "services", ("ACTIVE",), "EXTERNAL"),
    ("drainingExternalServiceCount", "services", ("DRAINING",), "EXTERNAL"),
)


Counts = Mapping[tuple[str, str], int]


def _sum(counts: Counts, statuses: tuple[str, ...], launch_type: str | None = None) -> int:
    return sum(
        count
        for (status, launch), count in counts.items()
        if status in statuses and launch_type in (None, launch)
    )


def cluster_view(
    cluster: Cluster, *, tasks: Counts, services: Counts, instances: int, include: Include
) -> Wire:
    """A cluster with its counters; `include` holds ATTACHMENTS, CONFIGURATIONS, SETTINGS, ..."""
    view: Wire = {
        "clusterArn": cluster.arn,
        "clusterName": cluster.name,
        "status": cluster.status,
        "registeredContainerInstancesCount": instances,
        "runningTasksCount": _sum(tasks, ("RUNNING",)),
        "pendingTasksCount": _sum(tasks, PENDING),
        "activeServicesCount": _sum(services, ("ACTIVE",)),
        "statistics": [],
        "tags": [],
        "settings": [],
        "capacityProviders": list(cluster.capacity_providers),
        "defaultCapacityProviderStrategy": list(cluster.default_strategy),
    }
    if cluster.connect_namespace:
        view["serviceConnectDefaults"] = {"namespace": cluster.connect_namespace}
    if "TAGS" in include:
        view["tags"] = list(cluster.tags)
    if "SETTINGS" in include:
        view["settings"] = list(cluster.settings)
    if "ATTACHMENTS" in include:
        view["attachments"] = []  # nothing is attached by providers that do not scale
    if "CONFIGURATIONS" in include and cluster.configuration is not None:
        view["configuration"] = cluster.configuration
    if "STATISTICS" in include:
        of = {"tasks": tasks, "services": services}
        view["statistics"] = [
            {"name": name, "value": str(_sum(of[kind], statuses, launch_type))}
            for name, kind, statuses, launch_type in _STATISTICS
        ]
    return view
