"""What policies may depend on: parameters' tags. They have no policies of their own."""

from __future__ import annotations

from homeport.core.call import Call
from homeport.policy.resource import ResourcePolicy
from homeport.services.ssm.api.context import Ssm, look_up


class Facts:
    """Of parameters."""

    async def tags(self, call: Call, ssm: Ssm, arn: str) -> dict[str, str]:
        """A parameter's tags; none when there is none."""
        found = await ssm.store.read(lambda tx: look_up(tx, call, arn))
        return dict(found[0].tags) if found else {}

    async def policy(self, call: Call, ssm: Ssm, arn: str) -> ResourcePolicy | None:
        """None."""
        del call, ssm, arn
        return None
