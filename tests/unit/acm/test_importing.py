"""Which certificates may be imported, and what they say. Source: Certificate Manager User Guide."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import msgspec
import pytest
from cryptography.hazmat.primitives.asymmetric import ec

from homeport.services.acm.errors import ValidationException
from homeport.services.acm.plan.importing import Brought, brought, check_replaces
from tests.kit.certificates import DAY, NOW, Key, alone, authority, ec_key, key_pem, rsa_key

ROOT = authority()
MIDDLE = ROOT.below("Test middle")


def given(certificate: bytes, key: bytes, chain: bytes | None = None) -> Brought:
    return brought(certificate, key, chain, NOW)


def test_a_certificate_says_what_it_is() -> None:
    found = given(*MIDDLE.leaf("www.example.com", "*.example.org", serves=True), MIDDLE.chain).facts
    assert found.domain == "www.example.com"
    assert found.names == ("www.example.com", "*.example.org")
    assert (found.subject, found.issuer) == ("CN=www.example.com", "Test middle")
    assert (found.key_algorithm, found.signature_algorithm) == ("RSA_2048", "SHA256WITHECDSA")
    assert [one.name for one in found.extended_usages] == ["TLS_WEB_SERVER_AUTHENTICATION"]
    assert (found.not_before, found.not_after) == (NOW - DAY, NOW + 30 * DAY)


@pytest.mark.parametrize(
    ("key", "name"),
    [
        (rsa_key(1024), "RSA_1024"),
        (rsa_key(), "RSA_2048"),
        (ec_key(), "EC_prime256v1"),
        (ec_key(ec.SECP384R1()), "EC_secp384r1"),
        (ec_key(ec.SECP521R1()), "EC_secp521r1"),
    ],
    ids=lambda one: one if isinstance(one, str) else "",
)
def test_a_key_has_its_algorithm(key: Key, name: str) -> None:
    assert given(*alone("example.com", key=key)).facts.key_algorithm == name


@pytest.mark.parametrize("curve", [ec.SECP256K1(), ec.SECP224R1()], ids=lambda curve: str(curve.name))
def test_a_key_of_another_algorithm_is_refused(curve: ec.EllipticCurve) -> None:
    with pytest.raises(ValidationException, match="algorithm is not supported"):
        given(*alone("example.com", key=ec_key(curve)))


def test_a_chain_of_two_or_of_the_issuer_alone_is_good() -> None:
    leaf = MIDDLE.leaf("example.com")
    assert given(*leaf, MIDDLE.chain).chain.count("BEGIN") == 2
    assert given(*leaf, replace(MIDDLE, above=()).chain).chain.count("BEGIN") == 1


LEAF, KEY = MIDDLE.leaf("example.com")
OWN, OWN_KEY = alone("example.com")


@pytest.mark.parametrize(
    ("certificate", "key", "chain", "words"),
    [
        (LEAF, KEY, None, "not a valid self signed"),
        (LEAF, KEY, ROOT.chain, "Could not validate"),
        (LEAF, KEY, ROOT.chain + replace(MIDDLE, above=()).chain, "Could not validate"),
        (LEAF, KEY, LEAF + MIDDLE.chain, "must not contain the certificate itself"),
        (LEAF, KEY, b"chain", "chain is not valid"),
        (LEAF + OWN, KEY, MIDDLE.chain, "more than one certificate"),
        (b"leaf", KEY, None, "must be X.509 in PEM"),
        (OWN, key_pem(rsa_key(1024)), None, "does not match"),
        (OWN, key_pem(rsa_key(), b"secret"), None, "must not have a passphrase"),
        (OWN, b"key", None, "must be in PEM"),
        (*alone("example.com", ends=NOW - DAY / 2), None, "has expired"),
        (*alone("example.com", begins=NOW + DAY), None, "not valid before"),
    ],
    ids=lambda one: one if isinstance(one, str) else "",
)
def test_what_does_not_belong_together_is_refused(
    certificate: bytes, key: bytes, chain: bytes | None, words: str
) -> None:
    with pytest.raises(ValidationException, match=words):
        given(certificate, key, chain)


def test_an_expiry_is_the_last_moment_that_is_too_late() -> None:
    certificate, key = alone("example.com", begins=NOW - 2 * DAY, ends=NOW)
    with pytest.raises(ValidationException, match="has expired"):
        brought(certificate, key, None, NOW)
    assert brought(certificate, key, None, NOW - DAY)


def test_a_key_is_not_shown_by_accident() -> None:
    assert "PRIVATE" not in repr(given(OWN, OWN_KEY))


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({}, None),
        ({"names": ("example.com", "more.example.com")}, None),
        ({"names": ("else.example.com",)}, "at least one"),
        ({"key_algorithm": "RSA_4096"}, "cannot change"),
        ({"extended_usages": ()}, "cannot lose"),
    ],
    ids=["same", "more", "names", "key", "usage"],
)
def test_a_successor_keeps_key_algorithm_a_name_and_all_usages(
    changes: dict[str, Any], words: str | None
) -> None:
    old = given(*alone("example.com", "old.example.com", serves=True)).facts
    new = msgspec.structs.replace(old, **changes)
    if words is None:
        check_replaces(old, new)
        return
    with pytest.raises(ValidationException, match=words):
        check_replaces(old, new)
