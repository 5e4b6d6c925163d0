"""CPU and memory of tasks and containers.

CPU is counted in CPU units (1024 a vCPU), memory in MiB.
Sources: RegisterTaskDefinitionRequest and ContainerDefinition (botocore ecs);
developer guide, "Task size" and "Troubleshoot Amazon ECS task definition invalid CPU or memory errors".
"""

from __future__ import annotations

import re
from decimal import Decimal

from homeport.services.ecs.plan.task_definition.settings import Document, check_range, refuse

CPU_LEAST, CPU_MOST = 128, 196_608
CONTAINER_CPU_MOST = 262_144
MEMORY_LEAST = 4
"""The agent raises anything lower by itself; a silent change is worse than a refusal. [I]"""

_NUMBER = r"(?P<number>\d{1,9}(?:\.\d{1,6})?|\.\d{1,6})"
_CPU = re.compile(rf"\s*{_NUMBER}\s*(?P<unit>vcpu)?\s*", re.IGNORECASE)
_MEMORY = re.compile(rf"\s*{_NUMBER}\s*(?P<unit>gb)?\s*", re.IGNORECASE)
_GUIDE = "For more information, see the Troubleshooting section of the Amazon ECS Developer Guide."


def _steps(first: int, last: int, step: int) -> frozenset[int]:
    return frozenset(range(first, last + 1, step))


FARGATE_SIZES: dict[int, frozenset[int]] = {
    256: frozenset({512, 1024, 2048}),
    512: _steps(1024, 4096, 1024),
    1024: _steps(2048, 8192, 1024),
    2048: _steps(4096, 16_384, 1024),
    4096: _steps(8192, 30_720, 1024),
    8192: _steps(16_384, 61_440, 4096),
    16_384: _steps(32_768, 122_880, 8192),
    32_768: frozenset({61_440, 122_880, 249_856}),
}
"""Memory sizes by CPU. Source: developer guide, "Task size"."""

WINDOWS_FARGATE_CPU = frozenset({1024, 2048, 4096})


def _parse(text: str, pattern: re.Pattern[str], what: str) -> int:
    match = pattern.fullmatch(text)
    units = Decimal(-1)
    if match is not None:
        units = Decimal(match["number"]) * (1024 if match["unit"] else 1)
    if units < 0 or units != int(units):
        raise refuse(f"Invalid '{what}' setting for task. {_GUIDE}")
    return int(units)


def parse_cpu(text: str) -> int:
    """`1024`, `1 vCPU` or `.5 vcpu` as CPU units."""
    return _parse(text, _CPU, "cpu")


def parse_memory(text: str) -> int:
    """`512`, `0.5GB` or `1 GB` as MiB."""
    return _parse(text, _MEMORY, "memory")


def check_task_range(cpu: int | None, memory: int | None) -> None:
    """What EC2 and external instances take."""
    if cpu is not None and not CPU_LEAST <= cpu <= CPU_MOST:
        raise refuse(f"Invalid 'cpu' setting for task. {_GUIDE}")
    if memory is not None and memory < MEMORY_LEAST:
        raise refuse(f"Invalid 'memory' setting for task. {_GUIDE}")


def fargate_size_problem(
    cpu: int | None, memory: int | None, *, windows: bool, allow_32vcpu: bool
) -> str | None:
    """Why Fargate has no task of this size."""
    for name, value in (("cpu", cpu), ("memory", memory)):
        if value is None:
            return f"Fargate requires that '{name}' be defined at the task level."
    assert cpu is not None
    known = cpu in FARGATE_SIZES and (allow_32vcpu or cpu != 32_768)
    if windows and cpu not in WINDOWS_FARGATE_CPU:
        known = False
    if not known or memory not in FARGATE_SIZES[cpu]:
        return (
            f"No Fargate configuration exists for given values: {cpu} CPU, {memory} memory. "
            "See the Amazon ECS documentation for the valid values."
        )
    return None


def reserved_memory(container: Document) -> int:
    """What a container takes from its instance: the soft limit, else the hard one."""
    return int(container.get("memoryReservation") or container.get("memory") or 0)


def check_container(container: Document) -> None:
    """One container's own numbers."""
    name = container["name"]
    cpu, memory, soft = (container.get(key) for key in ("cpu", "memory", "memoryReservation"))
    if cpu is not None:
        check_range(cpu, 0, CONTAINER_CPU_MOST, f"Invalid setting for container '{name}'. 'cpu'")
    for key, value in (("memory", memory), ("memoryReservation", soft)):
        if value is not None and value < MEMORY_LEAST:
            raise refuse(
                f"Invalid setting for container '{name}'. '{key}' must be at least {MEMORY_LEAST} MiB."
            )
    if memory is not None and soft is not None and memory < soft:
        raise refuse(
            f"Invalid setting for container '{name}'. The hard limit 'memory' must be greater than "
            "or equal to the soft limit 'memoryReservation'."
        )


def check_sums(document: Document) -> None:
    """Containers fit into their task."""
    containers = document["containerDefinitions"]
    cpu = sum(c.get("cpu") or 0 for c in containers)
    if document.get("cpu") is not None and cpu > int(document["cpu"]):
        raise refuse(f"Total cpu of containers ({cpu}) exceeds task cpu ({document['cpu']}).")
    if document.get("memory") is None:
        return
    limit = int(document["memory"])
    for container in containers:
        if (container.get("memory") or 0) > limit:
            raise refuse(
                f"Invalid setting for container '{container['name']}'. The 'memory' setting for "
                f"container ({container['memory']}) is greater than for the task ({limit})."
            )
    reserved = sum(reserved_memory(c) for c in containers)
    if reserved > limit:
        raise refuse(f"Total memory of containers ({reserved}) exceeds task memory ({limit}).")


def unsized_container_problem(document: Document) -> str | None:
    """Outside Fargate something must say how much memory a container takes."""
    if document.get("memory") is not None:
        return None
    for container in document["containerDefinitions"]:
        if not reserved_memory(container):
            return (
                f"Invalid setting for container '{container['name']}'. At least one of 'memory' or "
                "'memoryReservation' must be specified."
            )
    return None
