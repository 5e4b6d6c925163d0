"""A container definition as Docker's `Config` and `HostConfig`.

The agent builds both from the payload's own members and lays these texts over
them: what is said there is not repeated here. Times in Docker are nanoseconds,
sizes bytes. Source: Docker Engine API, ContainerCreate.
"""

from __future__ import annotations

import json
from typing import Any

from homeport.agentproto.messages import DockerConfig
from homeport.services.ecs.plan.payload.identity import TaskIdentity
from homeport.services.ecs.plan.task_definition.attributes import docker_versions
from homeport.services.ecs.plan.task_definition.settings import Document

MEBIBYTE = 1024 * 1024
SECOND_NS = 1_000_000_000
API_LEAST = "1.24"
"""Health checks need it, and current engines accept nothing older."""

_CONFIG = {
    "user": "User",
    "workingDirectory": "WorkingDir",
    "hostname": "Hostname",
    "dockerLabels": "Labels",
    "pseudoTerminal": "Tty",
    "interactive": "OpenStdin",
    "disableNetworking": "NetworkDisabled",
}
_HOST_CONFIG = {
    "privileged": "Privileged",
    "readonlyRootFilesystem": "ReadonlyRootfs",
    "dnsServers": "Dns",
    "dnsSearchDomains": "DnsSearch",
    "dockerSecurityOptions": "SecurityOpt",
}
_PERMISSIONS = {"read": "r", "write": "w", "mknod": "m"}


def docker_config(definition: Document, container: Document, identity: TaskIdentity) -> DockerConfig:
    """Both texts, and the API version that they need."""
    mode = definition["networkMode"]
    return DockerConfig(
        version=api_version({**definition, "containerDefinitions": [container]}),
        config=_text(config_of(container)),
        host_config=_text(host_config_of(container, mode=mode, identity=identity)),
    )


def api_version(definition: Document) -> str:
    """The newest API that a member needs, at least `API_LEAST`."""
    return max({API_LEAST, *docker_versions(definition)}, key=lambda version: int(version.partition(".")[2]))


def _text(value: dict[str, Any]) -> str:
    return json.dumps(value, separators=(",", ":"), sort_keys=True, ensure_ascii=False)


def _copied(container: Document, names: dict[str, str]) -> dict[str, Any]:
    return {docker: container[ours] for ours, docker in names.items() if container.get(ours)}


def config_of(container: Document) -> dict[str, Any]:
    """`Config`, without what the agent fills in itself."""
    config = _copied(container, _CONFIG)
    check = container.get("healthCheck")
    if check is not None:
        config["Healthcheck"] = {
            "Test": check["command"],
            "Interval": check["interval"] * SECOND_NS,
            "Timeout": check["timeout"] * SECOND_NS,
            "Retries": check["retries"],
        }
        if check.get("startPeriod"):
            config["Healthcheck"]["StartPeriod"] = check["startPeriod"] * SECOND_NS
    return config


def host_config_of(container: Document, *, mode: str, identity: TaskIdentity) -> dict[str, Any]:
    """`HostConfig`; the agent sets the network mode of awsvpc tasks, namespaces and cgroup itself."""
    host = {**_copied(container, _HOST_CONFIG), **_linux(container)}
    if mode != "awsvpc":
        host["NetworkMode"] = mode
    if container.get("memoryReservation"):
        host["MemoryReservation"] = container["memoryReservation"] * MEBIBYTE
    if container.get("extraHosts"):
        host["ExtraHosts"] = [
            f"{entry['hostname']}:{entry['ipAddress']}" for entry in container["extraHosts"]
        ]
    if container.get("ulimits"):
        host["Ulimits"] = [
            {"Name": limit["name"], "Soft": limit["softLimit"], "Hard": limit["hardLimit"]}
            for limit in container["ulimits"]
        ]
    if container.get("systemControls"):
        host["Sysctls"] = {control["namespace"]: control["value"] for control in container["systemControls"]}
    if "logConfiguration" in container:
        host["LogConfig"] = _log_config(container, identity)
    return host


def _linux(container: Document) -> dict[str, Any]:
    linux = container.get("linuxParameters", {})
    capabilities = linux.get("capabilities", {})
    host: dict[str, Any] = {
        "CapAdd": capabilities.get("add", []),
        "CapDrop": capabilities.get("drop", []),
    }
    if linux.get("devices"):
        host["Devices"] = [_device(device) for device in linux["devices"]]
    if linux.get("initProcessEnabled"):
        host["Init"] = True
    if linux.get("sharedMemorySize"):
        host["ShmSize"] = linux["sharedMemorySize"] * MEBIBYTE
    if linux.get("tmpfs"):
        host["Tmpfs"] = {mount["containerPath"]: _tmpfs_options(mount) for mount in linux["tmpfs"]}
    if linux.get("maxSwap") is not None:
        host["MemorySwap"] = (container["memory"] + linux["maxSwap"]) * MEBIBYTE
        if linux.get("swappiness") is not None:
            host["MemorySwappiness"] = linux["swappiness"]
    return host


def _device(device: Document) -> dict[str, str]:
    permissions = device.get("permissions") or list(_PERMISSIONS)
    return {
        "PathOnHost": device["hostPath"],
        "PathInContainer": device.get("containerPath") or device["hostPath"],
        "CgroupPermissions": "".join(letter for name, letter in _PERMISSIONS.items() if name in permissions),
    }


def _tmpfs_options(mount: Document) -> str:
    return ",".join((*mount.get("mountOptions", ()), f"size={mount['size']}m"))


def _log_config(container: Document, identity: TaskIdentity) -> dict[str, Any]:
    """Docker's awslogs driver knows streams, not prefixes: `prefix/container/task id`."""
    driver = container["logConfiguration"]["logDriver"]
    options = dict(container["logConfiguration"].get("options", {}))
    if driver == "awslogs":
        prefix = options.pop("awslogs-stream-prefix", None)
        if prefix is not None:
            options["awslogs-stream"] = f"{prefix}/{container['name']}/{identity.task_id}"
    if driver != "awsfirelens":
        options.setdefault("mode", identity.log_mode)
    return {"Type": driver, "Config": options}
