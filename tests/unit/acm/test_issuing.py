"""What the installation's own authority signs, and what it refuses."""

from __future__ import annotations

import ssl
from datetime import timedelta
from typing import Any

import pytest
from cryptography import x509
from cryptography.x509.verification import PolicyBuilder, Store, VerificationError

from homeport.core.errors import AwsError
from homeport.services.acm.model import authority_arn
from homeport.services.acm.plan.issuing import (
    LEAF_VALID,
    ROOT_VALID,
    check_request,
    leaf,
    names_of,
    root,
)
from tests.kit.certificates import NOW, ec_key

OWN = authority_arn("000000000000", "us-east-1")
KEY = ec_key()
ROOT = root(KEY, 7, "ab12", NOW)


def server(*names: str) -> x509.Certificate:
    return leaf(names, ec_key(), 8, issuer=ROOT, issuer_key=KEY, now=NOW)


def test_a_client_that_trusts_the_root_trusts_what_it_signed_for_its_names_only() -> None:
    made = server("app.test", "*.app.test")
    builder = PolicyBuilder().store(Store([ROOT])).time(NOW)
    for name in ("app.test", "a.app.test"):
        assert builder.build_server_verifier(x509.DNSName(name)).verify(made, [])
    with pytest.raises(VerificationError):
        builder.build_server_verifier(x509.DNSName("other.test")).verify(made, [])


def test_certificates_are_good_for_thirteen_months_and_never_longer_than_the_root() -> None:
    assert server("app.test").not_valid_after_utc == NOW + LEAF_VALID
    late = leaf(
        ["app.test"], ec_key(), 9, issuer=ROOT, issuer_key=KEY, now=NOW + ROOT_VALID - timedelta(days=1)
    )
    assert late.not_valid_after_utc == ROOT.not_valid_after_utc


def test_a_name_that_is_too_long_for_a_common_name_is_an_alternative_name() -> None:
    name = f"{'a' * 63}.example.test"
    made = server(name)
    assert not list(made.subject)
    held = made.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert held.get_values_for_type(x509.DNSName) == [name]


def test_the_root_is_one_that_tls_libraries_take() -> None:
    context = ssl.create_default_context(cadata=ROOT.public_bytes(encoding=_pem()).decode())
    assert context.cert_store_stats()["x509_ca"] >= 1


def _pem() -> Any:
    from cryptography.hazmat.primitives.serialization import Encoding

    return Encoding.PEM


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"CertificateAuthorityArn": None}, f"CertificateAuthorityArn={OWN}"),
        ({"CertificateAuthorityArn": OWN.replace("homeport", "other")}, "no such certificate authority"),
        ({"ValidationMethod": "DNS"}, "ValidationMethod"),
        (
            {"DomainValidationOptions": [{"DomainName": "a", "ValidationDomain": "a"}]},
            "DomainValidationOptions",
        ),
        ({"Options": {"CertificateTransparencyLoggingPreference": "ENABLED"}}, "no public log"),
        ({"Options": {"Export": "ENABLED"}}, "Export=ENABLED"),
        ({"ManagedBy": "CLOUDFRONT"}, "CloudFront"),
    ],
    ids=lambda one: one if isinstance(one, str) else "",
)
def test_what_cannot_be_honoured_is_refused_by_name(changes: dict[str, Any], words: str) -> None:
    good = {"DomainName": "app.test", "CertificateAuthorityArn": OWN}
    check_request(good, OWN)
    with pytest.raises(AwsError, match=words):
        check_request({**good, **changes}, OWN)


def test_names_are_in_lower_case_each_once_the_domain_first() -> None:
    asked = {"DomainName": "App.test", "SubjectAlternativeNames": ["b.test", "app.TEST", "*.c.test"]}
    assert names_of(asked) == ("app.test", "b.test", "*.c.test")
    with pytest.raises(AwsError, match="not a domain name"):
        names_of({"DomainName": "a.*.test"})
    with pytest.raises(AwsError, match="at most 10"):
        names_of({"DomainName": "a.test", "SubjectAlternativeNames": [f"{n}.test" for n in range(10)]})
