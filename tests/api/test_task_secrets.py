"""Secrets of tasks: from the definition through the control plane's own stores into containers.

The node is real, its machine is not. Source: ECS developer guide, "Pass sensitive data to an Amazon ECS
container" and "Stopped tasks error messages"; reference, networking-fargate-storage 8.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest
from botocore.exceptions import ClientError

from homeport.node.state import VolatileDisk
from tests.api.test_tasks import waiter
from tests.kit.iam import allows, fresh, trusts
from tests.kit.server import REGION, Live, Node

VALUE = "hunter2-correct-horse"
TASK_LABEL = "com.amazonaws.ecs.task-arn"
READS = ("secretsmanager:GetSecretValue", "ssm:GetParameters")


@pytest.fixture(scope="module")
def node(live: Live) -> Node:
    return live.add_node()


@pytest.fixture(scope="module")
def sm(live: Live) -> Any:
    return live.client("secretsmanager")


@pytest.fixture(scope="module")
def ssm(live: Live) -> Any:
    return live.client("ssm")


def role(live: Live, *actions: str, resource: str = "*") -> str:
    """The ARN of an execution role that may do that."""
    iam, name = live.client("iam"), fresh("exec")
    arn = iam.create_role(RoleName=name, AssumeRolePolicyDocument=trusts())["Role"]["Arn"]
    if actions:
        policy = allows(*actions, Resource=resource)
        iam.put_role_policy(RoleName=name, PolicyName="p", PolicyDocument=policy)
    return str(arn)


@pytest.fixture(scope="module")
def reader(live: Live) -> str:
    """The ARN of an execution role that may read everything."""
    return role(live, *READS)


def secret(sm: Any, text: str = VALUE) -> str:
    return str(sm.create_secret(Name=fresh("team/db"), SecretString=text)["ARN"])


def register(ecs: Any, role_arn: str, secrets: dict[str, str], **members: Any) -> str:
    family = fresh("fetches")
    container = {"name": "app", "image": "app:1", "memory": 16, "command": ["stay"], **members}
    wanted = [{"name": name, "valueFrom": value_from} for name, value_from in secrets.items()]
    ecs.register_task_definition(
        family=family, containerDefinitions=[{**container, "secrets": wanted}], executionRoleArn=role_arn
    )
    return family


def started(ecs: Any, family: str, **members: Any) -> str:
    answer = ecs.run_task(taskDefinition=family, **members)
    assert answer["failures"] == []
    return str(answer["tasks"][0]["taskArn"])


def running(ecs: Any, family: str, **members: Any) -> str:
    arn = started(ecs, family, **members)
    waiter(ecs, "tasks_running").wait(tasks=[arn])
    return arn


def stopped(ecs: Any, family: str) -> dict[str, Any]:
    """A task that did not start, as it is described."""
    arn = started(ecs, family)
    waiter(ecs, "tasks_stopped").wait(tasks=[arn])
    (task,) = ecs.describe_tasks(tasks=[arn])["tasks"]
    return dict(task)


def made(node: Node, task_arn: str) -> Any:
    """What Docker was asked to create."""
    specs = (container.spec for container in node.machine.containers.values())
    (spec,) = (spec for spec in specs if spec.config["Labels"].get(TASK_LABEL) == task_arn)
    return spec


def env(node: Node, task_arn: str) -> dict[str, str]:
    return dict(entry.split("=", 1) for entry in made(node, task_arn).config["Env"])


def refused(work: Callable[[], Any]) -> tuple[str, str]:
    with pytest.raises(ClientError) as caught:
        work()
    error = caught.value.response["Error"]
    return str(error["Code"]), str(error["Message"])


def test_a_container_gets_secrets_parameters_keys_and_versions(
    ecs: Any, sm: Any, ssm: Any, node: Node, reader: str
) -> None:
    whole = secret(sm, json.dumps({"user": "ann", "port": 5432}))
    rolled = secret(sm, "first-value")
    old = sm.put_secret_value(SecretId=rolled, SecretString="second-value")["VersionId"]
    sm.put_secret_value(SecretId=rolled, SecretString="third-value")
    ssm.put_parameter(Name="/team/token", Value=VALUE, Type="SecureString")
    ssm.put_parameter(Name="plain", Value="as-it-is", Type="String")
    ssm.put_parameter(Name="/single", Value="one-level", Type="String")
    arn = f"arn:aws:ssm:{REGION}:000000000000:parameter"
    family = register(
        ecs,
        reader,
        {
            "ALL": whole,
            "USER": f"{whole}:user::",
            "PORT": f"{whole}:port::",
            "NOW": rolled,
            "BEFORE": f"{rolled}::AWSPREVIOUS:",
            "PINNED": f"{rolled}:::{old}",
            "TOKEN": "/team/token",
            "SAME_TOKEN": f"{arn}/team/token",
            "PLAIN": "plain",
            "PLAIN_ARN": f"{arn}/plain",
            "SINGLE_ARN": f"{arn}/single",
        },
    )
    task = running(ecs, family)
    found = env(node, task)
    assert json.loads(found["ALL"]) == {"user": "ann", "port": 5432}
    assert {name: found[name] for name in found if name in {"USER", "PORT", "NOW", "BEFORE", "PINNED"}} == {
        "USER": "ann",
        "PORT": "5432",
        "NOW": "third-value",
        "BEFORE": "second-value",
        "PINNED": "second-value",
    }
    assert (found["TOKEN"], found["SAME_TOKEN"]) == (VALUE, VALUE)
    assert (found["PLAIN"], found["PLAIN_ARN"], found["SINGLE_ARN"]) == ("as-it-is", "as-it-is", "one-level")
    assert "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI" not in found, "the execution role is not the task's"


def test_a_new_task_gets_the_new_value_and_a_running_one_keeps_its_own(
    ecs: Any, sm: Any, node: Node, reader: str
) -> None:
    arn = secret(sm, "old-value")
    family = register(ecs, reader, {"S": arn})
    first = running(ecs, family)
    sm.put_secret_value(SecretId=arn, SecretString="new-value")
    second = running(ecs, family)
    assert (env(node, first)["S"], env(node, second)["S"]) == ("old-value", "new-value")


def test_log_options_and_registry_credentials_are_fetched_too(
    ecs: Any, sm: Any, ssm: Any, node: Node, reader: str
) -> None:
    ssm.put_parameter(Name="/logs/token", Value=VALUE, Type="SecureString")
    login = secret(sm, json.dumps({"username": "ann", "password": VALUE}))
    node.machine.registry["private.example/app:1"] = 0.0
    family = register(
        ecs,
        reader,
        {},
        image="private.example/app:1",
        repositoryCredentials={"credentialsParameter": login},
        logConfiguration={
            "logDriver": "json-file",
            "options": {"max-size": "1m"},
            "secretOptions": [{"name": "labels", "valueFrom": "/logs/token"}],
        },
    )
    task = running(ecs, family)
    config = made(node, task).host_config["LogConfig"]["Config"]
    assert (config["labels"], config["max-size"]) == (VALUE, "1m")
    given = node.machine.logins[-1]
    assert given is not None
    assert (given.username, given.password) == ("ann", VALUE)


def test_a_service_starts_tasks_with_secrets(ecs: Any, sm: Any, node: Node, reader: str) -> None:
    family = register(ecs, reader, {"S": secret(sm)})
    ecs.create_service(serviceName="fetching", taskDefinition=family, desiredCount=2)
    try:
        waiter(ecs, "services_stable").wait(services=["fetching"])
        tasks = ecs.list_tasks(serviceName="fetching")["taskArns"]
        assert [env(node, task)["S"] for task in tasks] == [VALUE, VALUE]
    finally:
        ecs.delete_service(service="fetching", force=True)


def test_the_role_is_asked_for_exactly_what_it_may(live: Live, ecs: Any, sm: Any, node: Node) -> None:
    mine, other = secret(sm), secret(sm, "not-for-this-role")
    bound = role(live, "secretsmanager:GetSecretValue", resource=mine)
    assert env(node, running(ecs, register(ecs, bound, {"S": mine})))["S"] == VALUE
    task = stopped(ecs, register(ecs, bound, {"S": other}))
    assert task["stopCode"] == "TaskFailedToStart"
    assert task["stoppedReason"].startswith(
        f"Secret {other}: operation error Secrets Manager: GetSecretValue, https response error "
        "StatusCode: 400, RequestID: "
    )
    assert "api error AccessDeniedException: User: arn:aws:sts::000000000000:" in task["stoppedReason"]
    assert "is not authorized to perform: secretsmanager:GetSecretValue" in task["stoppedReason"]
    assert "exitCode" not in task["containers"][0]


def test_a_role_that_may_not_read_parameters_is_told_so(live: Live, ecs: Any, ssm: Any) -> None:
    ssm.put_parameter(Name="/kept/away", Value=VALUE, Type="SecureString")
    task = stopped(ecs, register(ecs, role(live), {"S": "/kept/away"}))
    assert task["stopCode"] == "TaskFailedToStart"
    assert task["stoppedReason"].startswith(
        f"Fetching secret data from SSM Parameter Store in {REGION}: operation error SSM: GetParameters, "
    )
    assert "api error AccessDeniedException: User: " in task["stoppedReason"]
    assert "is not authorized to perform: ssm:GetParameters" in task["stoppedReason"]


def test_what_is_not_there_is_told(ecs: Any, sm: Any, reader: str) -> None:
    arn = secret(sm, json.dumps({"user": VALUE}))
    gone = secret(sm)
    sm.delete_secret(SecretId=gone, ForceDeleteWithoutRecovery=True)
    no_secret = "ResourceNotFoundException: The task can't retrieve the secret with ARN "
    in_ssm = f"Fetching secret data from SSM Parameter Store in {REGION}: "
    told = {
        gone: f"{no_secret}'{gone}' from AWS Secrets Manager. Check whether the secret exists in the ",
        f"{arn}:pass::": "Retrieved secret from Secrets Manager did not contain json key pass",
        f"{arn}::STAGE:": f"{no_secret}'{arn}' from AWS Secrets Manager. ",
        f"{arn}:user": f"Trying to retrieve secret with value {arn}:user resulted in error: an invalid ARN ",
        "/no/such": f"{in_ssm}invalid parameters: /no/such",
    }
    for value_from, text in told.items():
        task = stopped(ecs, register(ecs, reader, {"S": value_from}))
        assert task["stopCode"] == "TaskFailedToStart"
        assert task["stoppedReason"].startswith(text)


def test_no_answer_tells_a_value(ecs: Any, sm: Any, node: Node, reader: str) -> None:
    family = register(ecs, reader, {"S": secret(sm)})
    arn = running(ecs, family)
    answers = [
        ecs.describe_tasks(tasks=[arn], include=["TAGS"]),
        ecs.describe_task_definition(taskDefinition=family),
        ecs.list_tasks(),
    ]
    assert VALUE not in json.dumps(answers, default=str)
    assert VALUE not in json.dumps(made(node, arn).config["Labels"])
    assert isinstance(node.disk, VolatileDisk)
    assert VALUE.encode() not in node.disk.data


def test_an_override_does_not_take_a_secrets_place(ecs: Any, sm: Any, reader: str) -> None:
    """Source: [O] the text."""
    family = register(ecs, reader, {"S": secret(sm)})
    overrides = {"containerOverrides": [{"name": "app", "environment": [{"name": "S", "value": "x"}]}]}
    code, message = refused(lambda: ecs.run_task(taskDefinition=family, overrides=overrides))
    assert code == "InvalidParameterException"
    assert "The secret name must be unique" in message


def test_without_an_execution_role_nothing_registers(ecs: Any) -> None:
    """Source: [O] the text."""
    wanted = [{"name": "S", "valueFrom": "/p"}]
    container = {"name": "app", "image": "app:1", "memory": 16, "secrets": wanted}
    code, message = refused(
        lambda: ecs.register_task_definition(family="roleless", containerDefinitions=[container])
    )
    assert (code, message) == (
        "ClientException",
        "When you are specifying container secrets, you must also specify a value for 'executionRoleArn'.",
    )


def test_environment_files_are_refused_when_run(ecs: Any, reader: str) -> None:
    files = [{"value": "arn:aws:s3:::bucket/app.env", "type": "s3"}]
    family = register(ecs, reader, {}, environmentFiles=files)
    code, message = refused(lambda: ecs.run_task(taskDefinition=family))
    assert code == "ClientException"
    assert message == (
        "This task definition uses environmentFiles, which are in S3, ('app'): running that is not supported "
        "by Homeport yet."
    )
