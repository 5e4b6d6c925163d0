"""A local instance that was deregistered, and what the next `homeport up` makes of it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.kit.docker import IMAGE
from tests.kit.up import homeport_up

pytestmark = [pytest.mark.docker, pytest.mark.root, pytest.mark.slow, pytest.mark.timeout(180)]


def test_it_begins_again_as_a_new_instance_that_runs_tasks(tmp_path: Path) -> None:
    """The data directory of the old one would have kept Homeport from starting for ever."""
    with homeport_up(tmp_path, "--instances", "1") as up:
        ecs = up.client()
        (old,) = ecs.list_container_instances()["containerInstanceArns"]
        ecs.deregister_container_instance(containerInstance=old)
        up.terminate()
        up.start()
        (new,) = ecs.list_container_instances()["containerInstanceArns"]
        assert new != old
        runs(ecs)


def runs(ecs: Any) -> None:
    ecs.register_task_definition(
        family="once",
        containerDefinitions=[{"name": "app", "image": IMAGE, "memory": 16, "command": ["true"]}],
    )
    (task,) = ecs.run_task(taskDefinition="once")["tasks"]
    ecs.get_waiter("tasks_stopped").wait(tasks=[task["taskArn"]], WaiterConfig={"Delay": 1})
    (ended,) = ecs.describe_tasks(tasks=[task["taskArn"]])["tasks"]
    assert ended["containers"][0]["exitCode"] == 0
