"""Tasks on the wire."""

from __future__ import annotations

from homeport.services.ecs.model import Container, Task
from homeport.services.ecs.view.networks import attachments_view, container_interfaces
from homeport.services.ecs.view.wire import Include, Wire, platform, present


def _container_view(task: Task, container: Container) -> Wire:
    return present(
        {
            "containerArn": task.container_arn(container),
            "taskArn": task.arn,
            "name": container.name,
            "image": container.image,
            "imageDigest": container.image_digest,
            "runtimeId": container.runtime_id,
            "lastStatus": container.last_status,
            "exitCode": container.exit_code,
            "reason": container.reason,
            "networkBindings": list(container.network_bindings),
            "networkInterfaces": container_interfaces(task),
            "healthStatus": container.health_status,
            "cpu": container.cpu,
            "memory": container.memory,
            "memoryReservation": container.memory_reservation,
            "gpuIds": list(container.gpu_ids) or None,
        }
    )


def task_health(task: Task) -> str:
    """Worst of the essential containers: UNHEALTHY, then UNKNOWN, then HEALTHY."""
    states = {container.health_status for container in task.containers if container.essential}
    for state in ("UNHEALTHY", "UNKNOWN"):
        if state in states:
            return state
    return "HEALTHY" if states else "UNKNOWN"


def _storage(task: Task) -> Wire | None:
    return None if task.storage_gib is None else {"sizeInGiB": task.storage_gib}


def task_view(task: Task, *, include: Include) -> Wire:
    """A task; tags only with TAGS."""
    return present(
        {
            "attachments": attachments_view(task),
            "attributes": list(task.attributes),
            "availabilityZone": task.availability_zone,
            "capacityProviderName": task.capacity_provider,
            "clusterArn": f"arn:aws:ecs:{task.region}:{task.account_id}:cluster/{task.cluster_name}",
            "connectivity": None if task.connectivity_at is None else "CONNECTED",
            "connectivityAt": task.connectivity_at,
            "containerInstanceArn": task.instance_arn,
            "containers": [_container_view(task, container) for container in task.containers],
            "cpu": task.cpu,
            "createdAt": task.created_at,
            "desiredStatus": task.desired_status,
            "enableExecuteCommand": False,
            "ephemeralStorage": _storage(task),
            "executionStoppedAt": task.execution_stopped_at,
            "fargateEphemeralStorage": _storage(task) if task.platform_version == "1.4.0" else None,
            "group": task.group,
            "healthStatus": task_health(task),
            "lastStatus": task.last_status,
            "launchType": task.launch_type,
            "memory": task.memory,
            "overrides": task.overrides,
            **platform(task.platform_version),
            "pullStartedAt": task.pull_started_at,
            "pullStoppedAt": task.pull_stopped_at,
            "startedAt": task.started_at,
            "startedBy": task.started_by,
            "stopCode": task.stop_code,
            "stoppedAt": task.stopped_at,
            "stoppedReason": task.stopped_reason,
            "stoppingAt": task.stopping_at,
            "tags": list(task.tags) if "TAGS" in include else [],
            "taskArn": task.arn,
            "taskDefinitionArn": task.task_definition_arn,
            "version": task.version,
        }
    )
