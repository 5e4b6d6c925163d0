"""Tasks through boto3: a real control plane, a real agent, a machine that is not there."""

from __future__ import annotations

from typing import Any

import pytest
from botocore.exceptions import ClientError

from tests.kit.server import Live, Node


@pytest.fixture(scope="module")
def node(live: Live) -> Node:
    return live.add_node()


@pytest.fixture(scope="module", autouse=True)
def definitions(ecs: Any, node: Node) -> None:
    register(ecs, "stay", "stay")
    register(ecs, "short", "exit", "3")


def register(ecs: Any, family: str, *command: str, **container: Any) -> dict[str, Any]:
    return ecs.register_task_definition(
        family=family,
        containerDefinitions=[
            {"name": "app", "image": "app:1", "memory": 16, "command": list(command), **container}
        ],
    )["taskDefinition"]


def run(ecs: Any, family: str, **members: Any) -> dict[str, Any]:
    answer = ecs.run_task(taskDefinition=family, **members)
    assert answer["failures"] == []
    return answer["tasks"][0]


def described(ecs: Any, task: dict[str, Any]) -> dict[str, Any]:
    return ecs.describe_tasks(tasks=[task["taskArn"]], include=["TAGS"])["tasks"][0]


def waiter(ecs: Any, name: str) -> Any:
    found = ecs.get_waiter(name)
    found.config.delay = 0.02
    found.config.max_attempts = 500
    return found


def test_a_task_runs_and_stops_when_it_is_told_to(ecs: Any) -> None:
    task = run(ecs, "stay", startedBy="me", tags=[{"key": "a", "value": "b"}])
    assert (task["lastStatus"], task["desiredStatus"], task["group"]) == ("PENDING", "RUNNING", "family:stay")
    waiter(ecs, "tasks_running").wait(tasks=[task["taskArn"]])
    running = described(ecs, task)
    assert running["tags"] == [{"key": "a", "value": "b"}]
    assert running["startedBy"] == "me"
    assert running["containers"][0]["lastStatus"] == "RUNNING"
    stopping = ecs.stop_task(task=task["taskArn"], reason="enough")["task"]
    assert stopping["desiredStatus"] == "STOPPED"
    waiter(ecs, "tasks_stopped").wait(tasks=[task["taskArn"]])
    stopped = described(ecs, task)
    assert (stopped["stopCode"], stopped["stoppedReason"]) == ("UserInitiated", "enough")
    assert stopped["stoppedAt"] >= stopped["stoppingAt"] >= stopped["startedAt"] >= stopped["createdAt"]


def test_an_essential_exit_stops_the_task_and_says_so(ecs: Any) -> None:
    task = run(ecs, "short")
    waiter(ecs, "tasks_stopped").wait(tasks=[task["taskArn"]])
    stopped = described(ecs, task)
    assert stopped["stopCode"] == "EssentialContainerExited"
    assert stopped["stoppedReason"] == "Essential container in task exited"
    assert stopped["containers"][0]["exitCode"] == 3


def test_a_missing_image_fails_the_start_with_the_agents_reason(ecs: Any) -> None:
    register(ecs, "nowhere", "stay", image="nowhere:1")
    task = run(ecs, "nowhere")
    waiter(ecs, "tasks_stopped").wait(tasks=[task["taskArn"]])
    stopped = described(ecs, task)
    assert stopped["stopCode"] == "TaskFailedToStart"
    assert stopped["stoppedReason"].startswith("CannotPull")


def test_no_room_is_no_error_but_failures_with_numbers(ecs: Any) -> None:
    register(ecs, "huge", "stay", memory=10_000_000)
    answer = ecs.run_task(taskDefinition="huge", count=2)
    assert answer["tasks"] == []
    assert [failure["reason"] for failure in answer["failures"]] == ["RESOURCE:MEMORY"]
    assert "asked 10000000" in answer["failures"][0]["detail"]


def test_a_client_token_gives_the_same_tasks_again(ecs: Any) -> None:
    first = ecs.run_task(taskDefinition="stay", clientToken="once", count=2)["tasks"]
    again = ecs.run_task(taskDefinition="stay", clientToken="once", count=2)["tasks"]
    assert [t["taskArn"] for t in first] == [t["taskArn"] for t in again]
    with pytest.raises(ecs.exceptions.ConflictException) as caught:
        ecs.run_task(taskDefinition="stay", clientToken="once", count=1)
    assert sorted(caught.value.response["resourceIds"]) == sorted(t["taskArn"] for t in first)
    for task in first:
        ecs.stop_task(task=task["taskArn"])


