"""Credentials of tasks' roles, from the control plane to the metadata endpoint and back as a caller.

Source: reference, iam 5; agent protocol 4 and 10.2; ECS developer guide, "Task IAM role".
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from typing import Any

import pytest
from botocore.exceptions import ClientError

from homeport.node.credentials import APPLICATION, EXECUTION
from homeport.node.metadata.answer import Question
from homeport.node.metadata.endpoint import MetadataEndpoint
from tests.api.test_explain import explained
from tests.api.test_tasks import waiter
from tests.kit.iam import allows, fresh, trusts
from tests.kit.server import ACCOUNT, REGION, Live, Node

UNASSUMABLE = (
    "ECS was unable to assume the role '{}' that was provided for this task. Please verify that the role "
    "being passed has the proper trust relationship and permissions and that your IAM user has permissions "
    "to pass this role."
)
"""Source: [O] the text as users of CreateService and RunTask reported it."""


@pytest.fixture
def node(live: Live) -> Node:
    """The one node, as it is now: a test may have restarted it."""
    return live.nodes[0] if live.nodes else live.add_node()


@pytest.fixture(scope="module")
def iam(live: Live) -> Any:
    return live.client("iam")


def role(iam: Any, *actions: str, trust: str | None = None) -> tuple[str, str]:
    """A role's name and ARN."""
    name = fresh("task-role")
    made = iam.create_role(RoleName=name, AssumeRolePolicyDocument=trust or trusts())["Role"]
    if actions:
        iam.put_role_policy(RoleName=name, PolicyName="p", PolicyDocument=allows(*actions))
    return name, str(made["Arn"])


def register(ecs: Any, **members: Any) -> str:
    family = fresh("with-role")
    container = {"name": "app", "image": "app:1", "memory": 16, "command": ["stay"]}
    ecs.register_task_definition(family=family, containerDefinitions=[container], **members)
    return family


def running(ecs: Any, family: str, **members: Any) -> str:
    """A task's ARN, once it runs."""
    answer = ecs.run_task(taskDefinition=family, **members)
    assert answer["failures"] == []
    arn = str(answer["tasks"][0]["taskArn"])
    waiter(ecs, "tasks_running").wait(tasks=[arn])
    return arn


def served(live: Live, node: Node, task_arn: str) -> dict[str, Any]:
    """What the task's containers are told under the path in their environment."""
    names = [
        c for c in node.machine.containers.values() if c.spec.config["Labels"].get(TASK_LABEL) == task_arn
    ]
    (container,) = names
    env = dict(entry.split("=", 1) for entry in container.spec.config["Env"])
    return asked(live, node, env["AWS_CONTAINER_CREDENTIALS_RELATIVE_URI"])


TASK_LABEL = "com.amazonaws.ecs.task-arn"


def asked(live: Live, node: Node, path: str) -> dict[str, Any]:
    assert node.agent.source is not None
    endpoint = MetadataEndpoint([node.agent.source])
    answer = live.run(endpoint.answer(Question(path=path)))
    return {"status": answer.status, **json.loads(answer.body)}


def as_task(live: Live, given: dict[str, Any], service: str) -> Any:
    return live.client(
        service,
        aws_access_key_id=given["AccessKeyId"],
        aws_secret_access_key=given["SecretAccessKey"],
        aws_session_token=given["Token"],
    )


def code_of(call: Callable[[], Any]) -> str:
    with pytest.raises(ClientError) as refused:
        call()
    return str(refused.value.response["Error"]["Code"])


class TestTaskRole:
    def test_its_containers_are_the_role_and_may_what_it_may(
        self, live: Live, ecs: Any, iam: Any, node: Node
    ) -> None:
        name, arn = role(iam, "ecs:ListClusters")
        task = running(ecs, register(ecs, taskRoleArn=arn))
        given = served(live, node, task)
        assert given["status"] == 200
        assert given["RoleArn"] == arn
        who = as_task(live, given, "sts").get_caller_identity()
        uid = task.rpartition("/")[2]
        assert who["Arn"] == f"arn:aws:sts::{ACCOUNT}:assumed-role/{name}/{uid}"
        assert who["UserId"].endswith(f":{uid}")
        assert as_task(live, given, "ecs").list_clusters()["clusterArns"]
        assert code_of(as_task(live, given, "ecs").list_task_definitions) == "AccessDeniedException"

    def test_its_credentials_end_with_it(self, live: Live, ecs: Any, iam: Any, node: Node) -> None:
        _, arn = role(iam, "ecs:ListClusters")
        task = running(ecs, register(ecs, taskRoleArn=arn))
        given = served(live, node, task)
        theirs = as_task(live, given, "ecs")
        theirs.list_clusters()
        ecs.stop_task(task=task)
        waiter(ecs, "tasks_stopped").wait(tasks=[task])
        assert code_of(theirs.list_clusters) == "UnrecognizedClientException"
        assert served(live, node, task)["status"] == 400

    def test_an_override_takes_its_place(self, live: Live, ecs: Any, iam: Any, node: Node) -> None:
        """Also by its short name."""
        (_, first), (name, second) = role(iam), role(iam)
        family = register(ecs, taskRoleArn=first)
        for given in (second, name):
            task = running(ecs, family, overrides={"taskRoleArn": given})
            assert served(live, node, task)["RoleArn"] == second

    def test_each_task_has_an_id_of_its_own_that_lasts(
        self, live: Live, ecs: Any, iam: Any, node: Node
    ) -> None:
        _, arn = role(iam)
        family = register(ecs, taskRoleArn=arn)
        tasks = [running(ecs, family) for _ in range(2)]
        before = [served(live, node, task) for task in tasks]
        assert before[0]["AccessKeyId"] != before[1]["AccessKeyId"]
        node = live.restart(node)

        def back() -> bool:
            return all(node.agent.engine.find(task) for task in tasks) and all(
                _has_credentials(node, task) for task in tasks
            )

        live.wait_for_node(back)
        assert [served(live, node, task) for task in tasks] == before


