"""Which range a VPC may have, and which of those that overlap is the one that packets know. Pure.

AWS lets VPCs overlap, each being alone in its world. Here packets of all of them pass one machine: ranges may
overlap, as long as only one of them has addresses in use.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from functools import lru_cache
from ipaddress import IPv4Network

from homeport.services.ec2.errors import Ec2Error
from homeport.services.ec2.model import Vpc

DEFAULT_RANGE = "172.31.0.0/16"
"""Source: VPC user guide, "Default VPC components"."""
_CANDIDATES = (DEFAULT_RANGE, *(f"10.{second}.0.0/16" for second in range(254, 127, -1)))


def check_range(cidr: str, vpcs: Collection[str], kept: Collection[str], routed: Collection[str]) -> None:
    """Raise, in words, for a range that packets of this machine go elsewhere with.

    What is routed to a part of a VPC is our own doing.
    """
    foreign = [one for one in routed if not _lies_in(one, vpcs)]
    if other := _overlap(cidr, kept):
        raise _taken(cidr, f"{other}, which is kept for the default VPC of this installation")
    if other := _overlap(cidr, foreign):
        raise _taken(cidr, f"{other}, which this machine routes already (see `ip route`)")


def overlapping(vpc: Vpc, vpcs: Iterable[Vpc]) -> tuple[Vpc, ...]:
    """The others that have a part of a VPC's range."""
    return tuple(
        one for one in vpcs if one.resource_id != vpc.resource_id and _overlap(vpc.cidr, (one.cidr,))
    )


def standing(vpcs: Sequence[Vpc], held: Collection[str]) -> tuple[Vpc, ...]:
    """Those that packets know, no two of which overlap: first those with addresses in use, then as given.

    `held`: ids of VPCs with addresses in use.
    """
    found: list[Vpc] = []
    for one in (*(each for each in vpcs if each.resource_id in held), *vpcs):
        if one not in found and not overlapping(one, found):
            found.append(one)
    return tuple(found)


def default_range(wanted: str, vpcs: Collection[str], kept: Collection[str], routed: Collection[str]) -> str:
    """The range of a default VPC: the one that is kept for it, or the first that nobody has a part of."""
    if wanted:
        return wanted
    for one in _CANDIDATES:
        if not any(_overlap(one, others) for others in (vpcs, kept, routed)):
            return one
    raise Ec2Error("VpcLimitExceeded", "There is no free range left on this machine for a default VPC.")


def _lies_in(cidr: str, ranges: Iterable[str]) -> bool:
    network = IPv4Network(cidr)
    return any(network.subnet_of(IPv4Network(one)) for one in ranges)


def _overlap(cidr: str, others: Iterable[str]) -> str:
    network = _network(cidr)
    return next((one for one in others if network.overlaps(_network(one))), "")


@lru_cache(maxsize=4096)
def _network(cidr: str) -> IPv4Network:
    """Kept: the firewall asks of every pair of VPCs at every change."""
    return IPv4Network(cidr)


def _taken(cidr: str, by: str) -> Ec2Error:
    return Ec2Error(
        "InvalidVpc.Range",
        f"The CIDR '{cidr}' overlaps with {by}. Networks of one Homeport share a machine, whatever account "
        f"or region they are of: choose another range.",
    )
