"""Nouns as the wire shows them. Pure; absent members are `None` and vanish on the wire."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from homeport.services.ecs.model import (
    Breaker,
    Cluster,
    Container,
    ContainerInstance,
    Deployment,
    Service,
    ServiceDeployment,
    ServiceRevision,
    Task,
    TaskDefinition,
)

Wire = dict[str, Any]
Include = frozenset[str]

_PENDING = ("PROVISIONING", "PENDING", "ACTIVATING")
_STATISTICS = (
    ("runningEC2TasksCount", "tasks", ("RUNNING",), "EC2"),
    ("runningFargateTasksCount", "tasks", ("RUNNING",), "FARGATE"),
    ("pendingEC2TasksCount", "tasks", _PENDING, "EC2"),
    ("pendingFargateTasksCount", "tasks", _PENDING, "FARGATE"),
    ("runningExternalTasksCount", "tasks", ("RUNNING",), "EXTERNAL"),
    ("pendingExternalTasksCount", "tasks", _PENDING, "EXTERNAL"),
    ("activeEC2ServiceCount", "services", ("ACTIVE",), "EC2"),
    ("activeFargateServiceCount", "services", ("ACTIVE",), "FARGATE"),
    ("drainingEC2ServiceCount", "services", ("DRAINING",), "EC2"),
    ("drainingFargateServiceCount", "services", ("DRAINING",), "FARGATE"),
    ("activeExternalServiceCount", "services", ("ACTIVE",), "EXTERNAL"),
    ("drainingExternalServiceCount", "services", ("DRAINING",), "EXTERNAL"),
)

Counts = Mapping[tuple[str, str], int]


def present(view: Wire) -> Wire:
    """The members that are there. What has no `None` in it is encoded in one go."""
    return {name: value for name, value in view.items() if value is not None}


def _sum(counts: Counts, statuses: tuple[str, ...], launch_type: str | None = None) -> int:
    return sum(
        count
        for (status, launch), count in counts.items()
        if status in statuses and launch_type in (None, launch)
    )


def cluster_view(
    cluster: Cluster, *, tasks: Counts, services: Counts, instances: int, include: Include
) -> Wire:
    """A cluster with its counters; `include` holds CONFIGURATIONS, SETTINGS, STATISTICS, TAGS."""
    view: Wire = {
        "clusterArn": cluster.arn,
        "clusterName": cluster.name,
        "status": cluster.status,
        "registeredContainerInstancesCount": instances,
        "runningTasksCount": _sum(tasks, ("RUNNING",)),
        "pendingTasksCount": _sum(tasks, _PENDING),
        "activeServicesCount": _sum(services, ("ACTIVE",)),
        "statistics": [],
        "tags": [],
        "settings": [],
        "capacityProviders": [],
        "defaultCapacityProviderStrategy": [],
    }
    if "TAGS" in include:
        view["tags"] = list(cluster.tags)
    if "SETTINGS" in include:
        view["settings"] = list(cluster.settings)
    if "CONFIGURATIONS" in include and cluster.configuration is not None:
        view["configuration"] = cluster.configuration
    if "STATISTICS" in include:
        of = {"tasks": tasks, "services": services}
        view["statistics"] = [
            {"name": name, "value": str(_sum(of[kind], statuses, launch_type))}
            for name, kind, statuses, launch_type in _STATISTICS
        ]
    return view


def task_definition_view(definition: TaskDefinition) -> Wire:
    """A revision, without its tags (they stand beside it on the wire)."""
    return {
        **definition.body,
        "taskDefinitionArn": definition.arn,
        "family": definition.family,
        "revision": definition.revision,
        "status": definition.status,
        "registeredAt": definition.registered_at,
        "registeredBy": definition.registered_by,
        "deregisteredAt": definition.deregistered_at,
        "deleteRequestedAt": definition.delete_requested_at,
    }


def _integer(name: str, value: int) -> Wire:
    return {"name": name, "type": "INTEGER", "doubleValue": 0.0, "longValue": 0, "integerValue": value}


def _strings(name: str, values: tuple[str, ...]) -> Wire:
    return {
        "name": name,
        "type": "STRINGSET",
        "doubleValue": 0.0,
        "longValue": 0,
        "integerValue": 0,
        "stringSetValue": list(values),
    }


def _resources(
    instance: ContainerInstance, cpu: int, memory: int, tcp: set[int], udp: set[int], gpus: tuple[str, ...]
) -> list[Wire]:
    resources = [
        _integer("CPU", cpu),
        _integer("MEMORY", memory),
        _strings("PORTS", tuple(str(port) for port in sorted(tcp))),
        _strings("PORTS_UDP", tuple(str(port) for port in sorted(udp))),
    ]
    if instance.gpu_ids:
        resources.append(_strings("GPU", gpus))
    return resources


def instance_view(
    instance: ContainerInstance, *, tasks: tuple[Task, ...], counts: tuple[int, int], include: Include
) -> Wire:
    """An instance. `tasks`: what holds resources on it; remaining PORTS are the ones in use."""
    tcp, udp = set(instance.ports_tcp), set(instance.ports_udp)
    taken: set[str] = set()
    for task in tasks:
        tcp |= set(task.demand.ports_tcp)
        udp |= set(task.demand.ports_udp)
        taken |= {gpu for container in task.containers for gpu in container.gpu_ids}
    free_gpus = tuple(gpu for gpu in instance.gpu_ids if gpu not in taken)
    view: Wire = {
        "containerInstanceArn": instance.arn,
        "ec2InstanceId": instance.ec2_instance_id,
        "version": instance.version,
        "versionInfo": {
            "agentVersion": instance.agent_version or None,
            "agentHash": instance.agent_hash or None,
            "dockerVersion": instance.docker_version or None,
        },
        "remainingResources": _resources(
            instance,
            instance.cpu - sum(task.demand.cpu for task in tasks),
            instance.memory - sum(task.demand.memory for task in tasks),
            tcp,
            udp,
            free_gpus,
        ),
        "registeredResources": _resources(
            instance,
            instance.cpu,
            instance.memory,
            set(instance.ports_tcp),
            set(instance.ports_udp),
            instance.gpu_ids,
        ),
        "status": instance.status,
        "statusReason": instance.status_reason,
        "agentConnected": instance.agent_connected,
        "runningTasksCount": counts[0],
        "pendingTasksCount": counts[1],
        "agentUpdateStatus": instance.agent_update_status,
        "attributes": [
            {"name": a.name} if a.value is None else {"name": a.name, "value": a.value}
            for a in instance.attributes
        ],
        "registeredAt": instance.registered_at,
        "attachments": [],
        "tags": list(instance.tags) if "TAGS" in include else [],
    }
    if "CONTAINER_INSTANCE_HEALTH" in include:
        view["healthStatus"] = {
            "overallStatus": _overall([str(row["status"]) for row in instance.health]),
            "details": list(instance.health),
        }
    return view


def _overall(statuses: list[str]) -> str:
    for status in ("IMPAIRED", "INSUFFICIENT_DATA", "INITIALIZING"):
        if status in statuses:
            return status
    return "OK" if statuses else "INSUFFICIENT_DATA"


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
            "networkInterfaces": list(container.network_interfaces),
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


def task_view(task: Task, *, include: Include) -> Wire:
    """A task; tags only with TAGS."""
    return present(
        {
            "attachments": [],
            "attributes": list(task.attributes),
            "availabilityZone": task.availability_zone,
            "clusterArn": f"arn:aws:ecs:{task.region}:{task.account_id}:cluster/{task.cluster_name}",
            "connectivity": None if task.connectivity_at is None else "CONNECTED",
            "connectivityAt": task.connectivity_at,
            "containerInstanceArn": task.instance_arn,
            "containers": [_container_view(task, container) for container in task.containers],
            "cpu": task.cpu,
            "createdAt": task.created_at,
            "desiredStatus": task.desired_status,
            "enableExecuteCommand": False,
            "executionStoppedAt": task.execution_stopped_at,
            "group": task.group,
            "healthStatus": task_health(task),
            "lastStatus": task.last_status,
            "launchType": task.launch_type,
            "memory": task.memory,
            "overrides": task.overrides,
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


def _deployment_view(deployment: Deployment, *, desired: int, running: int, pending: int) -> Wire:
    return {
        "id": deployment.id,
        "status": deployment.status,
        "taskDefinition": deployment.task_definition,
        "desiredCount": desired,
        "pendingCount": pending,
        "runningCount": running,
        "failedTasks": deployment.failed_tasks,
        "createdAt": deployment.created_at,
        "updatedAt": deployment.updated_at,
        "launchType": deployment.launch_type,
        "rolloutState": deployment.rollout_state,
        "rolloutStateReason": deployment.rollout_state_reason,
    }


def _breaker_view(breaker: Breaker) -> Wire:
    """What was asked for; the members that came later only where they differ from what always was."""
    view: Wire = {"enable": breaker.enable, "rollback": breaker.rollback}
    if not breaker.reset_on_healthy:
        view["resetOnHealthyTask"] = False
    if (breaker.threshold_type, breaker.threshold_value) != ("BOUNDED_PERCENT", 50):
        view["thresholdConfiguration"] = {"type": breaker.threshold_type, "value": breaker.threshold_value}
    return view


def deployment_configuration(service: Service) -> Wire:
    """How a service's deployments go."""
    return {
        "deploymentCircuitBreaker": _breaker_view(service.breaker),
        "maximumPercent": service.maximum_percent,
        "minimumHealthyPercent": service.minimum_healthy_percent,
        "strategy": "ROLLING",
        "bakeTimeInMinutes": 0,
    }


