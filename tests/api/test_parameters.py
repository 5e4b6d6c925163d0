"""Parameter Store through boto3. Sources: Systems Manager API Reference and user guide."""

from __future__ import annotations

import base64
from collections.abc import Callable
from typing import Any

import pytest
from botocore.exceptions import ClientError

from tests.kit.server import Live


@pytest.fixture
def ssm(live: Live) -> Any:
    client = live.client("ssm")
    for page in client.get_paginator("describe_parameters").paginate():
        for found in page["Parameters"]:
            client.delete_parameter(Name=found["Name"])
    return client


def refused(work: Callable[[], Any]) -> str:
    with pytest.raises(ClientError) as caught:
        work()
    return str(caught.value.response["Error"]["Code"])


def put(ssm: Any, name: str, value: str = "v", kind: str = "String", **more: Any) -> int:
    return int(ssm.put_parameter(Name=name, Value=value, Type=kind, **more)["Version"])


def test_a_parameter_is_read_back_with_its_version_and_arn(ssm: Any) -> None:
    assert put(ssm, "/app/db", "postgres") == 1
    found = ssm.get_parameter(Name="/app/db")["Parameter"]
    assert (found["Value"], found["Type"], found["Version"]) == ("postgres", "String", 1)
    assert found["ARN"] == "arn:aws:ssm:us-east-1:000000000000:parameter/app/db"
    assert ssm.get_parameter(Name=found["ARN"])["Parameter"]["Name"] == "/app/db"


def test_an_existing_parameter_is_overwritten_only_on_request(ssm: Any) -> None:
    put(ssm, "a", "1")
    assert refused(lambda: put(ssm, "a", "2")) == "ParameterAlreadyExists"
    assert put(ssm, "a", "2", Overwrite=True) == 2
    assert ssm.get_parameter(Name="a")["Parameter"]["Value"] == "2"
    assert ssm.get_parameter(Name="a:1")["Parameter"] | {"LastModifiedDate": 0} == {
        "Name": "a", "Type": "String", "Value": "1", "Version": 1, "Selector": ":1", "DataType": "text",
        "ARN": "arn:aws:ssm:us-east-1:000000000000:parameter/a", "LastModifiedDate": 0,
    }  # fmt: skip


def test_an_overwrite_keeps_the_description_and_the_type(ssm: Any) -> None:
    put(ssm, "a", "1", Description="what it is for")
    ssm.put_parameter(Name="a", Value="2", Overwrite=True)
    [found] = ssm.describe_parameters()["Parameters"]
    assert (found["Description"], found["Type"], found["Version"]) == ("what it is for", "String", 2)


def test_a_secure_string_shows_its_value_only_on_request(ssm: Any) -> None:
    put(ssm, "s", "hunter2", "SecureString")
    hidden = ssm.get_parameter(Name="s")["Parameter"]["Value"]
    assert hidden != "hunter2"
    assert b"hunter2" not in base64.b64decode(hidden)
    assert ssm.get_parameter(Name="s", WithDecryption=True)["Parameter"]["Value"] == "hunter2"
    assert ssm.describe_parameters()["Parameters"][0]["KeyId"] == "alias/aws/ssm"


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"Name": "aws-thing"}, "ValidationException"),
        ({"Name": "/ssm/thing"}, "ValidationException"),
        ({"Name": "with space"}, "ValidationException"),
        ({"Name": "a//b"}, "ValidationException"),
        ({"Name": "a/b"}, "ValidationException"),
        ({"Name": "/x" * 16}, "HierarchyLevelLimitExceededException"),
        ({"Type": None}, "ValidationException"),
        ({"Value": "x" * 4097}, "ValidationException"),
        ({"Value": "x" * 8193, "Tier": "Advanced"}, "ValidationException"),
        ({"Value": "1", "AllowedPattern": "[a-z]+"}, "ParameterPatternMismatchException"),
        ({"AllowedPattern": "["}, "InvalidAllowedPatternException"),
        ({"Value": "a" * 3000 + "!", "AllowedPattern": "(a|a)*$"}, "InvalidAllowedPatternException"),
        ({"KeyId": "alias/aws/ssm"}, "ValidationException"),
        ({"Type": "SecureString", "KeyId": "alias/mine"}, "InvalidKeyId"),
        ({"Policies": "[{}]"}, "ValidationException"),
        ({"DataType": "aws:ec2:image"}, "ValidationException"),
        ({"Tags": [{"Key": "aws:x", "Value": "y"}]}, "ValidationException"),
    ],
)
def test_what_cannot_be_is_refused(ssm: Any, changes: dict[str, Any], code: str) -> None:
    request = {"Name": "a", "Value": "v", "Type": "String"} | changes
    asked = {key: value for key, value in request.items() if value is not None}
    assert refused(lambda: ssm.put_parameter(**asked)) == code
    assert ssm.describe_parameters()["Parameters"] == []


