"""Which range a VPC may have: all VPCs of an installation are on one machine, so each has its own. Pure."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from ipaddress import IPv4Network

from homeport.services.ec2.errors import Ec2Error

DEFAULT_RANGE = "172.31.0.0/16"
"""Source: VPC user guide, "Default VPC components"."""
_CANDIDATES = (DEFAULT_RANGE, *(f"10.{second}.0.0/16" for second in range(254, 127, -1)))


def check_range(cidr: str, vpcs: Collection[str], kept: Collection[str], routed: Collection[str]) -> None:
    """Raise, in words, for a range of which somebody else has a part.

    AWS lets VPCs overlap, each being alone in its world. Here packets of all of them pass one machine.
    """
    if other := _overlap(cidr, vpcs):
        raise _taken(cidr, f"the VPC with the range {other}")
    if other := _overlap(cidr, kept):
        raise _taken(cidr, f"{other}, which is kept for the default VPC of this installation")
    if other := _overlap(cidr, routed):
        raise _taken(cidr, f"{other}, which this machine routes already (see `ip route`)")


def default_range(wanted: str, vpcs: Collection[str], kept: Collection[str], routed: Collection[str]) -> str:
    """The range of a default VPC: the one that is kept for it, or the first that nobody has a part of."""
    if wanted:
        return wanted
    for one in _CANDIDATES:
        if not any(_overlap(one, others) for others in (vpcs, kept, routed)):
            return one
    raise Ec2Error("VpcLimitExceeded", "There is no free range left on this machine for a default VPC.")


def _overlap(cidr: str, others: Iterable[str]) -> str:
    network = IPv4Network(cidr)
    return next((one for one in others if network.overlaps(IPv4Network(one))), "")


def _taken(cidr: str, by: str) -> Ec2Error:
    return Ec2Error(
        "InvalidVpc.Range",
        f"The CIDR '{cidr}' overlaps with {by}. Networks of one Homeport share a machine, whatever account "
        f"or region they are of: choose another range.",
    )