def _revision_counts(record: ServiceDeployment, uid: str, service: Service, tasks: tuple[Task, ...]) -> Wire:
    """A revision of a service deployment, with the tasks that it has now."""
    of = {deployment.id for deployment in service.deployments if deployment.revision == uid}
    mine = [task for task in tasks if task.started_by in of]
    head = record.arn.rpartition("/")[0].replace(":service-deployment/", ":service-revision/")
    wanted = service.desired_count if service.primary.revision == uid else 0
    return {
        "arn": f"{head}/{uid}",
        "requestedTaskCount": wanted,
        "runningTaskCount": sum(task.last_status == "RUNNING" for task in mine),
        "pendingTaskCount": sum(task.last_status in _PENDING for task in mine),
    }


_MONITORS = {"SUCCESSFUL": "MONITORING_COMPLETE", "STOPPED": "MONITORING_COMPLETE"}


def _breaker_state(record: ServiceDeployment) -> Wire:
    breaker = record.configuration.get("deploymentCircuitBreaker", {})
    status = _MONITORS.get(record.status, "MONITORING")
    if record.threshold and record.failures >= record.threshold:
        status = "TRIGGERED"
    if not breaker.get("enable"):
        status = "DISABLED"
    return {"status": status, "failureCount": record.failures, "threshold": record.threshold}


