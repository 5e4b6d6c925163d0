"""Classic Load Balancers."""

from __future__ import annotations

from homeport.services.elb.model import LoadBalancer
from homeport.services.elb.ports import CHANGED
from homeport.services.elb.repo.tables import load_balancers
from homeport.store.rows import all_nouns, first_noun, insert_row, nouns, remove_row, write_row
from homeport.store.tx import Tx

_B = load_balancers.c


class BalancerRepo:
    """One account's Classic Load Balancers in one region."""

    def __init__(self, tx: Tx, account_id: str, region: str) -> None:
        self._tx = tx
        self._here = (_B.account_id == account_id, _B.region == region)

    def named(self, name: str) -> LoadBalancer | None:
        """The balancer of that name."""
        return first_noun(self._tx, nouns(load_balancers).where(*self._here, _B.name == name))

    def all(self) -> tuple[LoadBalancer, ...]:
        """Every balancer, by name."""
        return tuple(all_nouns(self._tx, nouns(load_balancers).where(*self._here).order_by(_B.name)))

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
    return tuple(all_nouns(tx, nouns(load_balancers).order_by(_B.id)))


def certificate_users(tx: Tx, account_id: str, region: str) -> dict[str, tuple[str, ...]]:
    """By certificate's ARN the ARNs of the balancers whose listeners have it."""
    found: dict[str, tuple[str, ...]] = {}
    for balancer in BalancerRepo(tx, account_id, region).all():
        for arn in {one.certificate for one in balancer.listeners if one.certificate}:
            found[arn] = (*found.get(arn, ()), balancer.arn)
    return found
