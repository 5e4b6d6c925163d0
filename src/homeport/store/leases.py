"""Leases in a table: who should act, with a fencing token for who may.

A table works on every SQL database and survives fail-over, which PostgreSQL's
advisory locks do not. Clocks of replicas may differ: that costs time at a
take-over, never safety, because writes check the epoch (`check_lease`).
"""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

from sqlalchemy import bindparam, insert, select, update

from homeport.core.clock import Clock
from homeport.runtime.leases import Lease
from homeport.store.base import Store
from homeport.store.errors import LeaseLostError
from homeport.store.schema import lease as table
from homeport.store.tx import Tx

_FIND = select(table).where(table.c.name == bindparam("lease_name"))
_TAKE = (
    update(table)
    .where(table.c.name == bindparam("lease_name"), table.c.epoch == bindparam("old_epoch"))
    .values(holder=bindparam("holder"), epoch=bindparam("epoch"), expires_at=bindparam("expires_at"))
)


class Leases:
    """The leases in one store."""

    def __init__(self, store: Store, clock: Clock) -> None:
        self._store = store
        self._clock = clock

    async def acquire(self, name: str, holder: str, ttl: timedelta) -> Lease | None:
        """Take the lease if it is free, has expired, or is `holder`'s own; else `None`.

        Each success begins a new epoch, so a holder that lost its memory cannot
        be taken for its former self.
        """
        return await self._store.write(lambda tx: self._acquire(tx, name, holder, ttl))

    async def renew(self, lease: Lease, ttl: timedelta) -> Lease | None:
        """Extend the lease within its epoch; `None` when somebody else has taken it.

        An expired lease that nobody took can be renewed.
        """

        def extend(tx: Tx) -> Lease | None:
            try:
                check_lease(tx, lease)
            except LeaseLostError:
                return None
            renewed = replace(lease, expires_at=self._clock.now() + ttl)
            _put(tx, renewed, old_epoch=lease.epoch)
            return renewed

        return await self._store.write(extend)

    async def release(self, lease: Lease) -> None:
        """Give the lease back; without effect when it is somebody else's by now."""

        def give_back(tx: Tx) -> None:
            row = tx.execute(_FIND, {"lease_name": lease.name}).one_or_none()
            if row is not None and (row.holder, row.epoch) == (lease.holder, lease.epoch):
                _put(tx, replace(lease, holder="", expires_at=self._clock.now()), old_epoch=lease.epoch)

        await self._store.write(give_back)

    def _acquire(self, tx: Tx, name: str, holder: str, ttl: timedelta) -> Lease | None:
        now = self._clock.now()
        row = tx.execute(_FIND, {"lease_name": name}).one_or_none()
        if row is not None and row.holder not in ("", holder) and row.expires_at > now:
            return None
        epoch = 1 if row is None else row.epoch + 1
        lease = Lease(name=name, holder=holder, epoch=epoch, expires_at=now + ttl)
        if row is None:
            values = {"name": name, "holder": holder, "epoch": epoch, "expires_at": lease.expires_at}
            tx.execute(insert(table), values)
        else:
            _put(tx, lease, old_epoch=row.epoch)
        return lease


def check_lease(tx: Tx, lease: Lease) -> None:
    """Raise `LeaseLostError` unless `lease`'s epoch is still the current one.

    Called in the transaction that writes, it makes the write safe: should the
    lease change hands at the same time, one of the two transactions fails.
    """
    row = tx.execute(_FIND, {"lease_name": lease.name}).one_or_none()
    if row is None or (row.holder, row.epoch) != (lease.holder, lease.epoch):
        raise LeaseLostError(f"lease {lease.name} epoch {lease.epoch} of {lease.holder} has passed on")


def _put(tx: Tx, lease: Lease, *, old_epoch: int) -> None:
    tx.execute(
        _TAKE,
        {
            "lease_name": lease.name,
            "old_epoch": old_epoch,
            "holder": lease.holder,
            "epoch": lease.epoch,
            "expires_at": lease.expires_at,
        },
    )