def service_deployment_view(record: ServiceDeployment, service: Service, tasks: tuple[Task, ...]) -> Wire:
    """A service deployment. `tasks`: the live ones of its service."""
    head = f"arn:aws:ecs:{record.region}:{record.account_id}"
    rollback = record.rollback
    revisions = record.arn.rpartition("/")[0].replace(":service-deployment/", ":service-revision/")
    return present(
        {
            "serviceDeploymentArn": record.arn,
            "serviceArn": service.arn,
            "clusterArn": f"{head}:cluster/{record.cluster_name}",
            "createdAt": record.created_at,
            "startedAt": record.started_at,
            "finishedAt": record.finished_at,
            "stoppedAt": record.stopped_at,
            "updatedAt": record.updated_at,
            "sourceServiceRevisions": [
                _revision_counts(record, uid, service, tasks) for uid in record.sources
            ],
            "targetServiceRevision": _revision_counts(record, record.target, service, tasks),
            "status": record.status,
            "statusReason": record.status_reason,
            "deploymentConfiguration": record.configuration,
            "rollback": None
            if rollback is None
            else {
                "reason": rollback.reason,
                "startedAt": rollback.started_at,
                "serviceRevisionArn": f"{revisions}/{rollback.revision}",
            },
            "deploymentCircuitBreaker": _breaker_state(record),
            "alarms": {"status": "DISABLED", "alarmNames": [], "triggeredAlarmNames": []},
        }
    )


