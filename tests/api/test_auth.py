"""Nobody gets in unproven, and nobody does more than they may."""

from __future__ import annotations

import http.client
import json
import time
from collections.abc import Callable
from typing import Any
from urllib.parse import urlparse

import pytest
from botocore.exceptions import ClientError

from homeport.core.clock import SystemClock
from homeport.core.sigv4 import sign_headers
from homeport.gateway.stages import Anonymous
from tests.kit.server import Live, live_server

AGENT_POLICY = "arn:aws:iam::aws:policy/service-role/AmazonEC2ContainerServiceforEC2Role"


def keys(key: dict[str, Any]) -> dict[str, Any]:
    return {
        "aws_access_key_id": key["AccessKeyId"],
        "aws_secret_access_key": key["SecretAccessKey"],
        "aws_session_token": key.get("SessionToken"),
    }


@pytest.fixture(scope="module")
def agent_key(live: Live) -> dict[str, Any]:
    iam = live.client("iam")
    iam.create_user(UserName="node")
    iam.attach_user_policy(UserName="node", PolicyArn=AGENT_POLICY)
    return iam.create_access_key(UserName="node")["AccessKey"]


def post(live: Live, body: bytes, headers: dict[str, str], path: str = "/") -> tuple[int, dict[str, Any]]:
    connection = http.client.HTTPConnection(urlparse(live.endpoint).netloc, timeout=10)
    connection.request("POST", path, body, headers)
    answer = connection.getresponse()
    text = answer.read()
    connection.close()
    return answer.status, json.loads(text) if text.startswith(b"{") else {"raw": text.decode()}


TARGET = {
    "content-type": "application/x-amz-json-1.1",
    "x-amz-target": "AmazonEC2ContainerServiceV20141113.ListClusters",
}


def test_an_unsigned_request_is_refused(live: Live) -> None:
    status, error = post(live, b"{}", TARGET)
    assert (status, error["__type"]) == (400, "MissingAuthenticationTokenException")


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"aws_secret_access_key": "wrong"}, "InvalidSignatureException"),
        ({"aws_access_key_id": "AKIAUNKNOWNUNKNOWNUN"}, "UnrecognizedClientException"),
        ({"aws_session_token": "made-up"}, "UnrecognizedClientException"),
    ],
)
def test_a_wrong_proof_is_refused(live: Live, changes: dict[str, Any], code: str) -> None:
    with pytest.raises(ClientError) as caught:
        live.client("ecs", **changes).list_clusters()
    assert caught.value.response["Error"]["Code"] == code


def test_a_query_service_refuses_in_its_own_words(live: Live) -> None:
    with pytest.raises(ClientError) as caught:
        live.client("sts", aws_secret_access_key="wrong").get_caller_identity()
    assert caught.value.response["Error"]["Code"] == "SignatureDoesNotMatch"
    assert caught.value.response["ResponseMetadata"]["HTTPStatusCode"] == 403


def test_who_am_i_tells_root_user_and_session(live: Live, agent_key: dict[str, Any]) -> None:
    assert live.client("sts").get_caller_identity()["Arn"] == "arn:aws:iam::000000000000:root"
    user = live.client("sts", **keys(agent_key))
    assert user.get_caller_identity()["Arn"] == "arn:aws:iam::000000000000:user/node"
    session = user.get_session_token(DurationSeconds=900)["Credentials"]
    as_session = live.client("sts", **keys(session))
    assert as_session.get_caller_identity()["Arn"] == "arn:aws:iam::000000000000:user/node"
    with pytest.raises(ClientError) as caught:
        live.client("sts", **{**keys(session), "aws_session_token": "x"}).get_caller_identity()
    assert caught.value.response["Error"]["Code"] == "InvalidClientTokenId"


def test_an_agents_key_can_do_only_what_an_agent_needs(live: Live, agent_key: dict[str, Any]) -> None:
    ecs = live.client("ecs", **keys(agent_key))
    for call in (
        lambda: ecs.run_task(taskDefinition="x"),
        lambda: ecs.delete_cluster(cluster="default"),
        ecs.list_tasks,
        lambda: ecs.register_task_definition(family="x", containerDefinitions=[]),
    ):
        with pytest.raises(ClientError) as caught:
            call()
        error = caught.value.response["Error"]
        assert error["Code"] == "AccessDeniedException"
        assert "arn:aws:iam::000000000000:user/node is not authorized to perform: ecs:" in error["Message"]
    with pytest.raises(ClientError) as caught:
        live.client("iam", **keys(agent_key)).create_user(UserName="mallory")
    assert caught.value.response["Error"]["Code"] == "AccessDenied"


