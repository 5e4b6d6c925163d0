"""What policies may depend on: the tags and trust policies of roles that somebody wants to assume."""

from __future__ import annotations

from homeport.core.call import Call
from homeport.policy.compiled import NO_POLICIES, Compiler
from homeport.policy.document import MalformedPolicyError
from homeport.policy.resource import ResourcePolicy, trust_policy
from homeport.services.sts.api.context import Sts
from homeport.services.sts.errors import ValidationError
from homeport.services.sts.plan.sessions import role_of
from homeport.services.sts.ports import RoleFacts
from homeport.store.tx import Tx


class Facts:
    """Of roles."""

    def __init__(self) -> None:
        self._compiler = Compiler()

    async def tags(self, call: Call, sts: Sts, arn: str) -> dict[str, str]:
        """A role's tags; none when there is none."""
        del call
        role = await sts.store.read(lambda tx: _role(tx, sts, arn))
        return dict(role.tags) if role else {}

    async def policy(self, call: Call, sts: Sts, arn: str) -> ResourcePolicy | None:
        """A role's trust policy. One that is not there trusts nobody, so that nobody learns who is there."""
        del call
        if ":role/" not in arn:
            return None
        role = await sts.store.read(lambda tx: _role(tx, sts, arn))
        if role is None:
            return ResourcePolicy(policies=NO_POLICIES, is_trust=True)
        try:
            return trust_policy(self._compiler, role.arn, role.trust)
        except MalformedPolicyError:
            return ResourcePolicy(policies=NO_POLICIES, is_trust=True)


def _role(tx: Tx, sts: Sts, arn: str) -> RoleFacts | None:
    try:
        account_id, name = role_of(arn)
    except ValidationError:
        return None
    found = sts.roles.find(tx, account_id, name)
    return found if found is not None and found.arn == arn else None
