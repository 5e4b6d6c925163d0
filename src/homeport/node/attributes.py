"""What the node registers: resources and capabilities, and only those that it honours.

Names and meaning: amazon-ecs-agent's capabilities, as it sends them to RegisterContainerInstance.
"""

from __future__ import annotations

from typing import Any

from homeport.node.admission import MEBIBYTE, Claim
from homeport.node.ports import EngineInfo
from homeport.node.settings import NodeSettings

_OLD = "com.amazonaws.ecs.capability."
_NEW = "ecs.capability."
API_VERSIONS = tuple(f"1.{minor}" for minor in (*range(17, 26), 28, 29, 30, 32))
"""Versions that task definitions ask for; the real agent advertises no others."""
HONOURED_LOG_DRIVERS = frozenset(
    {"json-file", "syslog", "journald", "gelf", "fluentd", "awslogs", "splunk", "logentries", "none", "local"}
)
_ALWAYS = (
    "private-registry-authentication.secretsmanager",
    "secrets.ssm.environment-variables",
    "secrets.asm.environment-variables",
    "secrets.ssm.bootstrap.log-driver",
    "secrets.asm.bootstrap.log-driver",
    "ecr-endpoint",
    "execution-role-ecr-pull",
    "container-ordering",
    "full-sync",
    "env-files.s3",
    "network.container-port-range",
    "container-restart-policy",
    "container-health-check",
    "docker-plugin.local",
    "efs",
)


def total_claim(info: EngineInfo, settings: NodeSettings) -> Claim:
    """CPU units and MiB of the instance, and the ports that nobody gets."""
    memory = settings.memory_mib
    if memory is None:
        memory = info.memory_bytes // MEBIBYTE - settings.reserved_memory_mib
    return Claim(
        cpu=settings.cpu_units if settings.cpu_units is not None else info.cpus * 1024,
        memory=memory,
        tcp=frozenset(settings.reserved_ports),
        udp=frozenset(settings.reserved_udp_ports),
        gpus=frozenset(settings.gpu_ids if info.gpu_runtime else ()),
    )


def total_resources(total: Claim) -> list[dict[str, Any]]:
    """`totalResources` of RegisterContainerInstance."""
    return [
        {"name": "CPU", "type": "INTEGER", "integerValue": total.cpu},
        {"name": "MEMORY", "type": "INTEGER", "integerValue": total.memory},
        {"name": "PORTS", "type": "STRINGSET", "stringSetValue": [str(p) for p in sorted(total.tcp)]},
        {"name": "PORTS_UDP", "type": "STRINGSET", "stringSetValue": [str(p) for p in sorted(total.udp)]},
    ]


def platform_devices(total: Claim) -> list[dict[str, str]]:
    """`platformDevices`: GPUs by id."""
    return [{"id": gpu, "type": "GPU"} for gpu in sorted(total.gpus)]


def attributes(
    info: EngineInfo, settings: NodeSettings, *, task_limits: bool, task_networks: bool = False
) -> list[dict[str, str]]:
    """Capabilities and values, sorted by name.

    `task_limits`: tasks get cgroups of their own; `task_networks`: and interfaces of the VPC.
    """
    names = [f"{_OLD}privileged-container", f"{_OLD}ecr-auth"]
    newest = _minor(info.api_version)
    names += [f"{_OLD}docker-remote-api.{v}" for v in API_VERSIONS if _minor(v) <= newest]
    drivers = (set(info.log_drivers) | {"none"}) & HONOURED_LOG_DRIVERS
    names += [f"{_OLD}logging-driver.{driver}" for driver in drivers]
    names += [f"{_NEW}{name}" for name in _ALWAYS]
    names += [f"{_NEW}docker-plugin.{p.replace(':', '.')}" for p in info.volume_plugins if p != "local"]
    for option in info.security_options:
        for kind in ("apparmor", "selinux"):
            if kind in option:
                names.append(f"{_OLD}{kind}")
    if settings.task_roles:
        names += [f"{_OLD}task-iam-role", f"{_OLD}task-iam-role-network-host"]
    if task_limits:
        names += [f"{_NEW}task-cpu-mem-limit", f"{_NEW}increased-task-cpu-limit"]
    if task_networks:
        names.append(f"{_NEW}task-eni")
    if settings.pause_image:
        names.append(f"{_NEW}pid-ipc-namespace-sharing")
    if settings.external:
        names.append(f"{_NEW}external")
    values = dict.fromkeys(names, "") | _values(info, settings)
    return [{"name": name, **({"value": value} if value else {})} for name, value in sorted(values.items())]


def _values(info: EngineInfo, settings: NodeSettings) -> dict[str, str]:
    architecture = {"aarch64": "arm64", "amd64": "x86_64"}.get(info.architecture, info.architecture)
    values = {
        "ecs.os-type": "linux",
        "ecs.os-family": "LINUX",
        "ecs.cpu-architecture": architecture,
    }
    if settings.availability_zone:
        values["ecs.availability-zone"] = settings.availability_zone
    if settings.instance_type:
        values["ecs.instance-type"] = settings.instance_type
    return values | dict(settings.attributes)


def _minor(version: str) -> int:
    """1.41 -> 41."""
    return int(version.split(".", 1)[1]) if "." in version else 0