def refused_soon(ask: Callable[[], Any]) -> str:
    """The code by which a call is refused once the news of a change is through to the gateway."""
    deadline = time.monotonic() + 10
    while time.monotonic() < deadline:
        try:
            ask()
        except ClientError as error:
            return str(error.response["Error"]["Code"])
    return "never refused"


def test_a_deleted_key_and_its_sessions_prove_nobody(live: Live) -> None:
    iam = live.client("iam")
    iam.create_user(UserName="leaver")
    key = iam.create_access_key(UserName="leaver")["AccessKey"]
    sts = live.client("sts", **keys(key))
    session = live.client("sts", **keys(sts.get_session_token()["Credentials"]))
    assert session.get_caller_identity()["Arn"].endswith("user/leaver")
    iam.delete_access_key(UserName="leaver", AccessKeyId=key["AccessKeyId"])
    assert refused_soon(sts.get_caller_identity) == "InvalidClientTokenId"
    iam.delete_user(UserName="leaver")
    with pytest.raises(ClientError):
        session.get_caller_identity()


@pytest.mark.parametrize(
    ("body", "code", "text"),
    [
        (b"", "ClusterNotFoundException", "Cluster not found."),  # an empty body is an empty object
        (b"{}", "ClusterNotFoundException", "Cluster not found."),
        (b"{", "InvalidParameterException", "The body is not JSON"),
        (b"\xff\xfe", "InvalidParameterException", "The body is not JSON"),
        (b"{" * 5000, "InvalidParameterException", "The body is not JSON"),
        (b'{"maxResults": 1e400}', "InvalidParameterException", "The body is not JSON"),
        (
            b"[]",
            "InvalidParameterException",
            "at 'input' failed to satisfy constraint: Member must be an object",
        ),
        (b"null", "InvalidParameterException", "Value null at 'input'"),
        (b'"x"', "InvalidParameterException", "Value 'x' at 'input'"),
        (b'{"cluster": 5}', "InvalidParameterException", "Value 5 at 'cluster'"),
        (b'{"cluster": {"a": 1}}', "InvalidParameterException", "at 'cluster' failed to satisfy constraint"),
        (b'{"clusters": ["x"]}', "InvalidParameterException", 'Unknown parameter in input: "clusters"'),
        (b'{"tasks": "x"}', "InvalidParameterException", 'Unknown parameter in input: "tasks"'),
    ],
    ids=lambda value: value[:24].decode("latin-1") if isinstance(value, bytes) else "",
)
def test_bad_bodies_get_a_modelled_answer_that_helps(live: Live, body: bytes, code: str, text: str) -> None:
    headers = sign_headers(
        live.keys.root,
        method="POST",
        path="/",
        query=(),
        headers={
            "host": urlparse(live.endpoint).netloc,
            **TARGET,
            "x-amz-target": "AmazonEC2ContainerServiceV20141113.ListTasks",
        },
        body=body,
        region="us-east-1",
        service="ecs",
        now=SystemClock().now(),
    )
    status, error = post(live, body, headers)
    assert (status, error["__type"]) == (400, code)
    assert text in error["message"]


def test_an_operation_that_is_not_served_says_so(live: Live) -> None:
    with pytest.raises(ClientError) as caught:
        live.client("ecs").execute_command(task="x", command="ls", interactive=True)
    assert caught.value.response["ResponseMetadata"]["HTTPStatusCode"] == 501
    assert "not supported by Homeport yet" in caught.value.response["Error"]["Message"]


def test_health_and_metrics_stand_beside_the_aws_surface(live: Live) -> None:
    connection = http.client.HTTPConnection(urlparse(live.endpoint).netloc, timeout=10)
    connection.request("GET", "/_homeport/health")
    assert json.loads(connection.getresponse().read()) == {"status": "ok", "failing": []}
    live.client("ecs").list_clusters()
    connection.request("GET", "/_homeport/metrics")
    text = connection.getresponse().read().decode()
    assert 'homeport_requests_total{operation="ListClusters",service="ecs",status="200"}' in text
    connection.close()


def test_auth_off_believes_any_key_and_a_12_digit_one_names_the_account() -> None:
    with live_server(anonymous=Anonymous(account_id="000000000000", region="us-east-1")) as live:
        anybody = live.client("ecs", aws_access_key_id="test", aws_secret_access_key="test")
        assert (
            anybody.create_cluster(clusterName="x")["cluster"]["clusterArn"].split(":")[4] == "000000000000"
        )
        other = live.client("ecs", aws_access_key_id="123456789012", aws_secret_access_key="x")
        assert other.create_cluster(clusterName="x")["cluster"]["clusterArn"].split(":")[4] == "123456789012"
        assert len(anybody.list_clusters()["clusterArns"]) == 1
