"""Tasks use secrets, and then everything that was written and everything that is told is searched for them.

Docker's own configuration of a container holds its environment, as it does on AWS, so Docker is asked for
labels alone. `connection.json` holds the root's key, which is how clients of this machine reach it.
"""

from __future__ import annotations

import asyncio
import codecs
import json
import subprocess
import sys
import threading
from collections.abc import Coroutine, Iterator
from contextlib import AsyncExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

import pytest

from homeport.app.connection import read_connection
from tests.kit.docker import IMAGE
from tests.kit.iam import allows, trusts
from tests.kit.registry import registry
from tests.kit.up import Up, clean_environment, homeport_up

T = TypeVar("T")
pytestmark = [pytest.mark.docker, pytest.mark.root, pytest.mark.slow, pytest.mark.timeout(240)]

PASSWORD = "Quinquereme-Of-Nineveh"
TOKEN = "From-Distant-Ophir-Rowing"
OPTION = "Haven-In-Sunny-Palestine"
LOGIN = "Cargo-Of-Ivory-And-Apes"
NO_JSON = "Sandalwood-Cedarwood-Wine"
POLL_SECONDS = 0.2
"""The public API cannot be waited on, so ask."""


@dataclass(slots=True)
class World:
    """A running Homeport, and all that nobody may find."""

    up: Up
    image: str
    """In a registry that wants another login than the task has."""
    secrets: dict[str, bytes] = field(default_factory=dict)
    names: dict[str, str] = field(default_factory=dict)

    def keep(self, name: str, value: str) -> str:
        self.secrets[name] = value.encode()
        return value

    def told(self, *command: str) -> bytes:
        """All that a command prints."""
        done = subprocess.run(
            [sys.executable, "-m", "homeport", *command, "--data-dir", str(self.up.data_dir)],
            env=clean_environment(),
            capture_output=True,
            timeout=60,
            check=False,
        )
        assert done.returncode in (0, 1), done.stderr
        return done.stdout + done.stderr

    def found_in(self, what: bytes) -> list[str]:
        return [name for name, value in self.secrets.items() if value in what]


@contextmanager
def private_registry() -> Iterator[str]:
    """The name of an image there, which nobody gets."""
    loop, stack = asyncio.new_event_loop(), AsyncExitStack()
    thread = threading.Thread(target=loop.run_forever)
    thread.start()

    def run(work: Coroutine[Any, Any, T]) -> T:
        return asyncio.run_coroutine_threadsafe(work, loop).result(20)

    try:
        yield run(stack.enter_async_context(registry(login=("ann", "another password")))).image
    finally:
        run(stack.aclose())
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    environment = clean_environment(HOMEPORT_LOG_LEVEL="debug")
    with private_registry() as image, homeport_up(tmp_path, environment=environment) as up:
        yield World(up, image)


def make_secrets(world: World) -> None:
    """Of every kind that a database keeps."""
    up, keep, names = world.up, world.keep, world.names
    sm, ssm, iam, sts = (up.client(service) for service in ("secretsmanager", "ssm", "iam", "sts"))
    text = json.dumps({"user": "ann", "password": keep("password", PASSWORD)})
    names["db"] = sm.create_secret(Name="db", SecretString=text)["ARN"]
    login = json.dumps({"username": "ann", "password": keep("login", LOGIN)})
    names["login"] = sm.create_secret(Name="login", SecretString=login)["ARN"]
    ssm.put_parameter(Name="/team/token", Value=keep("token", TOKEN), Type="SecureString")
    ssm.put_parameter(Name="/team/size", Value=keep("option", OPTION), Type="SecureString")
    ssm.put_parameter(Name="/team/size", Value=OPTION, Type="SecureString", Overwrite=True)
    sm.put_secret_value(SecretId="login", SecretString=login)
    names["kept"] = sm.create_secret(Name="kept", SecretString=keep("no JSON", NO_JSON))["ARN"]
    iam.create_user(UserName="ann")
    key = iam.create_access_key(UserName="ann")["AccessKey"]
    keep("a user's key", key["SecretAccessKey"])
    session = sts.get_session_token()["Credentials"]
    keep("a session's key", session["SecretAccessKey"])
    keep("a session's token", session["SessionToken"])
    keep("the root's key", read_connection(up.data_dir).secret_access_key)
    for name, actions in {
        "reads": ("secretsmanager:GetSecretValue", "ssm:GetParameters"),
        "reads-nothing": ("logs:PutLogEvents",),
    }.items():
        made = iam.create_role(RoleName=name, AssumeRolePolicyDocument=trusts())
        names[name] = made["Role"]["Arn"]
        iam.put_role_policy(RoleName=name, PolicyName="p", PolicyDocument=allows(*actions))


def register(world: World, family: str, *, role: str = "reads", **members: Any) -> str:
    container = {"name": "app", "image": IMAGE, "memory": 16, "command": ["sleep", "1000"], "stopTimeout": 1}
    world.up.client().register_task_definition(
        family=family,
        executionRoleArn=world.names[role],
        taskRoleArn=world.names[role],
        containerDefinitions=[{**container, **members}],
    )
    return family


