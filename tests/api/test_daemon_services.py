"""DAEMON services through boto3."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from botocore.exceptions import ClientError

from tests.api.test_tasks import register, waiter
from tests.kit.server import Live, Node

Described = dict[str, Any]


@pytest.fixture
def cluster(ecs: Any, request: pytest.FixtureRequest) -> str:
    """A cluster of the test's own, so that its instances are all there are."""
    name = request.node.name.replace("[", "-").replace("]", "")[:200]
    ecs.create_cluster(clusterName=name)
    return name


@pytest.fixture
def nodes(live: Live) -> Iterator[Callable[..., Node]]:
    """Adds instances, and takes them away after the test."""
    made: list[Node] = []

    def add(cluster: str, **changes: Any) -> Node:
        made.append(live.add_node(cluster=cluster, **changes))
        return made[-1]

    yield add
    for node in made:
        live.stop_agent(node)
        live.nodes.remove(node)


@pytest.fixture(scope="module", autouse=True)
def definitions(ecs: Any) -> None:
    register(ecs, "agent", "stay", cpu=10)


def create(ecs: Any, cluster: str, name: str = "agent", **members: Any) -> Described:
    asked = {"taskDefinition": "agent", "schedulingStrategy": "DAEMON", **members}
    return ecs.create_service(cluster=cluster, serviceName=name, **asked)["service"]


def described(ecs: Any, cluster: str, name: str = "agent") -> Described:
    return ecs.describe_services(cluster=cluster, services=[name])["services"][0]


def tasks_of(ecs: Any, cluster: str, name: str = "agent") -> list[Described]:
    arns = ecs.list_tasks(cluster=cluster, serviceName=name)["taskArns"]
    return ecs.describe_tasks(cluster=cluster, tasks=arns)["tasks"] if arns else []


def until(live: Live, check: Callable[[], bool]) -> None:
    async def asked() -> bool:
        return await asyncio.to_thread(check)

    live.wait_until(asked)


def settled(live: Live, ecs: Any, cluster: str, count: int, name: str = "agent") -> Described:
    """As many tasks run as are desired, and the deployment is over."""

    def is_settled() -> bool:
        service = described(ecs, cluster, name)
        states = [d["rolloutState"] for d in service["deployments"]]
        return service["desiredCount"] == service["runningCount"] == count and states == ["COMPLETED"]

    until(live, is_settled)
    return described(ecs, cluster, name)


def homes(ecs: Any, cluster: str, name: str = "agent") -> list[str]:
    return sorted(t["containerInstanceArn"] for t in tasks_of(ecs, cluster, name))


def test_every_instance_runs_one_and_a_new_one_does_too(
    ecs: Any, live: Live, cluster: str, nodes: Callable[..., Node]
) -> None:
    first = nodes(cluster)
    created = create(ecs, cluster)
    assert (created["schedulingStrategy"], created["desiredCount"]) == ("DAEMON", 1)
    assert created["deploymentConfiguration"]["maximumPercent"] == 100
    assert created["deploymentConfiguration"]["minimumHealthyPercent"] == 0
    settled(live, ecs, cluster, 1)
    second = nodes(cluster)
    service = settled(live, ecs, cluster, 2)
    assert homes(ecs, cluster) == sorted([first.agent.instance_arn, second.agent.instance_arn])
    assert service["events"][0]["message"] == "(service agent) has reached a steady state."
    waiter(ecs, "services_stable").wait(cluster=cluster, services=["agent"])


def test_a_task_that_ends_is_replaced_on_its_own_instance(
    ecs: Any, live: Live, cluster: str, nodes: Callable[..., Node]
) -> None:
    nodes(cluster), nodes(cluster)
    create(ecs, cluster)
    settled(live, ecs, cluster, 2)
    victim = tasks_of(ecs, cluster)[0]
    before = homes(ecs, cluster)
    ecs.stop_task(cluster=cluster, task=victim["taskArn"])
    until(live, lambda: victim["taskArn"] not in {t["taskArn"] for t in tasks_of(ecs, cluster)})
    settled(live, ecs, cluster, 2)
    assert homes(ecs, cluster) == before


