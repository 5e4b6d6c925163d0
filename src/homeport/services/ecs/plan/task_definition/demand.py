"""What a task takes from its instance, counted exactly as the agent counts it.

The agent admits tasks first in, first out with head-of-line blocking: were the two
accounts to differ, a task that does not fit there would block all later ones.
Source: the agent's admission rules (CPU and memory of the task, else the containers').
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

from homeport.services.ecs.plan.task_definition.attributes import required
from homeport.services.ecs.plan.task_definition.devices import gpus_of
from homeport.services.ecs.plan.task_definition.settings import Document
from homeport.services.ecs.plan.task_definition.sizes import reserved_memory


class TaskDemand(NamedTuple):
    """CPU units, MiB, static host ports, whole GPUs; and what the instance must be.

    `required_attributes` are names that it must carry; `constraints` are
    `memberOf` constraints: the definition's, and its runtime platform's.
    """

    cpu: int
    memory: int
    ports_tcp: tuple[int, ...]
    ports_udp: tuple[int, ...]
    gpus: int
    required_attributes: frozenset[str]
    constraints: tuple[Mapping[str, Any], ...]


def demand_of(effective: Document) -> TaskDemand:
    """The demand of a task of this definition, its overrides already merged in."""
    containers = effective["containerDefinitions"]
    cpu, memory = effective.get("cpu"), effective.get("memory")
    return TaskDemand(
        cpu=int(cpu) if cpu else sum(c.get("cpu") or 0 for c in containers),
        memory=int(memory) if memory else sum(reserved_memory(c) for c in containers),
        ports_tcp=_static_ports(effective, "tcp"),
        ports_udp=_static_ports(effective, "udp"),
        gpus=sum(gpus_of(c) for c in containers),
        required_attributes=frozenset(attribute["name"] for attribute in required(effective)),
        constraints=(*effective.get("placementConstraints", ()), *_platform(effective)),
    )


def _static_ports(document: Document, protocol: str) -> tuple[int, ...]:
    if document["networkMode"] == "awsvpc":
        return ()
    return tuple(
        sorted(
            mapping["hostPort"]
            for container in document["containerDefinitions"]
            for mapping in container["portMappings"]
            if mapping["protocol"] == protocol and mapping.get("hostPort")
        )
    )


def _platform(document: Document) -> tuple[Mapping[str, Any], ...]:
    """The runtime platform as placement constraints, where the definition names one."""
    platform = document.get("runtimePlatform", {})
    wanted = []
    if "cpuArchitecture" in platform:
        wanted.append(f"attribute:ecs.cpu-architecture == {platform['cpuArchitecture'].lower()}")
    if "operatingSystemFamily" in platform:
        family = "linux" if platform["operatingSystemFamily"] == "LINUX" else "windows"
        wanted.append(f"attribute:ecs.os-type == {family}")
    return tuple({"type": "memberOf", "expression": expression} for expression in wanted)