def _has_credentials(node: Node, task: str) -> bool:
    if node.agent.source is None:
        return False
    return node.agent.source._tools.credentials.of(task, APPLICATION) is not None


class TestExecutionRole:
    def test_it_is_the_nodes_and_never_the_containers(
        self, live: Live, ecs: Any, iam: Any, node: Node
    ) -> None:
        name, arn = role(iam, "ecs:ListClusters")
        task = running(ecs, register(ecs, executionRoleArn=arn))
        assert node.agent.source is not None
        held = node.agent.source._tools.credentials.of(task, EXECUTION)
        assert held is not None
        theirs = {
            "AccessKeyId": held.access_key_id,
            "SecretAccessKey": held.secret_access_key,
            "Token": held.session_token,
        }
        assert f":assumed-role/{name}/" in as_task(live, theirs, "sts").get_caller_identity()["Arn"]
        assert asked(live, node, f"/v2/credentials/{held.credentials_id}")["status"] == 400
        (container,) = [
            c for c in node.machine.containers.values() if c.spec.config["Labels"].get(TASK_LABEL) == task
        ]
        shown = json.dumps([container.spec.config, container.spec.host_config])
        assert "AWS_CONTAINER_CREDENTIALS" not in shown
        assert held.secret_access_key not in shown


class TestRolesThatCannotBeAssumed:
    @pytest.mark.parametrize("member", ["taskRoleArn", "executionRoleArn"])
    @pytest.mark.parametrize("fault", ["missing", "other service", "other cluster", "other account"])
    def test_run_task_says_so(self, ecs: Any, iam: Any, node: Node, member: str, fault: str) -> None:
        if fault == "missing":
            arn = f"arn:aws:iam::{ACCOUNT}:role/nobody"
        elif fault == "other account":
            arn = "arn:aws:iam::111122223333:role/theirs"
        elif fault == "other service":
            _, arn = role(iam, trust=trusts("ec2.amazonaws.com"))
        else:
            condition = {"ArnLike": {"aws:SourceArn": "arn:aws:ecs:eu-west-1:*:*"}}
            _, arn = role(iam, trust=_conditioned(condition))
        family = register(ecs, **{member: arn})
        with pytest.raises(ClientError) as refused:
            ecs.run_task(taskDefinition=family)
        error = refused.value.response["Error"]
        assert (error["Code"], error["Message"]) == ("ClientException", UNASSUMABLE.format(arn))

    def test_conditions_know_the_source(self, live: Live, ecs: Any, iam: Any, node: Node) -> None:
        condition = {
            "ArnLike": {"aws:SourceArn": f"arn:aws:ecs:{REGION}:{ACCOUNT}:*"},
            "StringEquals": {"aws:SourceAccount": ACCOUNT},
        }
        _, arn = role(iam, trust=_conditioned(condition))
        assert served(live, node, running(ecs, register(ecs, taskRoleArn=arn)))["RoleArn"] == arn

    def test_a_service_tells_and_starts_as_soon_as_the_role_lets_it(
        self, live: Live, ecs: Any, iam: Any, node: Node
    ) -> None:
        name = fresh("late-role")
        arn = f"arn:aws:iam::{ACCOUNT}:role/{name}"
        service = fresh("service")
        ecs.create_service(serviceName=service, taskDefinition=register(ecs, taskRoleArn=arn), desiredCount=1)

        async def told() -> bool:
            return any(UNASSUMABLE.format(arn) in message for message in await _messages(live, service))

        live.wait_until(told)
        verdict = f"1 tasks are missing, and cannot be launched: ECS cannot assume {arn}."
        assert _explained(live, service)["verdict"] == verdict
        iam.create_role(RoleName=name, AssumeRolePolicyDocument=trusts())
        waiter(ecs, "services_stable").wait(services=[service])
        assert _explained(live, service)["verdict"].startswith("It is steady")
        event = f"(service {service}) failed to launch a task with (error {UNASSUMABLE.format(arn)})."
        assert event in [e["message"] for e in _service(ecs, service)["events"]]
        assert _service(ecs, service)["runningCount"] == 1
        ecs.delete_service(service=service, force=True)


def _conditioned(condition: dict[str, Any]) -> str:
    document = json.loads(trusts())
    document["Statement"][0]["Condition"] = condition
    return json.dumps(document)


def _explained(live: Live, name: str) -> dict[str, Any]:
    return explained(live, f"arn:aws:ecs:{REGION}:{ACCOUNT}:service/default/{name}")


def _service(ecs: Any, name: str) -> dict[str, Any]:
    found: dict[str, Any] = ecs.describe_services(services=[name])["services"][0]
    return found


async def _messages(live: Live, name: str) -> list[str]:
    found = await asyncio.to_thread(_service, live.client("ecs"), name)
    return [event["message"] for event in found["events"]]
