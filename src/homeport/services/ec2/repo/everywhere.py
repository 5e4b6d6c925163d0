"""What there is in all accounts and regions: one machine carries it all."""

from __future__ import annotations

from sqlalchemy import select

from homeport.services.ec2.model import NetworkInterface
from homeport.services.ec2.repo.tables import resources
from homeport.store.rows import noun_of
from homeport.store.tx import Tx

_R = resources.c


def interfaces_everywhere(tx: Tx) -> tuple[NetworkInterface, ...]:
    """Every network interface."""
    kept = select(_R.id, _R.version, _R.body).where(_R.kind == NetworkInterface.type).order_by(_R.id)
    return tuple(noun_of(row) for row in tx.execute(kept))
