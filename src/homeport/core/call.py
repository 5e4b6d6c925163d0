"""Who calls what: the frozen facts of one request that a handler may use."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum


class PrincipalKind(StrEnum):
    """Who callers can be; the values are those of CloudTrail's `userIdentity.type`."""

    ROOT = "Root"
    USER = "IAMUser"
    ROLE = "AssumedRole"
    FEDERATED = "FederatedUser"
    UNKNOWN = "Unknown"
    """Nobody proven: the caller of an operation that is not signed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SessionFacts:
    """What temporary credentials say beyond whose they are.

    `issuer_arn` is the role's own ARN, or that of the user behind a federated one. `provider`: the identity
    provider of a web identity's session. `chained`: it was assumed with a role's session.
    """

    issued_at: datetime
    issuer_arn: str = ""
    name: str = ""
    tags: Mapping[str, str] = field(default_factory=dict)
    transitive: tuple[str, ...] = ()
    source_identity: str = ""
    provider: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Principal:
    """A proven caller.

    `arn` is the caller's own: of a role's session the `assumed-role` one. `user_id` is `aws:userid`.
    `tags` are the user's or role's own. `session` is there when the credentials are temporary.
    """

    arn: str
    account_id: str
    user_id: str
    kind: PrincipalKind = PrincipalKind.ROOT
    tags: Mapping[str, str] = field(default_factory=dict)
    session: SessionFacts | None = None


def is_own_session(principal: Principal) -> bool:
    """Whether it is GetSessionToken's or GetFederationToken's: temporary, and of no role."""
    return principal.session is not None and principal.kind is not PrincipalKind.ROLE


NOBODY = Principal(arn="", account_id="", user_id="", kind=PrincipalKind.UNKNOWN)


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """One authenticated request, without its parameters."""

    request_id: str
    service: str
    operation: str
    account_id: str
    region: str
    principal: Principal
    access_key_id: str = ""
    base_url: str = field(default="http://127.0.0.1:4566")
    """Scheme and authority under which the caller reached us."""


def inner_call(service: str, operation: str, account_id: str, region: str) -> Call:
    """A call that Homeport itself makes in an account, for nobody in particular: nothing asks who may."""
    return Call(
        request_id="",
        service=service,
        operation=operation,
        account_id=account_id,
        region=region,
        principal=NOBODY,
    )
