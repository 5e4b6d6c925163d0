"""Our payloads beside those that the real agent (1.105.1) took: recordings in tests/data/agent-wire."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
from tests.kit.task_definitions import FULL, SETTINGS, identity

from homeport.services.ecs.plan.payload import render_task
from homeport.services.ecs.plan.task_definition import normalise

WIRE = Path(__file__).parents[2] / "data" / "agent-wire"


def wire(value: Any) -> Any:
    """The value as the agent reads it."""
    return msgspec.json.decode(msgspec.json.encode(value))


def recorded_tasks() -> Iterator[dict[str, Any]]:
    """Tasks of recorded payloads that the agent ran, without the deliberately wrong ones."""
    for name in ("01-first-task", "02-lifecycle", "07-secrets-cgroup-failures", "11-restart-creds-minstop"):
        for line in (WIRE / f"{name}.jsonl").read_text().splitlines():
            event = json.loads(line)
            if event["kind"] == "ws-out" and event["frame"]["type"] == "PayloadMessage":
                yield from event["frame"]["message"]["tasks"]


RECORDED = tuple(recorded_tasks())


def shape(value: Any, path: str = "") -> Iterator[tuple[str, str]]:
    """Every member with its JSON type; the texts of dockerConfig are looked into."""
    if path.endswith((".config", ".hostConfig")) and isinstance(value, str):
        value = json.loads(value)
    if isinstance(value, dict):
        yield path, "object"
        for key, member in value.items():
            maps = ("environment", "Labels", "labels", "Tmpfs", "driverOpts", "Sysctls", "Config")
            yield from shape(member, f"{path}.{'*' if path.endswith(maps) else key}")
    elif isinstance(value, list | tuple):
        yield path, "array"
        for item in value:
            yield from shape(item, f"{path}[]")
    elif value is not None:
        yield path, "number" if type(value) in (int, float) else type(value).__name__


def test_there_are_recordings_to_compare_with() -> None:
    assert len(RECORDED) > 10


def test_members_that_were_recorded_have_the_recorded_type() -> None:
    ours = dict(shape(rendered(FULL)))
    theirs = {path: kind for task in RECORDED for path, kind in shape(task)}
    shared = ours.keys() & theirs.keys()
    assert {path: ours[path] for path in shared} == {path: theirs[path] for path in shared}
    assert len(shared) > 40


def rendered(asked: dict[str, Any], **members: Any) -> dict[str, Any]:
    task = render_task(td=normalise(asked, settings=SETTINGS), overrides=None, task=identity(**members))
    built = wire(task)
    assert isinstance(built, dict)
    return built


LIFECYCLE: dict[str, Any] = {
    "family": "fam",
    "cpu": ".25 vCPU",
    "memory": "128",
    "volumes": [
        {"name": "h", "host": {"sourcePath": "/var/lib/ecs-test"}},
        {"name": "scratch"},
        {"name": "dv", "dockerVolumeConfiguration": {"labels": {"x": "y"}}},
    ],
    "containerDefinitions": [
        {
            "name": "init",
            "image": "bb:1",
            "cpu": 10,
            "memory": 32,
            "essential": False,
            "command": ["sh", "-c", "echo init; sleep 1"],
            "environment": [{"name": "A", "value": "1"}],
        },
        {
            "name": "db",
            "image": "bb:1",
            "cpu": 10,
            "memory": 64,
            "memoryReservation": 32,
            "command": ["sh", "-c", "sleep 4; touch /tmp/ok; sleep 300"],
            "environment": [{"name": "A", "value": "1"}],
            "startTimeout": 60,
            "dockerLabels": {"user": "lbl"},
            "workingDirectory": "/tmp",
            "healthCheck": {
                "command": ["CMD-SHELL", "test -f /tmp/ok"],
                "interval": 5,
                "timeout": 2,
                "retries": 2,
                "startPeriod": 1,
            },
            "logConfiguration": {"logDriver": "json-file", "options": {"max-size": "1m", "mode": "blocking"}},
            "ulimits": [{"name": "nofile", "softLimit": 1000, "hardLimit": 2000}],
            "dnsServers": ["8.8.8.8"],
            "extraHosts": [{"hostname": "foo", "ipAddress": "1.2.3.4"}],
            "linuxParameters": {"initProcessEnabled": True, "tmpfs": [{"containerPath": "/t", "size": 1}]},
        },
        {
            "name": "app",
            "image": "bb:1",
            "cpu": 10,
            "memory": 64,
            "command": ["sh", "-c", 'env; mount | grep -E "/h|/s|/d"; sleep 300'],
            "environment": [{"name": "A", "value": "1"}],
            "links": ["db:database"],
            "mountPoints": [
                {"sourceVolume": "h", "containerPath": "/h", "readOnly": True},
                {"sourceVolume": "scratch", "containerPath": "/s"},
                {"sourceVolume": "dv", "containerPath": "/d"},
            ],
            "volumesFrom": [{"sourceContainer": "db", "readOnly": True}],
            "dependsOn": [
                {"containerName": "init", "condition": "SUCCESS"},
                {"containerName": "db", "condition": "HEALTHY"},
            ],
        },
    ],
}
"""The recorded three-container task as a user would write it.

Two numbers differ because ECS would refuse the recorded ones: the health check's
interval (2 s there, 5 s is the least) and init's memory (the sum exceeded the task's).
"""


def said(container: dict[str, Any]) -> dict[str, Any]:
    """What a container says, without absent values, defaults and our environment mark."""
    config = container["dockerConfig"]
    docker = {**json.loads(config["config"]), **json.loads(config["hostConfig"])}
    docker = {key: value for key, value in docker.items() if value not in ([], False)}
    if "Healthcheck" in docker:
        docker["Healthcheck"] = {k: v for k, v in docker["Healthcheck"].items() if k != "Interval"}
    if "LogConfig" in docker:
        docker["LogConfig"]["Config"].pop("mode", None)
    absent = (None, [], {}, "{}", False)
    rest = {key: value for key, value in container.items() if value not in absent and key != "dockerConfig"}
    rest["environment"] = {k: v for k, v in rest["environment"].items() if k != "AWS_EXECUTION_ENV"}
    return {**rest, "docker": docker}


def test_a_recorded_task_written_as_a_definition_renders_to_what_was_sent() -> None:
    [theirs] = [task for task in RECORDED if len(task.get("containers", ())) == 3 and task.get("cpu") == 0.25]
    ours = rendered(LIFECYCLE, container_arns={"app": theirs["containers"][2]["containerArn"]})
    assert ours["volumes"] == [
        {**volume, **shorter(volume)} if volume["type"] == "docker" else volume
        for volume in theirs["volumes"]
    ]
    assert (ours["cpu"], ours["memory"]) == (theirs["cpu"], theirs["memory"])
    for mine, real in zip(ours["containers"], theirs["containers"], strict=True):
        expected = said(real)
        if mine["name"] == "init":
            expected["memory"] = 32
        assert said(mine) == expected


def shorter(volume: dict[str, Any]) -> dict[str, Any]:
    """Members at Go's zero value may be left out."""
    config = volume["dockerVolumeConfiguration"]
    return {"dockerVolumeConfiguration": {k: v for k, v in config.items() if v not in (False, {})}}
