"""May the caller do it: every access that a request needs is asked of the policies, one by one.

What a request needs comes from its operation's row in the table; who the caller is and which policies count
come from the key ring; the engine decides. Nothing is remembered between requests but compiled policies.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Awaitable, Callable, Iterable
from datetime import datetime
from typing import Any

from homeport.core.access import Access, account_of
from homeport.core.call import Call, Principal, PrincipalKind
from homeport.core.operations import Operation
from homeport.gateway.ports import CallerPolicies, ResourceFacts
from homeport.policy.decision import Decision, Policies, decide
from homeport.policy.request import Caller, CallerKind, Context, ContextValue, Request, caller_keys
from homeport.wire.http import HttpRequest

_KINDS = {
    PrincipalKind.ROOT: CallerKind.ROOT,
    PrincipalKind.USER: CallerKind.USER,
    PrincipalKind.ROLE: CallerKind.ROLE_SESSION,
    PrincipalKind.FEDERATED: CallerKind.FEDERATED_USER,
    PrincipalKind.UNKNOWN: CallerKind.ANONYMOUS,
}


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Circumstances:
    """How a request came, for condition keys. `source_ip` is empty when nobody knows."""

    at: datetime
    source_ip: str = ""
    user_agent: str = ""
    is_secure: bool = False


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Decided:
    """One access, and what became of it."""

    request: Request
    decision: Decision
    policies: Policies = dataclasses.field(default_factory=Policies)
    """Those that it was asked of."""


def circumstances(http: HttpRequest, at: datetime) -> Circumstances:
    """Of a request. Only the peer's own address counts: headers can say anything."""
    return Circumstances(
        at=at,
        source_ip=http.peer,
        user_agent=http.headers.get("user-agent", ""),
        is_secure=http.is_secure,
    )


def caller_of(principal: Principal) -> Caller:
    """The principal as the engine knows callers."""
    return Caller(
        kind=_KINDS[principal.kind],
        arn=principal.arn,
        account_id=principal.account_id,
        user_id=principal.user_id,
        issuer_arn=principal.session.issuer_arn if principal.session else "",
    )


def global_keys(call: Call, how: Circumstances) -> dict[str, ContextValue]:
    """Condition keys of every request. Source: IAM User Guide, AWS global condition context keys."""
    principal, session = call.principal, call.principal.session
    keys: dict[str, ContextValue] = {
        **caller_keys(caller_of(principal)),
        "aws:CurrentTime": how.at.strftime("%Y-%m-%dT%H:%M:%SZ"),
        "aws:EpochTime": int(how.at.timestamp()),
        "aws:RequestedRegion": call.region,
        "aws:SecureTransport": how.is_secure,
        "aws:ViaAWSService": False,
    }
    tags = {**principal.tags, **(session.tags if session else {})}
    keys |= {f"aws:PrincipalTag/{key}": value for key, value in tags.items()}
    if how.source_ip:
        keys["aws:SourceIp"] = how.source_ip
    if how.user_agent:
        keys["aws:UserAgent"] = how.user_agent
    if session is not None:
        keys["aws:TokenIssueTime"] = session.issued_at.strftime("%Y-%m-%dT%H:%M:%SZ")
        keys["aws:MultiFactorAuthPresent"] = False
        if session.source_identity:
            keys["aws:SourceIdentity"] = session.source_identity
        if session.provider:
            keys["aws:FederatedProvider"] = session.provider
    return keys


Ask = Callable[[Access], Awaitable[Decided]]


class Authority:
    """Asks the policies. `facts` are the services', by what their actions begin with."""

    def __init__(self, facts: dict[str, tuple[ResourceFacts, Any]]) -> None:
        self._facts = facts

    async def decide(
        self,
        call: Call,
        operation: Operation,
        context: Any,
        given: Any,
        policies: CallerPolicies,
        how: Circumstances,
    ) -> tuple[Decided, ...]:
        """All accesses of a request up to the first that is denied."""
        asking = self._asking(call, policies, how)
        decided: list[Decided] = []
        if not await _all_allowed(asking, operation.accesses(call, given), decided):
            return tuple(decided)
        if operation.needs is not None:
            await _all_allowed(asking, await operation.needs(call, context, given), decided)
        if not decided:  # nothing was asked, so nothing was allowed
            decided.append(await asking(Access(action=operation.action)))
        return tuple(decided)

    async def ask(self, call: Call, access: Access, policies: CallerPolicies, how: Circumstances) -> Decided:
        """One access."""
        return await self._asking(call, policies, how)(access)

    def _asking(self, call: Call, policies: CallerPolicies, how: Circumstances) -> Ask:
        """How an access of this request is asked: who asks, and under what, is the same for all of them."""
        caller, of_all = caller_of(call.principal), global_keys(call, how)

        async def ask(access: Access) -> Decided:
            keys: dict[str, ContextValue] = {**of_all, **access.keys}
            applying = policies.policies
            facts = self._facts.get(access.action.partition(":")[0])
            if facts is not None and access.resource != "*":
                source, context = facts
                if policies.reads_resource_tags:
                    keys |= _resource_tags(access.action, await source.tags(call, context, access.resource))
                if (own := await source.policy(call, context, access.resource)) is not None:
                    applying = dataclasses.replace(
                        applying,
                        resource=own.policies,
                        is_trust=own.is_trust,
                        resource_must_allow=own.must_allow,
                    )
            request = Request(
                caller=caller,
                action=access.action,
                resource=access.resource,
                resource_account=account_of(access.resource),
                context=Context(keys),
            )
            return Decided(request=request, decision=decide(request, applying), policies=applying)

        return ask


async def _all_allowed(ask: Ask, accesses: Iterable[Access], decided: list[Decided]) -> bool:
    """Ask one after the other, up to the first that is denied; what was decided is added."""
    for access in accesses:
        decided.append(await ask(access))
        if not decided[-1].decision.is_allowed:
            return False
    return True


def _resource_tags(action: str, tags: dict[str, str]) -> dict[str, ContextValue]:
    """Both spellings: `aws:ResourceTag/key` and the service's own."""
    service = action.partition(":")[0]
    return {
        f"{prefix}:ResourceTag/{key}": value for key, value in tags.items() for prefix in ("aws", service)
    }


def is_unlimited(principal: Principal) -> bool:
    """Whether it is an account's root, whom no policy limits in its own account."""
    return principal.kind is PrincipalKind.ROOT
