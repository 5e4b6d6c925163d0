"""Whose deregistration delay is over: what they have begun is cut off then.

Source: Application Load Balancer guide, "Deregistration delay"; "Troubleshoot", HTTP 502. Connections of a
network balancer go on (`deregistration_delay.connection_termination.enabled` is false).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from homeport.dataplane.model import Balancer, BalancerKind, Target, TargetGroup


@dataclass(frozen=True, slots=True, kw_only=True, order=True)
class Leaver:
    """A target that may be gone soon. `sources`: the addresses from which its balancer connects to it."""

    balancer_id: str
    group_id: str
    sources: tuple[str, ...]
    address: str
    port: int


def leavers(balancers: Iterable[Balancer]) -> frozenset[Leaver]:
    """Who drains, and who would be gone at once."""
    return frozenset(
        Leaver(
            balancer_id=balancer.id,
            group_id=group.id,
            sources=tuple(one.address for one in balancer.addresses),
            address=target.address,
            port=target.port,
        )
        for balancer, group, target in _targets(balancers)
        if target.draining or not group.deregistration_delay_seconds
    )


def overdue(known: Iterable[Leaver], balancers: Iterable[Balancer]) -> frozenset[Leaver]:
    """Of those known to leave, who is gone by now.

    Who is still in another group of the balancer is not: the connections to it cannot be told apart. Nor is
    anybody of a group that the balancer does not use any more: that takes nothing from its targets.
    """
    served = tuple(balancers)
    here = {(balancer.id, target.address, target.port) for balancer, _, target in _targets(served)}
    groups = {(balancer.id, group.id) for balancer in served for group in balancer.groups}
    return frozenset(
        one
        for one in known
        if (one.balancer_id, one.group_id) in groups and (one.balancer_id, one.address, one.port) not in here
    )


def _targets(balancers: Iterable[Balancer]) -> Iterator[tuple[Balancer, TargetGroup, Target]]:
    for balancer in balancers:
        if balancer.kind is not BalancerKind.NETWORK:
            for group in balancer.groups:
                for target in group.targets:
                    yield balancer, group, target
