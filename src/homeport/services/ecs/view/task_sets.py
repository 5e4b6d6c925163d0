"""Task sets on the wire."""

from __future__ import annotations

from homeport.services.ecs.model import TaskSet
from homeport.services.ecs.view.load_balancers import load_balancers_view
from homeport.services.ecs.view.networks import network_view
from homeport.services.ecs.view.registries import registries_view
from homeport.services.ecs.view.wire import Include, Standings, Wire, placed_by, present


def task_set_view(task_set: TaskSet, *, tasks: Standings, include: Include) -> Wire:
    """A task set. `tasks`: where the live ones of its service stand."""
    head = f"arn:aws:ecs:{task_set.region}:{task_set.account_id}"
    return present(
        {
            "id": task_set.uid,
            "taskSetArn": task_set.arn,
            "serviceArn": f"{head}:service/{task_set.cluster_name}/{task_set.service_name}",
            "clusterArn": f"{head}:cluster/{task_set.cluster_name}",
            "externalId": task_set.external_id,
            "status": task_set.status,
            "taskDefinition": task_set.deployment.task_definition,
            "computedDesiredCount": task_set.computed_desired_count,
            "pendingCount": tasks.pending(task_set.uid),
            "runningCount": tasks.running(task_set.uid),
            "createdAt": task_set.created_at,
            "updatedAt": task_set.updated_at,
            **placed_by(
                task_set.deployment.launch_type,
                task_set.deployment.strategy,
                task_set.deployment.platform_version,
            ),
            **network_view(task_set.deployment.network),
            "loadBalancers": load_balancers_view(task_set.deployment.load_balancers),
            "serviceRegistries": registries_view(task_set.deployment.registries),
            "scale": {"value": task_set.scale, "unit": "PERCENT"},
            "stabilityStatus": task_set.stability_status,
            "stabilityStatusAt": task_set.stability_at,
            "tags": list(task_set.tags) if "TAGS" in include else None,
        }
    )
