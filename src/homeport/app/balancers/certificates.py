"""Certificate Manager's certificates as Elastic Load Balancing knows them, and who uses them."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterable, Mapping

from homeport.core.log import get_logger
from homeport.dataplane.model import TlsMaterial
from homeport.services.acm import manifest as acm
from homeport.services.elb import manifest as elb
from homeport.services.elbv2 import manifest as elbv2
from homeport.store.tx import Tx
from homeport.store.vault import VaultError

log = get_logger(__name__)

_ASKED_FOR = re.compile(r"(\*\.)?[a-z0-9_-]+(\.[a-z0-9_-]+)*")
"""Names that a client can ask for: a whole one, or everything below a domain."""
_TOO_SHORT = "RSA_1024"
"""Source: Application Load Balancer guide, "HTTPS listeners": keys of at least 2048 bits."""


class BalancersUse:
    """Load balancers as the users of certificates."""

    def of(self, tx: Tx, account_id: str, region: str) -> Mapping[str, tuple[str, ...]]:
        """By certificate's ARN the balancers that show it."""
        modern = elbv2.certificate_users(tx, account_id, region)
        classic = elb.certificate_users(tx, account_id, region)
        return {arn: modern.get(arn, ()) + classic.get(arn, ()) for arn in modern.keys() | classic.keys()}

    def tell(self, tx: Tx, account_id: str, region: str, arn: str) -> None:
        """Their controllers look again."""
        for balancer_arn in elbv2.certificate_users(tx, account_id, region).get(arn, ()):
            tx.touch(elbv2.BALANCERS_CHANGED, balancer_arn)
        for balancer_arn in elb.certificate_users(tx, account_id, region).get(arn, ()):
            tx.touch(elb.CHANGED, balancer_arn)


Trust = Callable[[Iterable[TlsMaterial]], None]


class ShownCertificates:
    """Answers which certificates there are, and tells the data plane (`trust`) what they stand for."""

    def __init__(self, materials: acm.Materials, trust: Trust | None = None) -> None:
        self._materials = materials
        self._trust = trust
        self._kept: dict[str, tuple[int, TlsMaterial]] = {}

    async def find(
        self, account_id: str, region: str, arns: Collection[str]
    ) -> Mapping[str, elbv2.Certificate]:
        """Those of the certificates that exist."""
        found = await self._materials.find(account_id, region, arns)
        if self._trust is not None:
            self._keep(arns, found)
        return {
            arn: elbv2.Certificate(
                arn=arn,
                names=tuple(name for name in one.facts.names if _ASKED_FOR.fullmatch(name)),
                unusable=_unusable(one),
            )
            for arn, one in found.items()
        }

    def _keep(self, arns: Collection[str], found: Mapping[str, acm.Certificate]) -> None:
        kept = {arn: one for arn, one in self._kept.items() if arn in found or arn not in arns}
        for arn, one in found.items():
            if arn in kept and kept[arn][0] == one.version:
                continue
            try:
                opened = self._materials.material(one)
            except VaultError:
                log.exception("certificate.unopened", certificate=arn)
                continue
            kept[arn] = one.version, TlsMaterial(id=arn, chain=opened.chain, private_key=opened.private_key)
        if kept != self._kept and self._trust is not None:
            self._kept = kept
            self._trust(tuple(material for _, material in kept.values()))


def _unusable(one: acm.Certificate) -> str:
    return f"its key is {_TOO_SHORT}" if one.facts.key_algorithm == _TOO_SHORT else ""
