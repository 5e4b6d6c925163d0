"""The command line's own small AWS client."""

from __future__ import annotations

import socket

import pytest

from homeport.app.connection import Connection
from homeport.cli.client import ApiError, AwsClient, UnreachableError
from tests.kit.aws_http import fake_aws

USER = (
    '<CreateUserResponse xmlns="https://iam.amazonaws.com/doc/2010-05-08/"><CreateUserResult><User>'
    "<UserName>n1</UserName></User></CreateUserResult></CreateUserResponse>"
)
EXISTS = (
    '<ErrorResponse xmlns="https://iam.amazonaws.com/doc/2010-05-08/"><Error><Type>Sender</Type>'
    "<Code>EntityAlreadyExists</Code><Message>User with name n1 already exists.</Message></Error>"
    "<RequestId>r-7</RequestId></ErrorResponse>"
)


def test_a_json_call_is_signed_as_botocore_signs_it() -> None:
    with fake_aws(ListClusters=(200, {"clusterArns": ["a"]})) as aws:
        client = AwsClient(aws.connection)
        assert client.call("ListClusters", maxResults=3) == {"clusterArns": ["a"]}
        client.close()
    assert [(a.service, a.operation, a.members) for a in aws.asked] == [
        ("ecs", "ListClusters", {"maxResults": 3})
    ]


def test_a_query_call_is_signed_as_botocore_signs_it() -> None:
    with fake_aws(CreateUser=(200, USER)) as aws:
        client = AwsClient(aws.connection)
        answer = client.query("iam", "CreateUser", UserName="n 1+=ä")
        assert answer.findtext(".//UserName") == "n1"
        client.close()
    assert aws.asked[0].members == {"Action": "CreateUser", "Version": "2010-05-08", "UserName": "n 1+=ä"}


def test_one_connection_serves_many_calls() -> None:
    with fake_aws(ListClusters=(200, {"clusterArns": []})) as aws:
        client = AwsClient(aws.connection)
        for _ in range(5):
            client.call("ListClusters")
        client.close()
    assert aws.connections == 1


def test_pages_are_followed_to_the_end() -> None:
    book = {None: (["a", "b"], "t1"), "t1": (["c"], "t2"), "t2": (["d"], None)}

    def answer(members):
        arns, token = book[members.get("nextToken")]
        return 200, {"clusterArns": arns, "nextToken": token}

    with fake_aws(ListClusters=answer) as aws:
        client = AwsClient(aws.connection)
        assert list(client.pages("ListClusters", "clusterArns")) == ["a", "b", "c", "d"]
        client.close()


@pytest.mark.parametrize("kind", ["ClusterNotFoundException", "com.amazonaws.ecs#ClusterNotFoundException"])
def test_a_refusal_keeps_its_code_message_and_request_id(kind: str) -> None:
    with fake_aws(DescribeTasks=(400, {"__type": kind, "message": "Cluster not found."})) as aws:
        client = AwsClient(aws.connection)
        with pytest.raises(ApiError) as caught:
            client.call("DescribeTasks")
        client.close()
    error = caught.value
    assert (error.code, error.message, error.status, error.request_id) == (
        "ClusterNotFoundException", "Cluster not found.", 400, "req-1",
    )  # fmt: skip


def test_a_query_refusal_is_read_from_its_xml() -> None:
    with fake_aws(CreateUser=(409, EXISTS)) as aws:
        client = AwsClient(aws.connection)
        with pytest.raises(ApiError) as caught:
            client.query("iam", "CreateUser", UserName="n1")
        client.close()
    assert (caught.value.code, caught.value.request_id) == ("EntityAlreadyExists", "r-7")


@pytest.mark.parametrize("answer", ["", "<html>bad gateway</html>", "[]", "not json"])
def test_an_answer_that_is_not_ours_is_an_error_not_a_crash(answer: str) -> None:
    with fake_aws(DescribeTasks=(502, answer), CreateUser=(502, answer)) as aws:
        client = AwsClient(aws.connection)
        with pytest.raises(ApiError):
            client.call("DescribeTasks")
        with pytest.raises(ApiError):
            client.query("iam", "CreateUser")
        client.close()


def test_nobody_listening_is_unreachable() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    where = Connection(
        endpoint=f"http://127.0.0.1:{port}", access_key_id="AKIA", secret_access_key="s", region="us-east-1",
        account_id="0" * 12,
    )  # fmt: skip
    with pytest.raises(UnreachableError, match=str(port)):
        AwsClient(where).call("ListClusters")


def test_a_read_on_a_connection_that_died_is_asked_again() -> None:
    with fake_aws(ListClusters=(200, {"clusterArns": []})) as aws:
        client = AwsClient(aws.connection)
        client.call("ListClusters")
        aws.drop = 1
        assert client.call("ListClusters") == {"clusterArns": []}
        client.close()
    assert aws.connections == 2


def test_a_change_is_never_sent_twice() -> None:
    with fake_aws(ListClusters=(200, {"clusterArns": []}), CreateService=(200, {})) as aws:
        client = AwsClient(aws.connection)
        client.call("ListClusters")
        aws.drop = 1
        with pytest.raises(UnreachableError):
            client.call("CreateService")
        client.close()
    assert [a.operation for a in aws.asked] == ["ListClusters"]
