"""What fits on this node, counted exactly as the control plane counts it.

A task that does not fit waits for the resources it lacks and holds up nobody else; the real agent
lets everything queue behind it. Source of the arithmetic: ECS developer guide, "Amazon ECS Linux
container instance memory management"; amazon-ecs-agent's host resource manager.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from homeport.agentproto.messages import Container, Task
from homeport.node.rules import MalformedTaskError, host_config

CPU_UNITS_PER_VCPU = 1024
MEBIBYTE = 1 << 20


@dataclass(frozen=True, slots=True, kw_only=True)
class Claim:
    """What a task takes of an instance. `memory` in MiB."""

    cpu: int = 0
    memory: int = 0
    tcp: frozenset[int] = field(default_factory=frozenset)
    udp: frozenset[int] = field(default_factory=frozenset)
    gpus: frozenset[str] = field(default_factory=frozenset)


def claim_of(task: Task) -> Claim:
    """CPU and memory of the task, or the sum over its containers; static host ports; GPUs."""
    if task.launch_type == "FARGATE":
        return Claim()
    cpu = round(task.cpu * CPU_UNITS_PER_VCPU) if task.cpu else sum(c.cpu for c in task.containers)
    memory = task.memory or sum(_memory_of(c) for c in task.containers)
    mappings = [m for c in task.containers for m in c.port_mappings if m.host_port]
    if task.network_mode in {"awsvpc", "none"}:
        mappings = []
    return Claim(
        cpu=cpu,
        memory=memory,
        tcp=frozenset(m.host_port for m in mappings if m.protocol != "udp"),
        udp=frozenset(m.host_port for m in mappings if m.protocol == "udp"),
        gpus=frozenset(a.name for a in task.associations if a.type == "gpu"),
    )


def _memory_of(container: Container) -> int:
    reservation = host_config(container).get("MemoryReservation") or 0
    return int(reservation) // MEBIBYTE or container.memory


class Admission:
    """Who holds what of the instance."""

    def __init__(self, total: Claim) -> None:
        """`total`: registered CPU and memory, reserved ports, all GPUs."""
        self._total = total
        self._held: dict[str, Claim] = {}
        self._waiting: dict[str, tuple[Claim, Callable[[], None]]] = {}

    def hold(self, arn: str, claim: Claim) -> None:
        """The task runs already: it holds what it holds."""
        self._held[arn] = claim

    def request(self, arn: str, claim: Claim, admitted: Callable[[], None]) -> None:
        """`admitted` is called once the task fits: now, or when others have left.

        Raise `MalformedTaskError` when it would not fit on the empty instance.
        """
        if lacking := self.never_fits(claim):
            raise MalformedTaskError(lacking)
        if self._fits(claim):
            self._held[arn] = claim
            admitted()
        else:
            self._waiting[arn] = (claim, admitted)

    def release(self, arn: str) -> None:
        """The task is over, or no longer wanted: whoever fits now comes in, oldest first."""
        self._waiting.pop(arn, None)
        if self._held.pop(arn, None) is None:
            return
        for other, (claim, admitted) in list(self._waiting.items()):
            if other in self._waiting and self._fits(claim):
                del self._waiting[other]
                self._held[other] = claim
                admitted()

    def never_fits(self, claim: Claim) -> str:
        """Why the claim exceeds the whole instance, if it does."""
        total = self._total
        if claim.cpu > total.cpu:
            return f"RESOURCE:CPU: it asks for {claim.cpu} CPU units and the instance has {total.cpu}"
        if claim.memory > total.memory:
            return f"RESOURCE:MEMORY: it asks for {claim.memory} MiB and the instance has {total.memory}"
        if taken := (claim.tcp & total.tcp) | (claim.udp & total.udp):
            return f"RESOURCE:PORTS: host ports {sorted(taken)} are reserved on the instance"
        if unknown := claim.gpus - total.gpus:
            return f"RESOURCE:GPU: the instance has no {sorted(unknown)}"
        return ""

    def _fits(self, claim: Claim) -> bool:
        held = self._held.values()
        return (
            claim.cpu + sum(h.cpu for h in held) <= self._total.cpu
            and claim.memory + sum(h.memory for h in held) <= self._total.memory
            and not any(claim.tcp & h.tcp or claim.udp & h.udp or claim.gpus & h.gpus for h in held)
        )
