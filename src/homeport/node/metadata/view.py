"""Tasks and containers as the metadata endpoint shows them. Pure.

Members, their order and which are left out when empty follow recordings of
amazon-ecs-agent 1.105.1 (tests/data/agent_metadata).
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from homeport.agentproto.messages import RoleCredentials
from homeport.node.metadata.source import ContainerView, Tags, TaskView, Usage
from homeport.node.networks import awsvpc_network
from homeport.node.ports import Health

Json = dict[str, Any]
MEBIBYTE = 1 << 20


def wire_time(instant: datetime | None) -> str | None:
    """RFC 3339 in UTC without trailing zeros, as Go prints it."""
    if instant is None:
        return None
    at = instant.astimezone(UTC)
    decimals = f".{at.microsecond:06d}".rstrip("0").rstrip(".")
    return f"{at:%Y-%m-%dT%H:%M:%S}{decimals}Z"


def _full(**members: Any) -> Json:
    """Without members that are empty."""
    return {name: value for name, value in members.items() if value not in (None, "", [], {})}


def container_v4(view: ContainerView) -> Json:
    """`/v4/<id>`."""
    body = _container_head(view)
    log = _log_config(view)
    body |= _full(
        Health=_health(view),
        Volumes=_volumes(view),
        LogDriver=log.get("Type"),
        LogOptions=log.get("Config"),
        ContainerARN=view.container.container_arn,
        Networks=[{**each, **_interface(view)} for each in _networks(view)],
    )
    if view.restart_count is not None:
        body["RestartCount"] = view.restart_count
    return body


def container_v3(view: ContainerView) -> Json:
    """`/v3/<id>`, and v2's containers."""
    return _container_head(view) | _full(
        Networks=_networks(view), Health=_health(view), Volumes=_volumes(view)
    )


