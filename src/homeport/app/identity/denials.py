"""Denials' encoded messages: sealed, because a caller who may not do something may not know why either.

Source: STS API Reference, DecodeAuthorizationMessage.
"""

from __future__ import annotations

import base64
import binascii
import zlib
from collections.abc import Mapping
from typing import Any

import msgspec

from homeport.store.vault import Vault, VaultError

_ABOUT = "authorization message"
_JSON_BYTES_MAX = 1 << 20


class SealedDenials:
    """Seals explanations for their account, and opens them again."""

    def __init__(self, vault: Vault) -> None:
        self._vault = vault

    def seal(self, account_id: str, explanation: Mapping[str, Any]) -> str:
        """The encoded message."""
        packed = zlib.compress(msgspec.json.encode([account_id, explanation]), 6)
        return base64.urlsafe_b64encode(self._vault.seal(packed, about=_ABOUT)).decode().rstrip("=")

    def open(self, encoded: str) -> tuple[str, Mapping[str, Any]]:
        """The account, and the explanation. Raise `ValueError` when it is not ours."""
        try:
            sealed = base64.b64decode(encoded + "=" * (-len(encoded) % 4), altchars=b"-_", validate=True)
            packed = self._vault.open(sealed, about=_ABOUT)
            told = zlib.decompressobj().decompress(packed, _JSON_BYTES_MAX)
            account_id, explanation = msgspec.json.decode(told)
        except (VaultError, binascii.Error, zlib.error, msgspec.DecodeError) as error:
            raise ValueError(str(error)) from None
        return account_id, explanation
