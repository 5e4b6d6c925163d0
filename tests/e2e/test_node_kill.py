"""`kill -9` of an agent: its containers do not notice, and the next agent knows every one of them."""

from __future__ import annotations

import os
import random
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from homeport.app.connection import known_installation_id, read_connection
from homeport.app.docker.client import DockerClient
from homeport.app.settings import INSTALLATION_LABEL
from tests.kit.docker import IMAGE, cgroups
from tests.kit.up import (
    DOCKER,
    DOWN_SECONDS,
    TASK_LABEL,
    DockerEvents,
    Process,
    Up,
    clean_environment,
    homeport_up,
)

pytestmark = [pytest.mark.docker, pytest.mark.root, pytest.mark.slow, pytest.mark.timeout(180)]

SEEDS = range(int(os.environ.get("KILL_SEEDS", "2")))
PATIENCE_SECONDS = 60.0
POLL_SECONDS = 0.1
"""The public API cannot be waited on, so ask."""


def eventually(look: Callable[[], Any]) -> Any:
    deadline = time.monotonic() + PATIENCE_SECONDS
    while not (found := look()):
        assert time.monotonic() < deadline, "it never came about"
        time.sleep(POLL_SECONDS)
    return found


@dataclass
class Joined:
    """A control plane without instances, and an agent of its own process that joined it."""

    up: Up
    agent: Process
    ecs: Any

    @property
    def installation(self) -> str:
        found = known_installation_id(self.agent.folder / "data")
        assert found is not None
        return found

    def instances(self) -> list[dict[str, Any]]:
        try:
            arns = self.ecs.list_container_instances()["containerInstanceArns"]
        except self.ecs.exceptions.ClusterNotFoundException:
            return []  # the first agent makes the default cluster
        if not arns:
            return []
        found: list[dict[str, Any]] = self.ecs.describe_container_instances(containerInstances=arns)[
            "containerInstances"
        ]
        return found

    def connected(self) -> str:
        """The instance's ARN, once its agent is connected; there is one."""

        def look() -> str:
            found = self.instances()
            assert len(found) <= 1, "the agent came back as somebody else"
            return next((str(each["containerInstanceArn"]) for each in found if each["agentConnected"]), "")

        return str(eventually(look))

    def away(self) -> None:
        eventually(lambda: not any(each["agentConnected"] for each in self.instances()))

    def register(self, family: str, *containers: dict[str, Any]) -> None:
        base = {"image": IMAGE, "memory": 16, "stopTimeout": 2, "command": ["sleep", "3600"]}
        self.ecs.register_task_definition(
            family=family,
            networkMode="none",
            containerDefinitions=[{**base, **container} for container in containers],
        )

    def run(self, family: str, count: int) -> list[str]:
        answer = self.ecs.run_task(taskDefinition=family, count=count)
        assert answer["failures"] == []
        return [task["taskArn"] for task in answer["tasks"]]

    def tasks(self, arns: list[str]) -> dict[str, dict[str, Any]]:
        return {task["taskArn"]: task for task in self.ecs.describe_tasks(tasks=arns)["tasks"]}

    def all_in(self, arns: list[str], status: str) -> dict[str, dict[str, Any]]:
        def look() -> dict[str, dict[str, Any]] | None:
            tasks = self.tasks(arns)
            return tasks if all(task["lastStatus"] == status for task in tasks.values()) else None

        found: dict[str, dict[str, Any]] = eventually(look)
        return found

    def containers(self) -> dict[str, tuple[str, str]]:
        """Of each container the task, its first process and when it started, by container id."""
        docker = DockerClient(DOCKER)
        found = {}
        for each in docker.containers(labels={INSTALLATION_LABEL: self.installation}):
            state = docker._json("GET", f"/containers/{each['Id']}/json")["State"]
            found[each["Id"]] = (each["Labels"][TASK_LABEL], f"{state['Pid']} {state['StartedAt']}")
        return found


