"""Certificate Manager through boto3. Sources: Certificate Manager API Reference and User Guide."""

from __future__ import annotations

import ssl
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError
from cryptography import x509
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from homeport.store import open_store
from tests.kit.certificates import alone, authority, ec_key, rsa_key
from tests.kit.server import Live, live_server

ROOT = authority()
OWN_AUTHORITY = "arn:aws:acm-pca:us-east-1:000000000000:certificate-authority/homeport"


@pytest.fixture
def acm(live: Live) -> Any:
    client = live.client("acm")
    for one in listed(client, Includes={"keyTypes": ["RSA_2048", "RSA_3072", "EC_prime256v1"]}):
        client.delete_certificate(CertificateArn=one)
    return client


def listed(acm: Any, **request: Any) -> list[str]:
    return [one["CertificateArn"] for one in acm.list_certificates(**request)["CertificateSummaryList"]]


def refused(work: Callable[[], Any]) -> tuple[str, str]:
    with pytest.raises(ClientError) as caught:
        work()
    told = caught.value.response["Error"]
    return str(told["Code"]), str(told["Message"])


def imported(acm: Any, *hosts: str, **request: Any) -> str:
    certificate, key = ROOT.leaf(*(hosts or ("example.com",)), serves=True)
    given = {"Certificate": certificate, "PrivateKey": key, "CertificateChain": ROOT.chain, **request}
    return str(acm.import_certificate(**given)["CertificateArn"])


def test_a_certificate_without_a_chain_is_its_own(acm: Any) -> None:
    certificate, key = alone("alone.test")
    made = acm.import_certificate(Certificate=certificate, PrivateKey=key)["CertificateArn"]
    held = acm.get_certificate(CertificateArn=made)
    assert held["CertificateChain"] == held["Certificate"] == certificate.decode()


def test_an_imported_certificate_is_described_and_had_without_its_key(acm: Any) -> None:
    certificate, key = ROOT.leaf("www.example.com", "*.example.org", serves=True)
    made = acm.import_certificate(
        Certificate=certificate,
        PrivateKey=key,
        CertificateChain=ROOT.chain,
        Tags=[{"Key": "a", "Value": "1"}],
    )["CertificateArn"]
    assert made.startswith("arn:aws:acm:us-east-1:000000000000:certificate/")
    found = acm.describe_certificate(CertificateArn=made)["Certificate"]
    told = ("DomainName", "SubjectAlternativeNames", "Status", "Type", "KeyAlgorithm", "InUseBy")
    assert [found[name] for name in told] == [
        "www.example.com",
        ["www.example.com", "*.example.org"],
        "ISSUED",
        "IMPORTED",
        "RSA_2048",
        [],
    ]
    assert found["RenewalEligibility"] == "INELIGIBLE"
    serial = x509.load_pem_x509_certificate(certificate).serial_number
    assert int(found["Serial"].replace(":", ""), 16) == serial
    held = acm.get_certificate(CertificateArn=made)
    assert (held["Certificate"], held["CertificateChain"]) == (certificate.decode(), ROOT.chain.decode())
    assert acm.list_tags_for_certificate(CertificateArn=made)["Tags"] == [{"Key": "a", "Value": "1"}]
    assert refused(lambda: acm.export_certificate(CertificateArn=made, Passphrase=b"secret"))[0] == (
        "ValidationException"
    )


def test_a_certificate_is_imported_again_under_its_arn(acm: Any) -> None:
    made = imported(acm, "example.com", Tags=[{"Key": "a", "Value": "1"}])
    before = acm.describe_certificate(CertificateArn=made)["Certificate"]
    assert imported(acm, "example.com", "more.example.com", CertificateArn=made) == made
    after = acm.describe_certificate(CertificateArn=made)["Certificate"]
    assert after["Serial"] != before["Serial"]
    assert after["SubjectAlternativeNames"] == ["example.com", "more.example.com"]
    assert after["CreatedAt"] == before["CreatedAt"]
    assert acm.list_tags_for_certificate(CertificateArn=made)["Tags"] == [{"Key": "a", "Value": "1"}]
    tags = [{"Key": "a", "Value": "2"}]
    assert refused(lambda: imported(acm, CertificateArn=made, Tags=tags))[0] == "InvalidParameterException"
    assert refused(lambda: imported(acm, "other.test", CertificateArn=made))[0] == "ValidationException"


