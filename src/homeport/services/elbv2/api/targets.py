"""Targets: registered, deregistered, and how they are."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from homeport.core.call import Call
from homeport.services.elbv2.api.context import (
    Answer,
    Elbv2,
    Request,
    arns_in,
    balancers,
    find_group,
    groups,
    ops,
)
from homeport.services.elbv2.errors import InvalidTarget, TooManyTargets, ValidationError
from homeport.services.elbv2.model.balancers import LoadBalancer
from homeport.services.elbv2.model.groups import INSTANCE, Target, TargetGroup, TargetKey
from homeport.services.elbv2.plan.attributes import effective, group_attributes
from homeport.services.elbv2.plan.health import NOT_REGISTERED, health_of
from homeport.services.elbv2.plan.requests import limit
from homeport.services.elbv2.plan.targets import (
    address_targets,
    check_kind,
    deregistered,
    instance_targets,
    key_of,
    registered,
)
from homeport.services.elbv2.ports import Instance
from homeport.services.elbv2.view import target_view
from homeport.store.tx import Tx

DELAY = "deregistration_delay.timeout_seconds"


async def _wanted(call: Call, elb: Elbv2, group: TargetGroup, req: Request) -> tuple[Target, ...]:
    """The targets that a request describes. Raise when one cannot be."""
    given, now = req["Targets"], elb.clock.now()
    check_kind(group, given)
    if group.target_type == INSTANCE:
        ids = list(dict.fromkeys(one["Id"] for one in given))
        found = await elb.network.instances(call.account_id, call.region, ids)
        return instance_targets(group, given, found, now)
    vpcs = await elb.network.vpcs(call.account_id, call.region, [group.vpc_id])
    subnets = await elb.network.subnets_of(call.account_id, call.region, group.vpc_id)
    return address_targets(group, given, vpcs.get(group.vpc_id), subnets, now)


class TooLateError(Exception):
    """The time until which a registration was wanted is over."""


@ops.operation("RegisterTargets", resources=arns_in("TargetGroupArn"))
async def register_targets(call: Call, elb: Elbv2, req: Request) -> Answer:
    """Register targets; one that drains comes back, one that is there stays as it is."""
    return await register(call, elb, req)


async def register(call: Call, elb: Elbv2, req: Request, *, before: datetime | None = None) -> Answer:
    """The same; with `before` nothing is registered from then on, and `TooLateError` raised."""
    if not req["Targets"]:
        raise ValidationError("At least one target must be specified")
    group = await elb.store.read(lambda tx: find_group(tx, call, req["TargetGroupArn"]))
    wanted, now = await _wanted(call, elb, group, req), elb.clock.now()

    def work(tx: Tx) -> None:
        if before is not None and elb.clock.now() >= before:
            raise TooLateError(f"it is later than {before.isoformat()}")
        repo, held = groups(tx, call), find_group(tx, call, req["TargetGroupArn"])
        repo.sweep(held, now)
        fresh = registered(repo.targets(held), wanted, now)
        _check_room(tx, call, held, len(fresh))
        repo.put(held, fresh)

    await elb.store.write(work)
    return {}


def _check_room(tx: Tx, call: Call, group: TargetGroup, more: int) -> None:
    balancer = balancers(tx, call).users([group.arn]).get(group.arn)
    if balancer is None or not more:
        return
    repo, used = groups(tx, call), balancers(tx, call).used_by(balancer)
    count = sum(len(repo.targets(one)) for one in repo.among(used).values())
    most = limit("targets-per-{}-load-balancer", balancer.type)
    if count + more > most:
        raise TooManyTargets(f"A load balancer has at most {most} targets: it would have {count + more}")


@ops.operation("DeregisterTargets", resources=arns_in("TargetGroupArn"))
async def deregister_targets(call: Call, elb: Elbv2, req: Request) -> Answer:
    """Let targets drain; those that are not registered do not matter.

    Without a port all ports of a target are meant.
    """
    if not req["Targets"]:
        raise ValidationError("At least one target must be specified")
    now = elb.clock.now()

    def work(tx: Tx) -> None:
        repo, group = groups(tx, call), find_group(tx, call, req["TargetGroupArn"])
        repo.sweep(group, now)
        held = repo.targets(group)
        delay = int(effective(group_attributes(group.protocol), group.attributes)[DELAY])
        in_use = bool(balancers(tx, call).users([group.arn]))
        leaving = deregistered(
            held, _meant(held, req), now=now, delay=timedelta(seconds=delay), in_use=in_use
        )
        repo.put(group, leaving)
        if not in_use or not delay:
            repo.sweep(group, now)

    await elb.store.write(work)
    return {}


def _meant(held: Sequence[Target], req: Request) -> set[TargetKey]:
    keys: set[TargetKey] = set()
    for one in req["Targets"]:
        port = one.get("Port")
        keys |= {t.key for t in held if t.target_id == one["Id"] and port in (None, t.port)}
    return keys


@dataclass(frozen=True, slots=True, kw_only=True)
class _Found:
    group: TargetGroup
    targets: tuple[Target, ...]
    balancer: LoadBalancer | None


@ops.operation("DescribeTargetHealth")
async def describe_target_health(call: Call, elb: Elbv2, req: Request) -> Answer:
    """How a group's targets are, or these of them."""
    if req.get("Include"):
        raise ValidationError("Include is not supported by Homeport: anomalies are not detected.")
    now = elb.clock.now()

    def work(tx: Tx) -> _Found:
        group = find_group(tx, call, req["TargetGroupArn"])
        return _Found(
            group=group,
            targets=tuple(t for t in groups(tx, call).targets(group) if not t.is_gone(now)),
            balancer=balancers(tx, call).users([group.arn]).get(group.arn),
        )

    found = await elb.store.read(work)
    group, held = found.group, {target.key: target for target in found.targets}
    asked = [key_of(group, one) for one in req.get("Targets") or ()]
    if wrong := [one for one, _ in asked if one.startswith("i-") != (group.target_type == INSTANCE)]:
        raise InvalidTarget(f"The following targets are not of the target group's type: '{', '.join(wrong)}'")
    instances = await _instances(call, elb, found)
    stopped = {one for one, known in instances.items() if known is None or known.state != "running"}
    seen = await elb.balancing.health(group.arn) if found.balancer else {}
    zones = [zone.name for zone in found.balancer.zones] if found.balancer else []
    descriptions = []
    for key in asked or held:
        target = held.get(key)
        health = (
            NOT_REGISTERED
            if target is None
            else health_of(
                target,
                now,
                in_use=found.balancer is not None,
                zones=zones,
                stopped=stopped,
                seen=seen.get(_place(target, instances)),
            )
        )
        descriptions.append(target_view(group, key, target, health))
    return {"TargetHealthDescriptions": descriptions}


def _place(target: Target, instances: Mapping[str, Instance | None]) -> str:
    """The target's `address:port`."""
    known = instances.get(target.target_id)
    return f"{known.address if known else target.target_id}:{target.port}"


async def _instances(call: Call, elb: Elbv2, found: _Found) -> Mapping[str, Instance | None]:
    """A group's instances; `None` for one that is not there any more."""
    if found.group.target_type != INSTANCE:
        return {}
    ids = list(dict.fromkeys(target.target_id for target in found.targets))
    known = await elb.network.instances(call.account_id, call.region, ids)
    return {one: known.get(one) for one in ids}
