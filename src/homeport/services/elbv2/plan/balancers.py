"""Where a load balancer may stand and what may guard it. Pure.

Source: API Reference, CreateLoadBalancer, SetSubnets, SetSecurityGroups, SetIpAddressType.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Mapping, Sequence
from typing import Any

from homeport.services.elbv2.errors import (
    AllocationIdNotFound,
    InvalidConfigurationRequest,
    InvalidSecurityGroup,
    InvalidSubnet,
    OperationNotPermitted,
    SubnetNotFound,
    ValidationError,
)
from homeport.services.elbv2.model.balancers import APPLICATION, INTERNAL, NETWORK, Zone
from homeport.services.elbv2.plan.requests import check_name, once, unsupported
from homeport.services.elbv2.ports import SecurityGroup, Subnet

Given = Mapping[str, Any]
_UNSUPPORTED = {
    "CustomerOwnedIpv4Pool": "there are no Outposts",
    "EnablePrefixForIpv6SourceNat": "VPCs have IPv4 only",
    "IpamPools": "there is no IPAM",
}


def check_balancer(given: Given) -> None:
    """Raise for a load balancer that Homeport does not have."""
    check_name(given["Name"], "Load balancer")
    if given.get("Type") == "gateway":
        raise OperationNotPermitted(
            "Gateway Load Balancers are not supported by Homeport: it hands packets to no appliances."
        )
    unsupported(given, _UNSUPPORTED)


def check_extras(given: Given) -> None:
    """Raise for members of SetSubnets that Homeport cannot honour."""
    unsupported(given, _UNSUPPORTED)


def subnet_ids(given: Given) -> tuple[str, ...]:
    """The subnets of a request, whichever way it names them."""
    plain, mapped = given.get("Subnets") or [], given.get("SubnetMappings") or []
    if plain and mapped:
        raise ValidationError("You can specify either subnets or subnet mappings, but not both")
    if not plain and not mapped:
        raise ValidationError("You must specify subnets or subnet mappings")
    return once([*plain, *(one.get("SubnetId", "") for one in mapped)], "A subnet")


def zones_of(given: Given, kind: str, scheme: str, subnets: Mapping[str, Subnet]) -> tuple[Zone, ...]:
    """The zones that a balancer stands in, by name. Raise when the subnets cannot be."""
    ids = subnet_ids(given)
    if missing := [one for one in ids if one not in subnets]:
        raise SubnetNotFound(f"The subnet ID '{missing[0]}' is not valid")
    found = [subnets[one] for one in ids]
    if len({one.vpc_id for one in found}) > 1:
        raise InvalidConfigurationRequest("All subnets must belong to the same VPC")
    if closed := next((one.closed for one in found if one.closed), ""):
        raise InvalidSubnet(closed)
    if len({one.zone for one in found}) != len(found):
        raise InvalidConfigurationRequest(
            "A load balancer cannot be attached to multiple subnets in the same Availability Zone"
        )
    if kind == APPLICATION and len(found) < 2:
        raise ValidationError("At least two subnets in two different Availability Zones must be specified")
    mappings = {one.get("SubnetId"): one for one in given.get("SubnetMappings") or []}
    zones = [
        Zone(
            name=one.zone,
            subnet_id=one.subnet_id,
            private_address=_address(mappings.get(one.subnet_id, {}), kind, scheme, one),
        )
        for one in found
    ]
    return tuple(sorted(zones, key=lambda zone: zone.name))


def _address(mapping: Given, kind: str, scheme: str, subnet: Subnet) -> str:
    if mapping.get("AllocationId"):
        if kind == APPLICATION:
            raise InvalidConfigurationRequest(
                "You cannot specify Elastic IP addresses for an Application Load Balancer"
            )
        raise AllocationIdNotFound(f"The allocation ID '{mapping['AllocationId']}' does not exist")
    unsupported(mapping, {"IPv6Address": "VPCs have IPv4 only", "SourceNatIpv6Prefix": "VPCs have IPv4 only"})
    wanted = mapping.get("PrivateIPv4Address", "")
    if not wanted:
        return ""
    if kind != NETWORK or scheme != INTERNAL:
        raise InvalidConfigurationRequest("Private IPv4 addresses are for internal Network Load Balancers")
    try:
        good = ipaddress.IPv4Address(wanted) in ipaddress.ip_network(subnet.cidr)
    except ValueError:
        good = False
    if not good:
        raise InvalidSubnet(f"The address '{wanted}' is not in the range of the subnet '{subnet.subnet_id}'")
    return str(wanted)


def check_replacement(kind: str, old: Sequence[Zone], new: Sequence[Zone]) -> None:
    """A network balancer keeps the subnets that it has. Source: SetSubnets, "Subnets"."""
    kept = {(zone.subnet_id, zone.private_address) for zone in new}
    lost = [zone.subnet_id for zone in old if (zone.subnet_id, zone.private_address) not in kept]
    if kind == NETWORK and lost:
        raise InvalidConfigurationRequest(
            f"A Network Load Balancer keeps its subnets: '{lost[0]}' must be among them as it is"
        )


def check_groups(ids: Sequence[str], vpc_id: str, groups: Mapping[str, SecurityGroup]) -> tuple[str, ...]:
    """The security groups, which must be in the balancer's VPC."""
    wanted = once(ids, "A security group")
    if missing := [one for one in wanted if one not in groups]:
        raise InvalidSecurityGroup(f"The following security groups do not exist: '{', '.join(missing)}'")
    if elsewhere := [one for one in wanted if groups[one].vpc_id != vpc_id]:
        raise InvalidConfigurationRequest(
            f"One or more security groups are not in the VPC '{vpc_id}': '{', '.join(elsewhere)}'"
        )
    return wanted


def check_address_type(wanted: str, kind: str, scheme: str, subnets: Sequence[Subnet]) -> None:
    """Raise for what is not IPv4 alone. Source: SetIpAddressType."""
    if wanted == "ipv4":
        return
    if scheme == INTERNAL and kind == APPLICATION and wanted == "dualstack-without-public-ipv4":
        raise InvalidConfigurationRequest(
            f"Internal load balancers cannot use the IP address type '{wanted}'"
        )
    if lacking := [one.subnet_id for one in subnets if not one.has_ipv6]:
        raise InvalidSubnet(
            f"You must specify subnets with an associated IPv6 CIDR block: '{lacking[0]}' has none"
        )
    raise InvalidConfigurationRequest(
        f"IP address type '{wanted}' is not supported by Homeport: VPCs have IPv4."
    )
