"""The values that a request is on its way through the chain, one type a stage."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from homeport.core.call import Call, Principal
from homeport.core.operations import Operation, Operations
from homeport.gateway.authority import Decided
from homeport.gateway.ports import CallerPolicies, ResourceFacts
from homeport.wire.http import HttpAnswer, HttpRequest
from homeport.wire.route import Routed
from homeport.wire.sigv4 import Claim


@dataclass(frozen=True, slots=True, kw_only=True)
class MountedService:
    """A service as the gateway serves it.

    `context` is what its handlers get as their second argument; the two codes
    are its words for input that the model refuses and for our own failures.
    `facts` is what it knows of its resources that policies may depend on. `takes` says of which callers'
    credentials it takes an operation at all, whatever policies say; `None`: of all. `closed`: why this
    machine cannot serve it, and what to do; every operation is refused with that.
    """

    name: str
    operations: Operations
    context: Any
    facts: ResourceFacts | None = None
    takes: Callable[[Principal, str], bool] | None = None
    invalid_input: str
    internal_error: str
    closed: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Anonymous:
    """`--auth=off`: whom a caller is taken for. A 12-digit key id selects the account."""

    account_id: str
    region: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Arrived:
    """A request that has an id."""

    request_id: str
    http: HttpRequest
    base_url: str
    at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class RoutedRequest:
    """A request whose operation is known; its caller is only claimed."""

    arrived: Arrived
    routed: Routed
    claim: Claim | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Authenticated:
    """A request whose caller is proven; `http.body` is what was signed, decoded."""

    routed: Routed
    call: Call
    http: HttpRequest
    policies: CallerPolicies


@dataclass(frozen=True, slots=True, kw_only=True)
class Parsed:
    """A request whose input the model allows, and the operation that serves it."""

    routed: Routed
    call: Call
    http: HttpRequest
    policies: CallerPolicies
    service: MountedService
    operation: Operation
    input: Mapping[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Authorised:
    """A request that may be done, and what decided that it may."""

    parsed: Parsed
    decided: tuple[Decided, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What became of a request; for the log and the counters."""

    answer: HttpAnswer
    request_id: str
    service: str = "-"
    operation: str = "-"
    account_id: str = "-"
    error: str | None = None
