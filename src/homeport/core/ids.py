"""Identifiers as an argument.

Production ids come from the operating system's randomness; tests pass a seed.
"""

from __future__ import annotations

import random
import secrets
from typing import Protocol

_BASE62 = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789"
_BASE32 = "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567"


class Ids(Protocol):
    """Where fresh identifiers come from."""

    def token(self, size: int) -> bytes:
        """`size` unpredictable bytes."""
        ...


class SystemIds:
    """Unpredictable ids, for production."""

    def token(self, size: int) -> bytes:
        """`size` unpredictable bytes."""
        return secrets.token_bytes(size)


class SeededIds:
    """Repeatable ids, for tests and the simulator."""

    def __init__(self, seed: int = 0) -> None:
        self._random = random.Random(seed)

    def token(self, size: int) -> bytes:
        """`size` bytes, the same for the same seed and call order."""
        return self._random.randbytes(size)


def hex32(ids: Ids) -> str:
    """32 lower-case hex characters: a task or container-instance id."""
    return ids.token(16).hex()


def uuid(ids: Ids) -> str:
    """A random (version 4) UUID in its usual spelling."""
    raw = bytearray(ids.token(16))
    raw[6] = (raw[6] & 0x0F) | 0x40
    raw[8] = (raw[8] & 0x3F) | 0x80
    text = raw.hex()
    return f"{text[:8]}-{text[8:12]}-{text[12:16]}-{text[16:20]}-{text[20:]}"


def digits(ids: Ids, count: int) -> str:
    """`count` decimal digits, the first not zero."""
    number = int.from_bytes(ids.token(count), "big") % (9 * 10 ** (count - 1))
    return str(number + 10 ** (count - 1))


def token(ids: Ids, length: int) -> str:
    """`length` letters and digits."""
    return "".join(_BASE62[b % 62] for b in ids.token(length))


def access_key_id(ids: Ids, prefix: str) -> str:
    """`prefix` (`AKIA` or `ASIA`) and 16 base-32 characters."""
    return prefix + "".join(_BASE32[b % 32] for b in ids.token(16))


def secret_key(ids: Ids) -> str:
    """40 base-62 characters: a secret access key."""
    return token(ids, 40)


def unique_id(ids: Ids, prefix: str) -> str:
    """`prefix` (`AIDA`, `AROA`, ...) and 17 base-32 characters: what IAM never gives twice."""
    return prefix + "".join(_BASE32[b % 32] for b in ids.token(17))
