"""ECS events: every version of a task is one document, in order, through the whole server."""

from __future__ import annotations

import json
from collections import defaultdict
from dataclasses import replace
from itertools import islice
from pathlib import Path
from typing import Any

import pytest

from homeport.app.connection import write_connection
from homeport.cli.client import ApiError
from homeport.cli.events import events as show_events
from homeport.cli.events import followed
from homeport.services.iam.manifest import AGENT_POLICY_ARN
from tests.api.test_explain import client, key_with
from tests.api.test_tasks import register, waiter
from tests.kit.server import ACCOUNT, REGION, Live, Node


@pytest.fixture(scope="module")
def node(live: Live) -> Node:
    return live.add_node()


@pytest.fixture(scope="module", autouse=True)
def definitions(ecs: Any, node: Node) -> None:
    register(ecs, "stay", "stay")
    register(ecs, "huge", "stay", memory=10_000_000)
    register(ecs, "three", "exit", "3")


def end(live: Live) -> str:
    with client(live) as api:
        return str(api.own("events", limit="1")["next"])


def since(live: Live, position: str, *, page: int = 1000) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = []
    with client(live) as api:
        while True:
            answer = api.own("events", after=position, limit=str(page))
            assert not answer["gap"]
            found += answer["events"]
            if not answer["events"]:
                return found
            position = answer["next"]


def of_task(events: list[dict[str, Any]], arn: str) -> list[dict[str, Any]]:
    return [e for e in events if e["resources"] == [arn]]


def test_every_version_of_a_task_is_one_document_in_order(live: Live, ecs: Any) -> None:
    start = end(live)
    arns = [t["taskArn"] for t in ecs.run_task(taskDefinition="three", count=3)["tasks"]]
    waiter(ecs, "tasks_stopped").wait(tasks=arns)
    last = {t["taskArn"]: t for t in ecs.describe_tasks(tasks=arns)["tasks"]}
    events = since(live, start)
    for arn in arns:
        mine = of_task(events, arn)
        details = [e["detail"] for e in mine]
        assert [d["version"] for d in details] == list(range(1, last[arn]["version"] + 1))
        assert {e["detail-type"] for e in mine} == {"ECS Task State Change"}
        assert (details[0]["lastStatus"], details[0]["desiredStatus"]) == ("PENDING", "RUNNING")
        assert "startedAt" not in details[0]
        assert [c["lastStatus"] for c in details[0]["containers"]] == ["PENDING"]
        assert "exitCode" not in details[0]["containers"][0]
        assert details[-1]["lastStatus"] == "STOPPED"
        assert details[-1]["stopCode"] == "EssentialContainerExited"
        assert details[-1]["containers"][0]["exitCode"] == 3
        assert len({e["id"] for e in mine}) == len(mine)


def test_the_envelope_is_eventbridges(live: Live, ecs: Any) -> None:
    start = end(live)
    arn = ecs.run_task(taskDefinition="three")["tasks"][0]["taskArn"]
    waiter(ecs, "tasks_stopped").wait(tasks=[arn])
    event = of_task(since(live, start), arn)[-1]
    assert {key: event[key] for key in ("version", "source", "account", "region", "resources")} == {
        "version": "0",
        "source": "aws.ecs",
        "account": ACCOUNT,
        "region": REGION,
        "resources": [arn],
    }
    assert event["time"].endswith("Z")
    for instant in ("createdAt", "stoppedAt", "updatedAt"):
        assert event["detail"][instant][-5] == "."
        assert event["detail"][instant].endswith("Z")
    assert "tags" not in event["detail"]


def test_pages_of_one_tell_the_same_as_one_page(live: Live, ecs: Any) -> None:
    start = end(live)
    arns = [t["taskArn"] for t in ecs.run_task(taskDefinition="three", count=4)["tasks"]]
    waiter(ecs, "tasks_stopped").wait(tasks=arns)
    whole = [e["id"] for e in since(live, start)]
    assert [e["id"] for e in since(live, start, page=1)][: len(whole)] == whole
    assert [e["id"] for e in since(live, start, page=3)][: len(whole)] == whole


def test_a_deployment_tells_its_states_and_its_service_what_it_did(live: Live, ecs: Any) -> None:
    start = end(live)
    arn = ecs.create_service(serviceName="told", taskDefinition="stay", desiredCount=2)["service"][
        "serviceArn"
    ]
    waiter(ecs, "services_stable").wait(services=["told"])
    names = defaultdict(list)
    for event in since(live, start):
        if event["resources"] == [arn]:
            names[event["detail-type"]].append((event["detail"]["eventType"], event["detail"]["eventName"]))
    assert names["ECS Deployment State Change"][0] == ("INFO", "SERVICE_DEPLOYMENT_IN_PROGRESS")
    assert ("INFO", "TASKS_STARTED") in names["ECS Service Action"]
    ecs.delete_service(service="told", force=True)
    waiter(ecs, "services_inactive").wait(services=["told"])
    stopped = [e["detail"]["eventName"] for e in since(live, start) if e["resources"] == [arn]]
    assert "TASKS_STOPPED" in stopped


