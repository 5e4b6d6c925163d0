"""The secrets with which rules' clients show a provider who they are."""

from __future__ import annotations

from homeport.services.elbv2.api.rules import secret_about
from homeport.services.elbv2.model.rules import Oidc
from homeport.services.elbv2.repo.balancers import BalancerRepo
from homeport.store.base import Store
from homeport.store.vault import Vault


class ClientSecrets:
    """Opens them when they are used, and keeps none."""

    def __init__(self, store: Store, vault: Vault) -> None:
        self._store, self._vault = store, vault

    async def find(self, secret_id: str) -> str | None:
        """The secret of the rule with that ARN; `None`: it has none. Raise `VaultError`."""
        _, _, _, region, account_id, _ = secret_id.split(":", 5)
        rule = await self._store.read(lambda tx: BalancerRepo(tx, account_id, region).rule(secret_id))
        for action in () if rule is None else rule.actions:
            if isinstance(action, Oidc):
                return self._vault.open(action.secret, about=secret_about(secret_id)).decode()
        return None
