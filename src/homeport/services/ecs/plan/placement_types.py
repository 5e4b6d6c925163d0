"""The words of placement: what is asked, what an instance offers, what was decided.

CPU is in CPU units (1024 a vCPU), memory in MiB. Everything here is a value.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum

AZ_ATTRIBUTE = "ecs.availability-zone"
INSTANCE_FIELD = "instanceId"
_ATTRIBUTE_PREFIX = "attribute:"
_NUMBER_MAX = 2**31 - 1


class Reason(StrEnum):
    """Why an instance could not take a task, in AWS's words and in our order of checks.

    The resource reasons are documented (ECS Developer Guide, API failure reasons); the two
    sentences about constraints were seen in answers of RunTask, full stop included. DAEMON is
    ours: a critical daemon does not run there yet.
    """

    MISSING = "MISSING"
    INACTIVE = "INACTIVE"
    AGENT = "AGENT"
    DAEMON = "DAEMON"
    ATTRIBUTE = "ATTRIBUTE"
    MEMBER_OF = "MemberOf placement constraint unsatisfied."
    DISTINCT_INSTANCE = "DistinctInstance placement constraint unsatisfied."
    LOCATION = "LOCATION"
    PORTS = "RESOURCE:PORTS"
    PORTS_UDP = "RESOURCE:PORTS_UDP"
    CPU = "RESOURCE:CPU"
    MEMORY = "RESOURCE:MEMORY"
    GPU = "RESOURCE:GPU"
    ENI = "RESOURCE:ENI"


_CLAUSES = {
    Reason.DAEMON: "is not running all of its critical daemons yet",
    Reason.ATTRIBUTE: "is missing an attribute required by your task",
    Reason.PORTS: "is already using a port required by your task",
    Reason.PORTS_UDP: "is already using a port required by your task",
    Reason.CPU: "has insufficient CPU units available",
    Reason.MEMORY: "has insufficient memory available",
}


def clause_reason(clause: str) -> Reason | None:
    """The reason that a service event's clause is about; `None`: it quotes none."""
    quoted = clause.partition('encountered error "')[2].rstrip('"')
    return next((r for r in Reason if quoted == r or (not quoted and _CLAUSES.get(r) == clause)), None)


@dataclass(frozen=True, slots=True)
class Constraint:
    """A placement constraint; all of a task's constraints must hold."""

    kind: str
    expression: str = ""

    def __post_init__(self) -> None:
        if self.kind not in ("distinctInstance", "memberOf"):
            raise ValueError(f"unknown placement constraint: {self.kind}")
        if (self.kind == "memberOf") != bool(self.expression):
            raise ValueError("a memberOf constraint, and only it, has an expression")


@dataclass(frozen=True, slots=True)
class Strategy:
    """A placement strategy. `host` is another name of `instanceId`."""

    kind: str
    field: str = ""

    def __post_init__(self) -> None:
        if self.kind == "random":
            valid = self.field == ""
        elif self.kind == "binpack":
            object.__setattr__(self, "field", self.field.lower())
            valid = self.field in ("cpu", "memory")
        elif self.kind == "spread":
            if self.field == "host":
                object.__setattr__(self, "field", INSTANCE_FIELD)
            valid = self.field == INSTANCE_FIELD or self.attribute != ""
        else:
            raise ValueError(f"unknown placement strategy: {self.kind}")
        if not valid:
            raise ValueError(f"{self.kind} has no field {self.field!r}")

    @property
    def attribute(self) -> str:
        """The attribute that a spread is over; empty for instances and other kinds."""
        if self.kind == "spread" and self.field.startswith(_ATTRIBUTE_PREFIX):
            return self.field[len(_ATTRIBUTE_PREFIX) :]
        return ""


SERVICE_DEFAULT = (Strategy("spread", f"attribute:{AZ_ATTRIBUTE}"), Strategy("spread", INSTANCE_FIELD))
"""A service's tasks without strategy: over the zones, then over the instances."""

