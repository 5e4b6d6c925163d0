"""What there is in all accounts and regions: one machine carries it all."""

from __future__ import annotations

from typing import TypeVar

from homeport.services.ec2.model import NetworkInterface, Resource, Rule, Vpc
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


def rules_everywhere(tx: Tx) -> tuple[Rule, ...]:
    """Every security group's rules."""
    return _everywhere(tx, Rule)


def _everywhere(tx: Tx, kind: type[R]) -> tuple[R, ...]:
    return tuple(all_nouns(tx, nouns(resources).where(_R.kind == kind.type).order_by(_R.id)))


def find_anywhere(tx: Tx, kind: type[R], resource_id: str) -> R | None:
    """The one of that id, whoever's it is. Ids are random: two accounts have none in common."""
    found = first_noun(tx, nouns(resources).where(_R.resource_id == resource_id).order_by(_R.id))
    return found if isinstance(found, kind) else None
