"""What `ps`, `logs` and `node add` make of what the API and Docker tell."""

from __future__ import annotations

import threading
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from homeport.app.connection import write_connection
from homeport.app.docker.client import LogChunk
from homeport.cli.client import AwsClient
from homeport.cli.env import variables
from homeport.cli.logs import containers_of, explain_missing, prefixing
from homeport.cli.main import main
from homeport.cli.node import AGENT_POLICY, line_for, make_key
from homeport.cli.output import CliError
from homeport.cli.ps import rows
from homeport.cli.up import Readiness
from tests.kit.aws_http import fake_aws

ARN = "arn:aws:ecs:us-east-1:000000000000"
NOW = datetime(2030, 1, 1, tzinfo=UTC)
TASK: dict[str, Any] = {
    "taskArn": f"{ARN}:task/default/0123456789abcdef0123456789abcdef",
    "taskDefinitionArn": f"{ARN}:task-definition/web:3",
    "containerInstanceArn": f"{ARN}:container-instance/default/fedcba98765432100123456789abcdef",
    "group": "service:web",
    "lastStatus": "RUNNING",
    "healthStatus": "HEALTHY",
    "createdAt": NOW.timestamp() - 90,
    "containers": [
        {
            "name": "web",
            "networkBindings": [
                {"bindIP": "10.1.2.3", "hostPort": 80, "protocol": "tcp"},
                {"bindIP": "0.0.0.0", "hostPort": 81, "protocol": "tcp"},
            ],
        }
    ],
}


def docker_container(docker_id: str, task: str, name: str) -> dict[str, Any]:
    labels = {"com.amazonaws.ecs.task-arn": task, "com.amazonaws.ecs.container-name": name}
    return {"Id": docker_id, "Labels": labels}


def test_a_row_tells_where_a_task_can_be_reached() -> None:
    assert list(rows([TASK], NOW)) == [
        (
            "0123456789ab",
            "web:3",
            "service:web",
            "fedcba987654",
            "RUNNING",
            "HEALTHY",
            "1m",
            "10.1.2.3:80, *:81",
        )
    ]


def test_a_row_of_a_stopped_task_tells_why_instead() -> None:
    stopped = TASK | {"lastStatus": "STOPPED", "stoppedReason": "enough", "stoppedAt": NOW.timestamp() - 5}
    assert next(rows([stopped], NOW))[-4:] == ("STOPPED", "-", "5s", "enough")


def test_the_youngest_task_comes_first() -> None:
    older = TASK | {"taskArn": "arn/old", "createdAt": 1.0}
    assert [row[0] for row in rows([older, TASK], NOW)] == ["0123456789ab", "old"]


def test_a_task_is_found_by_the_beginning_of_its_id() -> None:
    there = [docker_container("d1", "arn/abc1", "b"), docker_container("d2", "arn/abc1", "a")]
    assert containers_of(there, "abc") == [("a", "d2"), ("b", "d1")]
    assert containers_of(there, "abc", name="b") == [("b", "d1")]
    assert containers_of(there, "x") == []


def test_a_beginning_that_fits_two_tasks_is_refused() -> None:
    there = [docker_container("d1", "arn/abc1", "a"), docker_container("d2", "arn/abc2", "a")]
    with pytest.raises(CliError, match="could be 2 tasks"):
        containers_of(there, "abc")


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"lastStatus": "STOPPED", "stoppedReason": "enough"}, "has stopped (enough)"),
        ({"lastStatus": "PENDING"}, "no container of it exists yet"),
        ({}, "another machine"),
    ],
)
def test_output_that_is_not_here_is_explained(change: dict[str, Any], said: str) -> None:
    assert said in explain_missing("0123", [TASK | change]).message


def test_a_container_that_a_task_does_not_have_is_named_with_those_it_has() -> None:
    assert explain_missing("0123", [TASK], container="x").remedy == "It has: web."
    assert "no task" in explain_missing("9", [TASK]).message


@given(st.lists(st.binary(max_size=9)))
def test_lines_of_two_containers_are_never_mixed(pieces: list[bytes]) -> None:
    written: list[bytes] = []

    class Out:
        class buffer:
            write = staticmethod(written.append)
            flush = staticmethod(lambda: None)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("sys.stdout", Out)
        write = prefixing(b"a | ", threading.Lock())
        for piece in pieces:
            write(LogChunk(stream="stdout", data=piece))
        write(None)
    whole = b"".join(pieces)
    lines = whole.split(b"\n")
    if not lines[-1]:
        lines.pop()
    assert b"".join(written) == b"".join(b"a | " + line + b"\n" for line in lines)


