"""A payload's task as Docker's create bodies. Pure.

As the real agent does it: base values from the container's own members, then
`dockerConfig.config` laid over `Config` and `dockerConfig.hostConfig` over
`HostConfig` (present members win), then what only the agent can know: cgroup
parent, network and namespaces, labels. Source: amazon-ecs-agent 1.105.1.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from hashlib import sha256
from types import MappingProxyType
from typing import Any

from homeport.agentproto.messages import Container, Task
from homeport.node.fargate import FARGATE_OPEN_FILES, is_fargate, metadata_id, with_open_files
from homeport.node.names import (
    NETWORK_PAUSE,
    PAUSE_CONTAINER,
    container_name,
    volume_name,
)
from homeport.node.networks import is_awsvpc
from homeport.node.ports import ContainerSpec, DriverError
from homeport.node.render_json import laid_over
from homeport.node.render_network import join_network

__all__ = [
    "RenderContext",
    "container_name",
    "needs_pause",
    "render_container",
    "render_pause",
    "volume_name",
]

MEBIBYTE = 1024 * 1024
MEMORY_MIB_MIN = 4
SHARES_MIN, SHARES_MAX = 2, 262_144
"""Source: ECS API Reference, ContainerDefinition (cpu, memory); Linux's own limits."""

LABEL = "com.amazonaws.ecs."
METADATA_ADDRESS = "http://169.254.170.2"
DEFAULT_BRIDGE = {"", "bridge", "default"}
_NON_BLOCKING_BUFFER = "10m"

HostPort = tuple[int, str, int]
"""(container port, protocol, host port)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RenderContext:
    """What the node adds to every container.

    `cluster`: as configured. `host_ip`: the address that published ports are bound to;
    `0.0.0.0` where the instance is the whole machine. `mac_slot`: marks this Homeport's
    containers on Docker's bridge (see `metadata.redirect`); `None` leaves the MAC to Docker.
    `host_metadata`: the endpoint for containers in the host's network namespace. `bridge_imds`, `host_imds`:
    the instance metadata service where it is not at its usual address.
    `labels`: further labels of the node's own.
    """

    cluster: str
    region: str
    host_ip: str
    mac_slot: int | None = None
    bridge_metadata: str = METADATA_ADDRESS
    host_metadata: str = ""
    bridge_imds: str = ""
    host_imds: str = ""
    gpu_support: bool = False
    pause_image: str = ""
    open_files_max: int = FARGATE_OPEN_FILES
    labels: Mapping[str, str] = field(default_factory=dict)


def render_container(
    task: Task,
    container: Container,
    context: RenderContext,
    *,
    host_ports: Iterable[HostPort] = (),
    image_env: Iterable[str] = (),
    cgroup_parent: str | None = None,
    network: str = "",
    link_env: Mapping[str, str] = MappingProxyType({}),
) -> ContainerSpec:
    """The container to create. Raise `DriverError` for what cannot be rendered.

    `host_ports` are all published ports, chosen ones and fixed ones alike;
    `image_env` is the image's own environment (`NAME=value`). `network` is the Docker name of
    the container whose network it joins: that one publishes its ports, and `link_env` tells it of its links.
    """
    mode = _network_mode(task)
    if mode == "awsvpc" and not network:
        raise DriverError("HostConfigError", "an awsvpc task's container joins the task's network")
    config = _base_config(task, container, context, mode=mode, image_env=image_env, link_env=link_env)
    host = _base_host_config(task, container)
    ports = tuple(host_ports) if mode == "bridge" and not network else ()
    if ports:
        config["ExposedPorts"] = {f"{port}/{protocol}": {} for port, protocol, _ in ports}
        host["PortBindings"] = _port_bindings(ports, context.host_ip)
    _add_gpus(task, container, context, config, host)
    config = laid_over(config, _document(container, container.docker_config.config, "config"))
    host = laid_over(host, _document(container, container.docker_config.host_config, "hostConfig"))
    if container.health_check_type == "docker" and not config.get("Healthcheck"):
        raise DriverError(
            "DockerClientConfigError",
            "docker health check is nil while container health check type is DOCKER",
        )
    config["Labels"] = {**(config.get("Labels") or {}), **labels_of(task, container.name, context)}
    if is_fargate(task):
        host["Ulimits"] = with_open_files(host.get("Ulimits") or (), context.open_files_max)
    host["NetworkMode"] = mode
    if network:
        join_network(config, host, network)
    _add_namespaces(task, host)
    _add_log_options(task, container, host)
    if cgroup_parent is not None:
        host["CgroupParent"] = cgroup_parent
    networking: dict[str, Any] = {}
    if mode == "bridge" and not network and context.mac_slot is not None and not _has_own_mac(config):
        # Docker's API before 1.44 reads the first place, later ones the second.
        mac = mac_address(context.mac_slot, task.arn, container.name)
        config["MacAddress"] = mac
        networking = {"EndpointsConfig": {"bridge": {"MacAddress": mac}}}
    return ContainerSpec(
        name=container_name(task, container.name),
        image=container.image,
        config=config,
        host_config=host,
        networking_config=networking,
    )


def _has_own_mac(config: Mapping[str, Any]) -> bool:
    return bool(config.get("MacAddress") or config.get("NetworkDisabled"))


def needs_pause(task: Task) -> bool:
    """Whether somebody must hold a PID or IPC namespace: with awsvpc the network's holder does."""
    return "task" in {task.pid_mode, task.ipc_mode} and not is_awsvpc(task)


