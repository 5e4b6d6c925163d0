"""What policies may depend on: certificates' tags."""

from __future__ import annotations

from homeport.core.call import Call
from homeport.core.errors import AwsError
from homeport.policy.resource import ResourcePolicy
from homeport.services.acm.api.context import Acm, find


class Facts:
    """Of certificates."""

    async def tags(self, call: Call, acm: Acm, arn: str) -> dict[str, str]:
        """A certificate's tags; none when there is none."""
        try:
            return dict((await acm.store.read(lambda tx: find(tx, call, arn))).tags)
        except AwsError:
            return {}

    async def policy(self, call: Call, acm: Acm, arn: str) -> ResourcePolicy | None:
        """No certificate has a policy."""
        del call, acm, arn
        return None