def test_a_parameter_keeps_its_type_and_its_advanced_tier(ssm: Any) -> None:
    put(ssm, "a", "x" * 5000, Tier="Intelligent-Tiering")
    assert ssm.describe_parameters()["Parameters"][0]["Tier"] == "Advanced"
    change = {"Name": "a", "Value": "v", "Overwrite": True}
    assert refused(lambda: ssm.put_parameter(**change, Tier="Standard")) == "ValidationException"
    assert refused(lambda: ssm.put_parameter(**change, Type="SecureString")) == (
        "HierarchyTypeMismatchException"
    )


def test_get_parameters_tells_the_names_that_lead_nowhere(ssm: Any) -> None:
    put(ssm, "a")
    found = ssm.get_parameters(Names=["a", "b", "a:7"])
    assert [one["Name"] for one in found["Parameters"]] == ["a"]
    assert found["InvalidParameters"] == ["b", "a:7"]
    assert ssm.delete_parameters(Names=["a", "b"])["InvalidParameters"] == ["b"]
    assert refused(lambda: ssm.get_parameter(Name="a")) == "ParameterNotFound"
    assert refused(lambda: ssm.delete_parameter(Name="a")) == "ParameterNotFound"


def test_a_hierarchy_is_read_level_by_level_or_whole(ssm: Any) -> None:
    for name in ("/app/a", "/app/b", "/app/deep/c", "/apple/d", "plain"):
        put(ssm, name)

    def names(**asked: Any) -> list[str]:
        pages = ssm.get_paginator("get_parameters_by_path").paginate(**asked)
        return [one["Name"] for page in pages for one in page["Parameters"]]

    assert names(Path="/app") == ["/app/a", "/app/b"]
    assert names(Path="/app/", Recursive=True, MaxResults=1) == ["/app/a", "/app/b", "/app/deep/c"]
    assert names(Path="/") == ["plain"]
    assert len(names(Path="/", Recursive=True)) == 5
    assert refused(lambda: names(Path="app")) == "ValidationException"


def test_descriptions_are_filtered_and_paged(ssm: Any) -> None:
    put(ssm, "/x/one", Tags=[{"Key": "env", "Value": "prod"}])
    put(ssm, "/x/y/two", kind="SecureString")
    put(ssm, "three", "a,b", "StringList", Tags=[{"Key": "env", "Value": "dev"}])

    def names(*filters: tuple[str, str | None, list[str]]) -> list[str]:
        given = [
            {"Key": key, **({"Option": option} if option else {}), **({"Values": values} if values else {})}
            for key, option, values in filters
        ]
        pages = ssm.get_paginator("describe_parameters").paginate(
            ParameterFilters=given, PaginationConfig={"PageSize": 1}
        )
        return [one["Name"] for page in pages for one in page["Parameters"]]

    assert names() == ["/x/one", "/x/y/two", "three"]
    assert names(("Name", "BeginsWith", ["/x"])) == ["/x/one", "/x/y/two"]
    assert names(("Name", "Contains", ["wo"])) == ["/x/y/two"]
    assert names(("Path", None, ["/x"])) == ["/x/one"]
    assert names(("Path", "Recursive", ["/x"])) == ["/x/one", "/x/y/two"]
    assert names(("Type", None, ["StringList", "SecureString"])) == ["/x/y/two", "three"]
    assert names(("tag:env", None, [])) == ["/x/one", "three"]
    assert names(("tag:env", None, ["prod"]), ("Type", None, ["String"])) == ["/x/one"]
    by_tier = {"Path": "/x", "ParameterFilters": [{"Key": "Tier", "Values": ["Standard"]}]}
    assert refused(lambda: ssm.get_parameters_by_path(**by_tier)) == "InvalidFilterKey"
    assert refused(lambda: names(("Type", "Contains", ["x"]))) == "InvalidFilterOption"
    assert refused(lambda: ssm.describe_parameters(NextToken="made-up")) == "InvalidNextToken"


