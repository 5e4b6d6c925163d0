"""A balancer as a whole, read in one transaction."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import select

from homeport.services.elbv2.model.balancers import LoadBalancer
from homeport.services.elbv2.plan.to_dataplane import Whole
from homeport.services.elbv2.repo.balancers import BalancerRepo
from homeport.services.elbv2.repo.groups import GroupRepo
from homeport.services.elbv2.repo.tables import load_balancers
from homeport.store.tx import Tx


def whole_of(tx: Tx, balancer: LoadBalancer, *, targets: bool = True) -> Whole:
    """The balancer with its listeners, rules, groups and (unless they do not matter) targets."""
    repo = BalancerRepo(tx, balancer.account_id, balancer.region)
    known = GroupRepo(tx, balancer.account_id, balancer.region)
    used = known.among(repo.used_by(balancer))
    return Whole(
        balancer=balancer,
        listeners=tuple((one, repo.rules(one)) for one in repo.listeners(balancer)),
        groups=used,
        targets={arn: known.targets(group) for arn, group in used.items()} if targets else {},
    )


def find_whole(tx: Tx, arn: str) -> Whole | None:
    """The balancer of that ARN, of whatever account and region."""
    _, _, _, region, account_id, _ = arn.split(":", 5)
    balancer = BalancerRepo(tx, account_id, region).find(arn)
    return None if balancer is None else whole_of(tx, balancer)


def every_balancer(tx: Tx) -> tuple[str, ...]:
    """All ARNs, of all accounts and regions."""
    rows = tx.execute(select(load_balancers.c.arn).order_by(load_balancers.c.id))
    return tuple(row[0] for row in rows)


def sweep(tx: Tx, whole: Whole, now: datetime) -> None:
    """Remove the targets of a balancer's groups whose draining is over."""
    known = GroupRepo(tx, whole.balancer.account_id, whole.balancer.region)
    for group in whole.groups.values():
        known.sweep(group, now)
