"""`kill -9` of `homeport up` in the middle of 200 RunTask calls: nothing acknowledged is lost or done twice.

Callers send each request under a client token and repeat it only while nobody has acknowledged it. The
process is killed at seeded moments: so many calls acknowledged, so many containers started.
"""

from __future__ import annotations

import contextlib
import json
import os
import random
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime
from http.client import HTTPConnection
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from botocore.exceptions import BotoCoreError, ClientError

from homeport.app.connection import read_connection
from homeport.core.sigv4 import Credentials, sign_headers
from tests.kit.docker import IMAGE
from tests.kit.up import TASK_LABEL, DockerEvents, Up, homeport_up

pytestmark = [pytest.mark.docker, pytest.mark.root, pytest.mark.slow, pytest.mark.timeout(240)]

SEEDS = range(int(os.environ.get("KILL_SEEDS", "2")))
CALLS = 200
CALLERS = 8
ROOM = 20
"""Tasks that fit at a time: the rest of the calls are answered that there is no room."""
PATIENCE_SECONDS = 90.0
POLL_SECONDS = 0.1
"""The public API cannot be waited on, so ask."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Moment:
    """When to kill: at a commit after so many acknowledgements and started containers, and a little later."""

    acknowledged: int
    started: int
    commits: int
    delay_seconds: float


def moments(seed: int) -> list[Moment]:
    dice = random.Random(seed)
    # Twice while there is room, so that calls which are not acknowledged have made something.
    acknowledged = [dice.randrange(1, 6), dice.randrange(6, 12), dice.randrange(20, CALLS - 50)]
    started = sorted(dice.randrange(ROOM - 6) for _ in acknowledged)
    return [
        Moment(
            acknowledged=calls,
            started=containers,
            commits=dice.randrange(1, 8),
            delay_seconds=dice.choice((0.0, 0.0, 0.001, 0.003)),
        )
        for calls, containers in zip(acknowledged, started, strict=True)
    ]


class World:
    """The callers, the process they call, and what they were told."""

    def __init__(self, up: Up, events: DockerEvents, kills: list[Moment]) -> None:
        self.up = up
        self.events = events
        self.api = up.client(connect_timeout=5, read_timeout=30)
        self.acknowledged: dict[str, tuple[str, ...]] = {}
        """Token -> ARNs of its tasks; none where the answer was that there is no room."""
        self.repeats: list[str] = []
        self.kills = 0
        self._to_come = kills
        self._killing = False
        self._lock = threading.Lock()
        self._may_call = threading.Event()
        self._may_call.set()

    def run(self) -> None:
        with ThreadPoolExecutor(CALLERS) as pool:
            for done in [pool.submit(self._call, number) for number in range(CALLS)]:
                done.result()

    def _call(self, number: int) -> None:
        self._call_under(f"call-{number:03}", "fails" if number % 8 == 3 else "stays")

    def _call_under(self, token: str, family: str) -> None:
        deadline = time.monotonic() + PATIENCE_SECONDS
        while True:
            assert time.monotonic() < deadline, "nobody answers"
            assert self._may_call.wait(PATIENCE_SECONDS)
            try:
                answer = self.api.run_task(taskDefinition=family, clientToken=token, startedBy=token)
            except BotoCoreError:
                self.repeats.append(token)
                time.sleep(0.01)  # killed, but its killer has not said so yet
                continue
            except ClientError as error:
                if "No Container Instances" not in str(error):
                    raise
                time.sleep(POLL_SECONDS)  # no agent has come back yet
                continue
            break
        if answer["failures"]:
            assert {failure["reason"] for failure in answer["failures"]} <= {"RESOURCE:CPU", "AGENT"}
        if moment := self._heard(token, answer):
            self._kill(moment)

    def _heard(self, token: str, answer: Any) -> Moment | None:
        with self._lock:
            self.acknowledged[token] = tuple(task["taskArn"] for task in answer["tasks"])
            due = self._to_come and len(self.acknowledged) >= self._to_come[0].acknowledged
            if not due or self._killing:
                return None
            self._killing = True
            self._may_call.clear()
            return self._to_come.pop(0)

    def _kill(self, moment: Moment) -> None:
        self.events.wait(lambda: len(self.events.of("start")) >= moment.started, PATIENCE_SECONDS)
        self._may_call.set()  # so that the others are in the middle of their calls
        unheard = f"unheard-{self.kills}"
        with contextlib.closing(self._ask_without_listening(unheard)):
            self._wait_for_commits(moment.commits)
            time.sleep(moment.delay_seconds)
            self._may_call.clear()
            self.up.kill()
        self.kills += 1
        self.up.start()
        self._killing = False
        self._may_call.set()
        self._call_under(unheard, "stays")

    def _ask_without_listening(self, token: str) -> HTTPConnection:
        """A call that is answered, or about to be; its caller will never know."""
        known = read_connection(self.up.data_dir)
        host = urlsplit(known.endpoint).netloc
        body = json.dumps({"taskDefinition": "stays", "clientToken": token, "startedBy": token}).encode()
        headers = sign_headers(
            Credentials(access_key_id=known.access_key_id, secret_access_key=known.secret_access_key),
            method="POST",
            path="/",
            query=(),
            headers={
                "content-type": "application/x-amz-json-1.1",
                "x-amz-target": "AmazonEC2ContainerServiceV20141113.RunTask",
                "host": host,
            },
            body=body,
            region=known.region,
            service="ecs",
            now=datetime.now(UTC),
        )
        connection = HTTPConnection(host, timeout=PATIENCE_SECONDS)
        connection.request("POST", "/", body, headers)
        return connection

    def _wait_for_commits(self, count: int) -> None:
        """Return just after something was written and before anybody was told: only asking is so quick."""
        journal = self.up.data_dir / "homeport.db-wal"
        seen, deadline = journal.stat(), time.monotonic() + 1.0
        while count and time.monotonic() < deadline:
            now = journal.stat()
            if (now.st_size, now.st_mtime_ns) != (seen.st_size, seen.st_mtime_ns):
                seen, count = now, count - 1

    def describe(self, arns: list[str]) -> list[Any]:
        found: list[Any] = []
        for start in range(0, len(arns), 100):
            answer = self.api.describe_tasks(tasks=arns[start : start + 100])
            assert answer["failures"] == []
            found += answer["tasks"]
        return found

    def listed(self) -> set[str]:
        pages = self.api.get_paginator("list_tasks")
        return {
            arn
            for status in ("RUNNING", "STOPPED")
            for page in pages.paginate(desiredStatus=status)
            for arn in page["taskArns"]
        }


def until(check: Callable[[], bool], why: Callable[[], object]) -> None:
    deadline = time.monotonic() + PATIENCE_SECONDS
    while not check():
        assert time.monotonic() < deadline, why()
        time.sleep(POLL_SECONDS)


@pytest.fixture
def up(tmp_path: Path) -> Iterator[Up]:
    with homeport_up(tmp_path, "--instances", "2") as process:
        yield process


@pytest.fixture
def events(up: Up) -> Iterator[DockerEvents]:
    watch = DockerEvents(up.installation)
    yield watch
    watch.close()


def define(up: Up) -> None:
    api = up.client()
    instances = api.describe_container_instances(
        containerInstances=api.list_container_instances()["containerInstanceArns"]
    )["containerInstances"]
    units = sum(r["integerValue"] for i in instances for r in i["registeredResources"] if r["name"] == "CPU")
    container = {"name": "main", "image": IMAGE, "cpu": units // ROOM, "memory": 16, "essential": True}
    for family, command in (("stays", ["sleep", "3600"]), ("fails", ["sh", "-c", "exit 3"])):
        api.register_task_definition(family=family, containerDefinitions=[{**container, "command": command}])


@pytest.mark.parametrize("seed", SEEDS)
def test_killed_among_200_run_task_calls(up: Up, events: DockerEvents, seed: int) -> None:
    define(up)
    world = World(up, events, moments(seed))
    world.run()
    assert world.kills == 3
    assert world.repeats, "nobody was interrupted: the kills hit nothing"

    told = [arn for arns in world.acknowledged.values() for arn in arns]
    assert len(told) >= ROOM
    assert len(told) == len(set(told)), "two tokens were answered with one task"

    def on_their_way() -> list[Any]:
        return [task for task in world.describe(told) if task["lastStatus"] != expected_end(task)]

    until(lambda: not on_their_way(), on_their_way)

    tasks = {task["taskArn"]: task for task in world.describe(told)}
    assert set(tasks) == set(told) == world.listed(), "each acknowledged task exists, and no other"
    by_token = {task["startedBy"]: task["taskArn"] for task in tasks.values()}
    assert {token: (arn,) for token, arn in by_token.items()} == {
        t: a for t, a in world.acknowledged.items() if a
    }
    for task in tasks.values():
        check_end(task)

    check_containers(up, events, tasks)


def expected_end(task: Any) -> str:
    return "STOPPED" if "/fails:" in task["taskDefinitionArn"] else "RUNNING"


def check_end(task: Any) -> None:
    assert task["lastStatus"] == task["desiredStatus"] == expected_end(task), task
    if task["lastStatus"] == "STOPPED":
        assert task["stopCode"] == "EssentialContainerExited"
        assert task["stoppedReason"] == "Essential container in task exited"
        assert [container["exitCode"] for container in task["containers"]] == [3]


def check_containers(up: Up, events: DockerEvents, tasks: dict[str, Any]) -> None:
    containers = [c for c in up.containers() if TASK_LABEL in c["Labels"]]  # others hold networks
    running = {c["Labels"][TASK_LABEL]: c["Id"] for c in containers if c["State"] == "running"}
    assert {c["Labels"][TASK_LABEL] for c in containers} <= set(tasks), "a container without a task"
    assert running == {
        arn: task["containers"][0]["runtimeId"]
        for arn, task in tasks.items()
        if task["lastStatus"] == "RUNNING"
    }
    events.wait(lambda: set(events.of_tasks("start")) == set(tasks), PATIENCE_SECONDS)
    assert set(events.of_tasks("start").values()) == {1}, "a task was started twice"
    assert set(events.of_tasks("create").values()) == {1}
    assert not events.of("die").keys() & set(running.values()), "a running container was ended"
    assert not events.of("restart")
