"""Who signed a request, and whether they really did: AWS Signature Version 4, the verifier's side.

`claim` reads what a request says about its signer; `verify` proves it with the
secret. Sources: IAM User Guide "Create a signed AWS API request"; S3 API Reference
"Authenticating Requests: Using Query Parameters", "Signature Calculations for the
Authorization Header: Transferring Payload in Multiple Chunks".
"""

from __future__ import annotations

import hashlib
import hmac
import re
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from functools import lru_cache
from urllib.parse import unquote_to_bytes

from homeport.core.sigv4 import (
    ALGORITHM,
    EMPTY_SHA256,
    TIMESTAMP_FORMAT,
    Scope,
    canonical_request,
    signing_key,
)
from homeport.wire import chunked
from homeport.wire.canonical import as_signed, canonical_path, canonical_query
from homeport.wire.disbelief import BAD_TOKEN, MISMATCH, FailureKind, SignatureError, auth_failure
from homeport.wire.http import HttpRequest

__all__ = [
    "MAX_EXPIRES_SECONDS",
    "SKEW",
    "Claim",
    "FailureKind",
    "SignatureError",
    "auth_failure",
    "claim",
    "verify",
]

SKEW = timedelta(minutes=15)
MAX_EXPIRES_SECONDS = 604_800
_CACHED_KEYS = 4096
_CACHED_NAMES = 1024
_S3_NAMES = frozenset({"s3", "s3express", "s3-outposts", "s3-object-lambda"})
_UNSIGNED = "UNSIGNED-PAYLOAD"