def test_a_placement_failure_names_the_instance_and_the_resource(live: Live, ecs: Any, node: Node) -> None:
    start = end(live)
    arn = ecs.create_service(serviceName="big", taskDefinition="huge", desiredCount=1)["service"][
        "serviceArn"
    ]
    position, found = start, []
    with client(live) as api:
        while not found:
            answer = api.own("events", after=position, wait="4")
            position = answer["next"]
            found = [
                e["detail"]
                for e in answer["events"]
                if e["resources"] == [arn] and e["detail-type"] == "ECS Service Action"
            ]
    detail = found[0]
    assert (detail["eventType"], detail["eventName"]) == ("ERROR", "SERVICE_TASK_PLACEMENT_FAILURE")
    assert (detail["reason"], detail["containerInstanceArns"]) == (
        "RESOURCE:MEMORY",
        [node.agent.instance_arn],
    )
    ecs.delete_service(service="big", force=True)


def test_an_instance_tells_its_drain(live: Live, ecs: Any, node: Node) -> None:
    start = end(live)
    for status in ("DRAINING", "ACTIVE"):
        ecs.update_container_instances_state(containerInstances=[node.agent.instance_arn], status=status)
    mine = [e["detail"] for e in since(live, start) if e["resources"] == [node.agent.instance_arn]]
    assert [d["status"] for d in mine] == ["DRAINING", "ACTIVE"]
    assert mine[1]["version"] == mine[0]["version"] + 1
    assert mine[0]["updatedAt"].endswith("Z")
    assert {r["name"] for r in mine[0]["remainingResources"]} >= {"CPU", "MEMORY"}


def test_others_accounts_and_regions_are_not_told(live: Live, ecs: Any) -> None:
    start = end(live)
    arn = ecs.run_task(taskDefinition="three")["tasks"][0]["taskArn"]
    waiter(ecs, "tasks_stopped").wait(tasks=[arn])
    with client(live) as api:
        api.connection = replace(api.connection, region="eu-west-1")
        assert api.own("events", after=start)["events"] == []
        assert api.own("events")["events"] == []


@pytest.mark.parametrize("query", [{"after": "x"}, {"limit": "many"}, {"wait": "long"}])
def test_nonsense_is_refused(live: Live, query: dict[str, str]) -> None:
    with client(live) as api, pytest.raises(ApiError) as caught:
        api.own("events", **query)
    assert caught.value.code == "InvalidParameterException"


def test_an_agents_key_may_not_read_them(live: Live) -> None:
    agent = key_with(live, "reading-agent", AGENT_POLICY_ARN)
    with client(live, agent) as api, pytest.raises(ApiError) as caught:
        api.own("events")
    assert caught.value.code == "AccessDeniedException"


def test_the_command_prints_documents_and_lines(
    live: Live, ecs: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    arn = ecs.run_task(taskDefinition="three")["tasks"][0]["taskArn"]
    waiter(ecs, "tasks_stopped").wait(tasks=[arn])
    with client(live) as api:
        write_connection(tmp_path, api.connection, environ={})
    assert show_events(data_dir=tmp_path, json=True, last=1) == 0
    (line,) = capsys.readouterr().out.splitlines()
    assert json.loads(line)["detail"]["stoppedReason"] == "Essential container in task exited"
    assert show_events(data_dir=tmp_path, last=1) == 0
    (line,) = capsys.readouterr().out.splitlines()
    assert line.endswith("STOPPED (three:1): Essential container in task exited")
    assert show_events(data_dir=tmp_path, last=9, cluster="other") == 0
    assert capsys.readouterr().out == ""


def test_who_follows_is_told_at_once(live: Live, ecs: Any) -> None:
    start = end(live)
    with client(live) as api:
        told = followed(api, start)
        arn = ecs.run_task(taskDefinition="three")["tasks"][0]["taskArn"]
        first = next(e for e in told if e["resources"] == [arn])
        assert first["detail"]["version"] == 1
        rest = list(islice((e for e in told if e["resources"] == [arn]), 1))
        assert rest[0]["detail"]["version"] == 2
    waiter(ecs, "tasks_stopped").wait(tasks=[arn])
