"""A listener's rules: what a request must look like, and what then becomes of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

# Conditions: all of a rule's must hold; of one condition's values, one must.


@dataclass(frozen=True, slots=True, kw_only=True)
class HostIs:
    """The Host header without its port, in any case of letters. `*` is any characters, `?` is one."""

    patterns: tuple[str, ...] = ()
    regexes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class PathIs:
    """The path as it was sent, without the query; the case of letters counts."""

    patterns: tuple[str, ...] = ()
    regexes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class HeaderIs:
    """The header `name` (in any case of letters) with one of these values (so as well)."""

    name: str
    patterns: tuple[str, ...] = ()
    regexes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class MethodIs:
    """The method, letter by letter."""

    methods: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class QueryPair:
    """A parameter `key=value` of the query; any key with `key` None. Wildcards in both, `\\` escapes them."""

    value: str
    key: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class QueryHas:
    """One of these parameters is in the query, in any case of letters."""

    pairs: tuple[QueryPair, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class SourceIs:
    """The connection comes from one of these networks (CIDR). What X-Forwarded-For says does not count."""

    cidrs: tuple[str, ...]


Condition = HostIs | PathIs | HeaderIs | MethodIs | QueryHas | SourceIs


# Actions


@dataclass(frozen=True, slots=True, kw_only=True)
class WeightedGroup:
    """A group's share is its weight (0-999) over all weights, whatever its targets' health."""

    group_id: str
    weight: int = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Forward:
    """To one of these groups. With `sticky_seconds` a client stays with its group that long."""

    groups: tuple[WeightedGroup, ...]
    sticky_seconds: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Redirect:
    """To another address. Placeholders: `#{protocol} #{host} #{port} #{path} #{query}`, the request's own."""

    status: int
    """301 or 302."""
    protocol: str = "#{protocol}"
    host: str = "#{host}"
    port: str = "#{port}"
    path: str = "/#{path}"
    query: str = "#{query}"


@dataclass(frozen=True, slots=True, kw_only=True)
class FixedResponse:
    """An answer of the balancer's own. `body` up to 1,024 bytes."""

    status: int
    content_type: str = "text/plain"
    body: str = ""


Action = Forward | Redirect | FixedResponse


class UnauthenticatedRequest(StrEnum):
    """What happens to a request of a client that has not logged in."""

    AUTHENTICATE = "authenticate"
    ALLOW = "allow"
    DENY = "deny"


@dataclass(frozen=True, slots=True, kw_only=True)
class AuthenticateOidc:
    """Let the client log in with an OpenID Connect provider first. `secret_id` names the client's secret."""

    issuer: str
    authorization_endpoint: str
    token_endpoint: str
    user_info_endpoint: str
    client_id: str
    secret_id: str
    scope: str = "openid"
    session_cookie_name: str = "AWSELBAuthSessionCookie"
    session_timeout_seconds: int = 604800
    extra_parameters: Mapping[str, str] = field(default_factory=dict)
    unauthenticated: UnauthenticatedRequest = UnauthenticatedRequest.AUTHENTICATE


class ClaimFormat(StrEnum):
    """How a claim's value is to be read."""

    SINGLE_STRING = "single-string"
    STRING_ARRAY = "string-array"
    SPACE_SEPARATED = "space-separated-values"


@dataclass(frozen=True, slots=True, kw_only=True)
class Claim:
    """A claim that must have (one of) these values."""

    name: str
    values: tuple[str, ...]
    format: ClaimFormat = ClaimFormat.SINGLE_STRING


@dataclass(frozen=True, slots=True, kw_only=True)
class ValidateJwt:
    """Only with a bearer token of this issuer, signed with a key that is found at `jwks_endpoint`."""

    jwks_endpoint: str
    issuer: str
    claims: tuple[Claim, ...] = ()


class RewriteOf(StrEnum):
    """Which part of a request a transform rewrites."""

    HOST = "host"
    URL = "url"


@dataclass(frozen=True, slots=True, kw_only=True)
class Rewrite:
    """What `regex` matches becomes `replacement` (`$1` is a group): after the match, before forwarding."""

    of: RewriteOf
    regex: str
    replacement: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """The first rule whose conditions all hold decides; the one without a `priority` is the default.

    `id` is unique in its listener. `guard` comes before the action.
    """

    id: str
    action: Action
    priority: int | None = None
    conditions: tuple[Condition, ...] = ()
    guard: AuthenticateOidc | ValidateJwt | None = None
    rewrites: tuple[Rewrite, ...] = ()
