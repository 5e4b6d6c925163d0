"""What STS needs from outside, in its own words."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from homeport.store.tx import Tx


@dataclass(frozen=True, slots=True, kw_only=True)
class RoleFacts:
    """A role as far as assuming it goes; `role_id` is never given twice."""

    arn: str
    role_id: str
    name: str
    trust: str
    session_seconds_max: int
    tags: Mapping[str, str]


class Roles(Protocol):
    """The roles, identity providers and managed policies of all accounts."""

    def find(self, tx: Tx, account_id: str, name: str) -> RoleFacts | None:
        """The role of that name."""
        ...

    def client_ids(self, tx: Tx, account_id: str, issuer: str) -> tuple[str, ...] | None:
        """The audiences of an account's OpenID Connect provider; `None`: it has no such provider.

        `issuer` is its URL without the scheme.
        """
        ...

    def account_of_key(self, tx: Tx, access_key_id: str) -> str | None:
        """The account of a long-term access key."""
        ...

    def has_policy(self, tx: Tx, account_id: str, arn: str) -> bool:
        """Whether there is a managed policy that the account may use."""
        ...


class Denials(Protocol):
    """Where denials' encoded messages are opened."""

    def open(self, encoded: str) -> tuple[str, Mapping[str, Any]]:
        """The account that was denied, and the explanation. Raise `ValueError` when it is not ours."""
        ...


class Issuers(Protocol):
    """The signing keys of web identities' issuers."""

    def keys(self, issuer: str) -> Mapping[str, Any] | None:
        """The JSON Web Key Set of an issuer's URL; `None`: nobody configured it."""
        ...
