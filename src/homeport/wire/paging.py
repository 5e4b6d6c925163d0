"""Page tokens: opaque to callers, proof against change, bound to where they came from."""

from __future__ import annotations

import base64
import binascii
import hmac
from typing import Any

import orjson

_VERSION = b"\x01"
_PROOF_BYTES = 16
_MAX_TOKEN_CHARS = 8192


class BadTokenError(ValueError):
    """The token is not one that was sealed with this key for this scope."""


def seal(key: bytes, scope: str, position: Any) -> str:
    """A token for `position` (anything JSON has), valid for `scope` only.

    `scope` names service, operation, account and region, and what else must not
    change between pages (the filters). The position can be read by the caller, but
    not changed.
    """
    held = orjson.dumps(position)
    return base64.urlsafe_b64encode(_VERSION + _proof(key, scope, held) + held).decode("ascii").rstrip("=")


def open_(key: bytes, scope: str, token: str) -> Any:
    """The position that `seal` was given. Raise `BadTokenError`."""
    if len(token) > _MAX_TOKEN_CHARS:
        raise BadTokenError("too long")
    try:
        raw = binascii.a2b_base64(
            (token + "=" * (-len(token) % 4)).translate({45: 43, 95: 47}).encode("ascii"), strict_mode=True
        )
    except (ValueError, UnicodeEncodeError):
        raise BadTokenError("not base64") from None
    version, proof, held = raw[:1], raw[1 : 1 + _PROOF_BYTES], raw[1 + _PROOF_BYTES :]
    if version != _VERSION or not hmac.compare_digest(proof, _proof(key, scope, held)):
        raise BadTokenError("not ours")
    if base64.urlsafe_b64encode(raw).decode("ascii").rstrip("=") != token:
        raise BadTokenError("not as it was spelt")
    return orjson.loads(held)


def _proof(key: bytes, scope: str, held: bytes) -> bytes:
    bound = scope.encode()
    text = _VERSION + len(bound).to_bytes(4, "big") + bound + held
    return hmac.digest(key, text, "sha256")[:_PROOF_BYTES]
