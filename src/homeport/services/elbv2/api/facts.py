"""What policies may depend on: the tags of load balancers and what belongs to them."""

from __future__ import annotations

from homeport.core.call import Call
from homeport.core.errors import AwsError
from homeport.policy.resource import ResourcePolicy
from homeport.services.elbv2.api.context import Elbv2
from homeport.services.elbv2.api.tags import find


class Facts:
    """Of load balancers, listeners, rules and target groups."""

    async def tags(self, call: Call, elb: Elbv2, arn: str) -> dict[str, str]:
        """A resource's tags; none when there is none."""
        try:
            return dict((await elb.store.read(lambda tx: find(tx, call, arn))).tags)
        except AwsError:
            return {}

    async def policy(self, call: Call, elb: Elbv2, arn: str) -> ResourcePolicy | None:
        """No resource has a policy."""
        del call, elb, arn
        return None
