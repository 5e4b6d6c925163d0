"""Address ranges of VPCs and subnets. Pure.

Sources: VPC user guide, "VPC CIDR blocks" (/16 to /28) and "Subnet sizing" (the first four addresses and the
last are reserved); EC2 API Reference, CreateVpc (`100.68.0.18/18` is taken as `100.68.0.0/18`).
"""

from __future__ import annotations

from collections.abc import Iterable
from ipaddress import IPv4Network, IPv6Network, ip_address, ip_network

from homeport.services.ec2.errors import Ec2Error, invalid

RESERVED_FIRST = 4


def network4(text: str, *, parameter: str = "cidrBlock") -> IPv4Network:
    """The range, without what it says beyond its prefix. Raise when it is none."""
    try:
        found = IPv4Network(text, strict=False) if "/" in text else None
    except ValueError:
        found = None
    if found is None:
        raise invalid(f"Value ({text}) for parameter {parameter} is invalid. This is not a valid CIDR block.")
    return found


def rule_cidr(text: str, version: int) -> str:
    """A rule's range in its one spelling. Raise when it is none [O]: `CIDR block x is malformed`."""
    try:
        found = ip_network(text, strict=False) if "/" in text else None
    except ValueError:
        found = None
    if found is None or found.version != version:
        raise invalid(f"CIDR block {text} is malformed")
    return str(found)


def vpc_range(text: str) -> str:
    """The range of a new VPC. Raise for one of the wrong size."""
    found = network4(text)
    if not 16 <= found.prefixlen <= 28:
        raise Ec2Error("InvalidVpc.Range", f"The CIDR '{text}' is invalid.")
    return str(found)


def subnet_range(text: str, vpc: str, others: Iterable[str]) -> str:
    """The range of a new subnet. Raise when it is not the VPC's, of the wrong size or another's [O]."""
    found = network4(text)
    if not 16 <= found.prefixlen <= 28 or not found.subnet_of(IPv4Network(vpc)):
        raise Ec2Error("InvalidSubnet.Range", f"The CIDR '{text}' is invalid.")
    if any(found.overlaps(IPv4Network(other)) for other in others):
        raise Ec2Error("InvalidSubnet.Conflict", f"The CIDR '{text}' conflicts with another subnet")
    return str(found)


def contains(cidr: str, address: str) -> bool:
    """Whether an address lies in a range; not when they are of different kinds."""
    network: IPv4Network | IPv6Network = ip_network(cidr)
    return ip_address(address) in network


def usable(cidr: str) -> tuple[int, int]:
    """The first and the last address that an interface may have, as numbers."""
    network = IPv4Network(cidr)
    return int(network.network_address) + RESERVED_FIRST, int(network.broadcast_address) - 1


def default_ranges(vpc: str, count: int) -> tuple[str, ...]:
    """The first /20s of a default VPC. Source: VPC user guide, "Default subnets"."""
    return tuple(
        str(one) for one, _ in zip(IPv4Network(vpc).subnets(new_prefix=20), range(count), strict=False)
    )


def free_default_range(vpc: str, others: Iterable[str]) -> str | None:
    """The first /20 of a default VPC that no subnet has a part of."""
    taken = [IPv4Network(other) for other in others]
    for one in IPv4Network(vpc).subnets(new_prefix=20):
        if not any(one.overlaps(other) for other in taken):
            return str(one)
    return None
