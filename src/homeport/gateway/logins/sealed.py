"""Sessions and begun logins as clients carry them: sealed, in cookies of a size that browsers take.

Source: Application Load Balancer guide, "Authenticate users": cookies are sharded at 4 KB.
"""

from __future__ import annotations

import base64
import binascii
from datetime import UTC, datetime
from email.utils import format_datetime
from typing import TypeVar

import msgspec

from homeport.dataplane.rules import AuthenticateOidc
from homeport.dataplane.types import digest
from homeport.gateway.logins.model import Begun, Session
from homeport.store.vault import Vault, VaultError

SHARD_BYTES = 3800
"""Of a value: name, value and attributes have 4,096 bytes together (RFC 6265, section 6.1)."""
SHARDS_MAX = 16
NONCE = "AWSALBAuthNonce"
_NO_DATE = "Thu, 01 Jan 1970 00:00:00 GMT"
T = TypeVar("T")


def read_cookies(header: str) -> dict[str, str]:
    """The cookies of a request; of two with one name the first counts."""
    found: dict[str, str] = {}
    for part in header.split(";"):
        name, _, value = part.partition("=")
        found.setdefault(name.strip(), value.strip().strip('"'))
    return found


class Sealer:
    """Seals what clients carry, so that it opens only where it belongs."""

    def __init__(self, vault: Vault) -> None:
        self._vault = vault

    def begun(self, begun: Begun, balancer_id: str) -> str:
        """The `state` of a login."""
        return _text(self._vault.seal(msgspec.json.encode(begun), about=_login(balancer_id)))

    def open_begun(self, state: str, balancer_id: str) -> Begun | None:
        """The login that was begun; `None`: this is none of the balancer's."""
        return self._open(state, _login(balancer_id), Begun)

    def session(self, session: Session, balancer_id: str, guard: AuthenticateOidc) -> str:
        """The value that is spread over a session's cookies."""
        return _text(self._vault.seal(msgspec.json.encode(session), about=_of(balancer_id, guard)))

    def open_session(self, value: str, balancer_id: str, guard: AuthenticateOidc) -> Session | None:
        """The session; `None`: it is none of this balancer's with this provider."""
        return self._open(value, _of(balancer_id, guard), Session)

    def _open(self, text: str, about: str, kind: type[T]) -> T | None:
        try:
            sealed = base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True)
            return msgspec.json.decode(self._vault.open(sealed, about=about), type=kind)
        except (binascii.Error, ValueError, VaultError, msgspec.MsgspecError):
            return None


def _text(sealed: bytes) -> str:
    return base64.urlsafe_b64encode(sealed).decode().rstrip("=")


def _login(balancer_id: str) -> str:
    return f"login/{balancer_id}"


def _of(balancer_id: str, guard: AuthenticateOidc) -> str:
    provider = [guard.issuer, guard.authorization_endpoint, guard.token_endpoint, guard.user_info_endpoint]
    asked = [guard.client_id, guard.scope, guard.session_cookie_name]
    return f"session/{balancer_id}/{digest([*provider, *asked])}"


def joined(cookies: dict[str, str], name: str) -> str:
    """The value that is spread over `name-0`, `name-1`..."""
    parts: list[str] = []
    while len(parts) < SHARDS_MAX and (part := cookies.get(f"{name}-{len(parts)}")):
        parts.append(part)
    return "".join(parts)


def spread(name: str, value: str, ends: float, held: dict[str, str]) -> tuple[str, ...]:
    """The cookies of a value; of a longer one that the client holds (`held`) nothing stays."""
    parts = [value[start : start + SHARD_BYTES] for start in range(0, len(value), SHARD_BYTES)]
    date = format_datetime(datetime.fromtimestamp(int(ends), UTC), usegmt=True)
    made = [_cookie(f"{name}-{number}", part, f"Expires={date}") for number, part in enumerate(parts)]
    left = range(len(parts), SHARDS_MAX)
    return (
        *made,
        *(_cookie(f"{name}-{n}", "", f"Expires={_NO_DATE}") for n in left if f"{name}-{n}" in held),
    )


def nonce_cookie(nonce: str, seconds: int) -> str:
    """What ties a login to the browser that began it."""
    return _cookie(NONCE, nonce, f"Max-Age={seconds}")


def _cookie(name: str, value: str, lasting: str) -> str:
    return f"{name}={value}; {lasting}; Path=/; Secure; HttpOnly"