def task_v4(view: TaskView, tags: Tags | None = None) -> Json:
    """`/v4/<id>/task`; with `tags`, `/v4/<id>/taskWithTags`."""
    body = _task_head(view)
    body |= _full(Limits=_task_limits(view), **_task_times(view))
    body |= _full(AvailabilityZone=view.task.zone, LaunchType=view.task.launch_type)
    body["Containers"] = [container_v4(each) for each in view.containers]
    body |= _full(VPCID=view.vpc_id, ServiceName=view.task.service_name, Group=view.task.group)
    if tags is not None:
        body |= _tags(tags)
    if view.storage is not None:
        used, reserved = (amount // MEBIBYTE for amount in view.storage)
        body["EphemeralStorageMetrics"] = {"Utilized": used, "Reserved": reserved}
    body["FaultInjectionEnabled"] = False
    return body


def task_v3(view: TaskView, tags: Tags | None = None) -> Json:
    """`/v3/<id>/task` and v2's `/v2/metadata`."""
    body = _task_head(view)
    body["Containers"] = [container_v3(each) for each in view.containers]
    body |= _full(Limits=_task_limits(view), **_task_times(view), AvailabilityZone=view.task.zone)
    return body if tags is None else body | _tags(tags)


def _container_head(view: ContainerView) -> Json:
    status, container = view.status, view.container
    body = _full(
        DockerId=view.docker_id,
        Name=container.name,
        DockerName=view.shown_name or view.docker_name,
        Image=container.image,
        ImageID=status.image_id if status else "",
        Ports=_ports(view),
        Labels=dict(status.labels) if status else {},
        DesiredStatus=view.desired_status,
        KnownStatus=view.known_status,
    )
    if status is not None and status.exit_code is not None:
        body["ExitCode"] = status.exit_code
    body["Limits"] = {"CPU": container.cpu, **_full(Memory=container.memory or None)}
    if status is not None:
        body |= _full(
            CreatedAt=wire_time(status.created_at),
            StartedAt=wire_time(status.started_at),
            FinishedAt=wire_time(status.finished_at),
        )
    body["Type"] = view.kind
    return body


def _task_head(view: TaskView) -> Json:
    return {
        "Cluster": view.cluster,
        "TaskARN": view.task.arn,
        "Family": view.task.family,
        "Revision": view.task.version,
        "DesiredStatus": view.desired_status,
        "KnownStatus": view.known_status,
    }


def _task_limits(view: TaskView) -> Json:
    return _full(CPU=view.task.cpu, Memory=view.task.memory)


def _task_times(view: TaskView) -> Json:
    return {
        "PullStartedAt": wire_time(view.pull_started_at),
        "PullStoppedAt": wire_time(view.pull_stopped_at),
        "ExecutionStoppedAt": wire_time(view.execution_stopped_at),
    }


def _tags(tags: Tags) -> Json:
    return _full(
        TaskTags=dict(tags.task),
        ContainerInstanceTags=dict(tags.instance),
        Errors=[dict(error) for error in tags.errors],
    )


def _ports(view: ContainerView) -> list[Json]:
    if view.status is None:
        return []
    return [
        {
            "ContainerPort": port.container_port,
            "Protocol": port.protocol,
            "HostPort": port.host_port,
            "HostIp": port.bind_ip,
        }
        for port in view.status.ports
    ]


def _networks(view: ContainerView) -> list[Json]:
    """A stopped container keeps one empty address, as recorded."""
    if view.status is None:
        return []
    mode = view.status.network_mode
    mode = "bridge" if mode in {"", "default"} else mode
    return [{"NetworkMode": mode, "IPv4Addresses": list(view.status.ip_addresses) or [""]}]


def _interface(view: ContainerView) -> Mapping[str, Any]:
    """What v4 alone shows of an awsvpc network."""
    return {} if view.interface is None else awsvpc_network(view.interface)


def _volumes(view: ContainerView) -> list[Json]:
    if view.status is None:
        return []
    return [
        _full(DockerName=mount.get("name"), Source=mount["source"], Destination=mount["destination"])
        for mount in view.status.mounts
    ]


def _health(view: ContainerView) -> Json:
    """Only with `healthCheckType` docker; a passing probe shows neither exit code nor output."""
    if view.container.health_check_type != "docker" or view.status is None:
        return {}
    health = view.status.health or Health()
    failed = health.status == "UNHEALTHY"
    return _full(
        status=health.status,
        statusSince=wire_time(health.since),
        exitCode=health.exit_code if failed else None,
        output=health.output if failed else None,
    )


def _log_config(view: ContainerView) -> Mapping[str, Any]:
    """The log driver that the task definition names; Docker's default is not shown."""
    try:
        host = json.loads(view.container.docker_config.host_config or "{}")
    except ValueError:
        return {}
    if not isinstance(host, dict) or not host.get("LogConfig") or view.status is None:
        return {}
    return {"Type": view.status.log_driver, "Config": dict(view.status.log_options)}


def stats(usage: Usage | None) -> Json:
    """Docker's stats and the network rates; `{}` for a container that does not run."""
    if usage is None:
        return {}
    body = dict(usage.now.raw)
    if "networks" in body:
        body["network_rate_stats"] = _rates(usage)
    return body


def _rates(usage: Usage) -> Json:
    """Bytes a second since the sample before; 0 while there is only one."""
    seconds = (usage.now.read_at - usage.before.read_at).total_seconds() if usage.before else 0.0
    if usage.before is None or seconds <= 0:
        return {"rx_bytes_per_sec": 0, "tx_bytes_per_sec": 0}
    return {
        "rx_bytes_per_sec": max(usage.now.rx_bytes - usage.before.rx_bytes, 0) / seconds,
        "tx_bytes_per_sec": max(usage.now.tx_bytes - usage.before.tx_bytes, 0) / seconds,
    }


def credentials(found: RoleCredentials) -> Json:
    """What AWS SDKs read."""
    return {
        "RoleArn": found.role_arn,
        "AccessKeyId": found.access_key_id,
        "SecretAccessKey": found.secret_access_key,
        "Token": found.session_token,
        "Expiration": found.expiration,
    }


def introspected_task(view: TaskView | None) -> Json:
    """`/v1/tasks`; `None` is the empty task of a 404. The status NONE is an empty text."""
    if view is None:
        return {"Arn": "", "KnownStatus": "", "Family": "", "Version": "", "Containers": None}
    desired = {"DesiredStatus": view.desired_status} if view.desired_status not in {"", "NONE"} else {}
    return {
        "Arn": view.task.arn,
        **desired,
        "KnownStatus": "" if view.known_status == "NONE" else view.known_status,
        "Family": view.task.family,
        "Version": view.task.version,
        "Containers": [_introspected_container(each) for each in view.containers],
    }


def _introspected_container(view: ContainerView) -> Json:
    status = view.status
    body = {
        "DockerId": view.docker_id,
        "DockerName": view.docker_name,
        "Name": view.container.name,
    }
    if status is None:
        return body
    ports = [{key: value for key, value in port.items() if key != "HostIp"} for port in _ports(view)]
    return body | _full(
        Image=view.container.image,
        ImageID=status.image_id,
        CreatedAt=wire_time(status.created_at),
        StartedAt=wire_time(status.started_at),
        Ports=ports,
        Volumes=_volumes(view),
    )
