"""What is asked about a login, what is answered, and what is remembered."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol

import msgspec


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """A client's request: `host` as its Host header says, `path` with the query, the `cookie` header."""

    host: str
    path: str
    cookie: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Passed:
    """It goes on, with these headers about its user (none: nobody is logged in)."""

    headers: tuple[tuple[str, str], ...] = ()
    cookies: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Answered:
    """It is answered so."""

    status: int
    location: str = ""
    cookies: tuple[str, ...] = ()


Decision = Passed | Answered


class Session(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Who is logged in. Instants are seconds since 1970; `token_ends` 0: the provider did not say."""

    claims: dict[str, Any]
    access_token: str
    refresh_token: str = ""
    token_ends: float = 0
    ends: float


class Begun(msgspec.Struct, frozen=True, kw_only=True):
    """A login that was begun: what comes back from the provider must bring it (`state`)."""

    listener_id: str
    rule_id: str
    host: str
    path: str
    nonce: str
    ends: float


class Tokens(msgspec.Struct, frozen=True, kw_only=True):
    """What a provider gave. `seconds` is how long the access token is good; 0: it did not say."""

    access_token: str
    id_token: str = ""
    refresh_token: str = ""
    seconds: float = 0


class ProviderRefusedError(Exception):
    """The provider answered with an error, or with what is no answer."""


class ProviderAwayError(Exception):
    """The provider could not be asked."""


class Providers(Protocol):
    """How providers are asked. Raise `ProviderRefusedError`, `ProviderAwayError`."""

    async def tokens(self, endpoint: str, client_id: str, secret: str, form: Mapping[str, str]) -> Tokens:
        """What the provider gives for a code or a refresh token."""
        ...

    async def claims(self, endpoint: str, access_token: str) -> dict[str, Any]:
        """What the provider says of the user."""
        ...


class ClientSecrets(Protocol):
    """Where clients' secrets are."""

    async def find(self, secret_id: str) -> str | None:
        """The secret of that name."""
        ...
