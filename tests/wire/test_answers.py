"""Answers and errors reach every client as they were meant."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from types import MappingProxyType
from typing import Any

import cbor2
import msgspec
import pytest
from botocore import parsers
from botocore.awsrequest import HeadersDict
from hypothesis import given, settings
from hypothesis import strategies as st

from homeport.wire.codec import serialise, serialise_error
from homeport.wire.errors import OutputShapeError
from homeport.wire.http import HttpAnswer
from homeport.wire.model import ErrorShape, service_api
from homeport.wire.route import Routed
from tests.wire.oracle import SPEAKERS, client_model, values

NOON = datetime(2026, 1, 31, 12, 0, 0, 250000, tzinfo=UTC)


def answer(service: str, operation: str, protocol: str, output: Any, *, strict: bool = False) -> HttpAnswer:
    routed = Routed(service=service, operation=operation, protocol=protocol, params={})
    return serialise(routed, output, "req-1", strict=strict)


def read_error(protocol: str, told: HttpAnswer) -> dict[str, Any]:
    response = {"status_code": told.status, "headers": HeadersDict(dict(told.headers)), "body": told.body}
    parsed: dict[str, Any] = parsers.create_parser(protocol).parse(response, None)
    return parsed


@pytest.mark.parametrize("strict", [False, True])
def test_json_instants_are_seconds_and_blobs_base64(strict: bool) -> None:
    output = {
        "tasks": [{"createdAt": NOON, "startedAt": NOON.replace(microsecond=0), "cpu": None}],
        "failures": (),
    }
    told = answer("ecs", "DescribeTasks", "json", output, strict=strict)
    assert json.loads(told.body) == {
        "tasks": [{"createdAt": 1769860800.25, "startedAt": 1769860800}],
        "failures": [],
    }
    assert b'"startedAt":1769860800}' in told.body
    assert dict(told.headers) == {"x-amzn-requestid": "req-1", "content-type": "application/x-amz-json-1.1"}
    blob = {"authorizationData": [{"authorizationToken": "null"}]}
    assert json.loads(answer("ecr", "GetAuthorizationToken", "json", blob, strict=strict).body) == blob


def test_other_mappings_and_enums_do_too() -> None:
    output = MappingProxyType({"tasks": [MappingProxyType({"cpu": "1"})]})
    assert json.loads(answer("ecs", "DescribeTasks", "json", output).body) == {"tasks": [{"cpu": "1"}]}


@pytest.mark.parametrize("strict", [False, True])
def test_a_pre_encoded_fragment_is_passed_on_as_it_is(strict: bool) -> None:
    raw = msgspec.Raw(b'{"taskArn": "a",  "cpu":null}')
    told = answer("ecs", "DescribeTasks", "json", {"tasks": [raw, {"cpu": "1"}]}, strict=strict)
    assert told.body == b'{"tasks":[{"taskArn": "a",  "cpu":null},{"cpu":"1"}]}'


@pytest.mark.parametrize("protocol", ["query", "smithy-rpc-v2-cbor"])
def test_a_fragment_is_thawed_where_json_is_not_spoken(protocol: str) -> None:
    plain = {"Datapoints": [{"Timestamp": NOON, "Average": 1.5}]}
    raw = {"Datapoints": msgspec.Raw(b'[{"Timestamp":1769860800.25,"Average":1.5}]')}
    told = [answer("cloudwatch", "GetMetricStatistics", protocol, output).body for output in (plain, raw)]
    assert told[0] == told[1]


@pytest.mark.parametrize(("service", "protocol"), SPEAKERS)
def test_members_a_shape_lacks_fail_tests_but_not_production(service: str, protocol: str) -> None:
    operation = {
        "ecs": "DescribeTasks",
        "sqs": "ListQueues",
        "ecr": "DescribeRepositories",
        "cloudwatch": "ListMetrics",
        "application-autoscaling": "DescribeScalingPolicies",
        "servicediscovery": "ListServices",
        "sts": "GetCallerIdentity",
        "iam": "ListRoles",
        "elbv2": "DescribeLoadBalancers",
        "autoscaling": "DescribeAutoScalingGroups",
        "ec2": "DescribeVpcs",
        "efs": "DescribeFileSystems",
        "eks": "ListClusters",
        "xray": "GetGroups",
        "s3": "ListObjectsV2",
        "route53": "ListHostedZones",
    }[service]
    assert answer(service, operation, protocol, {"oddMember": "x"}).status == 200
    with pytest.raises(OutputShapeError, match="oddMember"):
        answer(service, operation, protocol, {"oddMember": "x"}, strict=True)


def test_numbers_that_are_none_have_names() -> None:
    output = {"Datapoints": [{"Average": float("nan"), "Sum": float("inf"), "Minimum": float("-inf")}]}
    (told,) = json.loads(answer("cloudwatch", "GetMetricStatistics", "json", output).body)["Datapoints"]
    assert told == {"Average": "NaN", "Sum": "Infinity", "Minimum": "-Infinity"}
    assert b"<Average>NaN</Average>" in answer("cloudwatch", "GetMetricStatistics", "query", output).body


def test_an_instant_without_a_zone_is_a_mistake() -> None:
    output = {"tasks": [{"createdAt": NOON.replace(tzinfo=None)}]}
    for strict in (False, True):
        with pytest.raises((TypeError, ValueError)):
            answer("ecs", "DescribeTasks", "json", output, strict=strict)


def test_xml_holds_any_text() -> None:
    nasty = "<&>\"'\r\n\x00\x1f\ufffe]]>"
    told = answer("iam", "GetRole", "query", {"Role": {"RoleName": nasty, "CreateDate": NOON}}, strict=True)
    response = {"status_code": 200, "headers": HeadersDict({}), "body": told.body}
    shape = client_model("iam").operation_model("GetRole").output_shape
    parsed = parsers.create_parser("query").parse(response, shape)
    assert parsed["Role"]["RoleName"] == "<&>\"'\r\n\ufffd\ufffd\ufffd]]>"
    assert b"<CreateDate>2026-01-31T12:00:00.250Z</CreateDate>" in told.body


def test_a_header_holds_no_line_ends() -> None:
    told = answer("s3", "HeadObject", "rest-xml", {"ETag": "a\r\nx-evil: 1", "Metadata": {"k": "ü"}})
    assert ("etag", "a x-evil: 1") in told.headers
    assert ("x-amz-meta-k", "ü".encode().decode("latin-1")) in told.headers


def test_an_operation_may_have_its_own_status() -> None:
    assert answer("efs", "CreateFileSystem", "rest-json", {}).status == 201
    assert answer("lambda", "Invoke", "rest-json", {"StatusCode": 202, "Payload": b"{}"}).status == 202


@pytest.mark.parametrize(
    ("service", "code", "asked", "told"),
    [
        ("iam", "NoSuchEntityException", 400, ("NoSuchEntity", 404, "Sender")),
        ("iam", "NoSuchEntity", 400, ("NoSuchEntity", 404, "Sender")),
        ("elbv2", "LoadBalancerNotFoundException", 400, ("LoadBalancerNotFound", 400, "Sender")),
        ("iam", "ServiceFailure", 400, ("ServiceFailure", 500, "Receiver")),
        ("iam", "AccessDenied", 403, ("AccessDenied", 403, "Sender")),
        ("iam", "InternalFailure", 503, ("InternalFailure", 503, "Receiver")),
    ],
)
def test_the_model_decides_code_status_and_fault_where_it_says_so(
    service: str, code: str, asked: int, told: tuple[str, int, str]
) -> None:
    fault = "Receiver" if asked >= 500 else "Sender"
    sent = serialise_error(
        "query", service_api(service), code, "Why?", status=asked, fault=fault, request_id="req-1"
    )
    error = read_error("query", sent)
    assert (error["Error"]["Code"], sent.status, error["Error"]["Type"]) == told
    assert error["Error"]["Message"] == "Why?"
    assert error["ResponseMetadata"]["RequestId"] == "req-1"


def test_json_tells_the_shapes_name_and_a_modelled_fault_is_the_servers() -> None:
    ecs = service_api("ecs")
    sent = serialise_error("json", ecs, "ClusterNotFoundException", "Cluster not found.", request_id="r")
    assert json.loads(sent.body) == {"__type": "ClusterNotFoundException", "message": "Cluster not found."}
    assert serialise_error("json", ecs, "ServerException", "Oops", request_id="r").status == 500


def test_members_of_an_error_are_told() -> None:
    ecs = service_api("ecs")
    sent = serialise_error(
        "json", ecs, "ConflictException", "Busy", members={"resourceIds": ["a"], "odd": 1}, request_id="r"
    )
    assert json.loads(sent.body) == {
        "__type": "ConflictException",
        "message": "Busy",
        "resourceIds": ["a"],
    }


@pytest.mark.parametrize("protocol", ["json", "smithy-rpc-v2-cbor"])
def test_former_query_services_tell_their_old_codes_too(protocol: str) -> None:
    cloudwatch = service_api("cloudwatch")
    sent = serialise_error(protocol, cloudwatch, "DashboardNotFoundError", "Gone", request_id="r")
    assert dict(sent.headers)["x-amzn-query-error"] == "ResourceNotFound;Sender"
    error = read_error(protocol, sent)["Error"]
    assert (error["Code"], error["QueryErrorCode"]) == ("ResourceNotFound", "DashboardNotFoundError")
    body = json.loads(sent.body) if protocol == "json" else cbor2.loads(sent.body)
    assert body["__type"] == "com.amazonaws.cloudwatch#DashboardNotFoundError"
    assert sent.status == 404


def test_efs_errors_hold_their_code() -> None:
    """Source: botocore efs, shape FileSystemNotFound: ErrorCode is required."""
    sent = serialise_error("rest-json", service_api("efs"), "FileSystemNotFound", "Gone", request_id="r")
    assert json.loads(sent.body) == {"ErrorCode": "FileSystemNotFound", "Message": "Gone"}
    assert dict(sent.headers)["x-amzn-errortype"] == "FileSystemNotFound"
    assert sent.status == 404


def test_s3_and_ec2_tell_errors_in_their_own_ways() -> None:
    s3 = read_error(
        "rest-xml",
        serialise_error("rest-xml", service_api("s3"), "NoSuchBucket", "<gone>", status=404, request_id="r"),
    )
    assert s3["Error"] == {"Code": "NoSuchBucket", "Message": "<gone>"}
    sent = serialise_error("ec2", service_api("ec2"), "InvalidVpcID.NotFound", "Gone & away", request_id="r")
    ec2 = read_error("ec2", sent)
    assert ec2["Error"] == {"Code": "InvalidVpcID.NotFound", "Message": "Gone & away"}
    assert ec2["ResponseMetadata"]["RequestId"] == "r"


@pytest.mark.parametrize(("service", "protocol"), SPEAKERS)
@settings(max_examples=300, deadline=None)
@given(
    data=st.data(),
    message=st.text(st.characters(min_codepoint=32, max_codepoint=0x2FFF, exclude_categories=["Cs", "Cc"])),
)
def test_every_modelled_error_reaches_the_client(
    service: str, protocol: str, data: st.DataObject, message: str
) -> None:
    api = service_api(service)
    names = sorted(shape.name for shape in client_model(service).error_shapes)
    name = data.draw(st.sampled_from(names or ["Unmodelled"]))
    modelled = api.error_shape(name)
    members = _members(modelled, data) if modelled is not None else {}
    sent = serialise_error(protocol, api, name, message, members=members, request_id="r")
    found = read_error(protocol, sent)
    wanted = {name} | ({modelled.code} if modelled else set())
    assert found["Error"]["Code"] in wanted
    assert (found["Error"].get("Message") or "") == message


def _members(modelled: ErrorShape, data: st.DataObject) -> dict[str, Any]:
    drawn = data.draw(values(modelled.shape))
    return {k: v for k, v in drawn.items() if k.lower() not in {"message", "code", "type"}}


@pytest.mark.parametrize("protocol", sorted({p for _, p in SPEAKERS}))
def test_an_error_before_any_service_was_found_is_readable(protocol: str) -> None:
    found = read_error(protocol, serialise_error(protocol, None, "MissingAction", "No\u00e9", request_id="r"))
    assert found["Error"]["Code"] == "MissingAction"
    assert found["Error"]["Message"] == "No\u00e9"
