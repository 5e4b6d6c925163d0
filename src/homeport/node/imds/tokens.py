"""Session tokens of the instance metadata service, version 2.

A token says until when it is good and is sealed for one instance: nothing is remembered, and after a restart
callers fetch new ones, as SDKs do whenever one is refused.
Source: EC2 user guide, "Use the Instance Metadata Service": one second to six hours, instance-specific.
"""

from __future__ import annotations

import hmac
from base64 import urlsafe_b64decode, urlsafe_b64encode

TTL_SECONDS_MAX = 21_600
_SEAL_BYTES = 32
_NONCE_BYTES = 8


class Tokens:
    """Makes and checks tokens; `key` is this process's own."""

    def __init__(self, key: bytes) -> None:
        self._key = key

    def make(self, instance: str, *, until: float, nonce: bytes) -> str:
        """A token of an instance, good until the instant, in epoch seconds."""
        body = int(until).to_bytes(8, "big") + nonce[:_NONCE_BYTES]
        return urlsafe_b64encode(body + self._seal(instance, body)).decode()

    def is_good(self, token: str, instance: str, now: float) -> bool:
        """Whether the token is one of the instance's, and not over."""
        try:
            data = urlsafe_b64decode(token.encode("ascii"))
        except ValueError:
            return False
        body, seal = data[:-_SEAL_BYTES], data[-_SEAL_BYTES:]
        if not hmac.compare_digest(seal, self._seal(instance, body)):
            return False
        return now < int.from_bytes(body[:8], "big")

    def _seal(self, instance: str, body: bytes) -> bytes:
        return hmac.digest(self._key, instance.encode() + b"\0" + body, "sha256")


def ttl_of(text: str | None) -> int | None:
    """The seconds that a token is asked for; `None`: that cannot be."""
    if text is None or not (text.isascii() and text.isdigit() and len(text) <= 5):
        return None
    seconds = int(text)
    return seconds if 1 <= seconds <= TTL_SECONDS_MAX else None
