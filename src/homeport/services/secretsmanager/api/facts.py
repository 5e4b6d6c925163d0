"""What policies may depend on: secrets' tags, and their resource policies."""

from __future__ import annotations

from homeport.core.call import Call
from homeport.policy.compiled import Compiler
from homeport.policy.resource import ResourcePolicy, resource_policy
from homeport.services.secretsmanager.api.context import SecretsManager, find
from homeport.services.secretsmanager.errors import ResourceNotFoundException
from homeport.services.secretsmanager.model import Secret
from homeport.store.tx import Tx

_ANY_SUFFIX = "-??????"


class Facts:
    """Of secrets."""

    def __init__(self) -> None:
        self._compiler = Compiler()

    async def tags(self, call: Call, sm: SecretsManager, arn: str) -> dict[str, str]:
        """A secret's tags; none when there is none."""
        secret = await sm.store.read(lambda tx: _secret(tx, call, sm, arn))
        return dict(secret.tags) if secret else {}

    async def policy(self, call: Call, sm: SecretsManager, arn: str) -> ResourcePolicy | None:
        """A secret's resource policy."""
        secret = await sm.store.read(lambda tx: _secret(tx, call, sm, arn))
        if secret is None or not secret.resource_policy:
            return None
        return resource_policy(self._compiler, secret.arn, secret.resource_policy)


def _secret(tx: Tx, call: Call, sm: SecretsManager, arn: str) -> Secret | None:
    try:
        return find(tx, call, sm.clock.now(), arn.removesuffix(_ANY_SUFFIX), deleted=True)
    except ResourceNotFoundException:
        return None
