"""A request means one operation in one protocol, or a refusal that its sender can read."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from homeport.wire.errors import UnroutableError
from homeport.wire.http import HttpRequest
from homeport.wire.route import Routed, Router

ROUTER = Router(
    ["ecs", "sts", "iam", "elb", "elbv2", "ec2", "efs", "s3", "cloudwatch", "sqs", "lambda", "eks"]
)
FORM = "application/x-www-form-urlencoded; charset=utf-8"


def route(
    method: str = "POST",
    path: str = "/",
    query: str = "",
    body: bytes = b"",
    signing: str | None = None,
    **headers: str,
) -> Routed:
    lowered = {k.replace("_", "-"): v for k, v in headers.items()}
    request = HttpRequest(method=method, raw_path=path, raw_query=query, headers=lowered, body=body)
    return ROUTER.route(request, signing)


def refusal(**asked: str | bytes | None) -> UnroutableError:
    with pytest.raises(UnroutableError) as caught:
        route(**asked)  # type: ignore[arg-type]
    return caught.value


@pytest.mark.parametrize("signing", ["ecs", None])
def test_the_target_header_names_the_operation(signing: str | None) -> None:
    found = route(x_amz_target="AmazonEC2ContainerServiceV20141113.RunTask", signing=signing)
    assert (found.service, found.operation, found.protocol) == ("ecs", "RunTask", "json")


def test_one_service_may_speak_three_protocols() -> None:
    by_json = route(x_amz_target="GraniteServiceVersion20100801.PutMetricData", signing="monitoring")
    by_cbor = route(
        path="/service/GraniteServiceVersion20100801/operation/PutMetricData",
        smithy_protocol="rpc-v2-cbor",
        signing="monitoring",
    )
    by_form = route(body=b"Action=PutMetricData&Version=2010-08-01", content_type=FORM, signing="monitoring")
    assert {r.operation for r in (by_json, by_cbor, by_form)} == {"PutMetricData"}
    assert [r.protocol for r in (by_json, by_cbor, by_form)] == ["json", "smithy-rpc-v2-cbor", "query"]


def test_the_version_tells_services_of_one_name_apart() -> None:
    for version, service in (("2015-12-01", "elbv2"), ("2012-06-01", "elb")):
        body = f"Action=DescribeLoadBalancers&Version={version}".encode()
        assert route(body=body, content_type=FORM, signing="elasticloadbalancing").service == service


def test_a_get_may_ask_in_its_query() -> None:
    found = route("GET", query="Action=GetCallerIdentity&Version=2011-06-15")
    assert (found.service, found.protocol) == ("sts", "query")
    assert route("GET", query="Action=DescribeVpcs&Version=2016-11-15", signing="ec2").protocol == "ec2"


@pytest.mark.parametrize(
    ("method", "path", "query", "headers", "operation", "params"),
    [
        ("GET", "/", "", {}, "ListBuckets", {}),
        ("GET", "/b", "", {}, "ListObjects", {"Bucket": "b"}),
        ("GET", "/b/", "list-type=2", {}, "ListObjectsV2", {"Bucket": "b"}),
        ("GET", "/b", "location", {}, "GetBucketLocation", {"Bucket": "b"}),
        ("GET", "/b/k%2Fl/m//n/", "", {}, "GetObject", {"Bucket": "b", "Key": "k/l/m//n/"}),
        ("PUT", "/b/k", "", {}, "PutObject", {"Bucket": "b", "Key": "k"}),
        ("PUT", "/b/k", "", {"x_amz_copy_source": "c/d"}, "CopyObject", {"Bucket": "b", "Key": "k"}),
        ("PUT", "/b/k", "partNumber=1&uploadId=u", {}, "UploadPart", {"Bucket": "b", "Key": "k"}),
        ("PUT", "/b/k", "x-id=PutObject", {}, "PutObject", {"Bucket": "b", "Key": "k"}),
        ("PUT", "/b", "notification", {}, "PutBucketNotificationConfiguration", {"Bucket": "b"}),
    ],
)
def test_paths_and_queries_name_s3s_operations(
    method: str, path: str, query: str, headers: dict[str, str], operation: str, params: dict[str, str]
) -> None:
    found = route(method, path, query, signing="s3", **headers)
    assert (found.operation, dict(found.params)) == (operation, params)


@pytest.mark.parametrize(
    ("method", "path", "service", "operation"),
    [
        ("GET", "/2015-02-01/file-systems", "efs", "DescribeFileSystems"),
        ("DELETE", "/2015-02-01/file-systems/fs-1", "efs", "DeleteFileSystem"),
        ("GET", "/clusters/a%2Fb", "eks", "DescribeCluster"),
        ("GET", "/2015-03-31/functions/", "lambda", "ListFunctions"),
        ("GET", "/2015-03-31/functions", "lambda", "ListFunctions"),
    ],
)
def test_a_path_finds_its_service_even_unsigned(method: str, path: str, service: str, operation: str) -> None:
    found = route(method, path)
    assert (found.service, found.operation, found.protocol) == (service, operation, "rest-json")


def test_labels_are_decoded_once() -> None:
    assert route("GET", "/clusters/a%252Fb", signing="eks").params == {"name": "a%2Fb"}


@pytest.mark.parametrize(
    ("asked", "protocol", "code", "status"),
    [
        (
            {"x_amz_target": "AmazonEC2ContainerServiceV20141113.Fly", "signing": "ecs"},
            "json",
            "UnknownOperationException",
            400,
        ),
        ({"x_amz_target": "Nobody.RunTask"}, "json", "UnknownOperationException", 400),
        ({"x_amz_target": "", "signing": "ecs"}, "json", "UnknownOperationException", 400),
        (
            {"body": b"Action=Fly&Version=2010-05-08", "content_type": FORM, "signing": "iam"},
            "query",
            "InvalidAction",
            400,
        ),
        (
            {"body": b"Action=ListRoles", "content_type": FORM, "signing": "iam"},
            "query",
            "InvalidAction",
            400,
        ),
        (
            {"body": b"Action=Fly&Version=2016-11-15", "content_type": FORM, "signing": "ec2"},
            "ec2",
            "InvalidAction",
            400,
        ),
        (
            {"path": "/service/X/operation/Y", "smithy_protocol": "rpc-v2-cbor"},
            "smithy-rpc-v2-cbor",
            "UnknownOperationException",
            404,
        ),
        ({"method": "PATCH", "path": "/b", "signing": "s3"}, "rest-xml", "MethodNotAllowed", 405),
        (
            {"method": "GET", "path": "/nothing/here/at/all", "signing": "eks"},
            "rest-json",
            "UnknownOperationException",
            404,
        ),
        ({"x_amz_target": "A.B", "signing": "nobody"}, "json", "UnknownOperationException", 400),
    ],
)
def test_what_nobody_serves_is_refused_in_the_callers_protocol(
    asked: dict[str, str | bytes], protocol: str, code: str, status: int
) -> None:
    error = refusal(**asked)
    assert (error.protocol, error.code, error.status) == (protocol, code, status)


def test_a_signature_for_one_service_opens_no_other() -> None:
    error = refusal(x_amz_target="AmazonEC2ContainerServiceV20141113.RunTask", signing="sqs")
    assert error.code == "InvalidSignatureException"
    assert "'ecs'" in error.message
    error = refusal(body=b"Action=ListRoles&Version=2010-05-08", content_type=FORM, signing="sts")
    assert error.code == "InvalidAction"
    error = refusal(method="GET", path="/clusters/a", signing="efs")
    assert error.code == "UnknownOperationException"


@settings(max_examples=150, deadline=None)
@given(
    method=st.sampled_from(["GET", "POST", "PUT", "BREW"]),
    path=st.text(max_size=20),
    query=st.text(max_size=20),
    body=st.binary(max_size=20),
    signing=st.sampled_from([None, "ecs", "s3", "iam", "ec2", "eks", "monitoring", ""]),
    headers=st.dictionaries(
        st.sampled_from(["x_amz_target", "content_type", "smithy_protocol"]),
        st.text(max_size=10) | st.sampled_from([FORM, "rpc-v2-cbor", "application/x-amz-json-1.1"]),
    ),
)
def test_strange_requests_never_crash(
    method: str, path: str, query: str, body: bytes, signing: str | None, headers: dict[str, str]
) -> None:
    try:
        route(method, path, query, body, signing, **headers)
    except UnroutableError as error:
        assert error.code  # noqa: PT017 - a route is right too
