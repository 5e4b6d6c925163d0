"""What the audit log says of a request: who, what, allowed or denied by which statement.

The entries are CloudTrail's in spirit and member names; parameters are left out, because they hold secrets.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any, Protocol

from homeport.core.call import Call, PrincipalKind
from homeport.gateway.authority import Decided
from homeport.policy.denial import explanation
from homeport.wire.http import HttpRequest
from homeport.wire.route import Routed
from homeport.wire.sigv4 import Claim

MESSAGE_CHARS = 1024
AGENT_CHARS = 256

Entry = dict[str, Any]


class AuditTrail(Protocol):
    """Where entries are kept, in their order."""

    def write(self, entry: Entry) -> None:
        """Keep an entry: it outlives this process from now on."""
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

    def entry(self, status: int, error: str | None, message: str) -> Entry:
        """The request's line."""
        entry: Entry = {
            "eventTime": self.at.strftime("%Y-%m-%dT%H:%M:%S.%fZ"),
            "requestID": self.request_id,
            "eventSource": f"{self.routed.service}.amazonaws.com" if self.routed else "-",
            "eventName": self.routed.operation if self.routed else "-",
            "sourceIPAddress": self.http.peer,
            "userAgent": self.http.headers.get("user-agent", "")[:AGENT_CHARS],
            "userIdentity": self._identity(),
            "outcome": self._outcome(),
            "status": status,
        }
        if self.call is not None:
            entry["awsRegion"], entry["recipientAccountId"] = self.call.region, self.call.account_id
        if error is not None:
            entry["errorCode"], entry["errorMessage"] = error, message[:MESSAGE_CHARS]
        if self.decided:
            entry["decisions"] = [_decision(one) for one in self.decided]
        return entry

    def _identity(self) -> Entry:
        if self.call is None:
            claimed = {"accessKeyId": self.claim.access_key_id[:128]} if self.claim else {}
            return {"type": str(PrincipalKind.UNKNOWN), **claimed}
        who = self.call.principal
        return {
            "type": str(who.kind),
            "arn": who.arn,
            "principalId": who.user_id,
            "accountId": who.account_id,
            "accessKeyId": self.call.access_key_id,
        }

    def _outcome(self) -> str:
        if self.call is None:
            return "unproven"
        if self.may:
            return "allowed"
        return "denied" if any(not one.decision.is_allowed for one in self.decided) else "refused"


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
        entry["missing"] = [str(layer) for layer in one.decision.missing]
        entry["context"] = explanation(one.request, one.decision)["context"]
    return entry