def test_attributes_decide_and_their_change_is_followed(
    ecs: Any, live: Live, cluster: str, nodes: Callable[..., Node]
) -> None:
    chosen, other = nodes(cluster), nodes(cluster)
    wanted = {"name": "role", "value": "edge"}

    def target(node: Node) -> Described:
        return {**wanted, "targetId": node.agent.instance_arn}

    ecs.put_attributes(cluster=cluster, attributes=[target(chosen)])
    create(
        ecs,
        cluster,
        placementConstraints=[{"type": "memberOf", "expression": "attribute:role == edge"}],
    )
    settled(live, ecs, cluster, 1)
    assert homes(ecs, cluster) == [chosen.agent.instance_arn]
    ecs.put_attributes(cluster=cluster, attributes=[target(other)])
    settled(live, ecs, cluster, 2)
    ecs.delete_attributes(cluster=cluster, attributes=[target(chosen)])
    service = settled(live, ecs, cluster, 1)
    assert homes(ecs, cluster) == [other.agent.instance_arn]
    assert any("no longer meets the task's placement constraints" in e["message"] for e in service["events"])


def test_the_definitions_constraints_hold_too(
    ecs: Any, live: Live, cluster: str, nodes: Callable[..., Node]
) -> None:
    ecs.register_task_definition(
        family="picky",
        containerDefinitions=[{"name": "app", "image": "app:1", "memory": 16}],
        placementConstraints=[{"type": "memberOf", "expression": "attribute:nowhere exists"}],
    )
    nodes(cluster)
    assert create(ecs, cluster, taskDefinition="picky")["desiredCount"] == 0
    settled(live, ecs, cluster, 0)
    assert tasks_of(ecs, cluster) == []


def test_an_update_replaces_the_task_of_every_instance(
    ecs: Any, live: Live, cluster: str, nodes: Callable[..., Node]
) -> None:
    nodes(cluster), nodes(cluster)
    create(ecs, cluster)
    before = settled(live, ecs, cluster, 2)["deployments"][0]["id"]
    fresh = register(ecs, "agent", "stay", cpu=11)["taskDefinitionArn"]
    ecs.update_service(cluster=cluster, service="agent", taskDefinition=fresh)
    until(live, lambda: {t["taskDefinitionArn"] for t in tasks_of(ecs, cluster)} == {fresh})
    service = settled(live, ecs, cluster, 2)
    assert service["deployments"][0]["id"] != before
    assert len(set(homes(ecs, cluster))) == 2
    history = ecs.list_service_deployments(cluster=cluster, service="agent")["serviceDeployments"]
    assert [record["status"] for record in history] == ["SUCCESSFUL", "SUCCESSFUL"]


def test_on_a_draining_instance_it_goes_after_everything_else(
    ecs: Any, live: Live, cluster: str, nodes: Callable[..., Node]
) -> None:
    node = nodes(cluster)
    create(ecs, cluster)
    settled(live, ecs, cluster, 1)
    (other,) = ecs.run_task(cluster=cluster, taskDefinition="agent")["tasks"]
    waiter(ecs, "tasks_running").wait(cluster=cluster, tasks=[other["taskArn"]])
    ecs.update_container_instances_state(
        cluster=cluster, containerInstances=[node.agent.instance_arn], status="DRAINING"
    )
    until(live, lambda: described(ecs, cluster)["desiredCount"] == 0)
    assert [t["desiredStatus"] for t in tasks_of(ecs, cluster)] == ["RUNNING"]
    ecs.stop_task(cluster=cluster, task=other["taskArn"])
    settled(live, ecs, cluster, 0)
    ecs.update_container_instances_state(
        cluster=cluster, containerInstances=[node.agent.instance_arn], status="ACTIVE"
    )
    settled(live, ecs, cluster, 1)


def test_its_room_on_a_new_instance_is_not_for_tasks_that_wait(
    ecs: Any, live: Live, cluster: str, nodes: Callable[..., Node]
) -> None:
    """Thirty tasks wait for any room there is; the daemon gets its own all the same."""
    register(ecs, "greedy", "stay", cpu=1, memory=64)
    create(ecs, cluster)
    ecs.create_service(cluster=cluster, serviceName="greedy", taskDefinition="greedy", desiredCount=30)

    def is_short() -> bool:
        events = described(ecs, cluster, "greedy")["events"]
        return any("unable to place" in e["message"] for e in events)

    until(live, is_short)
    nodes(cluster, memory_mib=256 + 64)
    settled(live, ecs, cluster, 1)
    assert len(homes(ecs, cluster)) == 1


