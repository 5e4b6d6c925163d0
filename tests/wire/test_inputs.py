"""What the model does not allow is refused, and the refusal says where, what came, what is allowed."""

from __future__ import annotations

import gzip
import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import cbor2
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from homeport.wire import codec
from homeport.wire.codec import parse
from homeport.wire.depth import MAX_DEPTH
from homeport.wire.errors import InvalidInputError, MalformedRequestError, UnsupportedOperationError
from homeport.wire.http import HttpRequest
from homeport.wire.problems import MAX_PROBLEMS
from homeport.wire.route import Routed, Router

AGENT = Path(__file__).parent.parent / "data" / "agent-api-requests.jsonl"


def ask(service: str, operation: str, value: Any, *, protocol: str = "json") -> dict[str, Any]:
    """Parse `value` as that operation's input in a protocol whose body it can be."""
    if protocol == "json":
        body = value if isinstance(value, bytes) else json.dumps(value).encode()
    elif protocol == "smithy-rpc-v2-cbor":
        body = value if isinstance(value, bytes) else cbor2.dumps(value)
    else:
        body = value if isinstance(value, bytes) else urlencode(value).encode()
    routed = Routed(service=service, operation=operation, protocol=protocol, params={})
    return parse(routed, HttpRequest(method="POST", raw_path="/", raw_query="", headers={}, body=body))


def problems(service: str, operation: str, value: Any, *, protocol: str = "json") -> tuple[str, ...]:
    with pytest.raises(InvalidInputError) as caught:
        ask(service, operation, value, protocol=protocol)
    return caught.value.problems


def test_null_is_absent() -> None:
    assert ask("ecs", "RunTask", {"taskDefinition": "web", "cluster": None}) == {"taskDefinition": "web"}


def test_type_hints_on_the_wire_are_no_members() -> None:
    assert ask("ecs", "ListClusters", {"__type": "x"}) == {}


def test_an_empty_body_is_an_empty_input() -> None:
    assert ask("ecs", "ListClusters", b"") == {}
    assert ask("cloudwatch", "ListDashboards", b"", protocol="smithy-rpc-v2-cbor") == {}


def test_a_missing_member_is_named() -> None:
    assert problems("ecs", "RunTask", {}) == (
        "Value null at 'taskDefinition' failed to satisfy constraint: Member must not be null",
    )


def test_an_unknown_member_is_named_with_the_known_ones() -> None:
    (problem,) = problems("ecs", "DeleteCluster", {"cluster": "a", "clusterName": "b"})
    assert problem == 'Unknown parameter in input: "clusterName", must be one of: cluster'
    (problem,) = problems("ecs", "CreateCluster", {"tags": [{"key": "a"}, {"Key": "b"}]})
    assert problem == 'Unknown parameter in tags.2.member: "Key", must be one of: key, value'


@pytest.mark.parametrize(
    ("service", "operation", "value", "where", "must"),
    [
        (
            "ecs",
            "CreateCluster",
            {"tags": [{"key": "a" * 129}]},
            "tags.1.member.key",
            "length less than or equal to 128",
        ),
        (
            "ecs",
            "CreateCluster",
            {"tags": [{"key": ""}]},
            "tags.1.member.key",
            "length greater than or equal to 1",
        ),
        (
            "ecs",
            "CreateCluster",
            {"tags": [{"key": "a;b"}]},
            "tags.1.member.key",
            "regular expression pattern",
        ),
        ("ecs", "CreateCluster", {"tags": [{"key": "a"}] * 51}, "tags", "length less than or equal to 50"),
        (
            "ecs",
            "RunTask",
            {"taskDefinition": "a", "launchType": "VM"},
            "launchType",
            "enum value set: [EC2, FARGATE, EXTERNAL, MANAGED_INSTANCES]",
        ),
        (
            "ecs",
            "RunTask",
            {"taskDefinition": "a", "count": 2**31},
            "count",
            "less than or equal to 2147483647",
        ),
        ("ecs", "RunTask", {"taskDefinition": "a", "count": 1.5}, "count", "be an integer"),
        ("ecs", "RunTask", {"taskDefinition": "a", "count": True}, "count", "be an integer"),
        ("ecs", "RunTask", {"taskDefinition": 7}, "taskDefinition", "be a string"),
        (
            "ecs",
            "RunTask",
            {"taskDefinition": "a", "enableExecuteCommand": "yes"},
            "enableExecuteCommand",
            "be true or false",
        ),
        ("ecs", "RunTask", {"taskDefinition": "a", "tags": {}}, "tags", "be a list"),
        ("ecs", "RunTask", {"taskDefinition": "a", "overrides": []}, "overrides", "be an object"),
        ("ecs", "DescribeTasks", {"tasks": ["a", None]}, "tasks.2.member", "must not be null"),
        (
            "ecs",
            "CreateCapacityProvider",
            {
                "name": "a",
                "autoScalingGroupProvider": {
                    "autoScalingGroupArn": "x",
                    "managedScaling": {"targetCapacity": 0},
                },
            },
            "autoScalingGroupProvider.managedScaling.targetCapacity",
            "value greater than or equal to 1",
        ),
        (
            "ecr",
            "UploadLayerPart",
            {
                "repositoryName": "a/b",
                "uploadId": "0a0a0a0a-0a0a-0a0a-0a0a-0a0a0a0a0a0a",
                "partFirstByte": 0,
                "partLastByte": 1,
                "layerPartBlob": "?",
            },
            "layerPartBlob",
            "base64",
        ),
        (
            "logs",
            "PutLogEvents",
            {"logGroupName": "a", "logStreamName": "b", "logEvents": []},
            "logEvents",
            "length greater than or equal to 1",
        ),
    ],
)
def test_every_constraint_is_checked(service: str, operation: str, value: Any, where: str, must: str) -> None:
    (problem,) = problems(service, operation, value)
    assert f"at '{where}' failed to satisfy constraint: Member must" in problem
    assert must in problem


