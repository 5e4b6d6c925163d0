"""Spot interruptions: an operator's word, seen as AWS's.

Sources: developer guide, "Handling Fargate Spot termination notices"; "Stopped tasks error codes".
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from typing import Any

import pytest

from homeport.app.connection import Connection
from homeport.cli.client import ApiError, AwsClient
from homeport.services.ecs.control.event_bus import EventBus
from tests.api.test_awsvpc import network, stop
from tests.api.test_fargate import APP, register
from tests.api.test_tasks import described, waiter
from tests.kit.server import ACCOUNT, REGION, Live, Node

SPOT = [{"capacityProvider": "FARGATE_SPOT", "weight": 1}]


@pytest.fixture(scope="module", autouse=True)
def machine(live: Live, ecs: Any) -> Node:
    ecs.create_cluster(clusterName="default", capacityProviders=["FARGATE", "FARGATE_SPOT"])
    register(ecs, "web", containerDefinitions=[APP])
    register(ecs, "deaf", containerDefinitions=[{**APP, "command": ["deaf"], "stopTimeout": 2}])
    return live.add_node(networks=True, cluster=".fargate", fargate=True, ec2_instance_id="")


@pytest.fixture(scope="module")
def subnet(live: Live) -> str:
    return str(live.client("ec2").describe_subnets()["Subnets"][0]["SubnetId"])


@pytest.fixture
def operator(live: Live) -> Iterator[AwsClient]:
    root = live.keys.root
    with AwsClient(
        Connection(
            endpoint=live.endpoint,
            access_key_id=root.access_key_id,
            secret_access_key=root.secret_access_key,
            region=REGION,
            account_id=ACCOUNT,
        )
    ) as client:
        yield client


def run(ecs: Any, subnet: str, family: str = "web", **members: Any) -> dict[str, Any]:
    asked = members or {"capacityProviderStrategy": SPOT}
    answer = ecs.run_task(taskDefinition=family, networkConfiguration=network(subnet), **asked)
    (task,) = answer["tasks"]
    waiter(ecs, "tasks_running").wait(tasks=[task["taskArn"]])
    return dict(task)


def test_notice_is_an_event_and_the_end_is_an_interruption(
    live: Live, ecs: Any, subnet: str, operator: AwsClient
) -> None:
    task = run(ecs, subnet, "deaf")
    told = operator.own("spot-interrupt", arn=task["taskArn"])
    assert told["task_arn"] == task["taskArn"]
    warned = described(ecs, task)
    assert warned["desiredStatus"] == "STOPPED"
    assert warned["stoppedReason"] == "Your Spot Task was interrupted."
    again = operator.own("spot-interrupt", arn=task["taskArn"])
    assert again == told
    waiter(ecs, "tasks_stopped").wait(tasks=[task["taskArn"]])
    ended = described(ecs, task)
    assert (ended["stopCode"], ended["stoppedReason"]) == (
        "SpotInterruption",
        "Your Spot Task was interrupted.",
    )
    assert ended["containers"][0]["exitCode"] == 137
    page = live.run(EventBus(live.plane.store).newest(ACCOUNT, REGION, 300))
    mine = [d["detail"] for d in page.documents if d["resources"] == [task["taskArn"]]]
    codes = [(one["lastStatus"], one.get("stopCode")) for one in mine]
    assert ("RUNNING", "TerminationNotice") in codes
    assert codes[-1] == ("STOPPED", "SpotInterruption")


def test_a_service_starts_another_task(ecs: Any, subnet: str, operator: AwsClient) -> None:
    ecs.create_service(
        serviceName="shop",
        taskDefinition="web",
        desiredCount=1,
        capacityProviderStrategy=SPOT,
        networkConfiguration=network(subnet),
    )
    waiter(ecs, "services_stable").wait(services=["shop"])
    (first,) = ecs.list_tasks(serviceName="shop")["taskArns"]
    operator.own("spot-interrupt", arn=first)
    waiter(ecs, "tasks_stopped").wait(tasks=[first])
    waiter(ecs, "services_stable").wait(services=["shop"])
    (second,) = ecs.list_tasks(serviceName="shop")["taskArns"]
    assert second != first
    (service,) = ecs.describe_services(services=["shop"])["services"]
    assert service["deployments"][0]["failedTasks"] == 0
    ecs.delete_service(service="shop", force=True)
    waiter(ecs, "services_inactive").wait(services=["shop"])


def test_only_tasks_on_spot_are_interrupted(ecs: Any, subnet: str, operator: AwsClient) -> None:
    task = run(ecs, subnet, launchType="FARGATE")
    with pytest.raises(ApiError, match="is not on FARGATE_SPOT"):
        operator.own("spot-interrupt", arn=task["taskArn"])
    with pytest.raises(ApiError, match="There is no task"):
        operator.own("spot-interrupt", arn=task["taskArn"][:-1] + "z")
    stop(ecs, task)
    other = run(ecs, subnet)
    stop(ecs, other)
    with pytest.raises(ApiError, match="ends already: Task stopped by user"):
        operator.own("spot-interrupt", arn=other["taskArn"])


def test_who_may_not_is_refused(live: Live, ecs: Any, subnet: str, operator: AwsClient) -> None:
    task = run(ecs, subnet)
    nodes = live.keys.nodes
    stranger = dataclasses.replace(
        operator.connection,
        access_key_id=nodes.access_key_id,
        secret_access_key=nodes.secret_access_key,
    )
    with AwsClient(stranger) as client, pytest.raises(ApiError, match="homeport:InterruptSpotTask"):
        client.own("spot-interrupt", arn=task["taskArn"])
    assert described(ecs, task)["desiredStatus"] == "RUNNING"
    stop(ecs, task)
