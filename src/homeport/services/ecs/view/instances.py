"""Container instances on the wire."""

from __future__ import annotations

from homeport.services.ecs.model import ContainerInstance, Task
from homeport.services.ecs.view.wire import Include, Wire


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


def _versions(instance: ContainerInstance) -> Wire:
    return {
        "agentVersion": instance.agent_version or None,
        "agentHash": instance.agent_hash or None,
        "dockerVersion": instance.docker_version or None,
    }


def _attributes(instance: ContainerInstance) -> list[Wire]:
    return [
        {"name": a.name} if a.value is None else {"name": a.name, "value": a.value}
        for a in instance.attributes
    ]


def instance_view(
    instance: ContainerInstance,
    *,
    tasks: tuple[Task, ...],
    counts: tuple[int, int],
    include: Include,
    provider: str | None = None,
) -> Wire:
    """An instance. `tasks`: what holds resources on it; remaining PORTS are the ones in use.

    `provider`: the capacity provider that it belongs to.
    """
    tcp, udp = set(instance.ports_tcp), set(instance.ports_udp)
    taken: set[str] = set()
    for task in tasks:
        tcp |= set(task.demand.ports_tcp)
        udp |= set(task.demand.ports_udp)
        taken |= {gpu for container in task.containers for gpu in container.gpu_ids}
    free_gpus = tuple(gpu for gpu in instance.gpu_ids if gpu not in taken)
    view: Wire = {
        "capacityProviderName": provider,
        "containerInstanceArn": instance.arn,
        "ec2InstanceId": instance.ec2_instance_id,
        "version": instance.version,
        "versionInfo": _versions(instance),
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
        "attributes": _attributes(instance),
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
