"""What a certificate says of itself, in the API's words. Pure. Source: API Reference, CertificateDetail."""

from __future__ import annotations

from collections.abc import Iterator

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from homeport.services.acm.errors import ValidationException
from homeport.services.acm.model import Facts, Usage

RSA_BITS = (1024, 2048, 3072, 4096)
CURVES = {"secp256r1": "EC_prime256v1", "secp384r1": "EC_secp384r1", "secp521r1": "EC_secp521r1"}
_USAGES = (
    ("digital_signature", "DIGITAL_SIGNATURE"),
    ("content_commitment", "NON_REPUDIATION"),
    ("key_encipherment", "KEY_ENCIPHERMENT"),
    ("data_encipherment", "DATA_ENCIPHERMENT"),
    ("key_agreement", "KEY_AGREEMENT"),
    ("key_cert_sign", "CERTIFICATE_SIGNING"),
    ("crl_sign", "CRL_SIGNING"),
)
_EXTENDED = {
    ExtendedKeyUsageOID.SERVER_AUTH: "TLS_WEB_SERVER_AUTHENTICATION",
    ExtendedKeyUsageOID.CLIENT_AUTH: "TLS_WEB_CLIENT_AUTHENTICATION",
    ExtendedKeyUsageOID.CODE_SIGNING: "CODE_SIGNING",
    ExtendedKeyUsageOID.EMAIL_PROTECTION: "EMAIL_PROTECTION",
    ExtendedKeyUsageOID.TIME_STAMPING: "TIME_STAMPING",
    ExtendedKeyUsageOID.OCSP_SIGNING: "OCSP_SIGNING",
    ExtendedKeyUsageOID.ANY_EXTENDED_KEY_USAGE: "ANY",
}


def facts_of(certificate: x509.Certificate) -> Facts:
    """What it says. Raise `ValidationException` for a certificate that cannot be kept."""
    names = tuple(dict.fromkeys(_names(certificate)))
    if not names:
        raise ValidationException(
            "The certificate must have a domain name or an address, as its common name or among its "
            "subject alternative names."
        )
    algorithm = certificate.signature_hash_algorithm
    signed = "RSA" if "rsa" in _oid_name(certificate).lower() else "ECDSA"
    return Facts(
        domain=names[0],
        names=names,
        serial=":".join(f"{byte:02x}" for byte in _serial(certificate)),
        subject=spelled(certificate.subject),
        issuer=_issuer(certificate.issuer),
        key_algorithm=key_algorithm(certificate.public_key()),
        signature_algorithm=f"{algorithm.name.upper().replace('-', '') if algorithm else ''}WITH{signed}",
        not_before=certificate.not_valid_before_utc,
        not_after=certificate.not_valid_after_utc,
        key_usages=tuple(_key_usages(certificate)),
        extended_usages=tuple(_extended(certificate)),
    )


def key_algorithm(key: object) -> str:
    """A public key's algorithm as the API calls it. Raise for another one.

    Source: User Guide, "Prerequisites for importing certificates".
    """
    if isinstance(key, rsa.RSAPublicKey) and key.key_size in RSA_BITS:
        return f"RSA_{key.key_size}"
    if isinstance(key, ec.EllipticCurvePublicKey) and key.curve.name in CURVES:
        return CURVES[key.curve.name]
    raise ValidationException(
        "The key's algorithm is not supported: it must be RSA with 1024, 2048, 3072 or 4096 bits, or "
        "elliptic curve prime256v1, secp384r1 or secp521r1."
    )


def spelled(name: x509.Name) -> str:
    """A name in the certificate's own order: `C=US,O=Example,CN=example.com`."""
    return ",".join(part.rfc4514_string() for part in name.rdns)


def _issuer(name: x509.Name) -> str:
    for oid in (NameOID.ORGANIZATION_NAME, NameOID.COMMON_NAME):
        if found := name.get_attributes_for_oid(oid):
            return str(found[0].value)
    return spelled(name)


def _names(certificate: x509.Certificate) -> Iterator[str]:
    """The common name, if it is among the names or there is no other, then the alternative ones."""
    common = [
        str(one.value).lower() for one in certificate.subject.get_attributes_for_oid(NameOID.COMMON_NAME)
    ]
    try:
        held = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except x509.ExtensionNotFound:
        yield from common[:1]
        return
    others = [name.lower() for name in held.get_values_for_type(x509.DNSName)]
    others += [str(address) for address in held.get_values_for_type(x509.IPAddress)]
    yield from (name for name in common[:1] if name in others)
    yield from others


def _serial(certificate: x509.Certificate) -> bytes:
    number = certificate.serial_number
    return number.to_bytes(max(1, (number.bit_length() + 7) // 8), "big")


def _oid_name(certificate: x509.Certificate) -> str:
    return str(getattr(certificate.signature_algorithm_oid, "_name", ""))


def _key_usages(certificate: x509.Certificate) -> Iterator[str]:
    try:
        held = certificate.extensions.get_extension_for_class(x509.KeyUsage).value
    except x509.ExtensionNotFound:
        return
    for attribute, name in _USAGES:
        if getattr(held, attribute):
            yield name
    if held.key_agreement:
        if held.encipher_only:
            yield "ENCIPHER_ONLY"
        if held.decipher_only:
            yield "DECIPHER_ONLY"


def _extended(certificate: x509.Certificate) -> Iterator[Usage]:
    try:
        held = certificate.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value
    except x509.ExtensionNotFound:
        return
    for oid in held:
        yield Usage(_EXTENDED.get(oid, "CUSTOM"), oid.dotted_string)