def test_what_is_no_certificate_of_the_account_is_not_found(acm: Any) -> None:
    made = imported(acm)
    for arn in (made[:-1] + "_", made.replace("us-east-1", "eu-west-1"), made.replace(":aws:", ":aws-cn:")):
        code, message = refused(lambda arn=arn: acm.describe_certificate(CertificateArn=arn))  # type: ignore[misc]
        assert code == "ResourceNotFoundException"
        assert arn in message
    wrong = made.replace("certificate/", "certificate-authority/")
    assert refused(lambda: acm.describe_certificate(CertificateArn=wrong))[0] == "InvalidArnException"


def test_a_list_has_pages_filters_and_an_order(acm: Any) -> None:
    arns = [imported(acm, f"{name}.test") for name in "abc"]
    certificate, key = alone("ec.test", key=ec_key())
    curve = acm.import_certificate(Certificate=certificate, PrivateKey=key)["CertificateArn"]
    assert listed(acm) == arns, "by default only RSA keys of 1024 and 2048 bits"
    assert listed(acm, Includes={"keyTypes": ["EC_prime256v1"]}) == [curve]
    assert listed(acm, Includes={"extendedKeyUsage": ["TLS_WEB_SERVER_AUTHENTICATION"]}) == arns
    assert listed(acm, Includes={"extendedKeyUsage": ["CODE_SIGNING"]}) == []
    assert listed(acm, CertificateStatuses=["EXPIRED"]) == []
    assert listed(acm, CertificateKeyPairOrigins=["CUSTOMER_PROVIDED"]) == arns
    assert listed(acm, SortBy="CREATED_AT", SortOrder="DESCENDING") == arns[::-1]
    assert refused(lambda: listed(acm, SortBy="CREATED_AT"))[0] in {
        "InvalidArgsException",
        "ValidationException",
    }
    pages = acm.get_paginator("list_certificates").paginate(PaginationConfig={"PageSize": 2})
    sizes = [len(page["CertificateSummaryList"]) for page in pages]
    assert sizes == [2, 1]


def test_tags_come_and_go_under_old_and_new_names(acm: Any) -> None:
    made = imported(acm)
    acm.add_tags_to_certificate(CertificateArn=made, Tags=[{"Key": "a", "Value": "1"}, {"Key": "b"}])
    acm.remove_tags_from_certificate(CertificateArn=made, Tags=[{"Key": "a", "Value": "2"}])
    assert {"Key": "a", "Value": "1"} in acm.list_tags_for_certificate(CertificateArn=made)["Tags"]
    acm.remove_tags_from_certificate(CertificateArn=made, Tags=[{"Key": "a", "Value": "1"}])
    assert acm.list_tags_for_resource(ResourceArn=made)["Tags"] == [{"Key": "b", "Value": ""}]
    acm.tag_resource(ResourceArn=made, Tags=[{"Key": "c", "Value": "3"}])
    acm.untag_resource(ResourceArn=made, TagKeys=["b"])
    assert acm.list_tags_for_certificate(CertificateArn=made)["Tags"] == [{"Key": "c", "Value": "3"}]
    own = [{"Key": "aws:a", "Value": "1"}]
    assert (
        refused(lambda: acm.add_tags_to_certificate(CertificateArn=made, Tags=own))[0]
        == "InvalidTagException"
    )
    many = [{"Key": f"k{n}", "Value": ""} for n in range(50)]
    assert refused(lambda: acm.add_tags_to_certificate(CertificateArn=made, Tags=many))[0] == (
        "TooManyTagsException"
    )


def test_a_deleted_certificate_is_gone(acm: Any) -> None:
    made = imported(acm)
    acm.delete_certificate(CertificateArn=made)
    assert refused(lambda: acm.get_certificate(CertificateArn=made))[0] == "ResourceNotFoundException"
    assert listed(acm) == []


def requested(acm: Any, **changes: Any) -> str:
    request = {
        "DomainName": "app.test",
        "CertificateAuthorityArn": OWN_AUTHORITY,
        "KeyAlgorithm": "EC_prime256v1",
        **changes,
    }
    return str(acm.request_certificate(**request)["CertificateArn"])


