"""Trust policies and the users and roles that they name."""

from __future__ import annotations

from msgspec.structs import replace

from homeport.core.call import Call
from homeport.services.iam.errors import MalformedPolicyDocumentException
from homeport.services.iam.model import Role, User
from homeport.services.iam.plan.trust import named_principals, with_principal
from homeport.services.iam.repo.entities import EntityRepo
from homeport.store.tx import Tx


def require_principals(tx: Tx, call: Call, document: str) -> None:
    """Refuse to trust a user or role of the account that is not there; other accounts' are not known here."""
    for arn, kind, name in named_principals(document, call.account_id):
        of: type[User] | type[Role] = User if kind == "user" else Role
        found = EntityRepo(tx).find(of, call.account_id, name)
        if found is None or found.arn != arn:
            raise MalformedPolicyDocumentException(f'Invalid principal in policy: "AWS":"{arn}"')


def principal_is_now(tx: Tx, before: User | Role, after: str) -> None:
    """A principal has another ARN, or none any more (`after` is its unique id): who trusts it goes on so."""
    repo = EntityRepo(tx)
    for role in repo.page(Role, before.account_id):
        trust = with_principal(role.trust, before.arn, after)
        if trust is not None and role.id != before.id:
            repo.save(replace(role, trust=trust))
