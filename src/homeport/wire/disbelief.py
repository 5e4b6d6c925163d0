"""Why a request's signature is not believed, and how each protocol says so."""

from __future__ import annotations

from enum import StrEnum


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


MISMATCH = (
    "The request signature we calculated does not match the signature you provided. Check your AWS "
    "Secret Access Key and signing method. Consult the service documentation for details."
)
BAD_TOKEN = "The security token included in the request is invalid."  # noqa: S105 - a message

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