def test_labels_move_between_versions_and_select_them(ssm: Any) -> None:
    put(ssm, "a", "1")
    put(ssm, "a", "2", Overwrite=True)
    labelled = ssm.label_parameter_version(Name="a", ParameterVersion=1, Labels=["prod", "1st", "aws-x"])
    assert labelled["InvalidLabels"] == ["1st", "aws-x"]
    assert ssm.get_parameter(Name="a:prod")["Parameter"]["Value"] == "1"
    ssm.label_parameter_version(Name="a", Labels=["prod"])
    assert ssm.get_parameter(Name="a:prod")["Parameter"]["Value"] == "2"
    history = ssm.get_parameter_history(Name="a")["Parameters"]
    assert [(one["Version"], one["Value"], one["Labels"]) for one in history] == [
        (1, "1", []),
        (2, "2", ["prod"]),
    ]
    gone = ssm.unlabel_parameter_version(Name="a", ParameterVersion=2, Labels=["prod", "none"])
    assert (gone["RemovedLabels"], gone["InvalidLabels"]) == (["prod"], ["none"])
    assert refused(lambda: ssm.get_parameter(Name="a:prod")) == "ParameterVersionNotFound"
    many = [f"l{number}" for number in range(10)]
    ssm.label_parameter_version(Name="a", Labels=many)
    assert refused(lambda: ssm.label_parameter_version(Name="a", Labels=["eleventh"])) == (
        "ParameterVersionLabelLimitExceeded"
    )


def test_a_hundred_versions_are_kept_unless_the_oldest_has_a_label(ssm: Any) -> None:
    for number in range(100):
        put(ssm, "a", str(number), Overwrite=True)
    ssm.label_parameter_version(Name="a", ParameterVersion=1, Labels=["keep"])
    assert refused(lambda: put(ssm, "a", "x", Overwrite=True)) == "ParameterMaxVersionLimitExceeded"
    ssm.unlabel_parameter_version(Name="a", ParameterVersion=1, Labels=["keep"])
    assert put(ssm, "a", "x", Overwrite=True) == 101
    assert refused(lambda: ssm.get_parameter(Name="a:1")) == "ParameterVersionNotFound"
    pages = ssm.get_paginator("get_parameter_history").paginate(Name="a")
    assert [one["Version"] for page in pages for one in page["Parameters"]] == list(range(2, 102))


def test_tags_are_added_listed_and_removed(ssm: Any) -> None:
    put(ssm, "a", Tags=[{"Key": "one", "Value": "1"}])
    about = {"ResourceType": "Parameter", "ResourceId": "a"}
    ssm.add_tags_to_resource(**about, Tags=[{"Key": "two", "Value": "2"}])
    ssm.remove_tags_from_resource(**about, TagKeys=["one", "absent"])
    assert ssm.list_tags_for_resource(**about)["TagList"] == [{"Key": "two", "Value": "2"}]
    assert refused(lambda: ssm.list_tags_for_resource(ResourceType="Parameter", ResourceId="b")) == (
        "InvalidResourceId"
    )
    assert refused(lambda: ssm.list_tags_for_resource(ResourceType="Document", ResourceId="a")) == (
        "InvalidResourceType"
    )
    more = [{"Key": f"k{number}", "Value": ""} for number in range(50)]
    assert refused(lambda: ssm.add_tags_to_resource(**about, Tags=more)) == "TooManyTagsError"
