"""A certificate, its key and its chain as somebody brings them: do they belong together? Pure.

Source: Certificate Manager User Guide, "Prerequisites for importing certificates", "Certificate and key
format for importing", "Reimport a certificate".
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from itertools import pairwise

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import serialization

from homeport.services.acm.errors import ValidationException
from homeport.services.acm.model import Facts
from homeport.services.acm.plan.facts import facts_of

_PEM = serialization.Encoding.PEM
_CERTIFICATE = b"-----BEGIN CERTIFICATE-----"


@dataclass(frozen=True, slots=True, kw_only=True)
class Brought:
    """What was brought, in one spelling. `key` is PKCS #8 in PEM."""

    facts: Facts
    leaf: str
    chain: str
    key: bytes = field(repr=False)


def brought(certificate: bytes, private_key: bytes, chain: bytes | None, now: datetime) -> Brought:
    """What an import brings. Raise `ValidationException` when it is not whole, or not valid now."""
    leaf = _leaf(certificate)
    facts = facts_of(leaf)
    if facts.not_after <= now:
        raise ValidationException(
            f"The certificate has expired: it was valid until {facts.not_after:%F %T}Z."
        )
    if facts.not_before > now:
        raise ValidationException(f"The certificate is not valid before {facts.not_before:%F %T}Z.")
    issuers = _chain(chain) if chain else ()
    _check_chain(leaf, issuers)
    return Brought(
        facts=facts,
        leaf=leaf.public_bytes(_PEM).decode(),
        chain="".join(one.public_bytes(_PEM).decode() for one in issuers),
        key=_key(private_key, leaf),
    )


def _leaf(given: bytes) -> x509.Certificate:
    if given.count(_CERTIFICATE) > 1:
        raise ValidationException(
            "The certificate field contains more than one certificate. You can specify only one "
            "certificate in this field: the others belong in CertificateChain."
        )
    try:
        found = x509.load_pem_x509_certificate(given)
    except (ValueError, UnsupportedAlgorithm):
        raise ValidationException("The certificate is not valid: it must be X.509 in PEM format.") from None
    if found.version is not x509.Version.v3:
        raise ValidationException("The certificate must be an X.509 certificate of version 3.")
    return found


def _chain(given: bytes) -> tuple[x509.Certificate, ...]:
    try:
        return tuple(x509.load_pem_x509_certificates(given))
    except (ValueError, UnsupportedAlgorithm):
        raise ValidationException(
            "The certificate chain is not valid: it must be X.509 certificates in PEM format."
        ) from None


def _check_chain(leaf: x509.Certificate, issuers: tuple[x509.Certificate, ...]) -> None:
    if not issuers:
        if not _issued(leaf, leaf):
            raise ValidationException(
                "Provided certificate is not a valid self signed. Please provide either a valid self-signed "
                "certificate or certificate chain."
            )
        return
    if leaf in issuers and not _issued(leaf, leaf):
        raise ValidationException("The certificate chain must not contain the certificate itself.")
    for one, issuer in pairwise((leaf, *issuers)):
        if not _issued(one, issuer):
            raise ValidationException(
                "Could not validate the certificate with the certificate chain: each certificate must "
                "certify the one before it, the certificate's own issuer first."
            )


def _issued(one: x509.Certificate, by: x509.Certificate) -> bool:
    try:
        one.verify_directly_issued_by(by)
    except (ValueError, TypeError, InvalidSignature, UnsupportedAlgorithm):
        return False
    return True


def _key(given: bytes, leaf: x509.Certificate) -> bytes:
    try:
        key = serialization.load_pem_private_key(given, password=None)
    except TypeError:
        raise ValidationException("The private key is encrypted: it must not have a passphrase.") from None
    except (ValueError, UnsupportedAlgorithm):
        raise ValidationException("The private key is not supported: it must be in PEM format.") from None
    if _public(key.public_key()) != _public(leaf.public_key()):
        raise ValidationException("The private key does not match the certificate.")
    return key.private_bytes(_PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())


def _public(key: object) -> bytes:
    spelled: bytes = key.public_bytes(  # type: ignore[attr-defined]
        serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo
    )
    return spelled


def check_replaces(old: Facts, new: Facts) -> None:
    """Raise unless the one may take the other's place. Source: User Guide, "Reimport a certificate"."""
    if old.key_algorithm != new.key_algorithm:
        raise ValidationException(
            f"The key algorithm of a certificate cannot change: it is {old.key_algorithm}, "
            f"not {new.key_algorithm}."
        )
    if not set(old.names) & set(new.names):
        raise ValidationException(
            "A certificate that is imported again must keep at least one of its domain names."
        )
    lost = set(old.key_usages) - set(new.key_usages) if old.key_usages else set()
    lost_extended = {one.name for one in old.extended_usages} - {one.name for one in new.extended_usages}
    if lost | lost_extended:
        raise ValidationException(
            "A certificate that is imported again cannot lose a key usage: "
            f"{', '.join(sorted(lost | lost_extended))}."
        )
