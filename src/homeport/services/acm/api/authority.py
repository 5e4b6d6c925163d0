"""The installation's own certificate authority: requests, renewals, exports, and its root."""

from __future__ import annotations

import asyncio
import hashlib
import json
from collections.abc import Sequence

import msgspec
from cryptography import x509
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa

from homeport.core.call import Call
from homeport.core.ids import uuid
from homeport.services.acm.api.context import (
    ADD_TAGS,
    CERTIFICATES_MAX,
    Acm,
    Answer,
    Request,
    about,
    certificate_resource,
    find,
    ops,
    repo_of,
)
from homeport.services.acm.errors import (
    InvalidParameterException,
    LimitExceededException,
    ValidationException,
)
from homeport.services.acm.model import IMPORTED, PRIVATE, Authority, Certificate, authority_arn
from homeport.services.acm.plan.facts import facts_of
from homeport.services.acm.plan.issuing import (
    Key,
    algorithm_of,
    check_request,
    leaf,
    names_of,
    root,
)
from homeport.services.acm.plan.tags import tags_of
from homeport.services.acm.repo.certificates import add_authority, find_authority
from homeport.store.errors import DuplicateKeyError
from homeport.store.tx import Tx

_PEM = serialization.Encoding.PEM
_PKCS8 = serialization.PrivateFormat.PKCS8
_SERIAL_BYTES = 16
_ROOT = "acm/authority"
"""What the root's sealed key belongs to."""
_CURVES: dict[str, type[ec.EllipticCurve]] = {
    "EC_prime256v1": ec.SECP256R1,
    "EC_secp384r1": ec.SECP384R1,
    "EC_secp521r1": ec.SECP521R1,
}


def _fresh_key(algorithm: str) -> Key:
    """Half a second for a long RSA key: in a thread of its own."""
    if algorithm in _CURVES:
        return ec.generate_private_key(_CURVES[algorithm]())
    return rsa.generate_private_key(public_exponent=65537, key_size=int(algorithm.removeprefix("RSA_")))


def _pem(key: Key) -> bytes:
    return key.private_bytes(_PEM, _PKCS8, serialization.NoEncryption())


def _serial(acm: Acm) -> int:
    return int.from_bytes(acm.ids.token(_SERIAL_BYTES), "big") >> 1 or 1


async def the_authority(acm: Acm) -> Authority:
    """The installation's own authority, made when it is first asked for."""
    found = await acm.store.read(find_authority)
    if found is not None:
        return found
    key = ec.generate_private_key(ec.SECP256R1())
    label = acm.ids.token(4).hex()
    made = root(key, _serial(acm), label, acm.clock.now())
    fresh = Authority(
        root=made.public_bytes(_PEM).decode(), sealed_key=acm.vault.seal(_pem(key), about=_ROOT)
    )

    def work(tx: Tx) -> Authority:
        held = find_authority(tx)
        if held is None:
            add_authority(tx, fresh)
        return held or fresh

    try:
        return await acm.store.write(work)
    except DuplicateKeyError:
        found = await acm.store.read(find_authority)
        assert found is not None
        return found


async def _signed(acm: Acm, names: Sequence[str], algorithm: str) -> tuple[x509.Certificate, bytes, str]:
    """A certificate for these names, its key, and its issuer's certificate."""
    authority = await the_authority(acm)
    issuer = x509.load_pem_x509_certificate(authority.root.encode())
    opened = acm.vault.open(authority.sealed_key, about=_ROOT)
    issuer_key = serialization.load_pem_private_key(opened, password=None)
    assert isinstance(issuer_key, ec.EllipticCurvePrivateKey)
    key = await asyncio.to_thread(_fresh_key, algorithm)
    now = acm.clock.now()
    made = leaf(names, key, _serial(acm), issuer=issuer, issuer_key=issuer_key, now=now)
    return made, _pem(key), authority.root


def _asked(req: Request) -> str:
    """The same request's mark. Source: API Reference, RequestCertificate, IdempotencyToken."""
    token = req.get("IdempotencyToken")
    if not token:
        return ""
    members = ("DomainName", "SubjectAlternativeNames", "KeyAlgorithm")
    said = json.dumps([token, *(req.get(member) for member in members)])
    return hashlib.sha256(said.encode()).hexdigest()


