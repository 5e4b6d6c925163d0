"""What policies may depend on: tags of everything that ECS has. None of it has a policy of its own."""

from __future__ import annotations

from homeport.core.call import Call
from homeport.core.errors import AwsError
from homeport.policy.resource import ResourcePolicy
from homeport.services.ecs.api.context import Ecs
from homeport.services.ecs.api.tags import tags_of
from homeport.store.tx import Tx


class Facts:
    """Of clusters, services, tasks and the rest."""

    async def tags(self, call: Call, ecs: Ecs, arn: str) -> dict[str, str]:
        """The tags of what an ARN names; none when there is no such thing."""

        def work(tx: Tx) -> dict[str, str]:
            try:
                return {str(tag["key"]): str(tag.get("value") or "") for tag in tags_of(tx, call, arn)}
            except AwsError:
                return {}

        return await ecs.store.read(work)

    async def policy(self, call: Call, ecs: Ecs, arn: str) -> ResourcePolicy | None:
        """None."""
        del call, ecs, arn
        return None
