"""What there is in all accounts and regions: one machine carries it all."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TypeVar

from homeport.services.ec2.errors import Ec2Error
from homeport.services.ec2.model import NetworkInterface, Resource, Rule, Vpc
from homeport.services.ec2.plan.ranges import overlapping, standing
from homeport.services.ec2.repo.shelf import Shelf
from homeport.services.ec2.repo.tables import resources
from homeport.store.rows import all_nouns, first_noun, nouns
from homeport.store.tx import Tx

R = TypeVar("R", bound=Resource)
_R = resources.c


def interfaces_everywhere(tx: Tx) -> tuple[NetworkInterface, ...]:
    """Every network interface."""
    return _everywhere(tx, NetworkInterface)


def vpcs_everywhere(tx: Tx) -> tuple[Vpc, ...]:
    """Every VPC."""
    return _everywhere(tx, Vpc)


def standing_vpcs(tx: Tx) -> tuple[Vpc, ...]:
    """Every VPC that packets know: of those that overlap, the one with addresses in use."""
    vpcs = vpcs_everywhere(tx)
    held = {one.resource_id for one in vpcs if overlapping(one, vpcs) and has_addresses(tx, one)}
    return standing(vpcs, held)


def has_addresses(tx: Tx, vpc: Vpc) -> bool:
    """Whether there is an interface in it."""
    own = (_R.account_id == vpc.account_id) & (_R.region == vpc.region)
    here = nouns(resources).where(own, _R.kind == NetworkInterface.type, _R.vpc_id == vpc.resource_id)
    return first_noun(tx, here.limit(1)) is not None


def range_trouble(tx: Tx, vpc: Vpc) -> str:
    """Why no address of a VPC can be used: another that overlaps has some in use. Empty: they can."""
    return "" if has_addresses(tx, vpc) else _trouble(tx, vpc, overlapping(vpc, vpcs_everywhere(tx)))


def claim_range(tx: Tx, vpc: Vpc) -> None:
    """Before an address in a VPC: raise while another that overlaps has addresses in use.

    Who is as quick in one of the others is refused by the store.
    """
    if has_addresses(tx, vpc):
        return
    others = overlapping(vpc, vpcs_everywhere(tx))
    if trouble := _trouble(tx, vpc, others):
        raise Ec2Error("InvalidVpc.Range", trouble)
    for one in (vpc, *others) if others else ():
        Shelf(tx, one.account_id, one.region).save(one)


def _trouble(tx: Tx, vpc: Vpc, others: Iterable[Vpc]) -> str:
    for one in others:
        if has_addresses(tx, one):
            return (
                f"The range {vpc.cidr} of {vpc.resource_id} overlaps with {one.cidr} of {one.resource_id}, "
                f"where addresses are in use. Networks of one Homeport share a machine, whatever account or "
                f"region they are of: use one of the two at a time, or give the VPC another range."
            )
    return ""


def rules_everywhere(tx: Tx) -> tuple[Rule, ...]:
    """Every security group's rules."""
    return _everywhere(tx, Rule)


def _everywhere(tx: Tx, kind: type[R]) -> tuple[R, ...]:
    return tuple(all_nouns(tx, nouns(resources).where(_R.kind == kind.type).order_by(_R.id)))


def find_anywhere(tx: Tx, kind: type[R], resource_id: str) -> R | None:
    """The one of that id, whoever's it is. Ids are random: two accounts have none in common."""
    found = first_noun(tx, nouns(resources).where(_R.resource_id == resource_id).order_by(_R.id))
    return found if isinstance(found, kind) else None
