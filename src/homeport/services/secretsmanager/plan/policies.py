"""Resource policies of secrets. Pure. Source: Secrets Manager user guide, "Resource-based policies"."""

from __future__ import annotations

from homeport.policy.document import Effect, MalformedPolicyError, Policy, PolicyKind, Statement
from homeport.policy.parse import parse_policy
from homeport.services.secretsmanager.errors import MalformedPolicyDocumentException


def parsed(text: str) -> Policy:
    """The policy. Raise `MalformedPolicyDocumentException`."""
    try:
        return parse_policy(text, PolicyKind.RESOURCE)
    except MalformedPolicyError as error:
        raise MalformedPolicyDocumentException(f"This resource policy is not valid: {error}") from None


def is_public(policy: Policy) -> bool:
    """Whether a statement lets in whoever comes."""
    return any(_lets_in_all(statement) for statement in policy.statements)


def _lets_in_all(statement: Statement) -> bool:
    named = statement.principals
    everybody = named is None or statement.not_principals or named.everyone or "*" in named.aws
    return statement.effect is Effect.ALLOW and everybody and not statement.conditions