_CREDENTIAL = re.compile(r"([\w-]{1,128})/(\d{8})/([\w-]{1,64})/([\w.-]{1,64})/aws4_request", re.ASCII)
_MENTIONS_AUTH = re.compile("amz|%", re.IGNORECASE)
_TIMESTAMP = re.compile(r"\d{8}T\d{6}Z", re.ASCII)
_SIGNATURE = re.compile(r"[0-9a-f]{64}", re.ASCII)
_SIGNED_HEADERS = re.compile(r"[!-:<-~]{1,128}(;[!-:<-~]{1,128}){0,255}", re.ASCII)
_USUAL_HEADER = re.compile(
    rf"{ALGORITHM} +Credential={_CREDENTIAL.pattern}, *SignedHeaders=([!-:<-~;]+), *"
    r"Signature=([0-9a-f]{64})",
    re.ASCII,
)
_AUTH_PARAMETERS = {
    "x-amz-algorithm": "X-Amz-Algorithm",
    "x-amz-credential": "X-Amz-Credential",
    "x-amz-date": "X-Amz-Date",
    "x-amz-expires": "X-Amz-Expires",
    "x-amz-signedheaders": "X-Amz-SignedHeaders",
    "x-amz-signature": "X-Amz-Signature",
    "x-amz-security-token": "X-Amz-Security-Token",
    "x-amz-content-sha256": "X-Amz-Content-Sha256",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Claim:
    """What a request says about its signer. Nothing of it is proven yet.

    `expires_seconds` is set for presigned requests only.
    """

    access_key_id: str
    scope: Scope
    timestamp: str
    signed_headers: tuple[str, ...]
    signature: str
    session_token: str | None
    expires_seconds: int | None

    @property
    def presigned(self) -> bool:
        """Whether the query string carries the signature."""
        return self.expires_seconds is not None


def claim(request: HttpRequest) -> Claim | None:
    """Who the request says it is from; None when it says nothing.

    Raise `SignatureError` (incomplete) when it says it badly, or twice.
    """
    header = request.headers.get("authorization")
    query = request.raw_query
    presigned = _auth_parameters(query) if query and _MENTIONS_AUTH.search(query) else None
    if presigned and {"X-Amz-Signature", "X-Amz-Credential", "X-Amz-Algorithm"} & presigned.keys():
        if header is not None:
            raise _incomplete(
                "Only one auth mechanism allowed; found an Authorization header and X-Amz-Signature"
            )
        return _presigned_claim(presigned)
    return None if header is None else _header_claim(header, request)


def _incomplete(message: str) -> SignatureError:
    return SignatureError(FailureKind.INCOMPLETE, message)


def _auth_parameters(raw_query: str) -> dict[str, str]:
    """The parameters that authenticate, by their usual spelling."""
    found: dict[str, str] = {}
    for pair in raw_query.split("&"):
        raw_name, _, raw_value = pair.partition("=")
        name = _AUTH_PARAMETERS.get(_decode(raw_name).lower())
        if name is not None:
            if name in found:
                raise _incomplete(f"{name} is given twice")
            found[name] = _decode(raw_value)
    return found


def _decode(raw: str) -> str:
    if "%" not in raw and "+" not in raw:
        return raw
    return unquote_to_bytes(raw.replace("+", " ")).decode("utf-8", "replace")


def _presigned_claim(found: dict[str, str]) -> Claim:
    for name in ("Algorithm", "Credential", "Date", "Expires", "SignedHeaders", "Signature"):
        if f"X-Amz-{name}" not in found:
            raise _incomplete(f"AWS query-string parameters must include X-Amz-{name}")
    expires = found["X-Amz-Expires"]
    if not (expires.isascii() and expires.isdigit() and len(expires) <= 9):
        raise _incomplete("X-Amz-Expires must be a number of seconds")
    if not 1 <= int(expires) <= MAX_EXPIRES_SECONDS:
        raise _incomplete(f"X-Amz-Expires must be between 1 and {MAX_EXPIRES_SECONDS} seconds")
    return _build_claim(
        algorithm=found["X-Amz-Algorithm"],
        credential=found["X-Amz-Credential"],
        signed_headers=found["X-Amz-SignedHeaders"],
        signature=found["X-Amz-Signature"],
        timestamp=found["X-Amz-Date"],
        session_token=found.get("X-Amz-Security-Token"),
        expires_seconds=int(expires),
    )


def _header_claim(header: str, request: HttpRequest) -> Claim:
    timestamp = _timestamp_of(request)
    session_token = request.headers.get("x-amz-security-token")
    usual = _USUAL_HEADER.fullmatch(header)
    if usual is not None and _TIMESTAMP.fullmatch(timestamp):
        key, date, region, service, signed_headers, signature = usual.groups()
        return Claim(
            access_key_id=key,
            scope=Scope(date, region, service),
            timestamp=timestamp,
            signed_headers=_names(signed_headers),
            signature=signature,
            session_token=session_token,
            expires_seconds=None,
        )
    algorithm, _, rest = header.strip().partition(" ")
    found: dict[str, str] = {}
    for part in rest.split(","):
        name, equals, value = part.strip().partition("=")
        if not equals or name in found:
            raise _incomplete(
                "Authorization header must hold Credential=, SignedHeaders= and Signature=, once each"
            )
        found[name] = value
    for name in ("Credential", "SignedHeaders", "Signature"):
        if name not in found:
            raise _incomplete(f"Authorization header requires '{name}' parameter.")
    return _build_claim(
        algorithm=algorithm,
        credential=found["Credential"],
        signed_headers=found["SignedHeaders"],
        signature=found["Signature"],
        timestamp=timestamp,
        session_token=session_token,
        expires_seconds=None,
    )


def _timestamp_of(request: HttpRequest) -> str:
    """X-Amz-Date, or else Date in either spelling, as `yyyymmddThhmmssZ`."""
    stamp = request.headers.get("x-amz-date")
    if stamp is not None:
        return stamp
    date = request.headers.get("date")
    if date is None:
        raise _incomplete(
            "Authorization header requires existence of either a 'X-Amz-Date' or a 'Date' header."
        )
    if _TIMESTAMP.fullmatch(date):
        return date
    try:
        return parsedate_to_datetime(date).astimezone(UTC).strftime(TIMESTAMP_FORMAT)
    except (TypeError, ValueError, IndexError, OverflowError):
        raise _incomplete("The Date header is no date") from None


def _build_claim(
    *,
    algorithm: str,
    credential: str,
    signed_headers: str,
    signature: str,
    timestamp: str,
    session_token: str | None,
    expires_seconds: int | None,
) -> Claim:
    if algorithm != ALGORITHM:
        raise _incomplete(f"Unsupported AWS 'algorithm': '{algorithm[:64]}'; {ALGORITHM} is supported")
    who = _CREDENTIAL.fullmatch(credential)
    if who is None:
        raise _incomplete("Credential must be KEY/yyyymmdd/REGION/SERVICE/aws4_request")
    if not _SIGNATURE.fullmatch(signature):
        raise _incomplete("Signature must be 64 lower-case hex digits")
    if not _TIMESTAMP.fullmatch(timestamp):
        raise _incomplete("X-Amz-Date must be yyyymmddThhmmssZ")
    return Claim(
        access_key_id=who[1],
        scope=Scope(who[2], who[3], who[4]),
        timestamp=timestamp,
        signed_headers=_names(signed_headers),
        signature=signature,
        session_token=session_token,
        expires_seconds=expires_seconds,
    )


@lru_cache(maxsize=_CACHED_NAMES)
def _names(signed_headers: str) -> tuple[str, ...]:
    if not _SIGNED_HEADERS.fullmatch(signed_headers):
        raise _incomplete("SignedHeaders must be header names joined by semicolons")
    names = tuple(signed_headers.split(";"))
    if list(names) != sorted(set(names)) or signed_headers != signed_headers.lower():
        raise _incomplete("SignedHeaders must be lower case, sorted, and each given once")
    return names


def verify(
    request: HttpRequest, claim: Claim, secret: str, session_token_required: str | None, now: datetime
) -> bytes:
    """The body that was signed, unwrapped where it came in chunks. Raise `SignatureError`.

    `session_token_required` is the token that belongs to the key; None for keys
    that have none, with which none may come.
    """
    _check_time(claim, now)
    _check_token(claim, session_token_required)
    _check_signed_headers(request, claim)
    declared = _declared_hash(request, claim)
    key, signer = _signing_key(secret, claim.scope)
    signer = signer.copy()
    text = canonical_request(
        method=request.method,
        path=canonical_path(request.raw_path, s3=claim.scope.service in _S3_NAMES),
        query=canonical_query(request.raw_query, presigned=claim.presigned),
        headers=as_signed(request.headers, claim.signed_headers),
        signed_headers=claim.signed_headers,
        payload_hash=declared or _sha256(request.body),
    )
    digest = hashlib.sha256(text.encode("utf-8", "surrogateescape")).hexdigest()
    signer.update(f"{ALGORITHM}\n{claim.timestamp}\n{claim.scope}\n{digest}".encode())
    if not hmac.compare_digest(signer.hexdigest(), claim.signature):
        raise SignatureError(FailureKind.MISMATCH, MISMATCH)
    return request.body if declared is None else _effective_body(request, claim, declared, key)


def _sha256(body: bytes) -> str:
    return hashlib.sha256(body).hexdigest() if body else EMPTY_SHA256


@lru_cache(maxsize=_CACHED_KEYS)
def _signing_key(secret: str, scope: Scope) -> tuple[bytes, hmac.HMAC]:
    """The scope's key, and a signer of nothing yet, to be copied."""
    key = signing_key(secret, scope)
    return key, hmac.new(key, digestmod=hashlib.sha256)


def _check_time(claim: Claim, now: datetime) -> None:
    stamp = claim.timestamp
    if stamp[:8] != claim.scope.date:
        raise SignatureError(
            FailureKind.MISMATCH,
            f"Date in Credential scope does not match YYYYMMDD from ISO-8601 version of date from HTTP: "
            f"'{claim.scope.date}' != '{stamp[:8]}', from '{stamp}'.",
        )
    try:
        signed_at = datetime(
            int(stamp[:4]), int(stamp[4:6]), int(stamp[6:8]), int(stamp[9:11]), int(stamp[11:13]),
            int(stamp[13:15]), tzinfo=UTC,
        )  # fmt: skip
    except ValueError:
        raise _incomplete("X-Amz-Date is no date") from None
    age = now - signed_at
    if -SKEW <= age <= (SKEW if claim.expires_seconds is None else timedelta(seconds=claim.expires_seconds)):
        return
    shown = now.astimezone(UTC).strftime(TIMESTAMP_FORMAT)
    if age < -SKEW:
        limit = (now.astimezone(UTC) + SKEW).strftime(TIMESTAMP_FORMAT)
        message = f"Signature not yet current: {stamp} is still later than {limit} ({shown} + 15 min.)"
    elif claim.expires_seconds is not None:
        message = f"Request has expired: signed {stamp} for {claim.expires_seconds} s, now {shown}"
    else:
        limit = (now.astimezone(UTC) - SKEW).strftime(TIMESTAMP_FORMAT)
        message = f"Signature expired: {stamp} is now earlier than {limit} ({shown} - 15 min.)"
    raise SignatureError(FailureKind.EXPIRED, message)


def _check_token(claim: Claim, required: str | None) -> None:
    given = claim.session_token or ""
    if not hmac.compare_digest(given.encode("utf-8", "replace"), (required or "").encode()):
        raise SignatureError(FailureKind.TOKEN, BAD_TOKEN)


def _check_signed_headers(request: HttpRequest, claim: Claim) -> None:
    if not (request.raw_path.isascii() and request.raw_query.isascii()):
        raise _incomplete("The request target must be ASCII: percent-encode the rest")
    signed = frozenset(claim.signed_headers)
    if "host" not in signed:
        raise _incomplete("'Host' must be a 'SignedHeader' in the AWS Authorization.")
    for name in request.headers:
        if name.startswith("x-amz-") and name not in signed:
            raise SignatureError(
                FailureKind.MISMATCH, f"'{name}' is in the request but not among the SignedHeaders."
            )
    for name in claim.signed_headers:
        if name not in request.headers:
            raise SignatureError(FailureKind.MISMATCH, f"The signed header '{name}' is not in the request.")


def _declared_hash(request: HttpRequest, claim: Claim) -> str | None:
    """What the request says of its payload; None when it leaves that to its receiver."""
    declared = request.headers.get("x-amz-content-sha256")
    if declared is None and claim.presigned:
        unsigned = _UNSIGNED if claim.scope.service in _S3_NAMES else None
        return _auth_parameters(request.raw_query).get("X-Amz-Content-Sha256", unsigned)
    return declared


def _effective_body(request: HttpRequest, claim: Claim, declared: str, key: bytes) -> bytes:
    """The body, once it is known to be what `declared` says. The signature is proven by now."""
    if _SIGNATURE.fullmatch(declared):
        if not hmac.compare_digest(hashlib.sha256(request.body).hexdigest(), declared):
            raise SignatureError(
                FailureKind.PAYLOAD_MISMATCH,
                "The provided 'x-amz-content-sha256' header does not match what was computed.",
            )
        return request.body
    if claim.scope.service not in _S3_NAMES:
        raise SignatureError(
            FailureKind.PAYLOAD_MISMATCH,
            "x-amz-content-sha256 must be the body's SHA-256 in hex for this service",
        )
    if declared == _UNSIGNED:
        return request.body
    seed = chunked.Seed(key=key, timestamp=claim.timestamp, scope=str(claim.scope), signature=claim.signature)
    try:
        return chunked.unwrap(declared, request.headers, request.body, seed)
    except chunked.ChunkError as error:
        raise SignatureError(FailureKind.PAYLOAD_MISMATCH, str(error)) from None
