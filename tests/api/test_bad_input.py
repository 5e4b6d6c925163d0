"""Bad input never hurts: whatever is asked of whichever operation, a modelled 4xx that helps, never a 500.

The requests go into the gateway's chain in this process; botocore writes them before they are
spoilt, and reads the answers.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import quote

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from homeport.app.wiring import MANIFESTS, build_chain
from homeport.core.sigv4 import Credentials
from homeport.gateway.stages import Anonymous
from homeport.wire.http import HttpRequest
from homeport.wire.model import service_api
from tests.kit.attacker import (
    PROTOCOLS,
    RAW,
    SERVED,
    Attacker,
    changed,
    envelope,
    must_be_a_refusal,
    must_be_an_answer,
    spoilt_form,
    spoilt_json,
)
from tests.kit.server import Live, credentials
from tests.wire.oracle import sent, values

# The server's thread shares Python's dice; Hypothesis takes its throws for a strategy's.
pytestmark = pytest.mark.filterwarnings("ignore:Do not use the `random` module inside strategies")
QUICK = settings(
    max_examples=settings.default.max_examples // 2,  # times a hundred tests
    deadline=None,
    suppress_health_check=[
        HealthCheck.too_slow,
        HealthCheck.filter_too_much,
        HealthCheck.data_too_large,
        HealthCheck.function_scoped_fixture,
    ],
)
EASY = {
    "acm": "ListCertificates",
    "ec2": "DescribeVpcs",
    "ecs": "ListTasks",
    "elb": "DescribeLoadBalancers",
    "elbv2": "DescribeLoadBalancers",
    "iam": "ListUsers",
    "secretsmanager": "ListSecrets",
    "servicediscovery": "ListServices",
    "ssm": "DescribeParameters",
    "sts": "GetCallerIdentity",
}
"""An operation of each service that needs no input."""
OPEN = {
    (one.name, operation): found.open
    for one in MANIFESTS
    for operation in one.operations.names()
    if (found := one.operations.find(operation))
}
"""Whether an operation needs no permission."""
PREFIXES = {one.name: one.operations.action_prefix for one in MANIFESTS}
EACH_SERVED = pytest.mark.parametrize(("service", "operation"), SERVED)
TASK_DEFINITION = {
    "family": "known",
    "containerDefinitions": [{"name": "app", "image": "app:1", "memory": 64, "command": ["stay"]}],
}


@pytest.fixture(scope="module")
def attacker(live: Live) -> Iterator[Attacker]:
    live.add_node()
    live.client("iam").create_user(UserName="known")
    return Attacker(live)


@pytest.fixture(scope="module")
def known(live: Live, ecs: Any, attacker: Attacker) -> dict[str, list[str]]:
    """Members that name something, and names of what is there."""
    ecs.create_cluster(clusterName="known")
    definition = ecs.register_task_definition(**TASK_DEFINITION)["taskDefinition"]["taskDefinitionArn"]
    (instance,) = ecs.list_container_instances()["containerInstanceArns"]
    task = ecs.run_task(taskDefinition="known")["tasks"][0]["taskArn"]
    service = ecs.create_service(serviceName="known", taskDefinition="known", desiredCount=1)["service"]
    clusters = ["default", "known", "arn:aws:ecs:us-east-1:000000000000:cluster/default"]
    arns = [definition, instance, task, service["serviceArn"], clusters[2]]
    definitions = ["known", "known:1", definition]
    return {
        "cluster": clusters, "clusters": clusters, "clusterName": clusters[:2], "family": ["known", "f"],
        "taskDefinition": definitions, "taskDefinitions": definitions[1:], "task": [task], "tasks": [task],
        "containerInstance": [instance], "containerInstances": [instance], "service": ["known"],
        "services": ["known", service["serviceArn"]], "serviceName": ["known", "s"], "resourceArn": arns,
        "targetId": [instance], "UserName": ["known"], "name": ["app"], "image": ["app:1"],
    }  # fmt: skip


def seasoned(draw: st.DrawFn, value: Any, known: dict[str, list[str]]) -> Any:
    """The value with names of things that exist in some places: more than the first look-up is met."""
    if isinstance(value, dict):
        return {
            name: seasoned_member(draw, name, inner, known) if name in known else seasoned(draw, inner, known)
            for name, inner in value.items()
        }
    return [seasoned(draw, item, known) for item in value] if isinstance(value, list) else value


def seasoned_member(draw: st.DrawFn, name: str, value: Any, known: dict[str, list[str]]) -> Any:
    if isinstance(value, str) and draw(st.booleans()):
        return draw(st.sampled_from(known[name]))
    if isinstance(value, list) and value and isinstance(value[0], str) and draw(st.booleans()):
        return draw(st.lists(st.sampled_from(known[name]), max_size=3))
    return value


@EACH_SERVED
@QUICK
@given(data=st.data())
def test_whatever_the_model_allows_is_answered(
    attacker: Attacker, known: dict[str, list[str]], service: str, operation: str, data: st.DataObject
) -> None:
    value = data.draw(values(service_api(service).operation(operation).input))
    value = seasoned(data.draw, value, known)
    must_be_an_answer(service, operation, attacker.ask(service, operation, value))


@EACH_SERVED
@QUICK
@given(data=st.data())
def test_whatever_is_spoilt_is_answered_or_refused_in_words(
    attacker: Attacker, known: dict[str, list[str]], service: str, operation: str, data: st.DataObject
) -> None:
    protocol = PROTOCOLS[service]
    value = seasoned(data.draw, data.draw(values(service_api(service).operation(operation).input)), known)
    request = sent(service, operation, protocol, value)
    if protocol == "json":
        body = data.draw(spoilt_json(json.loads(request.body or b"{}")))
    else:
        body = data.draw(spoilt_form(request.body))
    must_be_an_answer(service, operation, attacker.post(service, operation, body))


@EACH_SERVED
def test_bodies_that_nobody_should_send_are_answered_or_refused_in_words(
    attacker: Attacker, known: dict[str, list[str]], service: str, operation: str
) -> None:
    for body in RAW:
        outcome = attacker.post(service, operation, body)
        if PROTOCOLS[service] != "json" and outcome.operation != operation:
            must_be_an_answer(service, outcome.operation, outcome)
        else:
            must_be_an_answer(service, operation, outcome)


@EACH_SERVED
def test_a_refusal_never_repeats_megabytes(attacker: Attacker, service: str, operation: str) -> None:
    members = service_api(service).operation(operation).input.members
    texts = [name for name, member in members.items() if member.kind == "string"] or ["bogus"]
    huge = "x" * 300_000
    for name in texts:
        if PROTOCOLS[service] == "json":
            body = json.dumps({name: huge}).encode()
        else:
            body = f"Action={operation}&Version={service_api(service).api_version}&{name}={huge}".encode()
        outcome = attacker.post(service, operation, body)
        must_be_an_answer(service, operation, outcome)
        assert len(outcome.answer.body) < 5000


HEADERS = [
    {"content-type": "text/plain"}, {"content-type": ""}, {"content-type": "\xff"},
    {"content-type": "application/x-amz-json-1.0"}, {"content-type": "application/cbor"},
    {"content-type": "multipart/form-data; boundary=x"},
    {"content-type": "application/x-www-form-urlencoded"},
    {"content-type": "application/x-amz-json-1.1; charset=utf-16"}, {"content-encoding": "gzip"},
    {"content-encoding": "aws-chunked"}, {"content-encoding": "br"}, {"transfer-encoding": "gzip"},
    {"smithy-protocol": "rpc-v2-cbor"}, {"accept": "application/xml"}, {"x-amzn-query-mode": "true"},
    {"x-amz-target": ""}, {"x-amz-target": "."}, {"x-amz-target": "ListTasks"}, {"x-amz-target": "\xff.\xff"},
    {"x-amz-target": "AmazonEC2ContainerServiceV20141113."}, {"x-amz-target": "x" * 9000},
    {"x-amz-target": "AmazonEC2ContainerServiceV20141113.listtasks"},
    {"x-amz-target": "AmazonEC2ContainerServiceV20141113.ListTasks.x"},
    {"x-amz-target": "AmazonEC2ContainerServiceV20141113.__class__"}, {"x-amz-target": "AWSIE.Foo"},
    {"expect": "100-continue"}, {"x-forwarded-for": "\u00e9" * 50}, {"content-md5": "x"},
    {"range": "bytes=0-"},
]  # fmt: skip


@pytest.mark.parametrize("headers", HEADERS, ids=str)
@pytest.mark.parametrize("service", PROTOCOLS)
def test_strange_headers_are_put_up_with_or_refused_in_words(
    attacker: Attacker, service: str, headers: dict[str, str]
) -> None:
    bodies = {
        **{service: (EASY[service], b"{}") for service, how in PROTOCOLS.items() if how == "json"},
        "ec2": ("DescribeVpcs", b"Action=DescribeVpcs&Version=2016-11-15"),
        "elb": ("DescribeLoadBalancers", b"Action=DescribeLoadBalancers&Version=2012-06-01"),
        "elbv2": ("DescribeLoadBalancers", b"Action=DescribeLoadBalancers&Version=2015-12-01"),
        "iam": ("ListUsers", b"Action=ListUsers&Version=2010-05-08"),
        "sts": ("GetCallerIdentity", b"Action=GetCallerIdentity&Version=2011-06-15"),
    }
    operation, body = bodies[service]
    outcome = attacker.post(service, operation, body, headers)
    assert outcome.answer.status < 500
    assert outcome.answer.status == 200 or outcome.error
    assert dict(outcome.answer.headers)["x-amzn-requestid"] == outcome.request_id
    assert b"Traceback" not in outcome.answer.body


def test_an_operation_without_a_target_is_refused(attacker: Attacker) -> None:
    request = envelope("ecs", "ListTasks", b"{}", {})
    kept = {name: value for name, value in request.headers.items() if name != "x-amz-target"}
    outcome = attacker.send(attacker.sign(changed(request, headers=kept), service="ecs"))
    assert must_be_a_refusal("ecs", outcome)["Code"] == "UnknownOperationException"


@pytest.mark.parametrize("method", ["GET", "PUT", "DELETE", "HEAD", "OPTIONS", "PATCH", "TRACE", "x"])
@pytest.mark.parametrize("path", ["/", "/ecs", "/%00", "//", "/..", "/service/ecs/operation/ListTasks"])
def test_strange_methods_and_paths_never_hurt(attacker: Attacker, method: str, path: str) -> None:
    request = changed(envelope("ecs", "ListTasks", b"{}", {}), method=method, raw_path=path)
    outcome = attacker.send(attacker.sign(request, service="ecs"))
    assert outcome.answer.status in (200, 400, 403, 404, 405)


# ---- who is not believed ------------------------------------------------------------------------

NOW = datetime.now(UTC)
OLD = NOW - timedelta(minutes=16)
EARLY = NOW + timedelta(minutes=16)


def signed(attacker: Attacker, service: str = "ecs", **how: Any) -> HttpRequest:
    operation = EASY[service]
    return attacker.sign(sent(service, operation, PROTOCOLS[service], {}), service=service, **how)


def without(request: HttpRequest, name: str) -> HttpRequest:
    return changed(request, headers={n: v for n, v in request.headers.items() if n != name})


def with_header(request: HttpRequest, name: str, value: str) -> HttpRequest:
    return changed(request, headers={**request.headers, name: value})


UNPROVEN = {
    "not signed": lambda a, s: without(signed(a, s), "authorization"),
    "signed long ago": lambda a, s: signed(a, s, at=datetime.now(UTC) - timedelta(minutes=16)),
    "signed in the future": lambda a, s: signed(a, s, at=datetime.now(UTC) + timedelta(minutes=16)),
    "signed last year": lambda a, s: signed(a, s, at=datetime.now(UTC) - timedelta(days=365)),
    "replayed under a new date": lambda a, s: with_header(signed(a, s), "x-amz-date", "20300101T000000Z"),
    "without its date": lambda a, s: without(signed(a, s), "x-amz-date"),
    "with no date at all": lambda a, s: with_header(without(signed(a, s), "x-amz-date"), "date", "yesterday"),
    "without a signed header": lambda a, s: without(signed(a, s), "content-type"),
    "without its host": lambda a, s: without(signed(a, s), "host"),
    "sent to another host": lambda a, s: with_header(signed(a, s), "host", "example.com"),
    "with another body": lambda a, s: changed(signed(a, s), body=b'{"cluster": "x"}'),
    "with another path": lambda a, s: changed(signed(a, s), raw_path="/x"),
    "with another query": lambda a, s: changed(signed(a, s), raw_query="a=b"),
    "with another method": lambda a, s: changed(signed(a, s), method="PUT"),
    "by a key nobody has": lambda a, s: signed(
        a, s, key=Credentials(access_key_id="AKIANOBODYHASTHISKEY", secret_access_key="x")
    ),
    "by a key with another secret": lambda a, s: signed(
        a, s, key=Credentials(access_key_id=a.live.keys.root.access_key_id, secret_access_key="x")
    ),
    "with a session nobody opened": lambda a, s: signed(
        a, s, key=Credentials(access_key_id="ASIANOBODYHASTHISKEY", secret_access_key="x", session_token="y")
    ),
    "with a token that a key has not": lambda a, s: with_header(
        signed(a, s), "x-amz-security-token", "made-up"
    ),
    "with an unsigned amz header": lambda a, s: with_header(signed(a, s), "x-amz-acl", "public-read"),
    "with a payload of no hash": lambda a, s: with_header(
        signed(a, s), "x-amz-content-sha256", "UNSIGNED-PAYLOAD"
    ),
    "in chunks": lambda a, s: with_header(
        signed(a, s), "x-amz-content-sha256", "STREAMING-AWS4-HMAC-SHA256-PAYLOAD"
    ),
    "with an empty proof": lambda a, s: with_header(signed(a, s), "authorization", ""),
    "with a word": lambda a, s: with_header(signed(a, s), "authorization", "AWS4-HMAC-SHA256"),
    "by version 2": lambda a, s: with_header(signed(a, s), "authorization", "AWS AKID:c2lnbmF0dXJl"),
    "by a bearer": lambda a, s: with_header(signed(a, s), "authorization", "Bearer abc"),
    "by version 4a": lambda a, s: with_header(
        signed(a, s), "authorization", signed(a, s).headers["authorization"].replace("HMAC", "ECDSA-P256")
    ),
    "presigned in part": lambda a, s: changed(
        without(signed(a, s), "authorization"), raw_query="X-Amz-Signature=" + "0" * 64
    ),
    "presigned for ever": lambda a, s: changed(
        without(signed(a, s), "authorization"),
        raw_query="X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Expires=99999999&X-Amz-Date=20260101T000000Z"
        "&X-Amz-SignedHeaders=host&X-Amz-Signature=" + "0" * 64 + "&X-Amz-Credential="
        + quote(f"{a.live.keys.root.access_key_id}/20260101/us-east-1/{s}/aws4_request", safe=""),
    ),
    "proven twice": lambda a, s: changed(signed(a, s), raw_query="X-Amz-Signature=" + "0" * 64),
}  # fmt: skip


@pytest.mark.parametrize("service", PROTOCOLS)
@pytest.mark.parametrize("how", UNPROVEN)
def test_who_is_not_proven_is_refused_in_words(attacker: Attacker, service: str, how: str) -> None:
    outcome = attacker.send(UNPROVEN[how](attacker, service))
    error = must_be_a_refusal(service, outcome)
    assert error["Code"] != "InternalFailure"
    assert outcome.account_id == "-"


@pytest.fixture(scope="module")
def powerless(live: Live) -> Credentials:
    iam = live.client("iam")
    iam.create_user(UserName="powerless")
    return credentials(iam.create_access_key(UserName="powerless")["AccessKey"])


@EACH_SERVED
@settings(QUICK, max_examples=2)
@given(data=st.data())
def test_who_is_known_but_may_nothing_does_nothing(
    attacker: Attacker, powerless: Credentials, service: str, operation: str, data: st.DataObject
) -> None:
    value = data.draw(values(service_api(service).operation(operation).input))
    request = sent(service, operation, PROTOCOLS[service], value)
    outcome = attacker.send(attacker.sign(request, service=service, key=powerless))
    if OPEN[service, operation]:
        must_be_an_answer(service, operation, outcome)
        return
    error = must_be_a_refusal(service, outcome)
    is_missing = error["Code"] == "MissingParameter" or error["Message"].endswith("Member must not be null")
    if PROTOCOLS[service] != "json" and is_missing:
        return  # a list of nothing but empty structures is nothing on the wire
    codes = {"ec2": "UnauthorizedOperation", "query": "AccessDenied", "json": "AccessDeniedException"}
    assert error["Code"] == codes[PROTOCOLS[service]]
    assert (
        f"user/powerless is not authorized to perform: {PREFIXES[service]}:{operation} on resource: "
        in error["Message"]
    )


@pytest.mark.parametrize("service", PROTOCOLS)
def test_where_everybody_is_believed_nothing_hurts_either(attacker: Attacker, service: str) -> None:
    anonymous = Anonymous(account_id="000000000000", region="us-east-1")
    chain = build_chain(attacker.live.plane, attacker.ring, anonymous=anonymous)
    for how, make in UNPROVEN.items():
        outcome = attacker.live.run(chain.handle(make(attacker, service), attacker.live.endpoint))
        assert outcome.answer.status < 500, how
        assert (outcome.answer.status == 200) == (outcome.error is None)


def test_a_signature_for_another_service_is_refused(attacker: Attacker) -> None:
    request = attacker.sign(envelope("ecs", "ListTasks", b"{}", {}), service="iam")
    error = must_be_a_refusal("ecs", attacker.send(request))
    assert "Credential should be scoped to correct service: 'ecs'" in error["Message"]


@QUICK
@given(
    st.text(max_size=200), st.sampled_from(["authorization", "x-amz-date", "x-amz-security-token", "host"])
)
@example("AWS4-HMAC-SHA256 Credential=, SignedHeaders=, Signature=", "authorization")
def test_nonsense_in_a_proof_is_refused_in_words(attacker: Attacker, text: str, name: str) -> None:
    text = text.encode("utf-8", "surrogatepass").decode("latin-1")
    request = signed(attacker)
    if text.strip() == request.headers[name] if name in request.headers else not text.strip():
        return
    must_be_a_refusal("ecs", attacker.send(with_header(request, name, text)))


@QUICK
@given(st.integers(0, 63), st.sampled_from("0123456789abcdef"))
def test_no_digit_of_a_signature_may_change(attacker: Attacker, at: int, digit: str) -> None:
    request = signed(attacker)
    head, _, proof = request.headers["authorization"].rpartition("=")
    forged = proof[:at] + digit + proof[at + 1 :]
    outcome = attacker.send(with_header(request, "authorization", f"{head}={forged}"))
    if forged == proof:
        assert outcome.answer.status == 200
    else:
        assert must_be_a_refusal("ecs", outcome)["Code"] == "InvalidSignatureException"
