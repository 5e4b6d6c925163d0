"""What goes wrong with real containers is told in ECS's own words, and leaves nothing behind.

Source of codes and texts: ECS developer guide, "Stopped tasks error messages"; recordings of the real agent.
"""

from __future__ import annotations

import contextlib
import socket
from typing import Any

import pytest

from tests.kit.real_node import RealNode
from tests.kit.registry import registry

pytestmark = [pytest.mark.docker, pytest.mark.root, pytest.mark.slow]


def only(task: dict[str, Any]) -> dict[str, Any]:
    (container,) = task["containers"]
    found: dict[str, Any] = container
    return found


def test_an_image_that_is_nowhere_fails_the_task_before_it_starts(node: RealNode) -> None:
    stack = contextlib.AsyncExitStack()
    published = node.live.run(stack.enter_async_context(registry()))
    arn = node.run(node.register({"image": f"{published.server}/nothing:1"}))
    task = node.stopped(arn)
    node.live.run(stack.aclose())
    assert task["stopCode"] == "TaskFailedToStart"
    assert task["stoppedReason"].startswith("CannotPullContainerError: ")
    assert only(task)["reason"].startswith("CannotPullContainerError: ")
    assert "exitCode" not in only(task)
    assert "runtimeId" not in only(task)
    assert "startedAt" not in task
    node.nothing_left()


def test_a_program_that_the_image_lacks_fails_the_task_before_it_starts(node: RealNode) -> None:
    task = node.stopped(node.run(node.register({"command": ["no-such-program"]})))
    assert task["stopCode"] == "TaskFailedToStart"
    assert task["stoppedReason"].startswith("CannotStartContainerError: Error response from daemon: ")
    assert "no-such-program" in only(task)["reason"]
    assert "exitCode" not in only(task), "it never ran"
    node.nothing_left()


def test_a_shell_that_finds_no_such_command_ends_with_127(node: RealNode) -> None:
    task = node.stopped(node.run(node.register({"command": ["sh", "-c", "no-such-program"]})))
    assert task["stopCode"] == "EssentialContainerExited"
    assert task["stoppedReason"] == "Essential container in task exited"
    assert only(task)["exitCode"] == 127
    node.nothing_left()


def test_a_container_that_takes_too_much_memory_is_killed_and_says_so(node: RealNode) -> None:
    task = node.stopped(node.run(node.register({"command": ["tail", "/dev/zero"], "memory": 16})))
    assert task["stopCode"] == "EssentialContainerExited"
    assert task["stoppedReason"] == "Essential container in task exited"
    assert only(task)["exitCode"] == 137
    assert only(task)["reason"] == "OutOfMemoryError: Container killed due to memory usage"
    node.nothing_left()


def test_a_task_that_takes_more_than_its_own_limit_is_killed(node: RealNode) -> None:
    """The containers' limits would allow it; the task's cgroup does not."""
    definition = node.register(
        {"name": "greedy", "command": ["tail", "/dev/zero"], "memory": 32}, cpu="128", memory="32"
    )
    task = node.stopped(node.run(definition))
    assert task["stopCode"] == "EssentialContainerExited"
    assert only(task)["exitCode"] == 137
    node.nothing_left()


def test_a_failing_health_check_is_shown_and_a_standalone_task_runs_on(node: RealNode) -> None:
    check = {"command": ["CMD-SHELL", "exit 1"], "interval": 5, "timeout": 2, "retries": 1}
    arn = node.run(node.register({"command": ["sleep", "600"], "healthCheck": check}))
    task = node.until(arn, lambda task: task.get("healthStatus") == "UNHEALTHY")
    assert only(task)["healthStatus"] == "UNHEALTHY"
    assert task["lastStatus"] == "RUNNING"
    stopped = node.stop(arn)
    assert stopped["stopCode"] == "UserInitiated"
    assert only(stopped)["exitCode"] == 137, "sleep as the first process does not hear SIGTERM"
    node.nothing_left()


def test_one_essential_container_that_ends_takes_the_others_with_it(node: RealNode) -> None:
    definition = node.register(
        {"name": "main", "command": ["sh", "-c", "sleep 1; exit 7"]},
        {"name": "side", "command": ["sleep", "600"], "essential": False},
    )
    task = node.stopped(node.run(definition))
    assert (task["stopCode"], task["stoppedReason"]) == (
        "EssentialContainerExited",
        "Essential container in task exited",
    )
    assert {c["name"]: c["exitCode"] for c in task["containers"]} == {"main": 7, "side": 137}
    node.nothing_left()


def test_a_host_port_that_somebody_else_has_fails_the_start(node: RealNode) -> None:
    with socket.create_server(("127.0.0.1", 0)) as somebody:
        port = somebody.getsockname()[1]
        definition = node.register(
            {"command": ["sleep", "600"], "portMappings": [{"containerPort": 80, "hostPort": port}]},
            networkMode="bridge",
        )
        task = node.stopped(node.run(definition))
    assert task["stopCode"] == "TaskFailedToStart"
    assert task["stoppedReason"].startswith("CannotStartContainerError: Error response from daemon: ")
    assert str(port) in only(task)["reason"]
    assert "exitCode" not in only(task)
    node.nothing_left()