def until(world: World, arn: str, status: str) -> dict[str, Any]:
    ecs = world.up.client()
    waiter = ecs.get_waiter("tasks_running" if status == "RUNNING" else "tasks_stopped")
    waiter.config.delay, waiter.config.max_attempts = POLL_SECONDS, 300
    waiter.wait(tasks=[arn])
    (task,) = ecs.describe_tasks(tasks=[arn])["tasks"]
    return dict(task)


def run(world: World, family: str, status: str) -> dict[str, Any]:
    answer = world.up.client().run_task(taskDefinition=family)
    assert answer["failures"] == []
    return until(world, answer["tasks"][0]["taskArn"], status)


def secrets_of(world: World) -> dict[str, Any]:
    return {
        "secrets": [
            {"name": "PASSWORD", "valueFrom": f"{world.names['db']}:password::"},
            {"name": "TOKEN", "valueFrom": "/team/token"},
        ]
    }


def use_them(world: World) -> list[str]:
    """Tasks that get them, and tasks that fail in every way there is. The ARNs."""
    printed = 'echo "$PASSWORD $TOKEN" | tr A-Za-z N-ZA-Mn-za-m; sleep 1000'
    register(world, "prints", command=["sh", "-c", printed], **secrets_of(world))
    prints = run(world, "prints", "RUNNING")
    shown = world.told("logs", prints["taskArn"].rpartition("/")[2]).decode()
    assert codecs.encode(f"{PASSWORD} {TOKEN}", "rot13") in shown, "the container has the values"
    world.up.client().create_service(serviceName="prints", taskDefinition="prints", desiredCount=1)

    lacks = [{"name": "X", "valueFrom": f"{world.names['db']}:nothing::"}]
    no_json = [{"name": "X", "valueFrom": f"{world.names['kept']}:key::"}]
    register(world, "lacks", secrets=lacks)
    register(world, "no-json", secrets=no_json)
    register(world, "denied", role="reads-nothing", **secrets_of(world))
    register(
        world,
        "quoted",
        logConfiguration={
            "logDriver": "json-file",
            "secretOptions": [{"name": "max-size", "valueFrom": "/team/size"}],
        },
    )
    register(
        world,
        "elsewhere",
        image=world.image,
        repositoryCredentials={"credentialsParameter": world.names["login"]},
    )
    stopped = [run(world, name, "STOPPED") for name in ("lacks", "no-json", "denied", "quoted", "elsewhere")]
    for task, why in zip(
        stopped,
        ("did not contain json key", "json key", "AccessDeniedException", "****", "CannotPullContainer"),
        strict=True,
    ):
        assert task["stopCode"] == "TaskFailedToStart"
        assert why in task["stoppedReason"], task["stoppedReason"]
    return [task["taskArn"] for task in (prints, *stopped)]


def check_files(world: World) -> None:
    """The database with its log, journals, the audit log, what was logged."""
    files = [path for path in world.up.folder.rglob("*") if path.is_file()]
    assert {"homeport.db", "agent.journal", "log", "connection.json"} <= {path.name for path in files}
    assert any(path.suffix == ".jsonl" for path in files), "the audit log"
    for path in files:
        found = world.found_in(path.read_bytes())
        if path.name == "connection.json":
            assert found == ["the root's key"]
        else:
            assert found == [], path


def check_answers(world: World, tasks: list[str]) -> None:
    """What the API tells, and every label."""
    up = world.up
    ecs = up.client()
    families = ("prints", "lacks", "no-json", "denied", "quoted", "elsewhere")
    answers = [
        ecs.describe_tasks(tasks=tasks, include=["TAGS"]),
        *(ecs.describe_task_definition(taskDefinition=family) for family in families),
        ecs.describe_services(services=["prints"]),
        up.client("secretsmanager").list_secrets(),
        up.client("ssm").get_parameters(Names=["/team/token"]),
        up.client("iam").list_access_keys(UserName="ann"),
    ]
    assert world.found_in(json.dumps(answers, default=str).encode()) == []
    labels = [container["Labels"] for container in up.containers()]
    assert world.found_in(json.dumps(labels).encode()) == []


def check_commands(world: World, tasks: list[str]) -> None:
    """What people are told."""
    ids = [task.rpartition("/")[2] for task in tasks]
    commands = [
        *(("ps",), ("ps", "--all", "--json"), ("status",), ("events",), ("events", "--json")),
        *(("audit",), ("audit", "--json")),
        *(("logs", each) for each in ids),
        *(("explain", "task", each) for each in ids),
    ]
    for command in commands:
        said = world.told(*command)
        assert said, command
        assert world.found_in(said) == [], command


def test_no_secret_is_found_anywhere(world: World) -> None:
    make_secrets(world)
    tasks = use_them(world)
    check_answers(world, tasks)
    check_commands(world, tasks)
    check_files(world)
    world.up.kill()
    check_files(world)
    world.up.start()
    until(world, tasks[0], "RUNNING")
    check_answers(world, tasks)
    world.up.terminate()
    check_files(world)
