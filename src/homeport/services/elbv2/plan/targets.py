"""Which targets a group may have. Pure. Source: API Reference, RegisterTargets, TargetDescription; quotas."""

from __future__ import annotations

import ipaddress
from collections.abc import Collection, Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

import msgspec

from homeport.services.elbv2.errors import InvalidTarget, TooManyTargets, ValidationError
from homeport.services.elbv2.model.groups import ANY_ZONE, INSTANCE, Target, TargetGroup, TargetKey
from homeport.services.elbv2.plan.requests import TARGETS_PER_GROUP_MAX
from homeport.services.elbv2.ports import Instance, Subnet, Vpc

Given = Mapping[str, Any]
_PRIVATE = tuple(
    map(ipaddress.ip_network, ("10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "100.64.0.0/10"))
)


def key_of(group: TargetGroup, given: Given) -> TargetKey:
    """The target that is meant; without a port on the group's."""
    return given["Id"], given.get("Port", group.port)


def instance_targets(
    group: TargetGroup, given: Iterable[Given], instances: Mapping[str, Instance], now: datetime
) -> tuple[Target, ...]:
    """Targets by instance id. Raise `InvalidTarget` for what is not there, not running or elsewhere."""
    wanted = tuple(given)
    for one in wanted:
        if one.get("AvailabilityZone"):
            raise ValidationError(
                "You cannot specify an Availability Zone for a target of a group with target type 'instance'"
            )
        _check_extras(one)
    missing = [one["Id"] for one in wanted if one["Id"] not in instances]
    if missing:
        raise InvalidTarget(f"The following targets do not exist: '{', '.join(missing)}'")
    idle = [one["Id"] for one in wanted if instances[one["Id"]].state != "running"]
    if idle:
        raise InvalidTarget(
            f"The following targets are not in a running state and cannot be registered: '{', '.join(idle)}'"
        )
    elsewhere = [one["Id"] for one in wanted if instances[one["Id"]].vpc_id != group.vpc_id]
    if elsewhere:
        raise InvalidTarget(
            f"The following targets are not in the target group VPC '{group.vpc_id}': "
            f"'{', '.join(elsewhere)}'"
        )
    return tuple(
        Target(
            target_id=one["Id"],
            port=key_of(group, one)[1],
            zone=instances[one["Id"]].zone,
            registered_at=now,
        )
        for one in wanted
    )


def address_targets(
    group: TargetGroup, given: Iterable[Given], vpc: Vpc | None, subnets: Collection[Subnet], now: datetime
) -> tuple[Target, ...]:
    """Targets by IP address, in the VPC's ranges or private ones beyond. Raise `ValidationError`."""
    return tuple(_address_target(group, one, vpc, subnets, now) for one in given)


def _address_target(
    group: TargetGroup, given: Given, vpc: Vpc | None, subnets: Collection[Subnet], now: datetime
) -> Target:
    _check_extras(given)
    try:
        address = ipaddress.IPv4Address(given["Id"])
    except ValueError:
        raise ValidationError(f"The IP address '{given['Id']}' is not a valid IPv4 address") from None
    own = vpc is not None and any(address in ipaddress.ip_network(cidr) for cidr in vpc.cidrs)
    zone = given.get("AvailabilityZone", "")
    if own:
        found = next((s.zone for s in subnets if address in ipaddress.ip_network(s.cidr)), "")
        if zone not in {"", ANY_ZONE, found}:
            raise ValidationError(f"The Availability Zone '{zone}' is not that of the IP address '{address}'")
        zone = zone or found or ANY_ZONE
    elif not any(address in network for network in _PRIVATE):
        raise ValidationError(
            f"The IP address '{address}' must be within the VPC's CIDR blocks, or of RFC 1918 or RFC 6598"
        )
    elif zone != ANY_ZONE:
        raise ValidationError(
            f"You must specify the Availability Zone '{ANY_ZONE}' for the IP address '{address}', which is "
            "outside the VPC of the target group"
        )
    return Target(target_id=str(address), port=key_of(group, given)[1], zone=zone, registered_at=now)


def _check_extras(given: Given) -> None:
    if given.get("QuicServerId"):
        raise ValidationError("QuicServerId is for target groups of QUIC, which Homeport does not have.")


def registered(held: Sequence[Target], wanted: Sequence[Target], now: datetime) -> tuple[Target, ...]:
    """The targets to write: new ones, and draining ones that come back. One that is there stays as it is."""
    alive = {target.key: target for target in held if not target.is_gone(now)}
    fresh = {t.key: t for t in wanted if t.key not in alive or alive[t.key].drained_at is not None}
    count = len(alive.keys() | fresh.keys())
    if count > TARGETS_PER_GROUP_MAX:
        raise TooManyTargets(
            f"A target group has at most {TARGETS_PER_GROUP_MAX} targets: it would have {count}"
        )
    return tuple(fresh.values())


def deregistered(
    held: Sequence[Target], wanted: Collection[TargetKey], *, now: datetime, delay: timedelta, in_use: bool
) -> tuple[Target, ...]:
    """The targets to write: those that begin to drain. In a group that nobody uses they are gone at once."""
    until = now + (delay if in_use else timedelta())
    return tuple(
        msgspec.structs.replace(target, drained_at=until)
        for target in held
        if target.key in wanted and target.drained_at is None
    )


def check_kind(group: TargetGroup, given: Iterable[Given]) -> None:
    """Raise for ids that are not of the group's type."""
    for one in given:
        is_instance = one["Id"].startswith("i-")
        if is_instance != (group.target_type == INSTANCE):
            noun = "instance ID" if group.target_type == INSTANCE else "IP address"
            raise ValidationError(f"The {noun} '{one['Id']}' is not valid")
