"""What policies may depend on: the tags of Classic Load Balancers."""

from __future__ import annotations

from homeport.core.call import Call
from homeport.policy.resource import ResourcePolicy
from homeport.services.elb.api.context import Elb, repo_of


class Facts:
    """Of load balancers."""

    async def tags(self, call: Call, elb: Elb, arn: str) -> dict[str, str]:
        """A balancer's tags; none when there is none."""
        name = arn.rpartition("/")[2]
        found = await elb.store.read(lambda tx: repo_of(tx, call).named(name))
        return dict(found.tags) if found is not None and found.arn == arn else {}

    async def policy(self, call: Call, elb: Elb, arn: str) -> ResourcePolicy | None:
        """No balancer has a policy."""
        del call, elb, arn
        return None