def render_pause(task: Task, context: RenderContext, *, cgroup_parent: str | None = None) -> ContainerSpec:
    """The container that holds the task's namespaces. Its first process ignores every polite signal."""
    host: dict[str, Any] = {"NetworkMode": "none", "CpuShares": SHARES_MIN}
    if task.ipc_mode == "task":
        host["IpcMode"] = "shareable"
    if cgroup_parent is not None:
        host["CgroupParent"] = cgroup_parent
    labels = labels_of(task, PAUSE_CONTAINER, context)
    return ContainerSpec(
        name=container_name(task, PAUSE_CONTAINER),
        image=context.pause_image,
        config={"Labels": labels, "StopSignal": "SIGKILL"},
        host_config=host,
    )


def mac_address(slot: int, task_arn: str, container: str) -> str:
    """A locally administered address: the slot in the second byte, 38 bits of the container's own.

    The chance that two of 1,000 containers share one is about 2 in a million.
    """
    own = sha256(f"mac\n{task_arn}\n{container}".encode()).digest()
    first = (own[0] & 0b11111100) | 0b10
    return ":".join(f"{byte:02x}" for byte in (first, slot, *own[1:5]))


def _network_mode(task: Task) -> str:
    mode = "bridge" if task.network_mode in DEFAULT_BRIDGE else task.network_mode
    if mode not in {"bridge", "host", "none", "awsvpc"}:
        raise DriverError("HostConfigError", f"network mode {mode} is not supported by this node")
    return mode


def _base_config(
    task: Task,
    container: Container,
    context: RenderContext,
    *,
    mode: str,
    image_env: Iterable[str],
    link_env: Mapping[str, str],
) -> dict[str, Any]:
    environment = _environment(task, container, context, mode=mode, image_env=image_env)
    config: dict[str, Any] = {"Env": [f"{k}={v}" for k, v in {**link_env, **environment}.items()]}
    command = _overridden_command(container)
    if command is not None:
        config["Cmd"] = list(command)
    if container.entry_point is not None:
        config["Entrypoint"] = list(container.entry_point)
    return config


def _overridden_command(container: Container) -> tuple[str, ...] | None:
    """RunTask's command, which the agent alone applies. No other override may be here."""
    if not container.overrides:
        return container.command
    overrides = _document(container, container.overrides, "overrides")
    if unknown := overrides.keys() - {"command"}:
        raise DriverError("DockerClientConfigError", f"overrides {sorted(unknown)} are not for the agent")
    command = overrides.get("command")
    return container.command if command is None else tuple(command)


def _environment(
    task: Task, container: Container, context: RenderContext, *, mode: str, image_env: Iterable[str]
) -> dict[str, str]:
    env = dict(container.environment)
    own = metadata_id(task, container.name)
    inside = {"bridge": context.bridge_metadata, "awsvpc": context.bridge_metadata}
    base = {**inside, "host": context.host_metadata}.get(mode, "")
    if base:
        env["ECS_CONTAINER_METADATA_URI"] = f"{base}/v3/{own}"
        env["ECS_CONTAINER_METADATA_URI_V4"] = f"{base}/v4/{own}"
        env["ECS_AGENT_URI"] = f"{base}/api/{own}"
        if task.role_credentials is not None and task.role_credentials.credentials_id:
            path = f"/v2/credentials/{task.role_credentials.credentials_id}"
            if base == METADATA_ADDRESS:
                env["AWS_CONTAINER_CREDENTIALS_RELATIVE_URI"] = path
            else:
                env["AWS_CONTAINER_CREDENTIALS_FULL_URI"] = base + path
    imds = context.host_imds if mode == "host" else context.bridge_imds if mode in inside else ""
    if imds:
        env.setdefault("AWS_EC2_METADATA_SERVICE_ENDPOINT", imds)
    regions = {"AWS_REGION", "AWS_DEFAULT_REGION"}
    known = env.keys() | {entry.partition("=")[0] for entry in image_env}
    if context.region and not regions & known:
        env |= dict.fromkeys(sorted(regions), context.region)
    return env


