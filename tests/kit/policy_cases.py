"""How the truth table's rows are written, and how one becomes policies and a request."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from homeport.policy.compiled import AttachedPolicy, Compiler, PolicySet
from homeport.policy.decision import Policies
from homeport.policy.document import PolicyKind
from homeport.policy.request import Caller, CallerKind, Context, Request, caller_keys
from tests.kit.slow_policy import Documents

ACCOUNT = "111122223333"
OTHER = "444455556666"
KEY = "test:Key"
MISSING = None
CLUSTER = f"arn:aws:ecs:us-east-1:{ACCOUNT}:cluster/web"

ROOT = Caller(kind=CallerKind.ROOT, arn=f"arn:aws:iam::{ACCOUNT}:root", account_id=ACCOUNT, user_id=ACCOUNT)
USER = Caller(
    kind=CallerKind.USER,
    arn=f"arn:aws:iam::{ACCOUNT}:user/team/alice",
    account_id=ACCOUNT,
    user_id="AIDAALICEALICEALICE21",
)
SESSION = Caller(
    kind=CallerKind.ROLE_SESSION,
    arn=f"arn:aws:sts::{ACCOUNT}:assumed-role/deploy/s1",
    account_id=ACCOUNT,
    user_id="AROADEPLOYDEPLOYDEP21:s1",
    issuer_arn=f"arn:aws:iam::{ACCOUNT}:role/ci/deploy",
)
FEDERATED = Caller(
    kind=CallerKind.FEDERATED_USER,
    arn=f"arn:aws:sts::{ACCOUNT}:federated-user/bob",
    account_id=ACCOUNT,
    user_id=f"{ACCOUNT}:bob",
    issuer_arn=USER.arn,
)
SERVICE = Caller(kind=CallerKind.SERVICE, arn="ecs-tasks.amazonaws.com")
WEB = Caller(kind=CallerKind.WEB_IDENTITY, arn="token.example.com")
NOBODY = Caller(kind=CallerKind.ANONYMOUS, arn="anonymous")


def document(*statements: Mapping[str, Any], version: str = "2012-10-17") -> dict[str, Any]:
    return {"Version": version, "Statement": list(statements)}


def allow(action: Any = "*", resource: Any = "*", **more: Any) -> dict[str, Any]:
    return {"Effect": "Allow", "Action": action, "Resource": resource, **more}


def deny(action: Any = "*", resource: Any = "*", **more: Any) -> dict[str, Any]:
    return {"Effect": "Deny", "Action": action, "Resource": resource, **more}


def request(
    caller: Caller = USER,
    action: str = "ecs:RunTask",
    resource: str = CLUSTER,
    *,
    owner: str = "",
    context: Mapping[str, Any] | None = None,
) -> Request:
    """A request with the keys that follow from its caller."""
    keys = Context({**caller_keys(caller), **(context or {})})
    return Request(caller=caller, action=action, resource=resource, resource_account=owner, context=keys)


@dataclass(frozen=True, kw_only=True)
class Row:
    """One condition and one request: whether the condition holds."""

    operator: str
    wanted: Any
    given: Any
    holds: bool
    keys: Mapping[str, Any] = field(default_factory=dict)
    version: str = "2012-10-17"

    def __str__(self) -> str:
        return f"{self.operator} {json.dumps(self.wanted)} of {json.dumps(self.given)} is {self.holds}"

    @property
    def condition(self) -> dict[str, Any]:
        return {self.operator: {KEY: self.wanted}}

    def request(self) -> Request:
        given = {} if self.given is MISSING else {KEY: self.given}
        return request(context={**given, **self.keys})


def rows(operator: str, *cells: tuple[Any, Any, bool], **keys: Any) -> tuple[Row, ...]:
    """`(wanted, given, holds)` for one operator."""
    return tuple(
        Row(operator=operator, wanted=wanted, given=given, holds=holds, keys=keys)
        for wanted, given, holds in cells
    )


COMPILER = Compiler()


def attached(documents: Sequence[Any] | None, kind: PolicyKind, name: str = "policy") -> PolicySet | None:
    if documents is None:
        return None
    return PolicySet(
        AttachedPolicy(f"{name}-{number}", COMPILER.compile(json.dumps(one), kind))
        for number, one in enumerate(documents)
    )


def policies(documents: Documents) -> Policies:
    """The engine's form of the same documents."""
    kind = PolicyKind.TRUST if documents.is_trust else PolicyKind.RESOURCE
    return Policies(
        identity=attached(documents.identity, PolicyKind.IDENTITY, "identity") or PolicySet(),
        boundary=attached(documents.boundary, PolicyKind.IDENTITY, "boundary"),
        session=attached(documents.session, PolicyKind.IDENTITY, "session"),
        resource=attached(documents.resource, kind, "resource") or PolicySet(),
        is_trust=documents.is_trust,
        resource_must_allow=documents.resource_must_allow,
    )
