"""What policies may depend on: tags of namespaces and services."""

from __future__ import annotations

from homeport.core.call import Call
from homeport.policy.resource import ResourcePolicy
from homeport.services.servicediscovery.api.context import ServiceDiscovery
from homeport.services.servicediscovery.api.tags import tagged
from homeport.services.servicediscovery.errors import ResourceNotFoundException
from homeport.store.tx import Tx


class Facts:
    """Of namespaces and services."""

    async def tags(self, call: Call, sd: ServiceDiscovery, arn: str) -> dict[str, str]:
        """A resource's tags; none when there is none."""

        def work(tx: Tx) -> dict[str, str]:
            try:
                return dict(tagged(tx, call, arn).tags)
            except ResourceNotFoundException:
                return {}

        return await sd.store.read(work)

    async def policy(self, call: Call, sd: ServiceDiscovery, arn: str) -> ResourcePolicy | None:
        """Nothing here has a policy of its own."""
        del call, sd, arn
        return None
