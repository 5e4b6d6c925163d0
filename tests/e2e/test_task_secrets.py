"""Real containers get secrets, and images from a registry that asks for a login which is one."""

from __future__ import annotations

import codecs
import json
from contextlib import AsyncExitStack
from typing import Any

import pytest

from homeport.app.docker.client import DockerClient
from tests.kit.iam import allows, trusts
from tests.kit.real_node import RealNode
from tests.kit.registry import registry
from tests.kit.up import DOCKER

pytestmark = [pytest.mark.docker, pytest.mark.root, pytest.mark.slow]

VALUE = "Dirty-British-Coaster"


def reader(node: RealNode) -> str:
    """The ARN of an execution role that may read secrets."""
    iam = node.live.client("iam")
    arn = iam.create_role(RoleName="reads", AssumeRolePolicyDocument=trusts())["Role"]["Arn"]
    policy = allows("secretsmanager:GetSecretValue", "ssm:GetParameters")
    iam.put_role_policy(RoleName="reads", PolicyName="p", PolicyDocument=policy)
    return str(arn)


def secret(node: RealNode, name: str, value: Any) -> str:
    made = node.live.client("secretsmanager").create_secret(Name=name, SecretString=json.dumps(value))
    return str(made["ARN"])


def test_the_environment_of_a_real_container_has_its_secret(node: RealNode) -> None:
    arn = secret(node, "db", {"password": VALUE})
    turned = codecs.encode(VALUE, "rot13")
    check = f'test "$(echo "$PASSWORD" | tr A-Za-z N-ZA-Mn-za-m)" = "{turned}"'
    app = {
        "command": ["sh", "-c", check],
        "secrets": [{"name": "PASSWORD", "valueFrom": f"{arn}:password::"}],
    }
    task = node.stopped(node.run(node.register(app, executionRoleArn=reader(node))))
    assert task["stopCode"] == "EssentialContainerExited"
    assert task["containers"][0]["exitCode"] == 0
    node.nothing_left()


def test_a_registrys_login_is_a_secret(node: RealNode) -> None:
    role, right = reader(node), secret(node, "right", {"username": "ann", "password": VALUE})
    wrong = secret(node, "wrong", {"username": "ann", "password": "Salt-Caked-Smoke-Stack"})
    stack = AsyncExitStack()
    published = node.live.run(stack.enter_async_context(registry(login=("ann", VALUE))))
    app = {"image": published.image, "command": ["sh", "-c", 'test "$PULLED" = yes']}

    def task(login: str) -> dict[str, Any]:
        credentials = {"credentialsParameter": login}
        definition = node.register({**app, "repositoryCredentials": credentials}, executionRoleArn=role)
        return dict(node.stopped(node.run(definition)))

    try:
        refused, taken = task(wrong), task(right)
    finally:
        node.live.run(stack.aclose())
    assert refused["stopCode"] == "TaskFailedToStart"
    assert refused["stoppedReason"].startswith("CannotPullContainerError: ")
    assert "Salt-Caked" not in json.dumps(refused, default=str)
    assert taken["containers"][0]["exitCode"] == 0
    node.nothing_left()
    DockerClient(DOCKER).remove_image(published.image)