def test_the_installations_own_authority_issues_at_once(acm: Any) -> None:
    made = requested(acm, SubjectAlternativeNames=["*.app.test"])
    found = acm.describe_certificate(CertificateArn=made)["Certificate"]
    assert (found["Status"], found["Type"]) == ("ISSUED", "PRIVATE")
    assert found["CertificateAuthorityArn"] == OWN_AUTHORITY
    held = acm.get_certificate(CertificateArn=made)
    leaf = x509.load_pem_x509_certificate(held["Certificate"].encode())
    leaf.verify_directly_issued_by(x509.load_pem_x509_certificate(held["CertificateChain"].encode()))
    other = acm.get_certificate(CertificateArn=requested(acm, DomainName="other.test"))
    assert other["CertificateChain"] == held["CertificateChain"], "one root for the installation"


def test_a_public_certificate_is_refused_with_what_works_instead(acm: Any) -> None:
    code, message = refused(lambda: acm.request_certificate(DomainName="app.test", ValidationMethod="DNS"))
    assert code == "InvalidParameterException"
    assert OWN_AUTHORITY in message


def test_what_only_public_certificates_have_is_refused_for_those_that_there_are(acm: Any) -> None:
    for arn, export in ((imported(acm), "DISABLED"), (requested(acm), "ENABLED")):
        mail = {"CertificateArn": arn, "Domain": "example.com", "ValidationDomain": "example.com"}
        assert refused(lambda mail=mail: acm.resend_validation_email(**mail))[0] == (  # type: ignore[misc]
            "InvalidStateException"
        )
        revoke = {"CertificateArn": arn, "RevocationReason": "SUPERSEDED"}
        assert refused(lambda revoke=revoke: acm.revoke_certificate(**revoke))[0] == (  # type: ignore[misc]
            "ValidationException"
        )
        options = {"CertificateTransparencyLoggingPreference": "DISABLED", "Export": export}
        assert acm.describe_certificate(CertificateArn=arn)["Certificate"]["Options"] == options
        acm.update_certificate_options(CertificateArn=arn, Options=options)
        for other in (
            {"CertificateTransparencyLoggingPreference": "ENABLED"},
            {"Export": "ENABLED" if export == "DISABLED" else "DISABLED"},
        ):
            wanted = {"CertificateArn": arn, "Options": other}
            assert refused(lambda wanted=wanted: acm.update_certificate_options(**wanted))[0] == (  # type: ignore[misc]
                "InvalidStateException"
            )


def test_the_same_token_is_the_same_request(acm: Any) -> None:
    first = requested(acm, IdempotencyToken="one")
    assert requested(acm, IdempotencyToken="one") == first
    assert requested(acm, IdempotencyToken="two") != first
    assert requested(acm) != first


def test_an_issued_certificate_is_renewed_under_its_arn_and_an_imported_one_is_not(acm: Any) -> None:
    made = requested(acm)
    before = acm.get_certificate(CertificateArn=made)["Certificate"]
    acm.renew_certificate(CertificateArn=made)
    assert acm.get_certificate(CertificateArn=made)["Certificate"] != before
    assert refused(lambda: acm.renew_certificate(CertificateArn=imported(acm)))[0] == "ValidationException"


def test_an_issued_certificate_is_exported_under_a_passphrase(acm: Any) -> None:
    made = requested(acm)
    held = acm.export_certificate(CertificateArn=made, Passphrase=b"open sesame")
    key = load_pem_private_key(held["PrivateKey"].encode(), password=b"open sesame")
    assert x509.load_pem_x509_certificate(held["Certificate"].encode()).public_key() == key.public_key()
    ssl.create_default_context(cadata=held["CertificateChain"])
    found = acm.list_certificates(Includes={"keyTypes": ["EC_prime256v1"]})["CertificateSummaryList"]
    assert [one["Exported"] for one in found] == [True]
    assert refused(lambda: acm.export_certificate(CertificateArn=made, Passphrase=b"a#b$"))[0] == (
        "InvalidParameterException"
    )


def test_no_key_lies_open_in_the_database(tmp_path: Path) -> None:
    path = tmp_path / "homeport.db"
    certificate, key = alone("example.com", key=rsa_key())
    with live_server(lambda: open_store(f"sqlite:///{path}")) as live:
        acm = live.client("acm")
        acm.import_certificate(Certificate=certificate, PrivateKey=key)
        requested(acm)
    kept = b"".join(file.read_bytes() for file in tmp_path.iterdir())
    assert b"BEGIN CERTIFICATE" in kept
    assert b"PRIVATE KEY" not in kept
    assert key.splitlines()[3] not in kept