def service_deployment_brief(record: ServiceDeployment) -> Wire:
    """A service deployment in a listing."""
    head = f"arn:aws:ecs:{record.region}:{record.account_id}"
    revisions = record.arn.rpartition("/")[0].replace(":service-deployment/", ":service-revision/")
    return present(
        {
            "serviceDeploymentArn": record.arn,
            "serviceArn": f"{head}:service/{record.cluster_name}/{record.service_name}",
            "clusterArn": f"{head}:cluster/{record.cluster_name}",
            "startedAt": record.started_at,
            "createdAt": record.created_at,
            "finishedAt": record.finished_at,
            "targetServiceRevisionArn": f"{revisions}/{record.target}",
            "status": record.status,
            "statusReason": record.status_reason,
        }
    )


def service_revision_view(revision: ServiceRevision) -> Wire:
    """A service revision."""
    head = f"arn:aws:ecs:{revision.region}:{revision.account_id}"
    return {
        "serviceRevisionArn": revision.arn,
        "serviceArn": f"{head}:service/{revision.cluster_name}/{revision.service_name}",
        "clusterArn": f"{head}:cluster/{revision.cluster_name}",
        "taskDefinition": revision.task_definition,
        "launchType": revision.launch_type,
        "loadBalancers": [],
        "serviceRegistries": [],
        "createdAt": revision.created_at,
        "guardDutyEnabled": False,
    }


def service_view(
    service: Service, *, tasks: tuple[Task, ...], include: Include, created: bool = False
) -> Wire:
    """A service. `tasks`: its live ones, which the counters count.

    `created`: for CreateService, which does not return an ECS controller that was not
    asked for; clients (Ansible's) rely on it everywhere else.
    """
    running: dict[str | None, int] = {}
    pending: dict[str | None, int] = {}
    for task in tasks:
        if task.last_status == "RUNNING":
            running[task.started_by] = running.get(task.started_by, 0) + 1
        elif task.last_status in _PENDING:
            pending[task.started_by] = pending.get(task.started_by, 0) + 1
    view: Wire = {
        "serviceArn": service.arn,
        "serviceName": service.name,
        "clusterArn": f"arn:aws:ecs:{service.region}:{service.account_id}:cluster/{service.cluster_name}",
        "loadBalancers": [],
        "serviceRegistries": [],
        "status": service.status,
        "desiredCount": service.desired_count,
        "runningCount": sum(running.values()),
        "pendingCount": sum(pending.values()),
        "launchType": service.launch_type,
        "taskDefinition": service.primary.task_definition,
        "deploymentConfiguration": deployment_configuration(service),
        "deployments": [
            _deployment_view(
                deployment,
                desired=service.desired_count if deployment.status == "PRIMARY" else 0,
                running=running.get(deployment.id, 0),
                pending=pending.get(deployment.id, 0),
            )
            for deployment in service.deployments
        ],
        "events": [
            {"id": event.id, "createdAt": event.created_at, "message": event.message}
            for event in service.events
        ],
        "createdAt": service.created_at,
        "createdBy": service.created_by,
        "healthCheckGracePeriodSeconds": service.health_check_grace_seconds,
        "placementConstraints": list(service.placement_constraints),
        "placementStrategy": list(service.placement_strategy),
        "schedulingStrategy": "REPLICA",
        "enableECSManagedTags": service.enable_managed_tags,
        "propagateTags": service.propagate_tags,
        "enableExecuteCommand": False,
        "availabilityZoneRebalancing": "DISABLED",
    }
    if service.explicit_controller or not created:
        view["deploymentController"] = {"type": "ECS"}
    if "TAGS" in include:
        view["tags"] = list(service.tags)
    return view
