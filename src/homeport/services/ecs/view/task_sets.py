"""Task sets on the wire."""

from __future__ import annotations

from homeport.services.ecs.model import Task, TaskSet
from homeport.services.ecs.view.wire import PENDING, Include, Wire, present


def task_set_view(task_set: TaskSet, *, tasks: tuple[Task, ...], include: Include) -> Wire:
    """A task set. `tasks`: the live ones of its service."""
    mine = [task.last_status for task in tasks if task.started_by == task_set.uid]
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
            "pendingCount": sum(status in PENDING for status in mine),
            "runningCount": mine.count("RUNNING"),
            "createdAt": task_set.created_at,
            "updatedAt": task_set.updated_at,
            "launchType": task_set.deployment.launch_type,
            "loadBalancers": [],
            "serviceRegistries": [],
            "scale": {"value": task_set.scale, "unit": "PERCENT"},
            "stabilityStatus": task_set.stability_status,
            "stabilityStatusAt": task_set.stability_at,
            "tags": list(task_set.tags) if "TAGS" in include else None,
        }
    )
