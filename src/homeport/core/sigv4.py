"""Signature Version 4: the arithmetic that a signer and a verifier share.

Pure functions over values; the rules of acceptance are in `wire.sigv4`.
Source: IAM user guide, "Create a signed AWS API request".
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from urllib.parse import quote

ALGORITHM = "AWS4-HMAC-SHA256"
EMPTY_SHA256 = hashlib.sha256(b"").hexdigest()
TIMESTAMP_FORMAT = "%Y%m%dT%H%M%SZ"


@dataclass(frozen=True, slots=True)
class Scope:
    """A credential scope: `DATE/REGION/SERVICE/aws4_request`."""

    date: str
    region: str
    service: str

    def __str__(self) -> str:
        return f"{self.date}/{self.region}/{self.service}/aws4_request"


def signing_key(secret: str, scope: Scope) -> bytes:
    """The 32-byte key that signs everything in `scope`."""
    key = f"AWS4{secret}".encode()
    for part in (scope.date, scope.region, scope.service, "aws4_request"):
        key = hmac.digest(key, part.encode(), "sha256")
    return key


def canonical_query(pairs: Iterable[tuple[str, str]]) -> str:
    """Decoded query pairs in the canonical spelling and order."""
    encoded = sorted((quote(k, safe="-_.~"), quote(v, safe="-_.~")) for k, v in pairs)
    return "&".join(f"{k}={v}" for k, v in encoded)


def canonical_request(
    *,
    method: str,
    path: str,
    query: str,
    headers: Mapping[str, str],
    signed_headers: tuple[str, ...],
    payload_hash: str,
) -> str:
    """`path` is the canonical URI, `query` the canonical query, header names are lower case."""
    lines = [method, path or "/", query]
    lines += [f"{name}:{' '.join(headers[name].split())}" for name in signed_headers]
    lines += ["", ";".join(signed_headers), payload_hash]
    return "\n".join(lines)


def signature(key: bytes, *, timestamp: str, scope: Scope, request: str) -> str:
    """The hex signature of a canonical request."""
    digest = hashlib.sha256(request.encode()).hexdigest()
    text = f"{ALGORITHM}\n{timestamp}\n{scope}\n{digest}"
    return hmac.new(key, text.encode(), hashlib.sha256).hexdigest()


@dataclass(frozen=True, slots=True, kw_only=True)
class Credentials:
    """An access key that signs."""

    access_key_id: str
    secret_access_key: str
    session_token: str | None = None


def sign_headers(
    credentials: Credentials,
    *,
    method: str,
    path: str,
    query: Iterable[tuple[str, str]],
    headers: Mapping[str, str],
    body: bytes,
    region: str,
    service: str,
    now: datetime,
) -> dict[str, str]:
    """`headers` (which must hold `host`) and the ones that prove the caller, lower case."""
    timestamp = now.strftime(TIMESTAMP_FORMAT)
    scope = Scope(timestamp[:8], region, service)
    signed = {name.lower(): value for name, value in headers.items()}
    signed["x-amz-date"] = timestamp
    if credentials.session_token:
        signed["x-amz-security-token"] = credentials.session_token
    names = tuple(sorted(signed))
    request = canonical_request(
        method=method,
        path=path,
        query=canonical_query(query),
        headers=signed,
        signed_headers=names,
        payload_hash=hashlib.sha256(body).hexdigest(),
    )
    proof = signature(
        signing_key(credentials.secret_access_key, scope),
        timestamp=timestamp,
        scope=scope,
        request=request,
    )
    signed["authorization"] = (
        f"{ALGORITHM} Credential={credentials.access_key_id}/{scope}, "
        f"SignedHeaders={';'.join(names)}, Signature={proof}"
    )
    return signed
