"""Secrets Manager through boto3. Sources: Secrets Manager API Reference and user guide."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError

from homeport.store import open_store
from tests.kit.server import Live, live_server

TOKENS = [f"{number:032}" for number in range(10)]


@pytest.fixture
def sm(live: Live) -> Any:
    client = live.client("secretsmanager")
    for found in client.list_secrets(IncludePlannedDeletion=True)["SecretList"]:
        client.delete_secret(SecretId=found["ARN"], ForceDeleteWithoutRecovery=True)
    return client


def refused(work: Callable[[], Any]) -> str:
    with pytest.raises(ClientError) as caught:
        work()
    return str(caught.value.response["Error"]["Code"])


def stages(sm: Any, name: str) -> dict[str, str]:
    found = sm.describe_secret(SecretId=name)["VersionIdsToStages"]
    return {stage: version for version, held in found.items() for stage in held}


def test_a_secret_is_read_back_by_name_arn_and_arn_without_its_suffix(sm: Any) -> None:
    made = sm.create_secret(Name="app/db", SecretString="hunter2", ClientRequestToken=TOKENS[0])
    assert made["ARN"].startswith("arn:aws:secretsmanager:us-east-1:000000000000:secret:app/db-")
    assert made["VersionId"] == TOKENS[0]
    for name in ("app/db", made["ARN"], made["ARN"][:-7]):
        found = sm.get_secret_value(SecretId=name)
        assert (found["SecretString"], found["VersionStages"]) == ("hunter2", ["AWSCURRENT"])
    assert (
        refused(lambda: sm.get_secret_value(SecretId=made["ARN"][:-1] + "?")) == "ResourceNotFoundException"
    )


def test_a_binary_secret_comes_back_as_bytes(sm: Any) -> None:
    sm.create_secret(Name="b", SecretBinary=b"\x00\xff")
    assert sm.get_secret_value(SecretId="b")["SecretBinary"] == b"\x00\xff"


def test_a_secret_may_begin_without_a_value(sm: Any) -> None:
    sm.create_secret(Name="empty")
    assert refused(lambda: sm.get_secret_value(SecretId="empty")) == "ResourceNotFoundException"
    assert "VersionIdsToStages" not in sm.describe_secret(SecretId="empty")


def test_the_same_request_again_changes_nothing_and_another_one_is_refused(sm: Any) -> None:
    request = {"Name": "a", "SecretString": "1", "ClientRequestToken": TOKENS[0]}
    assert sm.create_secret(**request)["ARN"] == sm.create_secret(**request)["ARN"]
    assert refused(lambda: sm.create_secret(**request | {"SecretString": "2"})) == "ResourceExistsException"
    put = {"SecretId": "a", "SecretString": "2", "ClientRequestToken": TOKENS[1]}
    assert sm.put_secret_value(**put)["VersionId"] == sm.put_secret_value(**put)["VersionId"]
    assert refused(lambda: sm.put_secret_value(**put | {"SecretString": "3"})) == "ResourceExistsException"


def test_a_new_value_is_current_and_the_old_one_previous(sm: Any) -> None:
    sm.create_secret(Name="a", SecretString="1", ClientRequestToken=TOKENS[0])
    sm.put_secret_value(SecretId="a", SecretString="2", ClientRequestToken=TOKENS[1])
    assert stages(sm, "a") == {"AWSCURRENT": TOKENS[1], "AWSPREVIOUS": TOKENS[0]}
    assert sm.get_secret_value(SecretId="a", VersionStage="AWSPREVIOUS")["SecretString"] == "1"
    sm.put_secret_value(
        SecretId="a", SecretString="3", ClientRequestToken=TOKENS[2], VersionStages=["AWSPENDING"]
    )
    assert sm.get_secret_value(SecretId="a")["SecretString"] == "2"
    assert sm.get_secret_value(SecretId="a", VersionId=TOKENS[2])["SecretString"] == "3"
    wrong = {"SecretId": "a", "VersionId": TOKENS[2], "VersionStage": "AWSCURRENT"}
    assert refused(lambda: sm.get_secret_value(**wrong)) == "InvalidParameterException"
    assert (
        refused(lambda: sm.get_secret_value(SecretId="a", VersionStage="NONE")) == "ResourceNotFoundException"
    )


def test_staging_labels_move_as_a_rotation_moves_them(sm: Any) -> None:
    sm.create_secret(Name="a", SecretString="1", ClientRequestToken=TOKENS[0])
    sm.put_secret_value(
        SecretId="a", SecretString="2", ClientRequestToken=TOKENS[1], VersionStages=["AWSPENDING"]
    )
    move = {"SecretId": "a", "VersionStage": "AWSCURRENT", "MoveToVersionId": TOKENS[1]}
    assert refused(lambda: sm.update_secret_version_stage(**move)) == "InvalidParameterException"
    sm.update_secret_version_stage(**move, RemoveFromVersionId=TOKENS[0])
    assert stages(sm, "a") == {"AWSCURRENT": TOKENS[1], "AWSPENDING": TOKENS[1], "AWSPREVIOUS": TOKENS[0]}
    sm.update_secret_version_stage(SecretId="a", VersionStage="AWSPENDING", RemoveFromVersionId=TOKENS[1])
    assert "AWSPENDING" not in stages(sm, "a")
    loose = {"SecretId": "a", "VersionStage": "AWSCURRENT", "RemoveFromVersionId": TOKENS[1]}
    assert refused(lambda: sm.update_secret_version_stage(**loose)) == "InvalidParameterException"


def test_versions_are_listed_without_labels_only_on_request(sm: Any) -> None:
    sm.create_secret(Name="a", SecretString="0", ClientRequestToken=TOKENS[0])
    for number in (1, 2):
        sm.put_secret_value(SecretId="a", SecretString=str(number), ClientRequestToken=TOKENS[number])
    shown = sm.list_secret_version_ids(SecretId="a")["Versions"]
    assert {one["VersionId"] for one in shown} == {TOKENS[1], TOKENS[2]}
    everything = sm.list_secret_version_ids(SecretId="a", IncludeDeprecated=True)["Versions"]
    assert {one["VersionId"] for one in everything} == set(TOKENS[:3])


def test_a_deleted_secret_can_be_restored_until_it_is_gone(sm: Any) -> None:
    sm.create_secret(Name="a", SecretString="1")
    sm.delete_secret(SecretId="a", RecoveryWindowInDays=7)
    assert refused(lambda: sm.get_secret_value(SecretId="a")) == "InvalidRequestException"
    assert refused(lambda: sm.create_secret(Name="a", SecretString="1")) == "InvalidRequestException"
    assert sm.list_secrets()["SecretList"] == []
    assert sm.describe_secret(SecretId="a")["DeletedDate"]
    sm.restore_secret(SecretId="a")
    assert sm.get_secret_value(SecretId="a")["SecretString"] == "1"
    sm.delete_secret(SecretId="a", ForceDeleteWithoutRecovery=True)
    assert refused(lambda: sm.describe_secret(SecretId="a")) == "ResourceNotFoundException"
    sm.delete_secret(SecretId="a", ForceDeleteWithoutRecovery=True)
    sm.create_secret(Name="a", SecretString="again")
    assert sm.get_secret_value(SecretId="a")["SecretString"] == "again"


@pytest.mark.parametrize(
    ("operation", "request_", "code"),
    [
        ("create_secret", {"Name": "a b"}, "InvalidParameterException"),
        (
            "create_secret",
            {"Name": "b", "SecretString": "x", "SecretBinary": b"x"},
            "InvalidParameterException",
        ),
        ("create_secret", {"Name": "b", "KmsKeyId": "alias/mine"}, "InvalidParameterException"),
        (
            "create_secret",
            {"Name": "b", "AddReplicaRegions": [{"Region": "eu-west-1"}]},
            "InvalidParameterException",
        ),
        (
            "create_secret",
            {"Name": "b", "Tags": [{"Key": "aws:x", "Value": "y"}]},
            "InvalidParameterException",
        ),
        ("put_secret_value", {"SecretId": "a"}, "InvalidParameterException"),
        ("put_secret_value", {"SecretId": "none", "SecretString": "x"}, "ResourceNotFoundException"),
        ("delete_secret", {"SecretId": "a", "RecoveryWindowInDays": 3}, "InvalidParameterException"),
        ("rotate_secret", {"SecretId": "a"}, "InvalidRequestException"),
        ("list_secrets", {"NextToken": "made-up"}, "InvalidNextTokenException"),
        ("list_secrets", {"Filters": [{"Key": "name"}]}, "InvalidParameterException"),
        (
            "put_resource_policy",
            {"SecretId": "a", "ResourcePolicy": "{}"},
            "MalformedPolicyDocumentException",
        ),
        ("batch_get_secret_value", {}, "InvalidParameterException"),
    ],
)
def test_what_cannot_be_is_refused(sm: Any, operation: str, request_: dict[str, Any], code: str) -> None:
    sm.create_secret(Name="a", SecretString="1")
    assert refused(lambda: getattr(sm, operation)(**request_)) == code


def test_secrets_are_listed_filtered_sorted_and_paged(sm: Any) -> None:
    sm.create_secret(Name="app/b", Description="Database", Tags=[{"Key": "env", "Value": "prod"}])
    sm.create_secret(Name="app/a", SecretString="1")
    sm.create_secret(Name="other", SecretString="1", Tags=[{"Key": "env", "Value": "dev"}])

    def names(*filters: tuple[str, list[str]], **asked: Any) -> list[str]:
        given = [{"Key": key, "Values": values} for key, values in filters]
        pages = sm.get_paginator("list_secrets").paginate(
            **({"Filters": given} if given else {}), **asked, PaginationConfig={"PageSize": 1}
        )
        return [one["Name"] for page in pages for one in page["SecretList"]]

    assert names(SortBy="name", SortOrder="asc") == ["app/a", "app/b", "other"]
    assert names() == ["other", "app/a", "app/b"]
    assert names(("name", ["app/"]), SortBy="name") == ["app/b", "app/a"]
    assert names(("name", ["!app/"])) == ["other"]
    assert names(("tag-key", ["env"]), ("tag-value", ["prod"])) == ["app/b"]
    assert names(("all", ["data"])) == ["app/b"]
    batch = sm.batch_get_secret_value(SecretIdList=["app/a", "none"])
    assert [one["SecretString"] for one in batch["SecretValues"]] == ["1"]
    assert [one["ErrorCode"] for one in batch["Errors"]] == ["ResourceNotFoundException"]
    found = sm.batch_get_secret_value(Filters=[{"Key": "name", "Values": ["app/a", "other"]}])
    assert len(found["SecretValues"]) == 2


def test_update_changes_the_description_or_the_value(sm: Any) -> None:
    sm.create_secret(Name="a", SecretString="1")
    assert "VersionId" not in sm.update_secret(SecretId="a", Description="what for")
    assert (
        sm.update_secret(SecretId="a", SecretString="2", ClientRequestToken=TOKENS[3])["VersionId"]
        == TOKENS[3]
    )
    found = sm.describe_secret(SecretId="a")
    assert (found["Description"], stages(sm, "a")["AWSCURRENT"]) == ("what for", TOKENS[3])
    sm.tag_resource(SecretId="a", Tags=[{"Key": "k", "Value": "v"}, {"Key": "l", "Value": "w"}])
    sm.untag_resource(SecretId="a", TagKeys=["k"])
    assert sm.describe_secret(SecretId="a")["Tags"] == [{"Key": "l", "Value": "w"}]


def test_a_resource_policy_is_kept_and_a_public_one_can_be_kept_out(sm: Any) -> None:
    sm.create_secret(Name="a", SecretString="1")

    def policy(principal: Any) -> str:
        one = {
            "Effect": "Allow",
            "Principal": principal,
            "Action": "secretsmanager:GetSecretValue",
            "Resource": "*",
        }
        return json.dumps({"Version": "2012-10-17", "Statement": [one]})

    ours = policy({"AWS": "arn:aws:iam::111122223333:root"})
    sm.put_resource_policy(SecretId="a", ResourcePolicy=ours, BlockPublicPolicy=True)
    assert json.loads(sm.get_resource_policy(SecretId="a")["ResourcePolicy"]) == json.loads(ours)
    public = {"SecretId": "a", "ResourcePolicy": policy("*"), "BlockPublicPolicy": True}
    assert refused(lambda: sm.put_resource_policy(**public)) == "PublicPolicyException"
    assert not sm.validate_resource_policy(ResourcePolicy=policy("*"))["PolicyValidationPassed"]
    assert sm.validate_resource_policy(ResourcePolicy=ours)["PolicyValidationPassed"]
    sm.delete_resource_policy(SecretId="a")
    assert "ResourcePolicy" not in sm.get_resource_policy(SecretId="a")


@pytest.mark.parametrize(
    ("asked", "allowed", "length"),
    [
        ({}, None, 32),
        ({"PasswordLength": 5, "IncludeSpace": True}, None, 5),
        (
            {"ExcludePunctuation": True, "ExcludeNumbers": True, "ExcludeUppercase": True},
            "abcdefghijklmnopqrstuvwxyz",
            32,
        ),
        ({"ExcludeCharacters": "abc", "PasswordLength": 400}, None, 400),
    ],
)
def test_a_random_password_has_what_was_asked(
    sm: Any, asked: dict[str, Any], allowed: str | None, length: int
) -> None:
    password = sm.get_random_password(**asked)["RandomPassword"]
    assert len(password) == length
    assert password != sm.get_random_password(**asked)["RandomPassword"]
    assert allowed is None or set(password) <= set(allowed)
    assert not set(password) & set(asked.get("ExcludeCharacters", ""))
    if allowed is None:
        kinds = (str.islower, str.isupper, str.isdigit, lambda char: not char.isalnum() and char != " ")
        assert all(any(map(kind, password)) for kind in kinds)


def test_a_password_that_cannot_be_is_refused(sm: Any) -> None:
    everything = {f"Exclude{what}": True for what in ("Lowercase", "Uppercase", "Numbers", "Punctuation")}
    assert refused(lambda: sm.get_random_password(**everything)) == "InvalidParameterException"
    assert refused(lambda: sm.get_random_password(PasswordLength=3)) == "InvalidParameterException"


def test_nothing_secret_is_on_disk_in_the_clear(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'homeport.db'}"
    with live_server(lambda: open_store(url)) as live:
        sm, ssm = live.client("secretsmanager"), live.client("ssm")
        sm.create_secret(Name="a", SecretString="needle-in-text")
        sm.put_secret_value(SecretId="a", SecretBinary=b"needle-in-bytes")
        ssm.put_parameter(Name="s", Value="needle-in-secure-string", Type="SecureString")
        ssm.put_parameter(Name="p", Value="this one may show", Type="String")
        held = b"".join(path.read_bytes() for path in tmp_path.rglob("*") if path.is_file())
    assert b"this one may show" in held
    for needle in (b"needle", base64.b64encode(b"needle")):
        assert needle not in held
