"""`homeport explain`: what is asked for, and how the answer reads."""

from __future__ import annotations

from typing import Any

import pytest

from homeport.app.connection import Connection
from homeport.cli.client import AwsClient
from homeport.cli.explain import arn_of, explain, lines
from homeport.cli.output import CliError
from tests.kit.aws_http import fake_aws

HEAD = "arn:aws:ecs:us-east-1:000000000000"
TOLD: dict[str, Any] = {
    "arn": f"{HEAD}:service/default/web",
    "kind": "service",
    "status": "ACTIVE",
    "verdict": "2 tasks are missing, and none of 1 container instances can take one.",
    "because": ["1 x RESOURCE:MEMORY"],
    "remedies": ["Ask for less memory."],
    "numbers": {"desired": 2, "healthy": 0},
    "instances": [
        {
            "containerInstance": "a" * 32,
            "fits": False,
            "reason": "RESOURCE:MEMORY",
            "asked": 100,
            "free": 50,
        }
    ],
}


def offline() -> AwsClient:
    return AwsClient(
        Connection(
            endpoint="http://127.0.0.1:1",
            access_key_id="k",
            secret_access_key="s",
            region="us-east-1",
            account_id="000000000000",
        )
    )


def test_an_arn_is_taken_as_it_is() -> None:
    assert arn_of(offline(), "default", "", f"{HEAD}:task/default/1") == f"{HEAD}:task/default/1"


def test_a_service_is_named_by_its_name() -> None:
    assert arn_of(offline(), "blue", "service", "web") == f"{HEAD}:service/blue/web"


def test_a_deployment_needs_its_arn() -> None:
    with pytest.raises(CliError, match="not a deployment's ARN"):
        arn_of(offline(), "default", "deployment", "ecs-svc/1")


@pytest.mark.parametrize(
    ("kind", "reference", "ends"),
    [("task", "ab", "task/default/abc"), ("", "ab", "task/default/abc"), ("", "web", "service/default/web")],
)
def test_a_task_is_named_by_the_beginning_of_its_id(kind: str, reference: str, ends: str) -> None:
    tasks = [{"taskArn": f"{HEAD}:task/default/{uid}"} for uid in ("abc", "xbc", "xcc")]
    answers = {
        "ListTasks": lambda members: (
            200,
            {"taskArns": [t["taskArn"] for t in tasks] if members["desiredStatus"] == "RUNNING" else []},
        ),
        "DescribeTasks": (200, {"tasks": tasks}),
    }
    with fake_aws(**answers) as aws, AwsClient(aws.connection) as api:
        assert arn_of(api, "default", kind, reference).endswith(ends)
        with pytest.raises(CliError, match="could be 2 tasks"):
            arn_of(api, "default", kind, "x")


def test_people_read_the_verdict_the_numbers_and_what_to_do() -> None:
    assert list(lines(TOLD)) == [
        "service web  ACTIVE",
        "2 tasks are missing, and none of 1 container instances can take one.",
        "  - 1 x RESOURCE:MEMORY",
        "  desired 2  healthy 0",
        "Container instances, for one more task:",
        "  aaaaaaaaaaaa  RESOURCE:MEMORY: asked 100, free 50",
        "What to do:",
        "  - Ask for less memory.",
    ]


def test_containers_are_told_with_what_ended_them() -> None:
    told = TOLD | {
        "instances": [],
        "containers": [{"name": "app", "lastStatus": "STOPPED", "exitCode": 137, "reason": "OutOfMemory"}],
    }
    assert "  container app: STOPPED, exit code 137, OutOfMemory" in list(lines(told))


def test_more_instances_than_fit_a_screen_are_counted() -> None:
    told = TOLD | {"instances": [{"containerInstance": "b" * 32, "fits": True}] * 23}
    assert "  and 3 more (--json shows all)" in list(lines(told))


@pytest.mark.parametrize("words", [(), ("a", "b"), ("task", "a", "b")])
def test_what_names_nothing_is_wrong_usage(words: tuple[str, ...]) -> None:
    with pytest.raises(CliError) as caught:
        explain(*words)
    assert caught.value.status == 2
