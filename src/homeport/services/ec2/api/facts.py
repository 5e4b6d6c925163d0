"""What policies may depend on: resources' tags. They have no policies of their own."""

from __future__ import annotations

from homeport.core.call import Call
from homeport.policy.resource import ResourcePolicy
from homeport.services.ec2.api.context import Ec2
from homeport.services.ec2.repo.shelf import Shelf


class Facts:
    """Of everything with an id."""

    async def tags(self, call: Call, ec2: Ec2, arn: str) -> dict[str, str]:
        """A resource's tags; none when there is none."""
        resource_id = arn.rpartition("/")[2]
        found = await ec2.store.read(
            lambda tx: Shelf(tx, call.account_id, call.region).any_of((resource_id,)).get(resource_id)
        )
        return dict(found.tags) if found is not None else {}

    async def policy(self, call: Call, ec2: Ec2, arn: str) -> ResourcePolicy | None:
        """None."""
        del call, ec2, arn
        return None