def _base_host_config(task: Task, container: Container) -> dict[str, Any]:
    host: dict[str, Any] = {"CpuShares": min(max(container.cpu, SHARES_MIN), SHARES_MAX)}
    if container.memory:
        host["Memory"] = max(container.memory, MEMORY_MIB_MIN) * MEBIBYTE
    if container.links:
        host["Links"] = [_link(task, link) for link in container.links]
    if container.mount_points:
        host["Binds"] = [_bind(task, container, index) for index in range(len(container.mount_points))]
    if container.volumes_from:
        host["VolumesFrom"] = [
            container_name(task, each.source_container) + (":ro" if each.read_only else "")
            for each in container.volumes_from
        ]
    return host


def _link(task: Task, link: str) -> str:
    name, _, alias = link.partition(":")
    return f"{container_name(task, name)}:{alias or name}"


def _bind(task: Task, container: Container, index: int) -> str:
    mount = container.mount_points[index]
    volume = next((each for each in task.volumes if each.name == mount.source_volume), None)
    if volume is None:
        raise DriverError("HostConfigError", f"Invalid volume referenced: {mount.source_volume}")
    docker = volume.docker_volume_configuration
    if volume.host is not None and volume.host.source_path:
        source = volume.host.source_path
    elif docker is not None and docker.scope == "shared":
        source = volume.name
    else:
        source = volume_name(task, volume.name)
    return f"{source}:{mount.container_path}" + (":ro" if mount.read_only else "")


def _port_bindings(ports: Iterable[HostPort], host_ip: str) -> dict[str, list[dict[str, str]]]:
    bindings: dict[str, list[dict[str, str]]] = {}
    for container_port, protocol, host_port in ports:
        bindings.setdefault(f"{container_port}/{protocol}", []).append(
            {"HostIp": host_ip, "HostPort": str(host_port)}
        )
    return bindings


def _add_gpus(
    task: Task, container: Container, context: RenderContext, config: dict[str, Any], host: dict[str, Any]
) -> None:
    ids = [
        each.name for each in task.associations if each.type == "gpu" and container.name in each.containers
    ]
    if not ids:
        return
    if not context.gpu_support:
        raise DriverError("HostConfigError", "GPUs were asked for, and this node's Docker has no GPU runtime")
    host["DeviceRequests"] = [{"Driver": "nvidia", "DeviceIDs": ids, "Capabilities": [["gpu"]]}]
    config["Env"] = [*config["Env"], f"NVIDIA_VISIBLE_DEVICES={','.join(ids)}"]


def labels_of(task: Task, container: str, context: RenderContext) -> dict[str, str]:
    """What every container of the task carries: whose it is."""
    return {
        **context.labels,
        f"{LABEL}cluster": task.task_cluster_arn if is_fargate(task) else context.cluster,
        f"{LABEL}container-name": container,
        f"{LABEL}task-arn": task.arn,
        f"{LABEL}task-definition-family": task.family,
        f"{LABEL}task-definition-version": task.version,
    }


def _add_namespaces(task: Task, host: dict[str, Any]) -> None:
    holder = NETWORK_PAUSE if is_awsvpc(task) else PAUSE_CONTAINER
    pause = f"container:{container_name(task, holder)}"
    if task.pid_mode:
        host["PidMode"] = pause if task.pid_mode == "task" else task.pid_mode
    if task.ipc_mode:
        host["IpcMode"] = pause if task.ipc_mode == "task" else task.ipc_mode


def _add_log_options(task: Task, container: Container, host: dict[str, Any]) -> None:
    log = host.get("LogConfig")
    if not log:
        return
    if log.get("Type") == "awsfirelens":
        raise DriverError("HostConfigError", "the log driver awsfirelens is not supported by this node")
    options = dict(log.get("Config") or {})
    if options.get("mode") == "non-blocking":
        options.setdefault("max-buffer-size", _NON_BLOCKING_BUFFER)
    if container.logs_auth_strategy == "ExecutionRole" and log.get("Type") == "awslogs":
        execution = task.execution_role_credentials
        if execution is None:
            raise DriverError(
                "HostConfigError", "awslogs needs the execution role, and its credentials are missing"
            )
        options["awslogs-credentials-endpoint"] = f"/v2/credentials/{execution.credentials_id}"
    host["LogConfig"] = {**log, "Config": options}


def _document(container: Container, text: str, what: str) -> dict[str, Any]:
    try:
        value = json.loads(text or "{}")
    except ValueError as error:
        raise DriverError(
            "DockerClientConfigError", f"{container.name}: {what} is not JSON: {error}"
        ) from error
    if not isinstance(value, dict):
        raise DriverError("DockerClientConfigError", f"{container.name}: {what} is not a JSON object")
    return value
