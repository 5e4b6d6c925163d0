"""The stock `aws` CLI, with nothing but the environment that `homeport env` prints."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from homeport.app.connection import Connection
from homeport.cli.env import variables
from tests.kit.server import ACCOUNT, REGION, Live

AWS = Path(sys.executable).parent / "aws"  # pinned in requirements-dev.txt
pytestmark = pytest.mark.slow
DEFINITION = Path(__file__).parents[1] / "data/task-definitions/circleci-ecs__task-definition.json"


@pytest.fixture(scope="module")
def environment(live: Live, tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    live.add_node()
    root = live.keys.root
    connection = Connection(
        endpoint=live.endpoint,
        access_key_id=root.access_key_id,
        secret_access_key=root.secret_access_key,
        region=REGION,
        account_id=ACCOUNT,
    )
    home = str(tmp_path_factory.mktemp("home"))  # whoever runs the tests may have profiles
    return {"PATH": os.environ["PATH"], "HOME": home, "AWS_PAGER": "", **variables(connection)}


class Aws:
    """`aws(...)` answers JSON; `refused(...)` the text of an error."""

    def __init__(self, environment: dict[str, str]) -> None:
        self._environment = environment

    def _run(self, arguments: tuple[str, ...]) -> subprocess.CompletedProcess[str]:
        command = [str(AWS), *arguments]
        return subprocess.run(
            command, env=self._environment, capture_output=True, text=True, timeout=90, check=False
        )

    def __call__(self, *arguments: str) -> Any:
        done = self._run(arguments)
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout) if done.stdout.strip() else None

    def refused(self, *arguments: str) -> str:
        done = self._run(arguments)
        assert done.returncode != 0
        return done.stderr


@pytest.fixture(scope="module")
def aws(environment: dict[str, str]) -> Aws:
    return Aws(environment)


def test_it_knows_who_calls_and_registers_from_a_file(aws: Aws) -> None:
    assert aws("sts", "get-caller-identity")["Account"] == ACCOUNT
    registered = aws("ecs", "register-task-definition", "--cli-input-json", f"file://{DEFINITION}")
    arn = registered["taskDefinition"]["taskDefinitionArn"]
    assert aws("ecs", "list-task-definitions", "--query", "taskDefinitionArns") == [arn]
    text = aws.refused("ecs", "describe-task-definition", "--task-definition", "ghost")
    expected = "An error occurred (ClientException) when calling the DescribeTaskDefinition operation: "
    assert expected + "Unable to describe task definition." in text


def test_a_task_is_run_waited_for_paged_and_stopped(aws: Aws) -> None:
    container = '[{"name": "app", "image": "app:1", "memory": 64, "command": ["stay"]}]'
    aws("ecs", "register-task-definition", "--family", "stay", "--container-definitions", container)
    ran = aws("ecs", "run-task", "--task-definition", "stay", "--count", "2", "--tags", "key=a,value=b")
    arns = [task["taskArn"] for task in ran["tasks"]]
    assert ran["failures"] == []
    aws("ecs", "wait", "tasks-running", "--tasks", *arns)
    assert sorted(aws("ecs", "list-tasks", "--page-size", "1", "--query", "taskArns")) == sorted(arns)
    for arn in arns:
        aws("ecs", "stop-task", "--task", arn, "--reason", "enough")
    aws("ecs", "wait", "tasks-stopped", "--tasks", *arns)
    query = "tasks[].[stopCode, stoppedReason, tags]"
    shown = aws("ecs", "describe-tasks", "--include", "TAGS", "--query", query, "--tasks", *arns)
    assert shown == [["UserInitiated", "enough", [{"key": "a", "value": "b"}]]] * 2


def test_a_service_is_created_waited_for_and_deleted(aws: Aws) -> None:
    container = "name=app,image=app:1,memory=64,command=stay"
    aws("ecs", "register-task-definition", "--family", "web", "--container-definitions", container)
    aws("ecs", "create-service", "--service-name", "web", "--task-definition", "web", "--desired-count", "1")
    aws("ecs", "wait", "services-stable", "--services", "web")
    assert "scaled above 0" in aws.refused("ecs", "delete-service", "--service", "web")
    aws("ecs", "delete-service", "--service", "web", "--force")
    aws("ecs", "wait", "services-inactive", "--services", "web")
