"""Instances of a Classic Load Balancer: who gets traffic, and how they are. Pure.

Source: User Guide for Classic Load Balancers, "Register instances", "Connection draining"; API Reference,
InstanceState; the texts as reference/elb.md has them from AWS.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from datetime import datetime, timedelta

from msgspec.structs import replace

from homeport.services.elb.errors import InvalidConfigurationRequest, InvalidInstance
from homeport.services.elb.model import LoadBalancer, Registered, Seen
from homeport.services.elb.plan.requests import INSTANCES_MAX
from homeport.services.elb.ports import Instance

IN_SERVICE = Seen(state="InService")
REGISTERING = Seen(
    state="OutOfService", reason="ELB", description="Instance registration is still in progress."
)
UNHEALTHY = Seen(
    state="OutOfService",
    reason="Instance",
    description=(
        "Instance has failed at least the UnhealthyThreshold number of health checks consecutively."
    ),
)
DRAINING = Seen(state="InService", description="Instance deregistration currently in progress.")
ELSEWHERE = Seen(
    state="OutOfService",
    reason="ELB",
    description=(
        "Instance is in the EC2 Availability Zone for which LoadBalancer is not configured to route traffic "
        "to."
    ),
)
UNCHECKED = Seen(
    state="Unknown", reason="ELB", description="A transient error occurred. Please try again later."
)


def check_registrable(balancer: LoadBalancer, ids: Iterable[str], known: Mapping[str, Instance]) -> None:
    """Raise unless the instances are there, in the balancer's VPC."""
    for one in ids:
        if one not in known:
            raise InvalidInstance(f"Instance '{one}' does not exist")
        if known[one].vpc_id != balancer.vpc_id:
            raise InvalidInstance(
                f"Instance '{one}' is not in the VPC '{balancer.vpc_id}' of the load balancer"
            )


def registered(balancer: LoadBalancer, ids: Iterable[str], now: datetime) -> LoadBalancer:
    """The balancer with these instances; one that drains comes back."""
    held = {one.instance_id: one for one in balancer.instances}
    for one in ids:
        if one not in held or held[one].drained_at is not None:
            held[one] = Registered(instance_id=one, registered_at=now)
    if len(held) > INSTANCES_MAX:
        raise InvalidConfigurationRequest(f"A load balancer has at most {INSTANCES_MAX} instances")
    return replace(balancer, instances=tuple(held.values()))


def deregistered(balancer: LoadBalancer, ids: Collection[str], now: datetime) -> LoadBalancer:
    """The balancer without these instances, which drain first if it lets them."""
    there = {one.instance_id for one in balancer.registered}
    for one in ids:
        if one not in there:
            raise InvalidInstance(f"Could not find EC2 instance {one} registered to the load balancer")
    gone_at = now + timedelta(seconds=balancer.attributes.draining_seconds)
    kept: list[Registered] = []
    for held in balancer.instances:
        if held.instance_id not in ids:
            kept.append(held)
        elif balancer.attributes.draining:
            kept.append(replace(held, drained_at=gone_at))
    return replace(balancer, instances=tuple(kept))


def swept(balancer: LoadBalancer, now: datetime) -> LoadBalancer:
    """The balancer without instances whose draining is over."""
    kept = tuple(one for one in balancer.instances if one.drained_at is None or one.drained_at > now)
    return replace(balancer, instances=kept)


def next_change(balancer: LoadBalancer) -> datetime | None:
    """When time alone changes the balancer: the next draining instance is gone then."""
    return min((one.drained_at for one in balancer.instances if one.drained_at is not None), default=None)


def seen(balancer: LoadBalancer, one: Registered, place: Instance | None, state: str | None) -> Seen:
    """How an instance is; `state` is what its health checks found."""
    if one.drained_at is not None:
        return DRAINING
    if place is None or place.state != "running":
        what = "terminated" if place is None else place.state
        return Seen(state="OutOfService", reason="Instance", description=f"Instance is in {what} state.")
    if place.zone not in {zone.name for zone in balancer.zones}:
        return ELSEWHERE
    if not balancer.listeners:
        return UNCHECKED
    return {"healthy": IN_SERVICE, "unhealthy": UNHEALTHY}.get(state or "", REGISTERING)
