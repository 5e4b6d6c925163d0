"""Certificates for those who show them to clients: what they are good for, and their keys."""

from __future__ import annotations

from collections.abc import Collection, Mapping

from homeport.services.acm.api.authority import the_authority
from homeport.services.acm.api.context import Acm, about
from homeport.services.acm.model import Certificate, Material
from homeport.services.acm.repo.certificates import CertificateRepo
from homeport.store.tx import Tx


class Materials:
    """Opens what is sealed, for the data plane only."""

    def __init__(self, acm: Acm) -> None:
        self._acm = acm

    async def find(self, account_id: str, region: str, arns: Collection[str]) -> Mapping[str, Certificate]:
        """Those of the certificates that exist in the account and region."""
        head = f"arn:aws:acm:{region}:{account_id}:certificate/"

        def work(tx: Tx) -> dict[str, Certificate]:
            repo = CertificateRepo(tx, account_id, region)
            named = {arn: repo.find(arn.removeprefix(head)) for arn in arns if arn.startswith(head)}
            return {arn: one for arn, one in named.items() if one is not None}

        return await self._acm.store.read(work)

    def material(self, one: Certificate) -> Material:
        """What to show, and the key. Raise `VaultError`."""
        return Material(
            arn=one.arn,
            chain=(one.leaf + one.chain).encode(),
            private_key=self._acm.vault.open(one.sealed_key, about=about(one.arn)),
            version=one.version,
        )

    async def root(self) -> str:
        """The root of the installation's own authority, in PEM, for clients that are to trust it."""
        return (await the_authority(self._acm)).root
