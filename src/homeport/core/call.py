"""Who calls what: the frozen facts of one request that a handler may use."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True, kw_only=True)
class Principal:
    """A proven caller.

    `policies` names the managed policies that limit it; `None` means an
    account's root, which nothing limits.
    """

    arn: str
    account_id: str
    user_id: str
    policies: tuple[str, ...] | None = None


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
