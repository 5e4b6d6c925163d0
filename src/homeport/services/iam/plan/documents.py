"""What a policy document must be to be kept: for an identity, or as a role's trust policy."""

from __future__ import annotations

from homeport.policy.document import MalformedPolicyError, Policy, PolicyKind
from homeport.policy.parse import parse_policy
from homeport.services.iam.errors import LimitExceededException, MalformedPolicyDocumentException
from homeport.services.iam.plan.quotas import MANAGED_CHARS, TRUST_CHARS, chars


def check_identity(document: str) -> None:
    """Refuse what is no policy of a user, group or role."""
    _parsed(document, PolicyKind.IDENTITY)


def check_managed(document: str) -> None:
    """Refuse what is no managed policy."""
    if not _parsed(document, PolicyKind.IDENTITY).has_variables:
        raise MalformedPolicyDocumentException("Policy document must be version 2012-10-17 or greater.")
    if chars(document) > MANAGED_CHARS:
        raise LimitExceededException(f"Cannot exceed quota for PolicySize: {MANAGED_CHARS}")


def check_trust(document: str) -> None:
    """Refuse what is no trust policy of a role."""
    _parsed(document, PolicyKind.TRUST)
    if chars(document) > TRUST_CHARS:
        raise LimitExceededException(f"Cannot exceed quota for ACLSizePerRole: {TRUST_CHARS}")


def _parsed(document: str, kind: PolicyKind) -> Policy:
    try:
        return parse_policy(document, kind)
    except MalformedPolicyError as error:
        raise MalformedPolicyDocumentException(str(error)) from None
