"""What the audit log says of a request: who, what, allowed or denied by which statement.

The entries are CloudTrail's in spirit and member names; parameters are left out, because they hold secrets.
An entry of a denial has all that an explanation needs: what denied, what the caller had, what nearly allowed.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Protocol

from homeport.core.call import Call, PrincipalKind
from homeport.core.errors import AwsError
from homeport.core.operations import Operation
from homeport.gateway.authority import Decided
from homeport.policy.denial import explanation
from homeport.policy.document import statement_form
from homeport.policy.near import Near, near_misses
from homeport.wire.http import HttpRequest
from homeport.wire.route import Routed
from homeport.wire.sigv4 import Claim

MESSAGE_CHARS = 1024
AGENT_CHARS = 256
OWN_SOURCE = "homeport"
"""The event source of Homeport's own pages."""
LOOKING = ("Describe", "List")
NEAR_MAX = 10
RESOURCES_MAX = 20
_DENIED = frozenset({"AccessDenied", "AccessDeniedException", "UnauthorizedOperation"})
_KEY_ID = re.compile(r"(AKIA|ASIA)[A-Z0-9]{12,28}|[0-9]{12}", re.ASCII)

Entry = dict[str, Any]


class AuditTrail(Protocol):
    """Where entries are kept, in their order."""

    def write(self, entry: Entry) -> None:
        """Keep an entry: it outlives this process from now on.

        Never raises: what is told has been done by now.
        """
        ...


@dataclass(slots=True, kw_only=True)
class Note:
    """What is known of a request so far; the chain fills it in as the request comes along."""

    request_id: str
    at: datetime
    http: HttpRequest
    routed: Routed | None = None
    claim: Claim | None = None
    call: Call | None = None
    decided: tuple[Decided, ...] = ()
    may: bool = False
    """Nothing forbade it; what came of it is another matter."""
    resources: tuple[str, ...] = ()
    """What it is about, where no decision says so."""
    own: bool = False
    """It is about a page of Homeport's own, not about an AWS service."""

    def entry(self, status: int, error: str | None, message: str) -> Entry:
        """The request's line."""
        entry: Entry = {
            "eventTime": f"{self.at.isoformat(timespec='microseconds')[:26]}Z",
            "requestID": self.request_id,
            "eventSource": self._source(),
            "eventName": self.routed.operation if self.routed else "-",
            "sourceIPAddress": self.http.peer,
            "userAgent": self.http.headers.get("user-agent", "")[:AGENT_CHARS],
            "userIdentity": self._identity(),
            "outcome": self._outcome(error),
            "status": status,
        }
        if self.call is not None:
            entry["awsRegion"], entry["recipientAccountId"] = self.call.region, self.call.account_id
        if error is not None:
            entry["errorCode"], entry["errorMessage"] = error, message[:MESSAGE_CHARS]
        if self.resources and self.resources != ("*",):
            entry["resources"] = list(self.resources[:RESOURCES_MAX])
        if self.decided:
            entry["decisions"] = [_decision(one) for one in self.decided]
        return entry

    def _source(self) -> str:
        if self.own:
            return OWN_SOURCE
        return f"{self.routed.service}.amazonaws.com" if self.routed else "-"

    def _identity(self) -> Entry:
        if self.call is None:
            claimed = {"accessKeyId": _claimed(self.claim.access_key_id)} if self.claim else {}
            return {"type": str(PrincipalKind.UNKNOWN), **claimed}
        who = self.call.principal
        identity = {
            "type": str(who.kind),
            "arn": who.arn,
            "principalId": who.user_id,
            "accountId": who.account_id,
            "accessKeyId": self.call.access_key_id,
        }
        if who.session is not None and who.session.source_identity:
            identity["sourceIdentity"] = who.session.source_identity
        return identity

    def _outcome(self, error: str | None) -> str:
        if self.call is None or (error is not None and self.call.principal.kind is PrincipalKind.UNKNOWN):
            return "unproven"
        if error in _DENIED:  # some denials are a service's own: of a role that the root may not assume
            return "denied"
        return "allowed" if self.may else "refused"


def named_resources(operation: Operation, call: Call, given: Mapping[str, Any]) -> tuple[str, ...]:
    """What a request that no policy is asked about is about. Not for looking on: it would cost."""
    if operation.name.startswith(LOOKING):
        return ()
    try:
        return (operation.about or operation.resources)(call, given)
    except AwsError:  # its handler says it better
        return ()


def _claimed(key_id: str) -> str:
    """Whose key it is said to be. What is no key's id may be a secret in the wrong place."""
    return key_id if _KEY_ID.fullmatch(key_id) else f"{key_id[:4]}... (no access key's id)"


def _decision(one: Decided) -> Entry:
    entry: Entry = {
        "action": one.request.action,
        "resource": one.request.resource,
        "verdict": str(one.decision.verdict),
        "statements": [
            {"policy": at.ref.policy, "statement": at.ref.name, "kind": str(at.layer)}
            for at in one.decision.deciding
        ],
    }
    if not one.decision.is_allowed:
        entry |= _denial(one)
    return entry


def _denial(one: Decided) -> Entry:
    """What an explanation needs beyond the verdict."""
    near = near_misses(one.request, one.policies, one.decision.missing)[:NEAR_MAX]
    return {
        "missing": [str(layer) for layer in one.decision.missing],
        "context": explanation(one.request, one.decision)["context"],
        "denying": [statement_form(at.ref.statement) for at in one.decision.deciding],
        "policies": {str(layer): names for layer, names in one.policies.names().items()},
        "near": [_near(miss) for miss in near],
    }


def _near(miss: Near) -> Entry:
    entry: Entry = {
        "policy": miss.ref.policy,
        "statement": miss.ref.name,
        "kind": str(miss.layer),
        "differs": str(miss.differs),
    }
    if miss.conditions:
        entry["conditions"] = [
            {"operator": one.operator, "key": one.key, "values": list(one.values)} for one in miss.conditions
        ]
    elif miss.ref.statement.resources:
        entry["notResources" if miss.ref.statement.not_resources else "resources"] = list(
            miss.ref.statement.resources
        )
    return entry