def test_what_came_is_shown_unless_it_is_a_secret() -> None:
    (problem,) = problems("ecs", "RunTask", {"taskDefinition": "a", "launchType": "x" * 5000})
    assert problem.startswith("Value 'xxx")
    assert len(problem) < 500
    (problem,) = problems("secretsmanager", "PutSecretValue", {"SecretId": "a", "SecretString": ""})
    assert problem.startswith("Value at 'SecretString' failed")


def test_all_problems_come_at_once_and_are_counted() -> None:
    with pytest.raises(InvalidInputError) as caught:
        ask("ecs", "RunTask", {"launchType": "VM", "kount": 1})
    assert caught.value.message.startswith("3 validation errors detected: ")
    assert len(caught.value.problems) == 3


def test_a_flood_of_problems_is_cut_off() -> None:
    assert len(problems("ecs", "RunTask", {f"x{n}": 1 for n in range(50_000)})) == MAX_PROBLEMS


@pytest.mark.parametrize("value", [{}, {"AzureConfiguration": {}, "GcpConfiguration": {}}])
def test_exactly_one_member_of_a_union_is_set(value: dict[str, Any]) -> None:
    found = problems("ssm", "CreateCloudConnector", {"Configuration": value})
    assert any("exactly one of [AzureConfiguration, GcpConfiguration]" in problem for problem in found)


def test_a_whole_number_may_be_spelt_as_a_fraction() -> None:
    assert ask("ecs", "RunTask", {"taskDefinition": "a", "count": 2.0})["count"] == 2


def test_instants_and_blobs_become_values() -> None:
    found = ask("ecs", "SubmitTaskStateChange", {"pullStartedAt": 1700000000.25})
    assert found == {"pullStartedAt": datetime(2023, 11, 14, 22, 13, 20, 250000, tzinfo=UTC)}
    assert (
        ask(
            "ecr",
            "UploadLayerPart",
            {
                "repositoryName": "a/b",
                "uploadId": "0a0a0a0a-0a0a-0a0a-0a0a-0a0a0a0a0a0a",
                "partFirstByte": 0,
                "partLastByte": 1,
                "layerPartBlob": "AAE=",
            },
        )["layerPartBlob"]
        == b"\x00\x01"
    )


@pytest.mark.parametrize("value", ["2026-01-01", 1e300, True, [], {}])
def test_what_is_no_instant_is_refused(value: Any) -> None:
    (problem,) = problems("ecs", "SubmitTaskStateChange", {"pullStartedAt": value})
    assert "be a timestamp" in problem


