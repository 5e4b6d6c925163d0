"""What agents report and how they are answered, beyond what the recordings show."""

from __future__ import annotations

from typing import Any

import pytest

from tests.kit.agent_replay import AgentCalls
from tests.kit.server import ACCOUNT, REGION, Live, Node

NOBODYS = f"arn:aws:ecs:{REGION}:{ACCOUNT}:task/default/{'0' * 32}"


@pytest.fixture(scope="module")
def calls(live: Live) -> AgentCalls:
    return AgentCalls(live)


@pytest.fixture(scope="module")
def node(live: Live, ecs: Any) -> Node:
    node = live.add_node()
    ecs.register_task_definition(
        family="stay",
        containerDefinitions=[
            {"name": "app", "image": "app:1", "memory": 16, "command": ["stay"]},
            {"name": "side", "image": "app:1", "memory": 16, "command": ["stay"], "essential": False},
        ],
    )
    return node


@pytest.fixture
def task(live: Live, ecs: Any, node: Node) -> str:
    """A task that runs."""
    arn: str = ecs.run_task(taskDefinition="stay")["tasks"][0]["taskArn"]
    waiter = ecs.get_waiter("tasks_running")
    waiter.config.delay = 0.02
    waiter.wait(tasks=[arn])
    return arn


def kind(answer: dict[str, Any]) -> str:
    return str(answer["__type"]).rpartition("#")[2]


def report(calls: AgentCalls, task: str, **members: Any) -> tuple[int, dict[str, Any]]:
    return calls.call("SubmitTaskStateChange", {"cluster": "default", "task": task, **members})


def test_the_end_of_a_forgotten_task_is_acknowledged(calls: AgentCalls, node: Node) -> None:
    """Its agent keeps the containers until then, up to three days. Source: seen with the real agent."""
    status, answer = report(calls, NOBODYS, status="STOPPED", reason="")
    assert (status, list(answer)) == (200, ["acknowledgment"])
    gone = {"cluster": "no-such-cluster", "task": NOBODYS, "status": "STOPPED"}
    assert calls.call("SubmitTaskStateChange", gone)[0] == 200


@pytest.mark.parametrize(
    "members",
    [
        {"task": NOBODYS, "status": "RUNNING"},
        {"task": NOBODYS, "status": "PENDING", "cluster": "no-such-cluster"},
        {"task": "too-short", "status": "RUNNING"},
        {"task": "arn:aws:ecs:elsewhere", "status": "RUNNING"},
        {"task": NOBODYS, "status": "WEIRD"},
        {"task": NOBODYS, "attachments": [{"attachmentArn": "arn:aws:x", "status": "ATTACHED"}]},
    ],
    ids=lambda members: ",".join(f"{k}={v}"[:40] for k, v in members.items()),
)
def test_no_other_error_is_given_than_the_one_that_agents_do_not_repeat_for_ever(
    calls: AgentCalls, node: Node, members: dict[str, Any]
) -> None:
    """Source: reference, section 7.4."""
    status, answer = calls.call("SubmitTaskStateChange", {"cluster": "default", **members})
    assert (status, kind(answer)) == (400, "InvalidParameterException")


def test_a_state_never_goes_back(calls: AgentCalls, ecs: Any, task: str) -> None:
    before = ecs.describe_tasks(tasks=[task])["tasks"][0]
    pending = [{"containerName": "app", "status": "PENDING"}]
    assert report(calls, task, status="PENDING", containers=pending)[0] == 200
    after = ecs.describe_tasks(tasks=[task])["tasks"][0]
    assert after == before


def test_a_report_that_comes_twice_changes_nothing_the_second_time(
    calls: AgentCalls, ecs: Any, task: str
) -> None:
    told = [{"containerName": "side", "status": "STOPPED", "exitCode": 4, "reason": "why"}]
    shown = []
    for _ in range(2):
        assert report(calls, task, status="RUNNING", containers=told)[0] == 200
        shown.append(ecs.describe_tasks(tasks=[task])["tasks"][0])
    assert shown[0] == shown[1]  # its version included
    assert shown[0]["lastStatus"] == "RUNNING"
    side = next(c for c in shown[0]["containers"] if c["name"] == "side")
    assert (side["lastStatus"], side["exitCode"], side["reason"]) == ("STOPPED", 4, "why")


def test_one_container_twice_in_a_list_is_taken_in_order(calls: AgentCalls, ecs: Any, task: str) -> None:
    told = [
        {"containerName": "app", "status": "RUNNING", "exitCode": 0},
        {"containerName": "app", "status": "STOPPED", "exitCode": 0},
    ]
    assert report(calls, task, status="STOPPED", containers=told)[0] == 200
    shown = ecs.describe_tasks(tasks=[task])["tasks"][0]
    assert (shown["lastStatus"], shown["stopCode"]) == ("STOPPED", "EssentialContainerExited")


def test_an_attachment_that_was_never_made_is_refused(calls: AgentCalls, node: Node) -> None:
    body = {"cluster": "default", "attachments": [{"attachmentArn": "arn:aws:x", "status": "ATTACHED"}]}
    status, answer = calls.call("SubmitAttachmentStateChanges", body)
    assert (status, kind(answer)) == (400, "InvalidParameterException")
    assert "arn:aws:x" in answer["message"]
