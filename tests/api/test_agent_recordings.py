"""Every recording of the real agent, played to a live control plane through its public doors.

Each request is accepted, each frame taken, and DescribeTasks and
DescribeContainerInstances show what the agent told. Source:
tests/data/agent-wire; reference, sections 3 to 7.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

from tests.kit.agent_replay import RecordedAgent, Told
from tests.kit.agent_wire import RECORDINGS, recorded
from tests.kit.server import live_server

USER = ("UserInitiated", "Task stopped by user")
EXITED = ("EssentialContainerExited", "Essential container in task exited")
FORCED = ("UserInitiated", "Container instance deregistration forced by user")
FAILED = "TaskFailedToStart"
STOPS = {
    "0c": EXITED,
    "14": USER,
    "1e": USER,
    "32": (FAILED, "CannotPullImageManifestError: "),
    "33": (FAILED, "UnrecogniedTaskError: Error loading task - "),
    "34": EXITED,
    "3c": EXITED,
    "3d": EXITED,
    "3e": EXITED,
    "3f": (FAILED, "CannotStartContainerError: "),
    "40": (FAILED, "CannotPullImageManifestError: "),
    "41": (FAILED, "HostConfigError: "),
    "42": (FAILED, "Task dependencies cannot be resolved, taskArn: "),
    "43": (FAILED, "CannotStartContainerError: "),
    "44": (FAILED, "UnrecogniedTaskError: Error loading task - "),
    "45": USER,
    "46": EXITED,
    "48": EXITED,
    "49": EXITED,
    "50": (FAILED, "CannotCreateContainerError: "),
    "51": USER,
    "5a": EXITED,
    "5b": EXITED,
    "5c": EXITED,
    "5f": USER,
}
"""`stopCode` and the begin of `stoppedReason`, by the last digits of a recorded task's id."""


def lives() -> dict[str, list[Path]]:
    """The recordings of each instance, in order: one that begins with a new registration begins a life."""
    found: dict[str, list[Path]] = {}
    for path in RECORDINGS:
        first = next(recorded(path))
        if first.get("op") == "RegisterContainerInstance":
            found[path.stem] = []
        found[next(reversed(found))].append(path)
    return found


@pytest.fixture(params=lives().values(), ids=lives().keys())
def agent(request: pytest.FixtureRequest) -> Iterator[RecordedAgent]:
    rows = [row for path in request.param for row in recorded(path)]
    with live_server() as live:
        played = RecordedAgent(live, rows)
        try:
            yield played
        finally:
            played.finish()


def test_all_recordings_are_played() -> None:
    assert [path for paths in lives().values() for path in paths] == list(RECORDINGS)


def test_a_recorded_life_is_shown_as_it_was_told(agent: RecordedAgent) -> None:
    agent.play()
    instance = agent.instance()
    opened = [row for row in agent.rows if row["kind"] == "ws-open"]
    if opened:  # versions come with the sockets only
        assert instance["versionInfo"] == {
            "agentVersion": "1.105.1",
            "agentHash": "a8b3e7d3",
            "dockerVersion": "20.10.24+dfsg1",
        }
    assert instance["status"] == ("INACTIVE" if agent.is_inactive else "ACTIVE")
    assert instance["agentConnected"] == ("acs" in agent.sockets)
    for recorded_id, told in agent.told.items():
        if agent.is_inactive and told.status != "STOPPED":
            assert_stop(agent.describe(recorded_id), *FORCED)
            continue
        assert_shown(agent.describe(recorded_id), told, agent.health.get(recorded_id, {}))
        if told.status == "STOPPED":
            assert_stop(agent.describe(recorded_id), *STOPS[recorded_id[-2:]])


def assert_shown(task: dict[str, Any], told: Told, health: dict[str, str]) -> None:
    assert task["lastStatus"] == told.status
    containers = {c["name"]: c for c in task["containers"]}
    for name, wanted in told.containers.items():
        shown = {**containers[name], "networkBindings": containers[name].get("networkBindings") or []}
        assert {**shown, **wanted} == shown
        assert ("exitCode" in shown) == ("exitCode" in wanted)
    if told.status == "STOPPED":
        assert {c["lastStatus"] for c in containers.values()} == {"STOPPED"}
    assert {name: containers[name]["healthStatus"] for name in health} == health
    for member, seconds in told.times.items():
        assert (
            abs(task[member] - datetime.fromtimestamp(seconds, task[member].tzinfo)).total_seconds() < 0.001
        )


def assert_stop(task: dict[str, Any], code: str, reason: str) -> None:
    assert task["stopCode"] == code
    assert task["stoppedReason"].startswith(reason)
    assert task["desiredStatus"] == "STOPPED"
