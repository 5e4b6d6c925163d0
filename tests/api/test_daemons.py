"""Daemons through boto3: one task on every instance of their capacity providers."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from botocore.exceptions import ClientError

from tests.kit.server import Live, Node

Described = dict[str, Any]
GROUP = "homeport.auto-scaling-group"
AGENT = {"name": "agent", "image": "app:1", "command": ["stay"], "memory": 16}
BROKEN = {**AGENT, "image": "nowhere:1"}


@pytest.fixture
def cluster(ecs: Any, request: pytest.FixtureRequest) -> str:
    """A cluster of the test's own, so that its instances are all there are."""
    name = request.node.name.replace("[", "-").replace("]", "")[:200]
    return str(ecs.create_cluster(clusterName=name)["cluster"]["clusterArn"])


@pytest.fixture(scope="module")
def provider(ecs: Any) -> str:
    created = ecs.create_capacity_provider(
        name="edge", autoScalingGroupProvider={"autoScalingGroupArn": "edge"}
    )
    return str(created["capacityProvider"]["capacityProviderArn"])


@pytest.fixture
def nodes(live: Live, ecs: Any) -> Iterator[Callable[..., Node]]:
    """Adds instances, of a group or of none, and takes them away after the test."""
    made: list[Node] = []

    def add(cluster: str, group: str | None = "edge") -> Node:
        made.append(live.add_node(cluster=cluster.rpartition("/")[2]))
        if group is not None:
            join(ecs, cluster, made[-1], group)
        return made[-1]

    yield add
    for node in made:
        live.stop_agent(node)
        live.nodes.remove(node)


def join(ecs: Any, cluster: str, node: Node, group: str) -> None:
    target = {"name": GROUP, "value": group, "targetId": node.agent.instance_arn}
    ecs.put_attributes(cluster=cluster, attributes=[target])


def register(ecs: Any, container: Described | None = None, **members: Any) -> str:
    given = {"family": "agent", "containerDefinitions": [container or AGENT], **members}
    return str(ecs.register_daemon_task_definition(**given)["daemonTaskDefinitionArn"])


def create(ecs: Any, cluster: str, provider: str, name: str = "agent", **members: Any) -> Described:
    asked = {"clusterArn": cluster, "daemonName": name, "capacityProviderArns": [provider], **members}
    if "daemonTaskDefinitionArn" not in asked:
        asked["daemonTaskDefinitionArn"] = register(ecs)
    created: Described = ecs.create_daemon(**asked)
    return created


def deployment(ecs: Any, arn: str) -> Described:
    found: Described = ecs.describe_daemon_deployments(daemonDeploymentArns=[arn])["daemonDeployments"][0]
    return found


def tasks_of(ecs: Any, cluster: str, name: str = "agent") -> list[Described]:
    arns = ecs.list_tasks(cluster=cluster, daemonName=name)["taskArns"]
    return ecs.describe_tasks(cluster=cluster, tasks=arns, include=["TAGS"])["tasks"] if arns else []


def until(live: Live, check: Callable[[], bool]) -> None:
    async def asked() -> bool:
        return await asyncio.to_thread(check)

    live.wait_until(asked)


def running_on(ecs: Any, cluster: str, name: str = "agent") -> list[str]:
    return sorted(
        t["containerInstanceArn"] for t in tasks_of(ecs, cluster, name) if t["lastStatus"] == "RUNNING"
    )


def refused(call: Callable[[], Any]) -> tuple[str, str]:
    with pytest.raises(ClientError) as caught:
        call()
    error = caught.value.response["Error"]
    return error["Code"], error["Message"]


def test_every_instance_of_the_provider_runs_one_and_no_other_does(
    ecs: Any, live: Live, cluster: str, provider: str, nodes: Callable[..., Node]
) -> None:
    mine, _ = nodes(cluster), nodes(cluster, None)
    created = create(ecs, cluster, provider)
    assert created["status"] == "ACTIVE"
    until(live, lambda: running_on(ecs, cluster) == [mine.agent.instance_arn])
    late = nodes(cluster)
    until(live, lambda: len(running_on(ecs, cluster)) == 2)
    assert running_on(ecs, cluster) == sorted([mine.agent.instance_arn, late.agent.instance_arn])
    task = tasks_of(ecs, cluster)[0]
    assert task["group"] == "daemon:agent"
    assert ":daemon-task-definition/agent:" in task["taskDefinitionArn"]
    daemon = ecs.describe_daemon(daemonArn=created["daemonArn"])["daemon"]
    assert daemon["clusterArn"] == cluster
    assert daemon["deploymentArn"] == created["deploymentArn"]
    [revision] = daemon["currentRevisions"]
    assert revision["totalRunningCount"] == 2
    assert revision["capacityProviders"] == [{"arn": provider, "runningCount": 2, "withoutDaemonCount": 0}]
