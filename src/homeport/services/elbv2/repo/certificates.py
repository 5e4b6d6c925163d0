"""Which balancers show which certificates."""

from __future__ import annotations

from homeport.services.elbv2.repo.balancers import BalancerRepo
from homeport.store.tx import Tx


def certificate_users(tx: Tx, account_id: str, region: str) -> dict[str, tuple[str, ...]]:
    """By certificate's ARN the ARNs of the balancers whose listeners have it."""
    repo = BalancerRepo(tx, account_id, region)
    found: dict[str, dict[str, None]] = {}
    for balancer in repo.all():
        for listener in repo.listeners(balancer):
            for arn in filter(None, (listener.certificate, *listener.certificates)):
                found.setdefault(arn, {})[balancer.arn] = None
    return {arn: tuple(users) for arn, users in found.items()}
