"""A daemon on real containers: it starts, is replaced when it is killed, and leaves a bad revision."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from homeport.app.settings import INSTALLATION_LABEL
from homeport.node.drivers.docker_views import filters
from tests.kit.docker import IMAGE
from tests.kit.real_node import RealNode, real_node
from tests.kit.server import live_server

pytestmark = [pytest.mark.docker, pytest.mark.root, pytest.mark.slow, pytest.mark.timeout(180)]

STAY = ["sh", "-c", "trap exit TERM; sleep 600 & wait"]
CHECK = {"command": ["CMD-SHELL", "true"], "interval": 5, "timeout": 2, "retries": 3}
GROUP = "homeport.auto-scaling-group"


@pytest.fixture(scope="module")
def node() -> Iterator[RealNode]:
    with live_server() as live, real_node(live) as running:
        yield running


def register(node: RealNode, command: list[str]) -> str:
    container = {"name": "agent", "image": IMAGE, "memory": 32, "stopTimeout": 2}
    container |= {"command": command, "healthCheck": CHECK}
    answer = node.ecs.register_daemon_task_definition(family="agent", containerDefinitions=[container])
    return str(answer["daemonTaskDefinitionArn"])


def containers(node: RealNode) -> list[Any]:
    mine = {"filters": filters(label=[f"{INSTALLATION_LABEL}={node.installation}"])}
    return [
        one for one in node.docker("GET", "/containers/json", params=mine) if "agent" in str(one["Names"])
    ]


def running(node: RealNode) -> list[str]:
    arns = node.ecs.list_tasks(daemonName="agent")["taskArns"]
    tasks = node.ecs.describe_tasks(tasks=arns)["tasks"] if arns else []
    return [t["taskArn"] for t in tasks if (t["lastStatus"], t["healthStatus"]) == ("RUNNING", "HEALTHY")]


def until_status(node: RealNode, arn: str, *statuses: str) -> Any:
    def look() -> Any:
        [found] = node.ecs.describe_daemon_deployments(daemonDeploymentArns=[arn])["daemonDeployments"]
        return found if found["status"] in statuses else None

    return node.commits.until(look, 60)


def test_a_daemon_runs_is_replaced_and_comes_back_from_a_bad_revision(node: RealNode) -> None:
    target = {"name": GROUP, "value": "edge", "targetId": node.instance}
    node.ecs.put_attributes(attributes=[target])
    group = {"autoScalingGroupArn": "edge"}
    provider = node.ecs.create_capacity_provider(name="edge", autoScalingGroupProvider=group)
    asked = {"capacityProviderArns": [provider["capacityProvider"]["capacityProviderArn"]]}
    good = register(node, STAY)
    created = node.ecs.create_daemon(daemonName="agent", daemonTaskDefinitionArn=good, **asked)
    arn = created["daemonArn"]
    try:
        until_status(node, created["deploymentArn"], "SUCCESSFUL")
        (container,) = containers(node)
        before = running(node)
        node.docker("POST", f"/containers/{container['Id']}/kill")
        node.commits.until(lambda: running(node) not in ([], before), 60)
        (after,) = containers(node)
        assert after["Id"] != container["Id"]

        bad = register(node, ["/no/such/program"])
        updated = node.ecs.update_daemon(daemonArn=arn, daemonTaskDefinitionArn=bad, **asked)
        ended = until_status(node, updated["deploymentArn"], "ROLLBACK_SUCCESSFUL")
        assert ended["circuitBreaker"]["status"] == "TRIGGERED"
        assert ended["rollback"]["rollbackTargetDaemonRevisionArn"] != ended["targetDaemonRevision"]["arn"]
        [task] = node.ecs.describe_tasks(tasks=running(node))["tasks"]
        assert task["taskDefinitionArn"] == good
    finally:
        node.ecs.delete_daemon(daemonArn=arn)
        node.commits.until(lambda: not node.ecs.list_daemons()["daemonSummariesList"], 60)
    assert containers(node) == []