@ops.operation("RequestCertificate", tagging=ADD_TAGS)
async def request_certificate(call: Call, acm: Acm, req: Request) -> Answer:
    """Issue a certificate of the installation's own authority, at once."""
    check_request(req, authority_arn(call.account_id, call.region))
    names, algorithm, tags = names_of(req), algorithm_of(req), tags_of(req.get("Tags"))
    asked, uid = _asked(req), uuid(acm.ids)

    def same(tx: Tx) -> str | None:
        found = repo_of(tx, call).all()
        return next((one.arn for one in found if asked and one.requested == asked), None)

    if held := await acm.store.read(same):
        return {"CertificateArn": held}
    made, key, issuer = await _signed(acm, names, algorithm)
    now = acm.clock.now()

    def work(tx: Tx) -> str:
        repo = repo_of(tx, call)
        if held := same(tx):
            return held
        if len(repo.all()) >= CERTIFICATES_MAX:
            raise LimitExceededException(f"An account has at most {CERTIFICATES_MAX} certificates.")
        fresh = Certificate(
            account_id=call.account_id,
            region=call.region,
            uid=uid,
            type=PRIVATE,
            facts=facts_of(made),
            leaf=made.public_bytes(_PEM).decode(),
            chain=issuer,
            sealed_key=b"",
            tags=tags,
            created_at=now,
            provided_at=now,
            requested=asked,
        )
        sealed = acm.vault.seal(key, about=about(fresh.arn))
        return repo.add(msgspec.structs.replace(fresh, sealed_key=sealed)).arn

    return {"CertificateArn": await acm.store.write(work)}


@ops.operation("RenewCertificate", resources=certificate_resource)
async def renew_certificate(call: Call, acm: Acm, req: Request) -> Answer:
    """Issue a certificate of the installation's own authority anew, with another key, under the same ARN."""
    held = await acm.store.read(lambda tx: find(tx, call, req["CertificateArn"]))
    if held.type == IMPORTED:
        raise ValidationException(
            "A certificate that was imported cannot be renewed: import its successor under the same ARN."
        )
    made, key, issuer = await _signed(acm, held.facts.names, held.facts.key_algorithm)

    def work(tx: Tx) -> None:
        found = find(tx, call, req["CertificateArn"])
        fresh = msgspec.structs.replace(
            found,
            facts=facts_of(made),
            leaf=made.public_bytes(_PEM).decode(),
            chain=issuer,
            sealed_key=acm.vault.seal(key, about=about(found.arn)),
            provided_at=acm.clock.now(),
        )
        repo_of(tx, call).save(fresh)
        acm.users.tell(tx, call.account_id, call.region, found.arn)

    await acm.store.write(work)
    return {}


@ops.operation("ExportCertificate", resources=certificate_resource)
async def export_certificate(call: Call, acm: Acm, req: Request) -> Answer:
    """A certificate of the installation's own authority with its key, under a passphrase."""
    held = await acm.store.read(lambda tx: find(tx, call, req["CertificateArn"]))
    if held.type == IMPORTED:
        raise ValidationException("A certificate that was imported cannot be exported.")
    passphrase = bytes(req["Passphrase"])
    if set(passphrase) & set(b"#$%") or not passphrase.isascii():
        raise InvalidParameterException("The passphrase can have any ASCII characters except #, $ and %.")
    key = serialization.load_pem_private_key(
        acm.vault.open(held.sealed_key, about=about(held.arn)), password=None
    )
    locked = await asyncio.to_thread(
        key.private_bytes, _PEM, _PKCS8, serialization.BestAvailableEncryption(passphrase)
    )

    def work(tx: Tx) -> None:
        found = find(tx, call, req["CertificateArn"])
        if not found.exported:
            repo_of(tx, call).save(msgspec.structs.replace(found, exported=True))

    await acm.store.write(work)
    return {"Certificate": held.leaf, "CertificateChain": held.chain, "PrivateKey": locked.decode()}
