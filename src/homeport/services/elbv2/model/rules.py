"""What a listener's rules say: conditions, actions and transforms, as they are kept."""

from __future__ import annotations

import msgspec

DEFAULT_PRIORITY = 0
"""What the default rule has in the table; the API calls it `default`."""


class Pair(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A query parameter; without a key any."""

    key: str | None = None
    value: str


class Condition(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One condition. Which members count depends on `field`, in AWS's spelling."""

    field: str
    values: tuple[str, ...] = ()
    regexes: tuple[str, ...] = ()
    header: str = ""
    pairs: tuple[Pair, ...] = ()


class Weighted(msgspec.Struct, frozen=True, kw_only=True):
    """A target group and its share. `weight` 0-999."""

    group_arn: str
    weight: int


class Forward(msgspec.Struct, frozen=True, kw_only=True, tag="forward", omit_defaults=True):
    """To one of these groups. `sticky_seconds` stays when stickiness is switched off."""

    groups: tuple[Weighted, ...]
    sticky: bool = False
    sticky_seconds: int | None = None
    order: int | None = None


class Redirect(msgspec.Struct, frozen=True, kw_only=True, tag="redirect", omit_defaults=True):
    """To another address. `status` 301 or 302."""

    status: int
    protocol: str = "#{protocol}"
    host: str = "#{host}"
    port: str = "#{port}"
    path: str = "/#{path}"
    query: str = "#{query}"
    order: int | None = None


class FixedResponse(msgspec.Struct, frozen=True, kw_only=True, tag="fixed-response", omit_defaults=True):
    """An answer of the balancer's own."""

    status: int
    content_type: str = ""
    body: str = ""
    order: int | None = None


class Oidc(msgspec.Struct, frozen=True, kw_only=True, tag="authenticate-oidc", omit_defaults=True):
    """Let the client log in first. `secret` is the client's secret, sealed."""

    issuer: str
    authorization_endpoint: str
    token_endpoint: str
    user_info_endpoint: str
    client_id: str
    secret: bytes
    scope: str = "openid"
    cookie: str = "AWSELBAuthSessionCookie"
    timeout_seconds: int = 604800
    parameters: dict[str, str] = {}
    unauthenticated: str = "authenticate"
    order: int | None = None


class Claim(msgspec.Struct, frozen=True, kw_only=True):
    """A claim that a token must have."""

    name: str
    format: str
    values: tuple[str, ...]


class Jwt(msgspec.Struct, frozen=True, kw_only=True, tag="jwt-validation", omit_defaults=True):
    """Only with a token of this issuer."""

    jwks_endpoint: str
    issuer: str
    claims: tuple[Claim, ...] = ()
    order: int | None = None


Action = Forward | Redirect | FixedResponse | Oidc | Jwt


class Rewrite(msgspec.Struct, frozen=True, kw_only=True):
    """A transform. `type`: `host-header-rewrite` or `url-rewrite`."""

    type: str
    regex: str
    replace: str


class Rule(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One rule of a listener; the default one has `DEFAULT_PRIORITY` and no conditions.

    `actions` in their order, the last of them forwards, redirects or answers.
    """

    id: int = 0
    version: int = 1
    listener_id: int = 0
    arn: str
    priority: int
    conditions: tuple[Condition, ...] = ()
    actions: tuple[Action, ...]
    transforms: tuple[Rewrite, ...] = ()
    tags: dict[str, str] = {}

    @property
    def is_default(self) -> bool:
        """Whether it decides when no other does."""
        return self.priority == DEFAULT_PRIORITY

    @property
    def groups(self) -> tuple[str, ...]:
        """The target groups that it forwards to, each once."""
        named = (w.group_arn for action in self.actions if isinstance(action, Forward) for w in action.groups)
        return tuple(dict.fromkeys(named))