def test_without_room_the_service_says_why_and_starts_once_there_is_some(
    ecs: Any, live: Live, cluster: str, nodes: Callable[..., Node]
) -> None:
    nodes(cluster)
    (instance,) = ecs.describe_container_instances(
        cluster=cluster,
        containerInstances=ecs.list_container_instances(cluster=cluster)["containerInstanceArns"],
    )["containerInstances"]
    memory = next(r["integerValue"] for r in instance["remainingResources"] if r["name"] == "MEMORY")
    register(ecs, "whole", "stay", memory=memory)
    (hog,) = ecs.run_task(cluster=cluster, taskDefinition="whole")["tasks"]
    create(ecs, cluster)
    until(live, lambda: bool(described(ecs, cluster)["events"]))
    message = described(ecs, cluster)["events"][0]["message"]
    assert "was unable to place a task" in message
    assert "has insufficient memory available" in message
    assert described(ecs, cluster)["desiredCount"] == 1
    ecs.stop_task(cluster=cluster, task=hog["taskArn"])
    settled(live, ecs, cluster, 1)


def test_deleting_needs_no_force_and_stops_the_tasks(
    ecs: Any, live: Live, cluster: str, nodes: Callable[..., Node]
) -> None:
    nodes(cluster)
    create(ecs, cluster)
    settled(live, ecs, cluster, 1)
    assert ecs.delete_service(cluster=cluster, service="agent")["service"]["status"] == "DRAINING"
    waiter(ecs, "services_inactive").wait(cluster=cluster, services=["agent"])
    until(live, lambda: not tasks_of(ecs, cluster))


def test_lists_can_be_filtered_by_the_strategy(ecs: Any, cluster: str) -> None:
    for number in range(3):
        create(ecs, cluster, f"daemon-{number}")
        ecs.create_service(
            cluster=cluster, serviceName=f"replica-{number}", taskDefinition="agent", desiredCount=0
        )

    def listed(**filters: Any) -> list[str]:
        pages = ecs.get_paginator("list_services").paginate(
            cluster=cluster, PaginationConfig={"PageSize": 2}, **filters
        )
        return [arn.rpartition("/")[2] for page in pages for arn in page["serviceArns"]]

    assert listed(schedulingStrategy="DAEMON") == ["daemon-0", "daemon-1", "daemon-2"]
    assert listed(schedulingStrategy="REPLICA", launchType="EC2") == ["replica-0", "replica-1", "replica-2"]
    assert listed(schedulingStrategy="DAEMON", launchType="FARGATE") == []
    assert len(listed()) == 6


@pytest.mark.parametrize(
    ("members", "message"),
    [
        ({"desiredCount": 1}, "does not support a desired count"),
        ({"placementStrategy": [{"type": "random"}]}, "does not support placement strategies"),
        ({"launchType": "FARGATE"}, "launchType is FARGATE"),
        ({"deploymentConfiguration": {"maximumPercent": 200}}, "maximumPercent other than 100"),
        ({"deploymentController": {"type": "CODE_DEPLOY"}}, "deploymentController"),
        ({"availabilityZoneRebalancing": "ENABLED"}, "does not support DAEMON services"),
    ],
    ids=lambda value: next(iter(value)) if isinstance(value, dict) else "",
)
def test_what_a_daemon_cannot_have_is_refused(
    ecs: Any, cluster: str, members: dict[str, Any], message: str
) -> None:
    with pytest.raises(ClientError, match=message):
        create(ecs, cluster, **members)


@pytest.mark.parametrize(
    "members",
    [
        {"desiredCount": 1},
        {"placementStrategy": [{"type": "random"}]},
        {"deploymentConfiguration": {"maximumPercent": 150}},
    ],
    ids=lambda value: next(iter(value)),
)
def test_and_so_is_changing_to_it(ecs: Any, cluster: str, members: dict[str, Any]) -> None:
    create(ecs, cluster)
    with pytest.raises(ClientError, match="daemon scheduling strategy"):
        ecs.update_service(cluster=cluster, service="agent", **members)


def test_the_floor_can_be_raised(ecs: Any, cluster: str) -> None:
    create(ecs, cluster)
    answer = ecs.update_service(
        cluster=cluster, service="agent", deploymentConfiguration={"minimumHealthyPercent": 50}
    )
    configuration = answer["service"]["deploymentConfiguration"]
    assert (configuration["minimumHealthyPercent"], configuration["maximumPercent"]) == (50, 100)
