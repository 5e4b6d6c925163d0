"""What `app` reads of this service."""

from __future__ import annotations

from homeport.core.call import Principal, PrincipalKind, is_own_session
from homeport.services.sts.api import roles, sessions  # noqa: F401  register the handlers
from homeport.services.sts.api.context import Sts, ops
from homeport.services.sts.api.facts import Facts
from homeport.services.sts.api.service_roles import ServiceCaller, ServiceRoles
from homeport.services.sts.errors import AccessDenied
from homeport.services.sts.model import Session
from homeport.services.sts.ports import RoleFacts
from homeport.services.sts.repo import tables  # noqa: F401  defines the tables
from homeport.services.sts.repo.sessions import SessionRepo, opened

name = "sts"
operations = ops
invalid_input = "ValidationError"
facts = Facts()
_OF_SESSIONS = {
    PrincipalKind.FEDERATED: frozenset({"GetCallerIdentity"}),
    PrincipalKind.ROOT: frozenset({"AssumeRole", "GetCallerIdentity"}),
    PrincipalKind.USER: frozenset({"AssumeRole", "GetCallerIdentity"}),
}
_TELL_THEMSELVES = frozenset({"GetFederationToken", "GetSessionToken"})


def takes(principal: Principal, operation: str) -> bool:
    """Who has only a session of its own may assume roles, a federated user not even that.

    Source: IAM User Guide, "Compare AWS STS credentials". Two operations refuse sessions in words of theirs.
    """
    if not is_own_session(principal) or operation in _TELL_THEMSELVES:
        return True
    return operation in _OF_SESSIONS[principal.kind]


__all__ = [
    "AccessDenied",
    "RoleFacts",
    "ServiceCaller",
    "ServiceRoles",
    "Session",
    "SessionRepo",
    "Sts",
    "facts",
    "invalid_input",
    "name",
    "opened",
    "operations",
    "takes",
]