@pytest.fixture
def joined(tmp_path: Path) -> Iterator[Joined]:
    for name in ("plane", "agent"):
        (tmp_path / name).mkdir()
    with homeport_up(tmp_path / "plane", "--instances", "0") as up:
        keys = read_connection(up.data_dir)
        environment = clean_environment(
            AWS_ACCESS_KEY_ID=keys.access_key_id, AWS_SECRET_ACCESS_KEY=keys.secret_access_key
        )
        agent = Process(tmp_path / "agent", "agent", "--endpoint", keys.endpoint, environment=environment)
        try:
            agent.start(until=None)
            running = Joined(up, agent, up.client())
            running.connected()
            yield running
        finally:
            agent.kill()
            _down(tmp_path / "agent" / "data")


def _down(data_dir: Path) -> None:
    """What `homeport down` makes of an agent's machine."""
    command = [sys.executable, "-m", "homeport", "down", "--grace-seconds", "0", "--data-dir", str(data_dir)]
    done = subprocess.run(
        command, env=clean_environment(), capture_output=True, text=True, timeout=DOWN_SECONDS, check=False
    )
    assert done.returncode == 0, done.stderr
    installation = known_installation_id(data_dir)
    if installation is None:
        return
    assert list(DockerClient(DOCKER).containers(labels={INSTALLATION_LABEL: installation})) == []
    assert cgroups(f"homeport-{installation[:12]}") == []


def test_an_agent_that_was_killed_comes_back_to_containers_that_did_not_notice(joined: Joined) -> None:
    joined.register("one", {"name": "app"})
    joined.register(
        "two",
        {"name": "first", "essential": False, "command": ["true"]},
        {"name": "app", "dependsOn": [{"containerName": "first", "condition": "SUCCESS"}]},
    )
    staying = joined.run("one", 2) + joined.run("two", 2)
    stopping, dying = joined.run("one", 2)
    joined.all_in([*staying, stopping, dying], "RUNNING")
    instance = joined.connected()
    before = joined.containers()

    joined.agent.kill()
    joined.away()
    assert joined.containers() == before, "containers outlive their agent"
    joined.ecs.stop_task(task=stopping, reason="while nobody was there")
    docker = DockerClient(DOCKER)
    killed = joined.tasks([dying])[dying]["containers"][0]["runtimeId"]
    docker._forgiving("POST", f"/containers/{killed}/kill", {}, set())

    joined.agent.start(until=None)
    assert joined.connected() == instance
    ended = joined.all_in([stopping, dying], "STOPPED")
    assert ended[stopping]["stopCode"] == "UserInitiated"
    assert ended[stopping]["stoppedReason"] == "while nobody was there"
    assert ended[dying]["stopCode"] == "EssentialContainerExited"
    assert ended[dying]["containers"][0]["exitCode"] == 137
    tasks = joined.tasks(staying)
    assert {task["lastStatus"] for task in tasks.values()} == {"RUNNING"}
    after = joined.containers()
    for runtime, known in before.items():
        if known[0] in staying:
            assert after[runtime] == known, "the same process, started at the same moment"


@pytest.mark.parametrize("seed", SEEDS)
def test_an_agent_that_is_killed_while_it_starts_tasks_starts_each_container_once(
    joined: Joined, seed: int
) -> None:
    dice = random.Random(seed)
    joined.register("app", {"name": "app"}, {"name": "side", "essential": False})
    instance = joined.connected()
    with closing(DockerEvents(joined.installation)) as events:
        arns: list[str] = []
        for _ in range(2):
            arns += joined.run("app", 6)
            enough = sum(events.of("start").values()) + dice.randrange(1, 8)
            events.wait(lambda: sum(events.of("start").values()) >= enough, PATIENCE_SECONDS)  # noqa: B023
            time.sleep(dice.choice((0.0, 0.01, 0.1)))  # the moment is what is drawn here
            joined.agent.kill()
            joined.agent.start(until=None)
            assert joined.connected() == instance
        tasks = joined.all_in(arns, "RUNNING")
        events.wait(lambda: len(events.of("start")) == 2 * len(arns), PATIENCE_SECONDS)
        assert set(events.of("create").values()) == {1}
        assert set(events.of("start").values()) == {1}
        assert events.of_tasks("start") == dict.fromkeys(arns, 2)
    runtimes = {each["runtimeId"] for task in tasks.values() for each in task["containers"]}
    assert runtimes == set(joined.containers())
