"""Elastic Load Balancing: targets, and who gets how much of the traffic."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Literal, Protocol

from homeport.services.ecs.model import (
    Service,
)
from homeport.store.tx import Tx

TARGETS_CHANGED = "elb.targets"
"""The change feed's kind for news of targets' health; the key is the target group's ARN."""


class TargetGroupsError(Exception):
    """The load balancers' control cannot answer now, or will not; the text says why."""


class TargetGroupMissingError(TargetGroupsError):
    """There is no such target group (any more)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TargetGroup:
    """What a service must know of a target group. `has_load_balancer`: a listener forwards to it.

    A Classic Load Balancer stands for one, by its ARN, with the type `classic`: its targets are instances
    with port 0, and `instance_ports` those of their ports that its listeners send traffic to.
    """

    arn: str
    target_type: str
    deregistration_delay_seconds: float = 300.0
    has_load_balancer: bool = True
    instance_ports: frozenset[int] = frozenset()


@dataclass(frozen=True, slots=True, kw_only=True)
class TargetState:
    """A target's health in Elastic Load Balancing's words.

    `state`: initial, healthy, unhealthy, draining, unhealthy.draining, unused or unavailable.
    """

    state: str
    reason: str = ""
    description: str = ""


TargetAddress = tuple[str, int]
"""An instance's EC2 id or an IP address, and a port."""

TargetUse = tuple[Literal["find", "register", "deregister", "health"], str]
"""What ECS does with targets, and the ARN of their target group (or classic balancer)."""


class Targets(Protocol):
    """Targets as ECS registers them. Every call may be repeated and may come late.

    Health is read, and news of it comes over the change feed (`TARGETS_CHANGED`): nothing polls.
    Raise `TargetGroupsError`.
    """

    async def find(self, account_id: str, region: str, arns: Collection[str]) -> Mapping[str, TargetGroup]:
        """Those of the target groups that exist."""
        ...

    async def register(self, arn: str, targets: Collection[TargetAddress], *, before: datetime) -> None:
        """Register targets; one that is draining comes back, one that is there already stays.

        Later than `before` nothing is registered: whoever asked may be gone, and its question forgotten.
        """
        ...

    async def deregister(self, arn: str, targets: Collection[TargetAddress]) -> None:
        """Deregister targets: they drain, and are gone after the group's delay at the latest."""
        ...

    async def health(self, arn: str) -> Mapping[TargetAddress, TargetState]:
        """All registered targets, draining ones included."""
        ...


class TargetGroups(Targets, Protocol):
    """Elastic Load Balancing as ECS uses it, in its own name or in that of a role."""

    async def permit(self, role_arn: str, uses: Collection[TargetUse]) -> None:
        """Raise `TargetGroupsError` unless the role lets ECS in, and may do all of it."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class RuleShares:
    """What a listener rule (or a network load balancer's listener) is to forward to, in percent.

    `role`: in whose name ECS changes the rule. Shares that are all 0 leave the traffic where it is: the rule
    only gets to know the target groups.
    """

    rule: str
    role: str
    shares: Mapping[str, float]


class TrafficShifter(Protocol):
    """Changes what listener rules forward to. Every call may be repeated and may come late."""

    async def forwards(
        self, account_id: str, region: str, rules: Collection[str]
    ) -> Mapping[str, Collection[str]]:
        """The target groups that those of the rules forward to which exist."""
        ...

    async def shift(
        self, service: Service, rules: Sequence[RuleShares], wanted: Callable[[Tx], bool]
    ) -> bool:
        """Ask for the shares, in their order; whether they are in force.

        Nothing is changed unless `wanted` says so in the transaction of the change: whoever asked may have
        been taken for dead, and somebody else may have asked for something else. The same again has the
        same effect as once. Raise `AwsError` when they cannot be.
        """
        ...
