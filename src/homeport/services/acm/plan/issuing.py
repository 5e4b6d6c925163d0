"""What the installation's own authority signs. Pure: keys, serial numbers and the time are arguments."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from homeport.services.acm.errors import (
    InvalidDomainValidationOptionsException,
    InvalidParameterException,
    LimitExceededException,
)

Key = ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey
ROOT_VALID = timedelta(days=3650)
LEAF_VALID = timedelta(days=395)
"""13 months. Source: User Guide, "Private certificates": they are valid for 13 months."""
NAMES_MAX = 10
"""Source: User Guide, "Quotas": domain names a certificate, by default."""
SKEW = timedelta(minutes=5)
ORGANIZATION = "Homeport"
ALGORITHMS = ("RSA_2048", "RSA_3072", "RSA_4096", "EC_prime256v1", "EC_secp384r1", "EC_secp521r1")
_DOMAIN = re.compile(
    r"(\*\.)?([A-Za-z0-9_]([A-Za-z0-9_-]{0,61}[A-Za-z0-9])?\.)*[A-Za-z0-9]([A-Za-z0-9-]{0,61}[A-Za-z0-9])?"
)


def check_request(request: Mapping[str, Any], own: str) -> None:
    """Raise for what the installation's own authority, whose ARN is `own`, cannot issue."""
    instead = f"CertificateAuthorityArn={own}"
    authority = request.get("CertificateAuthorityArn")
    if not authority:
        raise InvalidParameterException(
            "Homeport issues no public certificates: nobody could validate here that a domain is yours. "
            f"Request one of this installation's own authority with {instead}, or import one."
        )
    if authority != own:
        raise InvalidParameterException(
            f"There is no such certificate authority: {authority}. Use {instead}."
        )
    if request.get("ValidationMethod"):
        raise InvalidParameterException(
            "ValidationMethod cannot be specified for certificates of a private certificate authority."
        )
    if request.get("DomainValidationOptions"):
        raise InvalidDomainValidationOptionsException(
            "DomainValidationOptions cannot be specified for certificates of a private certificate authority."
        )
    for member, value in (request.get("Options") or {}).items():
        if (member, value) != ("CertificateTransparencyLoggingPreference", "DISABLED"):
            raise InvalidParameterException(
                f"{member}={value} is not supported by Homeport: certificates of its own authority are in no "
                "public log."
            )
    if request.get("ManagedBy"):
        raise InvalidParameterException("ManagedBy is not supported by Homeport: there is no CloudFront.")


def names_of(request: Mapping[str, Any]) -> tuple[str, ...]:
    """The names that a request asks for, the domain first. Raise when one is not a domain's."""
    asked = (request["DomainName"], *(request.get("SubjectAlternativeNames") or ()))
    names = tuple(dict.fromkeys(name.lower() for name in asked))
    for name in names:
        if not _DOMAIN.fullmatch(name) or len(name) > 253:
            raise InvalidParameterException(f"'{name}' is not a domain name.")
    if len(names) > NAMES_MAX:
        raise LimitExceededException(f"A certificate has at most {NAMES_MAX} domain names.")
    return names


def algorithm_of(request: Mapping[str, Any]) -> str:
    """The key's algorithm. Source: API Reference, RequestCertificate: RSA_2048 by default."""
    found: str = request.get("KeyAlgorithm") or "RSA_2048"
    if found not in ALGORITHMS:
        raise InvalidParameterException(f"KeyAlgorithm '{found}' must be one of {', '.join(ALGORITHMS)}.")
    return found


def root(key: ec.EllipticCurvePrivateKey, serial: int, label: str, now: datetime) -> x509.Certificate:
    """The authority's own certificate. `label` tells the roots of installations apart."""
    name = x509.Name(
        [
            x509.NameAttribute(NameOID.ORGANIZATION_NAME, ORGANIZATION),
            x509.NameAttribute(NameOID.COMMON_NAME, f"Homeport local authority {label}"),
        ]
    )
    public = key.public_key()
    return (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(public)
        .serial_number(serial)
        .not_valid_before(now - SKEW)
        .not_valid_after(now + ROOT_VALID)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(_usage(signs=True), critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(public), critical=False)
        .sign(key, hashes.SHA256())
    )


def leaf(
    names: Sequence[str],
    key: Key,
    serial: int,
    *,
    issuer: x509.Certificate,
    issuer_key: ec.EllipticCurvePrivateKey,
    now: datetime,
) -> x509.Certificate:
    """A server's certificate for these names, never longer valid than its issuer's."""
    public = key.public_key()
    authority = x509.AuthorityKeyIdentifier.from_issuer_public_key(issuer_key.public_key())
    return (
        x509.CertificateBuilder()
        .subject_name(_subject(names[0]))
        .issuer_name(issuer.subject)
        .public_key(public)
        .serial_number(serial)
        .not_valid_before(now - SKEW)
        .not_valid_after(min(now + LEAF_VALID, issuer.not_valid_after_utc))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(name) for name in names]), critical=False)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(_usage(signs=False), critical=True)
        .add_extension(
            x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH]),
            critical=False,
        )
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(public), critical=False)
        .add_extension(authority, critical=False)
        .sign(issuer_key, hashes.SHA256())
    )


def _subject(name: str) -> x509.Name:
    """A common name has at most 64 characters: a longer one is among the alternative names only."""
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)] if len(name) <= 64 else [])


def _usage(*, signs: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=True,
        content_commitment=False,
        key_encipherment=not signs,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=signs,
        crl_sign=signs,
        encipher_only=False,
        decipher_only=False,
    )