def test_start_task_names_its_instance_and_every_refusal(ecs: Any, node: Node) -> None:
    good = ecs.start_task(taskDefinition="stay", containerInstances=[node.agent.instance_arn])
    assert [t["containerInstanceArn"] for t in good["tasks"]] == [node.agent.instance_arn]
    ecs.stop_task(task=good["tasks"][0]["taskArn"])
    bad = ecs.start_task(taskDefinition="stay", containerInstances=["0" * 32, "no-such-thing"])
    assert sorted(f["reason"] for f in bad["failures"]) == ["MISSING", "MISSING"]
    assert all(":container-instance/default/" in f["arn"] for f in bad["failures"])


def test_a_task_says_who_started_it_in_any_clients_words(ecs: Any) -> None:
    """Observed: ecs-deploy sends `ECS Deploy`, and AWS takes it though its model speaks of no spaces."""
    task = run(ecs, "stay", startedBy="ECS Deploy")
    assert ecs.list_tasks(startedBy="ECS Deploy")["taskArns"] == [task["taskArn"]]
    ecs.stop_task(task=task["taskArn"])
    for bad in ("x" * 129, "a!b"):
        with pytest.raises(ecs.exceptions.InvalidParameterException):
            ecs.run_task(taskDefinition="stay", startedBy=bad)


def test_overrides_reach_the_container_and_are_echoed(ecs: Any, node: Node) -> None:
    overrides = {"containerOverrides": [{"name": "app", "environment": [{"name": "X", "value": "1"}]}]}
    task = run(ecs, "stay", overrides=overrides)
    waiter(ecs, "tasks_running").wait(tasks=[task["taskArn"]])
    assert described(ecs, task)["overrides"]["containerOverrides"][0]["environment"] == [
        {"name": "X", "value": "1"}
    ]
    specs = [c.spec for c in node.machine.containers.values()]
    assert any("X=1" in spec.config["Env"] for spec in specs)
    ecs.stop_task(task=task["taskArn"])


@pytest.mark.parametrize(
    ("members", "code", "text"),
    [
        ({"taskDefinition": "nope"}, "ClientException", "TaskDefinition not found."),
        ({"count": 11}, "InvalidParameterException", "count"),
        ({"group": "service:x"}, "InvalidParameterException", "service:"),
        ({"launchType": "FARGATE"}, "InvalidParameterException", "does not support launch_type FARGATE"),
        ({"propagateTags": "SERVICE"}, "InvalidParameterException", "SERVICE"),
        ({"enableExecuteCommand": True}, "ClientException", "not supported by Homeport yet"),
        ({"platformVersion": "1.4.0"}, "InvalidParameterException", "platform version must be null"),
        ({"referenceId": "x"}, "ClientException", "referenceId is not supported"),
        (
            {"overrides": {"containerOverrides": [{"name": "ghost"}]}},
            "InvalidParameterException",
            "Override for container named ghost is not a container in the TaskDefinition.",
        ),
        (
            {"networkConfiguration": {"awsvpcConfiguration": {"subnets": ["subnet-1"]}}},
            "InvalidParameterException",
            "Network Configuration is not valid",
        ),
        ({"placementConstraints": [{"type": "memberOf", "expression": "attribute:x =="}]},
         "InvalidParameterException", "placement constraint"),
        ({"tags": [{"key": "aws:x", "value": "y"}]}, "InvalidParameterException", "aws:"),
        ({"cluster": "nowhere"}, "ClusterNotFoundException", "Cluster not found."),
    ],
)  # fmt: skip
def test_what_cannot_be_honoured_is_refused(ecs: Any, members: dict[str, Any], code: str, text: str) -> None:
    with pytest.raises(ClientError) as caught:
        ecs.run_task(**{"taskDefinition": "stay", **members})
    assert caught.value.response["Error"]["Code"] == code
    assert text in caught.value.response["Error"]["Message"]


@pytest.mark.parametrize(
    ("network", "text"),
    [
        (None, "Network Configuration must be provided when networkMode 'awsvpc' is specified."),
        ({"subnets": []}, "subnets can not be empty."),
        ({"subnets": ["subnet-1"] * 17}, "subnets can have at most 16 items."),
        ({"subnets": ["s"], "securityGroups": ["sg"] * 6}, "securityGroups can have at most 5 items."),
    ],
)
def test_a_network_configuration_is_checked_before_anything_is_placed(
    ecs: Any, network: dict[str, Any] | None, text: str
) -> None:
    app = {"name": "app", "image": "app:1", "memory": 16}
    ecs.register_task_definition(family="eni", networkMode="awsvpc", containerDefinitions=[app])
    given = {} if network is None else {"networkConfiguration": {"awsvpcConfiguration": network}}
    with pytest.raises(ecs.exceptions.InvalidParameterException) as refusal:
        ecs.run_task(taskDefinition="eni", **given)
    assert refusal.value.response["Error"]["Message"] == text
    with pytest.raises(ecs.exceptions.InvalidParameterException) as refusal:
        ecs.create_service(serviceName="eni", taskDefinition="eni", desiredCount=1, **given)
    assert refusal.value.response["Error"]["Message"] == text


