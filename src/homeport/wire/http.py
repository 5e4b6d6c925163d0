"""One HTTP request and one answer, as values."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

MAX_BODY_BYTES = 32 * 1024 * 1024
"""Longest request body, in bytes: a 20 MiB image-layer part in base64, with room to spare."""


@dataclass(frozen=True, slots=True, kw_only=True)
class HttpRequest:
    """A request as it came.

    `raw_path` and `raw_query` are still percent-encoded: signatures cover them
    as sent. Header names are lower case, values decoded as latin-1; repeated
    headers are joined with a comma. `peer` is the address that the connection
    came from (empty: unknown), `is_secure` whether it came over TLS.
    """

    method: str
    raw_path: str
    raw_query: str
    headers: Mapping[str, str]
    body: bytes
    peer: str = ""
    is_secure: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class HttpAnswer:
    """An answer, complete but for the connection's own headers (length, date)."""

    status: int
    headers: tuple[tuple[str, str], ...]
    body: bytes
