"""Interfaces as the ends of flows that security groups judge."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence

from homeport.app.networks.instances import PRIMARY
from homeport.services.ec2 import manifest as ec2


def guard_of(shelf: ec2.Shelf, interfaces: Sequence[ec2.NetworkInterface]) -> ec2.Guard:
    """What an account's groups let through."""
    members: dict[str, set[str]] = defaultdict(set)
    for one in interfaces:
        for group in one.groups:
            members[group].add(one.address)
    return ec2.Guard(
        rules=tuple(shelf.all(ec2.Rule)),
        members=members,
        names={one.resource_id: one.name for one in shelf.all(ec2.SecurityGroup)},
    )


def end_of(one: ec2.NetworkInterface, name: str) -> ec2.End:
    """Somebody at an interface."""
    return ec2.End(name=name, address=one.address, vpc_id=one.vpc_id, groups=one.groups)


def primaries(interfaces: Sequence[ec2.NetworkInterface]) -> dict[str, ec2.NetworkInterface]:
    """The instances' own interfaces, by the instances' ids."""
    return {
        one.attachment.instance_id: one
        for one in interfaces
        if one.attachment and one.attachment.instance_id and one.attachment.device_index == PRIMARY
    }