def test_list_tasks_knows_every_filter(ecs: Any, node: Node) -> None:
    task = run(ecs, "stay", startedBy="lister")
    arn = task["taskArn"]
    waiter(ecs, "tasks_running").wait(tasks=[arn])
    assert ecs.list_tasks(startedBy="lister")["taskArns"] == [arn]
    assert arn in ecs.list_tasks(family="stay", launchType="EC2")["taskArns"]
    assert arn in ecs.list_tasks(containerInstance=node.agent.instance_arn)["taskArns"]
    assert arn not in ecs.list_tasks(family="short")["taskArns"]
    assert ecs.list_tasks(desiredStatus="PENDING")["taskArns"] == []
    with pytest.raises(ClientError):
        ecs.list_tasks(startedBy="lister", family="stay")
    with pytest.raises(ecs.exceptions.ServiceNotFoundException):
        ecs.list_tasks(serviceName="ghost")
    ecs.stop_task(task=arn)
    assert arn not in ecs.list_tasks(family="stay")["taskArns"]
    assert arn in ecs.list_tasks(desiredStatus="STOPPED")["taskArns"]


def test_pages_hold_everything_once(ecs: Any) -> None:
    arns = {
        t["taskArn"]
        for _ in range(3)
        for t in ecs.run_task(taskDefinition="stay", startedBy="p", count=2)["tasks"]
    }
    pages = list(ecs.get_paginator("list_tasks").paginate(startedBy="p", PaginationConfig={"PageSize": 2}))
    assert [len(page["taskArns"]) for page in pages] == [2, 2, 2]
    assert {arn for page in pages for arn in page["taskArns"]} == arns
    token = ecs.list_tasks(startedBy="p", maxResults=2)["nextToken"]
    with pytest.raises(ecs.exceptions.InvalidParameterException):
        ecs.list_tasks(startedBy="another", nextToken=token)
    for arn in arns:
        ecs.stop_task(task=arn)


def test_unknown_tasks_are_missing_and_malformed_ids_are_errors(ecs: Any) -> None:
    answer = ecs.describe_tasks(tasks=["0" * 32])
    assert answer["failures"][0]["reason"] == "MISSING"
    with pytest.raises(ClientError, match=r"taskId length should be one of \[32,36\]"):
        ecs.describe_tasks(tasks=["short"])
    with pytest.raises(ClientError, match=r"The referenced task was not found."):
        ecs.stop_task(task="0" * 32)


def test_draining_takes_no_more_tasks_and_says_why(ecs: Any, node: Node) -> None:
    arn = node.agent.instance_arn
    drained = ecs.update_container_instances_state(containerInstances=[arn], status="DRAINING")
    assert drained["containerInstances"][0]["status"] == "DRAINING"
    answer = ecs.run_task(taskDefinition="stay")
    assert answer["tasks"] == []
    ecs.update_container_instances_state(containerInstances=[arn], status="ACTIVE")
    task = run(ecs, "stay")
    ecs.stop_task(task=task["taskArn"])


def test_a_restarted_agent_keeps_its_instance_and_its_tasks(live: Live, ecs: Any) -> None:
    node = live.add_node(attributes={"role": "restarted"})
    only_there = [{"type": "memberOf", "expression": "attribute:role == restarted"}]
    task = run(ecs, "stay", placementConstraints=only_there)
    waiter(ecs, "tasks_running").wait(tasks=[task["taskArn"]])
    starts = [name for kind, name in node.machine.history if kind == "start"]
    fresh = live.restart(node)
    assert fresh.agent.instance_arn == node.agent.instance_arn
    assert described(ecs, task)["lastStatus"] == "RUNNING"
    assert [name for kind, name in node.machine.history if kind == "start"] == starts
    ecs.stop_task(task=task["taskArn"])
    waiter(ecs, "tasks_stopped").wait(tasks=[task["taskArn"]])


def test_a_lost_agent_stops_nothing_and_gets_no_tasks(live: Live, ecs: Any) -> None:
    node = live.add_node(attributes={"role": "lost"})
    only_there = [{"type": "memberOf", "expression": "attribute:role == lost"}]
    task = run(ecs, "stay", placementConstraints=only_there)
    waiter(ecs, "tasks_running").wait(tasks=[task["taskArn"]])
    live.stop_agent(node)
    assert described(ecs, task)["lastStatus"] == "RUNNING"
    answer = ecs.run_task(taskDefinition="stay", placementConstraints=only_there)
    assert "AGENT" in [failure["reason"] for failure in answer["failures"]]
    with pytest.raises(ClientError, match=r"Found running tasks on the instance."):
        ecs.deregister_container_instance(containerInstance=node.agent.instance_arn)
    gone = ecs.deregister_container_instance(containerInstance=node.agent.instance_arn, force=True)
    assert gone["containerInstance"]["status"] == "INACTIVE"
    assert described(ecs, task)["stoppedReason"] == "Container instance deregistration forced by user"