STANDALONE_DEFAULT = (Strategy("spread", INSTANCE_FIELD), Strategy("random"))
"""RunTask without strategy: by dice among the instances with the fewest tasks of the group.

Our choice: AWS documents none.
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Demand:
    """What one task asks of its instance.

    `attributes`: `name`, or `name=value`. `group` is the task group, which spreads and
    distinctInstance count by. `azs`: the zones allowed (awsvpc subnets), None for all.
    `pool`, `name=value`: only instances with this attribute are there for the task.
    """

    cpu: int = 0
    memory: int = 0
    ports_tcp: tuple[int, ...] = ()
    ports_udp: tuple[int, ...] = ()
    gpus: int = 0
    enis: int = 0
    attributes: frozenset[str] = frozenset()
    constraints: tuple[Constraint, ...] = ()
    strategy: tuple[Strategy, ...] = ()
    group: str = ""
    azs: frozenset[str] | None = None
    pool: str = ""

    def __post_init__(self) -> None:
        for number in (self.cpu, self.memory, self.gpus, self.enis):
            if not 0 <= number <= _NUMBER_MAX:
                raise ValueError(f"a demand is a 32-bit number that is not negative: {number}")
        for port in (*self.ports_tcp, *self.ports_udp):
            if not 0 < port < 65536:
                raise ValueError(f"not a host port: {port}")

    @property
    def rules(self) -> tuple[Strategy, ...]:
        """The strategies that apply: those asked for, else the default of the group's kind.

        After `random` nothing is left to decide, so what follows it is dropped.
        """
        if self.strategy:
            kinds = [strategy.kind for strategy in self.strategy]
            return self.strategy[: kinds.index("random") + 1] if "random" in kinds else self.strategy
        return SERVICE_DEFAULT if self.group.startswith("service:") else STANDALONE_DEFAULT


@dataclass(frozen=True, slots=True, kw_only=True)
class InstanceView:
    """A container instance as placement sees it. Ports are the reserved ones.

    `enis`: how many awsvpc tasks it can hold, None for no limit.
    """

    id: int
    uid: str
    cpu: int
    memory: int
    registered_at: datetime
    status: str = "ACTIVE"
    agent_connected: bool = True
    agent_version: str = ""
    ec2_instance_id: str = ""
    az: str = ""
    ports_tcp: tuple[int, ...] = ()
    ports_udp: tuple[int, ...] = ()
    gpu_ids: tuple[str, ...] = ()
    enis: int | None = None
    attributes: Mapping[str, str | None] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for number in (self.cpu, self.memory, self.enis or 0):
            if not 0 <= number <= _NUMBER_MAX:
                raise ValueError(f"a resource is a 32-bit number that is not negative: {number}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Remaining:
    """What is left of an instance, as DescribeContainerInstances tells it.

    CPU, memory and GPUs are what is free; ports are those in use or reserved.
    """

    cpu: int
    memory: int
    ports_tcp: tuple[int, ...]
    ports_udp: tuple[int, ...]
    gpu_ids: tuple[str, ...]
    running_tasks: int
    pending_tasks: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Refusal:
    """Why one instance cannot take one more task.

    `asked` and `free` count what the reason is about: CPU units, MiB, GPUs, ENIs, ports,
    attributes. `detail` names it: the ports in use, the attributes missing, the expression.
    """

    instance_uid: str
    reason: Reason
    asked: int = 0
    free: int = 0
    detail: str = ""

    @property
    def clause(self) -> str:
        """What a service event says after "The closest matching (container-instance ...)"."""
        return _CLAUSES.get(self.reason, f'encountered error "{self.reason}"')

    @property
    def explanation(self) -> str:
        """The same with numbers, for people."""
        name = f"{self.instance_uid}: {self.reason}"
        about = f" ({self.detail})" if self.detail else ""
        numbers = f": asked {self.asked}, free {self.free}" if self.asked else ""
        return f"{name}{about}{numbers}"