@pytest.mark.parametrize(
    ("form", "text"),
    [
        ({"Names.member.1": "a", "Nmaes.member.1": "b"}, 'Unknown parameter in input: "Nmaes"'),
        ({"Names.entry.1": "a"}, 'Unknown parameter in Names: "entry", must be one of: member'),
        ({"Names.member.x": "a"}, 'Unknown parameter in Names: "x"'),
        ({"Names": "a"}, "Value 'a' at 'Names' failed to satisfy constraint: Member must be a list"),
        (
            {"PageSize": "many"},
            "Value 'many' at 'PageSize' failed to satisfy constraint: Member must be an integer",
        ),
        (
            {"PageSize": "0"},
            "Value 0 at 'PageSize' failed to satisfy constraint: Member must have value greater",
        ),
        ({"PageSize": "1_0"}, "be an integer"),
        ({"PageSize": "\u0661"}, "be an integer"),
    ],
)
def test_forms_are_checked_like_bodies(form: dict[str, str], text: str) -> None:
    assert any(text in p for p in problems("elbv2", "DescribeLoadBalancers", form, protocol="query"))


def test_the_envelope_and_presigned_authentication_are_no_members() -> None:
    form = {
        "Action": "DescribeLoadBalancers",
        "Version": "2015-12-01",
        "X-Amz-Date": "x",
        "x-amz-signature": "y",
    }
    assert ask("elbv2", "DescribeLoadBalancers", form, protocol="query") == {}


def test_numbers_order_a_list_and_gaps_close() -> None:
    form = {"Names.member.10": "c", "Names.member.2": "b", "Names.member.1": "a"}
    assert ask("elbv2", "DescribeLoadBalancers", form, protocol="query") == {"Names": ["a", "b", "c"]}


@pytest.mark.parametrize(
    "body",
    [
        b"PageSize=1&PageSize=2",
        b"Names=a&Names.member.1=b",
        b"Names.member.1=b&Names=a",
        b"A=%ff",
        b"\xff=1",
        b"." * 500 + b"=1",
    ],
)
def test_a_form_that_contradicts_itself_is_malformed(body: bytes) -> None:
    with pytest.raises(MalformedRequestError):
        ask("elbv2", "DescribeLoadBalancers", body, protocol="query")


@pytest.mark.parametrize(
    "body",
    [
        b"{",
        b"[1",
        b"nul",
        b'{"a":NaN}',
        b'{"a":Infinity}',
        b"\xff\xfe",
        b"\xef\xbb\xbf{}",
        b'{"a":"\xff"}',
        b'{"a":"\\ud800"}',
        b"[" * 100_000,
        b'{"a":' * 5000 + b"1" + b"}" * 5000,
        b"{}{}",
        b"{'a':1}",
        b'{"a":01}',
        b"\x00",
        b"{}\x00",
    ],
)
def test_what_is_not_json_is_malformed(body: bytes) -> None:
    with pytest.raises(MalformedRequestError):
        ask("ecs", "RunTask", body)


def test_nesting_has_a_limit_even_where_the_shape_has_none() -> None:
    value: Any = {"S": "x"}
    for _ in range(MAX_DEPTH):
        value = {"L": [value]}
    with pytest.raises(MalformedRequestError):
        ask("dynamodb", "PutItem", {"TableName": "tab", "Item": {"a": value}})
    shallow = {"L": [{"L": [{"S": "x"}]}]}
    assert ask("dynamodb", "PutItem", {"TableName": "tab", "Item": {"a": shallow}})["Item"] == {"a": shallow}


@pytest.mark.parametrize(
    "body",
    [
        b"\x81" * 100_000,
        b"\x9b" + b"\xff" * 8,
        b"\x5b\x7f" + b"\xff" * 7,
        b"\xd8\x1c\x81\xd8\x1d\x00",
        b"\xa1\xa0\x01",
        b"\xa1\x01\x01",
        b"\xc2\x41\x01",
        b"\xa0\xa0",
        b"\xc1\xfb\x7f\xf8\0\0\0\0\0\0",
        b"\xd9\xd9\xf7\xa0",
        b"\xff",
        b"\x62a",
    ],
)
def test_what_is_not_plain_cbor_is_malformed(body: bytes) -> None:
    with pytest.raises(MalformedRequestError):
        ask("cloudwatch", "PutMetricData", body, protocol="smithy-rpc-v2-cbor")


XML_BOMB = b'<!DOCTYPE a [<!ENTITY b "c">]><CreateBucketConfiguration>&b;</CreateBucketConfiguration>'


