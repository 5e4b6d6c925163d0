"""Services on real containers: a rollout keeps its promises at every moment; what ends is replaced."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from homeport.app.settings import INSTALLATION_LABEL
from homeport.node.drivers.docker_views import filters
from tests.kit.real_node import RealNode, real_node
from tests.kit.server import live_server
from tests.kit.up import free_port

pytestmark = [pytest.mark.docker, pytest.mark.root, pytest.mark.slow, pytest.mark.timeout(180)]

STAY = ["sh", "-c", "trap exit TERM; sleep 600 & wait"]
CHECK = {"command": ["CMD-SHELL", "true"], "interval": 5, "timeout": 2, "retries": 3}
TASKS = 10
A_TICK_SECONDS = 3.0
"""Who looked every five seconds would need longer than this more often than not."""


@pytest.fixture(scope="module")
def node() -> Iterator[RealNode]:
    with live_server() as live, real_node(live) as running:
        yield running


class Sampler:
    """Looks at a service as fast as it can, until it is told to end."""

    def __init__(self, node: RealNode, service: str) -> None:
        self._ecs = node.live.client("ecs")
        self._node = node
        self._service = service
        self._done = threading.Event()
        self._thread = threading.Thread(target=self._look)
        self.active: list[int] = []
        self.healthy: list[int] = []
        self.containers: list[int] = []
        self.described: list[int] = []

    def __enter__(self) -> Sampler:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._done.set()
        self._thread.join()

    def _look(self) -> None:
        mine = {"filters": filters(label=[f"{INSTALLATION_LABEL}={self._node.installation}"])}
        while not self._done.is_set():
            # A task takes seconds to become healthy: the healthy ones of the second call are in the first.
            arns = self._ecs.list_tasks(serviceName=self._service, desiredStatus="RUNNING")["taskArns"]
            tasks = self._ecs.describe_tasks(tasks=arns)["tasks"]
            self.active.append(len(arns))
            self.healthy.append(sum(is_healthy(task) for task in tasks))
            self.containers.append(len(self._node.docker("GET", "/containers/json", params=mine)))
            (service,) = self._ecs.describe_services(services=[self._service])["services"]
            self.described.append(service["runningCount"])


def is_healthy(task: dict[str, Any]) -> bool:
    return (
        task["desiredStatus"] == "RUNNING"
        and task["lastStatus"] == "RUNNING"
        and task["healthStatus"] == "HEALTHY"
    )


def describe(node: RealNode, name: str) -> Any:
    return node.ecs.describe_services(services=[name])["services"][0]


def until_steady(node: RealNode, name: str) -> Any:
    """The service, once its newest deployment is completed and nothing else is left of it."""

    def look() -> Any:
        found = describe(node, name)
        primary = found["deployments"][0]
        done = len(found["deployments"]) == 1 and primary["rolloutState"] == "COMPLETED"
        return found if done and found["runningCount"] == found["desiredCount"] else None

    return node.commits.until(look, 60)


@contextmanager
def a_service(node: RealNode, name: str, count: int, **members: Any) -> Iterator[str]:
    """A steady service; deleted afterwards, to its last task. Its first task definition."""
    definition = node.register({"command": STAY, "healthCheck": CHECK, "memory": 16})
    node.ecs.create_service(serviceName=name, taskDefinition=definition, desiredCount=count, **members)
    try:
        until_steady(node, name)
        yield definition
    finally:
        node.ecs.delete_service(service=name, force=True)
        node.commits.until(lambda: describe(node, name)["status"] == "INACTIVE")


@pytest.mark.parametrize(("minimum", "maximum"), [(100, 200), (50, 100)])
def test_an_update_keeps_its_promises_at_every_moment(node: RealNode, minimum: int, maximum: int) -> None:
    name = f"web-{minimum}-{maximum}"
    configuration = {"minimumHealthyPercent": minimum, "maximumPercent": maximum}
    with a_service(node, name, TASKS, deploymentConfiguration=configuration) as first:
        second = node.register({"command": STAY, "healthCheck": CHECK, "memory": 16})
        with Sampler(node, name) as seen:
            node.ecs.update_service(service=name, taskDefinition=second)
            service = until_steady(node, name)
        arns = node.ecs.list_tasks(serviceName=name)["taskArns"]
        tasks = node.ecs.describe_tasks(tasks=arns)["tasks"]
        assert {task["taskDefinitionArn"] for task in tasks} == {second} != {first}
        assert "deployment completed" in service["events"][1]["message"]
        floor, ceiling = TASKS * minimum // 100, TASKS * maximum // 100
        assert len(seen.active) > 20
        assert min(seen.healthy) >= floor
        assert max(seen.active) <= ceiling
        assert min(seen.containers) >= floor, "that many really run"
        assert min(seen.described) >= floor
        # The room that there is was used: the update went in as few rounds as it could.
        assert max(seen.active) == ceiling
        assert min(seen.healthy) == floor


def test_a_broken_image_trips_the_breaker_and_rolls_back(node: RealNode) -> None:
    # Two failures are enough: an agent tries for ten seconds to pull an image.
    threshold = {"type": "COUNT", "value": 2}
    breaker = {
        "deploymentCircuitBreaker": {"enable": True, "rollback": True, "thresholdConfiguration": threshold}
    }
    with a_service(node, "broken", 2, deploymentConfiguration=breaker) as good:
        before = set(node.ecs.list_tasks(serviceName="broken")["taskArns"])
        nowhere = f"127.0.0.1:{free_port()}/missing:1"
        bad = node.register({"command": STAY, "image": nowhere, "memory": 16})
        with Sampler(node, "broken") as seen:
            node.ecs.update_service(service="broken", taskDefinition=bad)
            node.commits.until(lambda: "rolling back" in str(describe(node, "broken")["events"]), 60)
            service = until_steady(node, "broken")
        assert service["taskDefinition"] == good
        assert set(node.ecs.list_tasks(serviceName="broken")["taskArns"]) == before, "none was touched"
        assert min(seen.healthy) == 2
        (arn,) = node.ecs.list_service_deployments(service="broken")["serviceDeployments"][:1]
        assert arn["status"] == "ROLLBACK_SUCCESSFUL"
        messages = [event["message"] for event in service["events"]]
        assert any("deployment failed: tasks failed to start." in message for message in messages)


def test_a_container_that_is_killed_is_replaced_at_once(node: RealNode) -> None:
    took = []
    with a_service(node, "killed", 3):
        victims = node.ecs.list_tasks(serviceName="killed")["taskArns"]
        for victim in victims:
            docker_id = node.describe(victim)["containers"][0]["runtimeId"]
            known = set(node.ecs.list_tasks(serviceName="killed")["taskArns"])
            began = time.monotonic()
            node.docker("POST", f"/containers/{docker_id}/kill")

            def replaced(known: set[str] = known) -> bool:
                fresh = set(node.ecs.list_tasks(serviceName="killed")["taskArns"]) - known
                return bool(fresh) and node.describe(fresh.pop())["lastStatus"] == "RUNNING"

            node.commits.until(replaced)
            took.append(time.monotonic() - began)
            assert node.describe(victim)["stopCode"] == "EssentialContainerExited"
    assert min(took) < A_TICK_SECONDS / 2
    assert max(took) < A_TICK_SECONDS
