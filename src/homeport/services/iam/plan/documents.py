"""What a policy document must be to be kept: for an identity, or as a role's trust policy."""

from __future__ import annotations

import json
from typing import Any

from homeport.services.iam.errors import LimitExceededException, MalformedPolicyDocumentException
from homeport.services.iam.plan.quotas import MANAGED_CHARS, TRUST_CHARS, chars


def check_identity(document: str) -> None:
    """Refuse what is no policy of a user, group or role."""
    for statement in _statements(document):
        if "Principal" in statement or "NotPrincipal" in statement:
            raise MalformedPolicyDocumentException("Policy document should not specify a principal.")
        if ("Resource" in statement) == ("NotResource" in statement):
            raise MalformedPolicyDocumentException("Policy statement must contain resources.")


def check_managed(document: str) -> None:
    """Refuse what is no managed policy."""
    check_identity(document)
    if chars(document) > MANAGED_CHARS:
        raise LimitExceededException(f"Cannot exceed quota for PolicySize: {MANAGED_CHARS}")


def check_trust(document: str) -> None:
    """Refuse what is no trust policy of a role."""
    for statement in _statements(document):
        if "Resource" in statement or "NotResource" in statement:
            raise MalformedPolicyDocumentException("Has prohibited field Resource")
        if ("Principal" in statement) == ("NotPrincipal" in statement):
            raise MalformedPolicyDocumentException("AssumeRole policy must contain a principal.")
    if chars(document) > TRUST_CHARS:
        raise LimitExceededException(f"Cannot exceed quota for ACLSizePerRole: {TRUST_CHARS}")


def _statements(document: str) -> list[dict[str, Any]]:
    try:
        policy = json.loads(document)
    except ValueError:
        raise MalformedPolicyDocumentException("This policy contains invalid Json") from None
    if not isinstance(policy, dict):
        raise MalformedPolicyDocumentException("Syntax errors in policy.")
    found: Any = policy.get("Statement")
    statements: list[Any] = found if isinstance(found, list) else [found]
    for statement in statements:
        if not isinstance(statement, dict) or statement.get("Effect") not in ("Allow", "Deny"):
            raise MalformedPolicyDocumentException("Syntax errors in policy.")
        if ("Action" in statement) == ("NotAction" in statement):
            raise MalformedPolicyDocumentException("Policy statement must contain actions.")
    return statements