@pytest.mark.parametrize(
    "body",
    [
        b"<a>",
        b"a",
        b"<b/>",
        XML_BOMB,
        b"<CreateBucketConfiguration>" * 200,
        b"\xff\xfe\x00",
        b"<a/><b/>",
        b'<?xml version="1.0" encoding="bogus"?><CreateBucketConfiguration/>',
    ],
)
def test_what_is_not_plain_xml_is_malformed(body: bytes) -> None:
    routed = Routed(service="s3", operation="CreateBucket", protocol="rest-xml", params={"Bucket": "b"})
    with pytest.raises(MalformedRequestError):
        parse(routed, HttpRequest(method="PUT", raw_path="/b", raw_query="", headers={}, body=body))


def test_compressed_bodies_are_unpacked_within_bounds(monkeypatch: pytest.MonkeyPatch) -> None:
    routed = Routed(service="cloudwatch", operation="PutMetricData", protocol="json", params={})
    plain = json.dumps({"Namespace": "n", "MetricData": [{"MetricName": "m", "Value": 1.0}]}).encode()

    def packed(body: bytes) -> HttpRequest:
        return HttpRequest(
            method="POST", raw_path="/", raw_query="", headers={"content-encoding": "gzip"}, body=body
        )

    assert parse(routed, packed(gzip.compress(plain)))["Namespace"] == "n"
    for body in (plain, gzip.compress(plain)[:-1], gzip.compress(plain) + b"x", b""):
        with pytest.raises(MalformedRequestError):
            parse(routed, packed(body))
    monkeypatch.setattr(codec, "MAX_BODY_BYTES", 1000)
    with pytest.raises(MalformedRequestError):
        parse(routed, packed(gzip.compress(b" " * 5000 + plain)))


def test_streams_of_events_are_not_spoken() -> None:
    with pytest.raises(UnsupportedOperationError):
        ask("logs", "StartLiveTail", {})


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)
TARGETS = [
    ("ecs", "RegisterTaskDefinition", "json"),
    ("cloudwatch", "PutMetricData", "smithy-rpc-v2-cbor"),
    ("iam", "CreateRole", "query"),
    ("ec2", "RunInstances", "ec2"),
    ("efs", "CreateFileSystem", "rest-json"),
    ("s3", "PutBucketLifecycleConfiguration", "rest-xml"),
]


@pytest.mark.parametrize(("service", "operation", "protocol"), TARGETS)
@settings(max_examples=1500, deadline=None)
@given(
    body=st.binary(max_size=60) | JSON.map(lambda v: json.dumps(v).encode()) | JSON.map(cbor2.dumps),
    query=st.text(max_size=20),
)
def test_hostile_bytes_never_crash(
    service: str, operation: str, protocol: str, body: bytes, query: str
) -> None:
    routed = Routed(service=service, operation=operation, protocol=protocol, params={"Bucket": "b"})
    try:
        parse(routed, HttpRequest(method="POST", raw_path="/", raw_query=query, headers={}, body=body))
    except (MalformedRequestError, InvalidInputError) as error:
        assert error.message  # noqa: PT017 - either is right, anything else is not


KNOWN = [
    "family",
    "containerDefinitions",
    "name",
    "image",
    "cpu",
    "memory",
    "portMappings",
    "containerPort",
    "environment",
    "volumes",
    "tags",
    "key",
    "value",
    "dockerLabels",
    "healthCheck",
    "command",
]
MUTANTS = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(KNOWN), inner, max_size=6),
    max_leaves=15,
)


@settings(max_examples=1500, deadline=None)
@given(st.dictionaries(st.sampled_from(KNOWN), MUTANTS, max_size=6))
def test_hostile_values_under_known_names_never_crash(value: dict[str, Any]) -> None:
    try:
        ask("ecs", "RegisterTaskDefinition", value)
    except InvalidInputError as error:
        assert error.problems  # noqa: PT017 - acceptance is right too


def test_what_the_real_agent_sends_is_understood() -> None:
    """Source: recorded requests of amazon-ecs-agent 1.105.1."""
    router = Router(["ecs", "secretsmanager", "ssm", "ecr"])
    for line in AGENT.read_text().splitlines():
        record = json.loads(line)
        body = json.dumps(record["body"]).encode()
        headers = {"x-amz-target": record["target"]}
        request = HttpRequest(method="POST", raw_path="/", raw_query="", headers=headers, body=body)
        routed = router.route(request, None)
        assert routed.operation == record["op"]
        assert set(parse(routed, request)) == {k for k, v in record["body"].items() if v is not None}
