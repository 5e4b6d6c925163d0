"""What there is in all accounts and regions: one machine carries it all."""

from __future__ import annotations

from typing import TypeVar

from sqlalchemy import select

from homeport.services.ec2.model import NetworkInterface, Resource, Rule, Vpc
from homeport.services.ec2.repo.tables import resources
from homeport.store.rows import noun_of
from homeport.store.tx import Tx

R = TypeVar("R", bound=Resource)
_R = resources.c


def interfaces_everywhere(tx: Tx) -> tuple[NetworkInterface, ...]:
    """Every network interface."""
    kept = select(_R.id, _R.version, _R.body).where(_R.kind == NetworkInterface.type).order_by(_R.id)
    return tuple(noun_of(row) for row in tx.execute(kept))


def vpcs_everywhere(tx: Tx) -> tuple[Vpc, ...]:
    """Every VPC."""
    kept = select(_R.id, _R.version, _R.body).where(_R.kind == Vpc.type).order_by(_R.id)
    return tuple(noun_of(row) for row in tx.execute(kept))


def rules_everywhere(tx: Tx) -> tuple[Rule, ...]:
    """Every security group's rules."""
    kept = select(_R.id, _R.version, _R.body).where(_R.kind == Rule.type).order_by(_R.id)
    return tuple(noun_of(row) for row in tx.execute(kept))


def find_anywhere(tx: Tx, kind: type[R], resource_id: str) -> R | None:
    """The one of that id, whoever's it is. Ids are random: two accounts have none in common."""
    kept = select(_R.id, _R.version, _R.body).where(_R.resource_id == resource_id).order_by(_R.id)
    row = tx.execute(kept).first()
    found = None if row is None else noun_of(row)
    return found if isinstance(found, kind) else None
