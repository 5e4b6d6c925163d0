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
from enum import StrEnum
from functools import lru_cache
from urllib.parse import quote, quote_from_bytes, unquote_to_bytes

from homeport.core.sigv4 import (
    ALGORITHM,
    EMPTY_SHA256,
    TIMESTAMP_FORMAT,
    Scope,
    canonical_request,
    signing_key,
)
from homeport.wire import chunked
from homeport.wire.http import HttpRequest

SKEW = timedelta(minutes=15)
MAX_EXPIRES_SECONDS = 604_800
_CACHED_KEYS = 4096
_S3_NAMES = frozenset({"s3", "s3express", "s3-outposts", "s3-object-lambda"})
_UNSIGNED = "UNSIGNED-PAYLOAD"

_CREDENTIAL = re.compile(r"([\w-]{1,128})/(\d{8})/([\w-]{1,64})/([\w.-]{1,64})/aws4_request", re.ASCII)
_TIMESTAMP = re.compile(r"\d{8}T\d{6}Z", re.ASCII)
_SIGNATURE = re.compile(r"[0-9a-f]{64}", re.ASCII)
_SIGNED_HEADERS = re.compile(r"[!-:<-~]{1,128}(;[!-:<-~]{1,128}){0,255}", re.ASCII)
_PLAIN_QUERY = re.compile(r"[\w.~&=-]*", re.ASCII)
_PLAIN_PATH = re.compile(r"(/[\w~-][\w.~-]*)+", re.ASCII)
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


class FailureKind(StrEnum):
    """Why nobody is believed."""

    MISSING = "missing"
    INCOMPLETE = "incomplete"
    UNKNOWN_KEY = "unknown_key"
    TOKEN = "token"  # noqa: S105 - a kind
    EXPIRED_TOKEN = "expired_token"  # noqa: S105 - a kind
    MISMATCH = "mismatch"
    PAYLOAD_MISMATCH = "payload_mismatch"
    EXPIRED = "expired"


class SignatureError(Exception):
    """The request is not proven to come from the holder of the key."""

    def __init__(self, kind: FailureKind, message: str) -> None:
        super().__init__(f"{kind}: {message}")
        self.kind = kind
        self.message = message


_MISMATCH = (
    "The request signature we calculated does not match the signature you provided. Check your AWS "
    "Secret Access Key and signing method. Consult the service documentation for details."
)
_BAD_TOKEN = "The security token included in the request is invalid."  # noqa: S105 - a message

_JSON_CODES = {
    FailureKind.MISSING: "MissingAuthenticationTokenException",
    FailureKind.INCOMPLETE: "IncompleteSignatureException",
    FailureKind.UNKNOWN_KEY: "UnrecognizedClientException",
    FailureKind.TOKEN: "UnrecognizedClientException",
    FailureKind.EXPIRED_TOKEN: "ExpiredTokenException",
    FailureKind.MISMATCH: "InvalidSignatureException",
    FailureKind.PAYLOAD_MISMATCH: "InvalidSignatureException",
    FailureKind.EXPIRED: "InvalidSignatureException",
}
_QUERY_CODES = {
    FailureKind.MISSING: "MissingAuthenticationToken",
    FailureKind.INCOMPLETE: "IncompleteSignature",
    FailureKind.UNKNOWN_KEY: "InvalidClientTokenId",
    FailureKind.TOKEN: "InvalidClientTokenId",
    FailureKind.EXPIRED_TOKEN: "ExpiredToken",
    FailureKind.MISMATCH: "SignatureDoesNotMatch",
    FailureKind.PAYLOAD_MISMATCH: "SignatureDoesNotMatch",
    FailureKind.EXPIRED: "SignatureDoesNotMatch",
}


_EC2_CODES = {
    FailureKind.UNKNOWN_KEY: ("AuthFailure", 401),
    FailureKind.TOKEN: ("AuthFailure", 401),
    FailureKind.MISMATCH: ("AuthFailure", 401),
    FailureKind.PAYLOAD_MISMATCH: ("AuthFailure", 401),
    FailureKind.EXPIRED: ("RequestExpired", 400),
    FailureKind.EXPIRED_TOKEN: ("RequestExpired", 400),
}


