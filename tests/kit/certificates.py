"""Certificates that tests make for themselves."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import cache
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.x509.oid import ExtendedKeyUsageOID

from homeport.dataplane.model import TlsMaterial


def self_signed(name: str, *hosts: str) -> TlsMaterial:
    """A certificate for these hosts."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, hosts[0])])
    now = datetime.now(UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(host) for host in hosts]), critical=False)
        .sign(key, hashes.SHA256())
    )
    return TlsMaterial(
        id=name,
        chain=certificate.public_bytes(serialization.Encoding.PEM),
        private_key=key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        ),
    )


Key = ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey
NOW = datetime.now(UTC).replace(microsecond=0)
DAY = timedelta(days=1)


@cache
def rsa_key(bits: int = 2048) -> rsa.RSAPrivateKey:
    """One for all: making one takes its time."""
    return rsa.generate_private_key(public_exponent=65537, key_size=bits)


def ec_key(curve: ec.EllipticCurve | None = None) -> ec.EllipticCurvePrivateKey:
    return ec.generate_private_key(curve or ec.SECP256R1())


def pem(one: x509.Certificate) -> bytes:
    return one.public_bytes(serialization.Encoding.PEM)


def key_pem(key: Key, passphrase: bytes = b"") -> bytes:
    lock = serialization.BestAvailableEncryption(passphrase) if passphrase else serialization.NoEncryption()
    return key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, lock)


@dataclass(frozen=True, kw_only=True)
class Signer:
    """Who signs certificates: a root, or one below it."""

    certificate: x509.Certificate
    key: ec.EllipticCurvePrivateKey = field(repr=False)
    above: tuple[x509.Certificate, ...] = ()

    @property
    def chain(self) -> bytes:
        """Its own certificate and all above it."""
        return b"".join(map(pem, (self.certificate, *self.above)))

    def below(self, name: str) -> Signer:
        """A signer below this one."""
        key = ec_key()
        made = _built(_name(name), self.certificate.subject, key, self.key, (), {"ca": True})
        return Signer(certificate=made, key=key, above=(self.certificate, *self.above))

    def leaf(self, *hosts: str, key: Key | None = None, **changes: Any) -> tuple[bytes, bytes]:
        """A server's certificate and its key, in PEM."""
        own = key or rsa_key()
        made = _built(
            _name(hosts[0] if hosts else "nobody"), self.certificate.subject, own, self.key, hosts, changes
        )
        return pem(made), key_pem(own)


def authority(name: str = "Test root") -> Signer:
    """A root."""
    key = ec_key()
    return Signer(certificate=_built(_name(name), _name(name), key, key, (), {"ca": True}), key=key)


def alone(*hosts: str, key: Key | None = None, **changes: Any) -> tuple[bytes, bytes]:
    """A certificate that signs itself, and its key."""
    own = key or rsa_key()
    return pem(_built(_name(hosts[0]), _name(hosts[0]), own, own, hosts, changes)), key_pem(own)


def _name(common: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, common)])


def _built(
    subject: x509.Name,
    issuer: x509.Name,
    key: Key,
    by: Key,
    hosts: tuple[str, ...],
    changes: dict[str, Any],
) -> x509.Certificate:
    builder = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(changes.get("begins", NOW - DAY))
        .not_valid_after(changes.get("ends", NOW + 30 * DAY))
    )
    if changes.get("ca"):
        builder = builder.add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
    if hosts:
        names = x509.SubjectAlternativeName([x509.DNSName(host) for host in hosts])
        builder = builder.add_extension(names, critical=False)
    if changes.get("serves"):
        builder = builder.add_extension(
            x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False
        )
    return builder.sign(by, hashes.SHA256())
