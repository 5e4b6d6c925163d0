"""Classic Load Balancers."""

from __future__ import annotations

from sqlalchemy import select

from homeport.services.elb.model import LoadBalancer
from homeport.services.elb.ports import CHANGED
from homeport.services.elb.repo.tables import load_balancers
from homeport.store.rows import insert_row, noun_of, remove_row, write_row
from homeport.store.tx import Tx

_B = load_balancers.c


class BalancerRepo:
    """One account's Classic Load Balancers in one region."""

    def __init__(self, tx: Tx, account_id: str, region: str) -> None:
        self._tx = tx
        self._here = (_B.account_id == account_id, _B.region == region)

    def named(self, name: str) -> LoadBalancer | None:
        """The balancer of that name."""
        row = self._tx.execute(select(_B.id, _B.version, _B.body).where(*self._here, _B.name == name)).first()
        found: LoadBalancer | None = None if row is None else noun_of(row)
        return found

    def all(self) -> tuple[LoadBalancer, ...]:
        """Every balancer, by name."""
        rows = self._tx.execute(select(_B.id, _B.version, _B.body).where(*self._here).order_by(_B.name))
        return tuple(map(noun_of, rows))

    def add(self, balancer: LoadBalancer) -> LoadBalancer:
        """Insert. Raise `DuplicateKeyError` when the name is taken."""
        self._tx.touch(CHANGED, balancer.arn)
        return insert_row(
            self._tx,
            load_balancers,
            balancer,
            account_id=balancer.account_id,
            region=balancer.region,
            name=balancer.name,
        )

    def save(self, balancer: LoadBalancer) -> LoadBalancer:
        """Raise `StaleWriteError` when someone else wrote first."""
        self._tx.touch(CHANGED, balancer.arn)
        return write_row(self._tx, load_balancers, balancer, balancer.arn)

    def delete(self, balancer: LoadBalancer) -> None:
        """Raise `StaleWriteError` when someone else wrote first."""
        self._tx.touch(CHANGED, balancer.arn)
        remove_row(self._tx, load_balancers, balancer, balancer.arn)


def find_anywhere(tx: Tx, arn: str) -> LoadBalancer | None:
    """The balancer of that ARN, of whatever account and region."""
    _, _, _, region, account_id, rest = arn.split(":", 5)
    return BalancerRepo(tx, account_id, region).named(rest.removeprefix("loadbalancer/"))


def every_balancer(tx: Tx) -> tuple[LoadBalancer, ...]:
    """All of them, of all accounts and regions."""
    rows = tx.execute(select(_B.id, _B.version, _B.body).order_by(_B.id))
    return tuple(map(noun_of, rows))


def certificate_users(tx: Tx, account_id: str, region: str) -> dict[str, tuple[str, ...]]:
    """By certificate's ARN the ARNs of the balancers whose listeners have it."""
    found: dict[str, tuple[str, ...]] = {}
    for balancer in BalancerRepo(tx, account_id, region).all():
        for arn in {one.certificate for one in balancer.listeners if one.certificate}:
            found[arn] = (*found.get(arn, ()), balancer.arn)
    return found