def auth_failure(kind: FailureKind, protocol: str) -> tuple[str, int]:
    """The code and HTTP status by which a protocol tells why nobody is believed.

    Observed: InvalidSignatureException at 400 from ECS (aws/amazon-ecs-agent#1513), at
    403 from Lambda (serverless#27); SignatureDoesNotMatch from STS even for an old date
    (aws/aws-cli#6676); AuthFailure and RequestExpired from EC2 (aws-sdk-go-v2#1674).
    """
    if protocol == "json":
        return _JSON_CODES[kind], 400
    if protocol in {"rest-json", "smithy-rpc-v2-cbor"}:
        return _JSON_CODES[kind], 403
    if protocol == "ec2" and kind in _EC2_CODES:
        return _EC2_CODES[kind]
    return _QUERY_CODES[kind], 403


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
    presigned = "amz-" in request.raw_query.lower() and _auth_parameters(request.raw_query)
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
        timestamp=_timestamp_of(request),
        session_token=request.headers.get("x-amz-security-token"),
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
    if not _SIGNED_HEADERS.fullmatch(signed_headers):
        raise _incomplete("SignedHeaders must be header names joined by semicolons")
    names = tuple(signed_headers.split(";"))
    if list(names) != sorted(set(names)) or signed_headers != signed_headers.lower():
        raise _incomplete("SignedHeaders must be lower case, sorted, and each given once")
    return Claim(
        access_key_id=who[1],
        scope=Scope(who[2], who[3], who[4]),
        timestamp=timestamp,
        signed_headers=names,
        signature=signature,
        session_token=session_token,
        expires_seconds=expires_seconds,
    )


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
    key = _signing_key(secret, claim.scope)
    text = canonical_request(
        method=request.method,
        path=_canonical_path(request.raw_path, claim),
        query=_canonical_query(request.raw_query, presigned=claim.presigned),
        headers={name: _header_value(request.headers[name]) for name in claim.signed_headers},
        signed_headers=claim.signed_headers,
        payload_hash=declared or _sha256(request.body),
    )
    digest = hashlib.sha256(text.encode("utf-8", "surrogateescape")).hexdigest()
    to_sign = f"{ALGORITHM}\n{claim.timestamp}\n{claim.scope}\n{digest}"
    if not hmac.compare_digest(hmac.digest(key, to_sign.encode(), "sha256").hex(), claim.signature):
        raise SignatureError(FailureKind.MISMATCH, _MISMATCH)
    return request.body if declared is None else _effective_body(request, claim, declared, key)


def _sha256(body: bytes) -> str:
    return hashlib.sha256(body).hexdigest() if body else EMPTY_SHA256


@lru_cache(maxsize=_CACHED_KEYS)
def _signing_key(secret: str, scope: Scope) -> bytes:
    return signing_key(secret, scope)


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
    shown = now.astimezone(UTC).strftime(TIMESTAMP_FORMAT)
    if signed_at > now + SKEW:
        limit = (now.astimezone(UTC) + SKEW).strftime(TIMESTAMP_FORMAT)
        raise SignatureError(
            FailureKind.EXPIRED,
            f"Signature not yet current: {stamp} is still later than {limit} ({shown} + 15 min.)",
        )
    if claim.expires_seconds is not None:
        # `now - signed_at` and not `signed_at + expires`: a date near year 9999 must not overflow.
        if now - signed_at > timedelta(seconds=claim.expires_seconds):
            raise SignatureError(
                FailureKind.EXPIRED,
                f"Request has expired: signed {stamp} for {claim.expires_seconds} s, now {shown}",
            )
    elif now - signed_at > SKEW:
        limit = (now.astimezone(UTC) - SKEW).strftime(TIMESTAMP_FORMAT)
        raise SignatureError(
            FailureKind.EXPIRED, f"Signature expired: {stamp} is now earlier than {limit} ({shown} - 15 min.)"
        )


def _check_token(claim: Claim, required: str | None) -> None:
    given = claim.session_token or ""
    if not hmac.compare_digest(given.encode("utf-8", "replace"), (required or "").encode()):
        raise SignatureError(FailureKind.TOKEN, _BAD_TOKEN)


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


def _canonical_path(raw_path: str, claim: Claim) -> str:
    """S3's path is encoded once and kept; others are normalised and encoded twice."""
    if raw_path in {"/", ""} or _PLAIN_PATH.fullmatch(raw_path):
        return raw_path or "/"
    if claim.scope.service in _S3_NAMES:
        return "/".join(_recode_segment(segment) for segment in raw_path.split("/"))
    kept: list[str] = []
    for segment in raw_path.split("/"):
        if segment == "..":
            del kept[-1:]
        elif segment not in {"", "."}:
            kept.append(segment)
    path = "/" + "/".join(kept) + ("/" if kept and raw_path.endswith("/") else "")
    return quote(path, safe="/~")


def _recode_segment(raw: str) -> str:
    return quote_from_bytes(unquote_to_bytes(raw), safe="-_.~")


def _canonical_query(raw_query: str, *, presigned: bool) -> str:
    if not raw_query:
        return ""
    pairs = []
    plain = _PLAIN_QUERY.fullmatch(raw_query) is not None
    for pair in raw_query.split("&"):
        if not pair:
            continue
        name, _, value = pair.partition("=")
        if not plain:
            name, value = _recode(name), _recode(value)
        if not (presigned and name.lower() == "x-amz-signature"):
            pairs.append((name, value))
    pairs.sort()
    return "&".join(f"{name}={value}" for name, value in pairs)


def _recode(raw: str) -> str:
    return quote_from_bytes(unquote_to_bytes(raw.replace("+", " ")), safe="-_.~")


def _header_value(text: str) -> str:
    """A header's value as the signer saw it: UTF-8, which came to us as latin-1."""
    if text.isascii():
        return text
    try:
        return text.encode("latin-1").decode("utf-8", "surrogateescape")
    except UnicodeEncodeError:
        return text