KEY_XML = (
    '<R xmlns="https://iam.amazonaws.com/doc/2010-05-08/"><AccessKeyId>AKIA1</AccessKeyId>'
    "<SecretAccessKey>a b'c</SecretAccessKey></R>"
)
EMPTY = "<R/>"
REFUSED = "<E><Error><Code>LimitExceeded</Code><Message>no</Message></Error></E>"


def test_a_machines_key_may_do_what_an_agent_does_and_its_line_can_be_pasted() -> None:
    with fake_aws(
        CreateUser=(200, EMPTY), AttachUserPolicy=(200, EMPTY), CreateAccessKey=(200, KEY_XML)
    ) as aws:
        with AwsClient(aws.connection) as api:
            key = make_key(api, "edge-1")
        line = line_for(aws.connection, key, endpoint="http://10.0.0.1:4566", cluster="c 1")
    assert [asked.operation for asked in aws.asked] == ["CreateUser", "AttachUserPolicy", "CreateAccessKey"]
    assert aws.asked[1].members["PolicyArn"] == AGENT_POLICY
    assert line == (
        "sudo env AWS_ACCESS_KEY_ID=AKIA1 AWS_SECRET_ACCESS_KEY='a b'\"'\"'c' AWS_REGION=us-east-1 "
        "bin/homeport agent --endpoint http://10.0.0.1:4566 --cluster 'c 1'"
    )


def test_a_machine_of_fargates_has_a_permission_of_its_own() -> None:
    with fake_aws(
        CreateUser=(200, EMPTY),
        AttachUserPolicy=(200, EMPTY),
        PutUserPolicy=(200, EMPTY),
        CreateAccessKey=(200, KEY_XML),
    ) as aws:
        with AwsClient(aws.connection) as api:
            key = make_key(api, "edge-1", fargate=True)
        line = line_for(aws.connection, key, endpoint="http://127.0.0.1:1", cluster="default", fargate=True)
    (put,) = [asked for asked in aws.asked if asked.operation == "PutUserPolicy"]
    assert "homeport:RunFargateTasks" in put.members["PolicyDocument"]
    assert line.endswith(" --fargate --data-dir /var/lib/homeport-fargate")


def test_a_machines_user_is_not_left_without_a_key(tmp_path: Path) -> None:
    with fake_aws(
        CreateUser=(200, EMPTY), AttachUserPolicy=(200, EMPTY), CreateAccessKey=(409, REFUSED),
        DetachUserPolicy=(200, EMPTY), DeleteUser=(200, EMPTY),
    ) as aws:  # fmt: skip
        write_connection(tmp_path, aws.connection)
        with pytest.raises(SystemExit) as ended:
            main(["node", "add", "edge-1", "--endpoint", "http://h:1", "--data-dir", str(tmp_path)])
    assert ended.value.code == 1
    assert [asked.operation for asked in aws.asked][-2:] == ["DetachUserPolicy", "DeleteUser"]


def test_a_machine_cannot_join_through_loopback(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with fake_aws() as aws:
        write_connection(tmp_path, aws.connection)
        with pytest.raises(SystemExit):
            main(["node", "add", "edge-1", "--data-dir", str(tmp_path)])
    assert "reaches only this machine" in capsys.readouterr().err
    assert aws.asked == []


def test_the_exports_can_be_evaluated(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with fake_aws() as aws:
        write_connection(tmp_path, aws.connection)
        with pytest.raises(SystemExit) as ended:
            main(["env", "--data-dir", str(tmp_path)])
    assert ended.value.code == 0
    told = capsys.readouterr().out.splitlines()
    assert [line.split("=")[0] for line in told[:-1]] == [f"export {n}" for n in variables(aws.connection)]
    assert told[-1] == "unset AWS_SESSION_TOKEN AWS_PROFILE"


def test_it_is_ready_once_the_api_answers_and_all_instances_are_in() -> None:
    ready = Readiness(2)
    heard = ["node.registered", "image.ready", "gateway.ready", "node.registered", "node.registered"]
    assert [ready.heard(event) for event in heard] == [False, False, False, True, False]
    with_fargate = Readiness(1, fargate=True)
    assert not any(map(with_fargate.heard, ("gateway.ready", "node.registered")))
    assert with_fargate.heard("fargate.unavailable")
    assert Readiness(0, fargate=True).heard("gateway.ready")
    assert Readiness(0).heard("gateway.ready")
