"""Two hundred tasks with interfaces come and go, killed machines in between: nothing is left of them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from tests.kit.behind_balancer import until
from tests.kit.docker import IMAGE
from tests.kit.up import Up, homeport_up, kernel_traces

pytestmark = [pytest.mark.slow, pytest.mark.docker, pytest.mark.root, pytest.mark.timeout(900)]
WAVES, MANY = 10, 20
PATIENCE_SECONDS = 120.0


@pytest.fixture(scope="module")
def up(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Up]:
    with homeport_up(tmp_path_factory.mktemp("up"), "--instances", "2", "--no-fargate") as running:
        yield running


def tasks_that(ecs: Any, arns: list[str], status: str) -> list[Any]:
    found: list[Any] = ecs.describe_tasks(tasks=arns)["tasks"]
    return [task for task in found if task["lastStatus"] == status]


def interfaces(up: Up) -> list[Any]:
    """Those of tasks: instances have theirs, too."""
    found = up.client("ec2").describe_network_interfaces()["NetworkInterfaces"]
    return [one for one in found if one["Description"].startswith("arn:aws:ecs:")]


def test_two_hundred_tasks_leave_nothing(up: Up) -> None:
    subnets = [one["SubnetId"] for one in up.client("ec2").describe_subnets()["Subnets"]]
    app = {"name": "app", "image": IMAGE, "memory": 16, "command": ["sleep", "600"], "stopTimeout": 2}
    up.client().register_task_definition(family="many", networkMode="awsvpc", containerDefinitions=[app])
    network = {"awsvpcConfiguration": {"subnets": subnets}}
    idle: list[int] = []
    for wave in range(WAVES):
        ecs = up.client()
        arns: list[str] = []
        while len(arns) < MANY:
            answer = ecs.run_task(taskDefinition="many", count=10, networkConfiguration=network)
            assert answer["failures"] == []
            arns += [task["taskArn"] for task in answer["tasks"]]
        if wave % 5 == 1:  # in the middle of starting
            up.kill()
            up.start()
        until(lambda arns=arns: len(tasks_that(up.client(), arns, "RUNNING")) == MANY, PATIENCE_SECONDS)
        assert len(interfaces(up)) == MANY
        for arn in arns:
            up.client().stop_task(task=arn)
        if wave % 5 == 3:  # in the middle of stopping
            up.kill()
            up.start()
        until(lambda arns=arns: len(tasks_that(up.client(), arns, "STOPPED")) == MANY, PATIENCE_SECONDS)
        assert interfaces(up) == []
        idle.append(len(kernel_traces(up.installation)))
    assert max(idle[WAVES // 2 :]) <= max(idle[: WAVES // 2]), f"it grows: {idle}"
