"""Blue/green on real containers: both revisions run until somebody decides, and blue is not touched."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from tests.e2e.test_rollouts import CHECK, STAY, Sampler, a_service, until_steady
from tests.kit.real_node import RealNode, real_node
from tests.kit.server import live_server

pytestmark = [pytest.mark.docker, pytest.mark.root, pytest.mark.slow, pytest.mark.timeout(180)]

PAUSED = {
    "strategy": "BLUE_GREEN",
    "bakeTimeInMinutes": 0,
    "lifecycleHooks": [{"targetType": "PAUSE", "lifecycleStages": ["POST_SCALE_UP"]}],
}


@pytest.fixture(scope="module")
def node() -> Iterator[RealNode]:
    with live_server() as live, real_node(live) as running:
        yield running


def newest(node: RealNode, name: str) -> Any:
    arns = [
        one["serviceDeploymentArn"]
        for one in node.ecs.list_service_deployments(service=name)["serviceDeployments"][:1]
    ]
    return node.ecs.describe_service_deployments(serviceDeploymentArns=arns)["serviceDeployments"][0]


def containers(node: RealNode, name: str) -> dict[str, str]:
    """The containers of a service's tasks, with the task definition of each."""
    arns = node.ecs.list_tasks(serviceName=name)["taskArns"]
    tasks = node.ecs.describe_tasks(tasks=arns)["tasks"] if arns else []
    return {task["containers"][0]["runtimeId"]: task["taskDefinitionArn"] for task in tasks}


def paused(node: RealNode, name: str) -> Any:
    def look() -> Any:
        found = newest(node, name)
        runs = found.get("lifecycleHookDetails", [])
        return found if any(run["status"] == "AWAITING_ACTION" for run in runs) else None

    return node.commits.until(look, 60)


@pytest.mark.parametrize(
    ("action", "status"), [("CONTINUE", "SUCCESSFUL"), ("ROLLBACK", "ROLLBACK_SUCCESSFUL")]
)
def test_both_revisions_run_until_somebody_decides(node: RealNode, action: str, status: str) -> None:
    name = f"worker-{action.lower()}"
    with a_service(node, name, 2) as first:
        blue = containers(node, name)
        second = node.register({"command": STAY, "healthCheck": CHECK, "memory": 16})
        with Sampler(node, name) as seen:
            node.ecs.update_service(service=name, taskDefinition=second, deploymentConfiguration=PAUSED)
            waiting = paused(node, name)
            both = containers(node, name)
            assert blue.items() <= both.items(), "blue goes on as it was"
            assert sorted(both.values()) == sorted([first, first, second, second])
            node.ecs.continue_service_deployment(
                serviceDeploymentArn=waiting["serviceDeploymentArn"],
                hookId=waiting["lifecycleHookDetails"][0]["hookId"],
                action=action,
            )
            node.commits.until(lambda: newest(node, name)["status"] == status, 60)
            until_steady(node, name)
        left = containers(node, name)
        if action == "ROLLBACK":
            assert left == blue, "the same containers as ever"
        else:
            assert set(left.values()) == {second}
        assert min(seen.healthy) >= 2
        assert max(seen.active) == 4
