"""What targets are told of a user, signed, so that they can tell it from what others claim.

Source: Application Load Balancer guide, "User claims encoding and signature verification": ES256, and the
parts of the token keep their padding.
"""

from __future__ import annotations

import base64
import hashlib
import uuid
from collections.abc import Mapping
from typing import Any

import msgspec
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from jwt.algorithms import ECAlgorithm

GOOD_SECONDS = 120
"""How long a token is good: a target checks it at once."""
_ORDER = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551
"""Of the curve P-256 (SEC 2, section 2.4.2)."""


class Signer:
    """The installation's key for users' claims. Every replica makes the same one of the same secret."""

    def __init__(self, secret: bytes) -> None:
        wide = HKDF(algorithm=hashes.SHA256(), length=48, salt=None, info=b"homeport login claims")
        number = int.from_bytes(wide.derive(secret), "big") % (_ORDER - 1) + 1
        self._key = ec.derive_private_key(number, ec.SECP256R1())
        self._algorithm = ECAlgorithm(ECAlgorithm.SHA256)
        self.public_pem = self._key.public_key().public_bytes(
            serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
        )
        self.key_id = str(uuid.UUID(bytes=hashlib.sha256(self.public_pem).digest()[:16]))

    def token(self, claims: Mapping[str, Any], *, signer: str, issuer: str, client_id: str, ends: int) -> str:
        """`x-amzn-oidc-data`. `signer` is the balancer's ARN, `ends` seconds since 1970."""
        header = {"typ": "JWT", "kid": self.key_id, "alg": "ES256", "iss": issuer, "client": client_id}
        said = {**claims, "exp": ends, "iss": issuer}
        text = _part({**header, "signer": signer, "exp": ends}) + b"." + _part(said)
        return (text + b"." + base64.urlsafe_b64encode(self._algorithm.sign(text, self._key))).decode()


def _part(body: Mapping[str, Any]) -> bytes:
    return base64.urlsafe_b64encode(msgspec.json.encode(body))
