"""Every member of RegisterDaemonTaskDefinition takes effect, or is refused by its name."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from homeport.core.errors import AwsError
from homeport.services.ecs.errors import ClientException, InvalidParameterException
from homeport.services.ecs.plan.daemon_request import daemon_definition, daemon_settings
from homeport.services.ecs.plan.task_definition import HONOURED, REFUSED_AT_RUN, Settings
from homeport.wire.model import Shape, service_api

HERE = Settings(region="us-east-1", account_id="000000000000")
PLAIN = {"family": "agent", "containerDefinitions": [{"name": "agent", "image": "agent:1"}]}
REFUSED = {"volumes[].logDriverVolumeConfiguration.driver"}


def leaves(shape: Shape, path: str = "") -> Iterator[str]:
    """Everything that is not a structure, lists marked with `[]`."""
    if shape.kind == "structure":
        for name, member in shape.members.items():
            yield from leaves(member, f"{path}.{name}" if path else name)
    elif shape.kind == "list":
        yield from leaves(shape.member, f"{path}[]")
    else:
        yield path


MEMBERS = sorted(leaves(service_api("ecs").operation("RegisterDaemonTaskDefinition").input))


@pytest.mark.parametrize("member", MEMBERS)
def test_every_member_is_one_whose_fate_is_known(member: str) -> None:
    """A daemon's definition is made like a task's: what is honoured there is honoured here."""
    at_run = any(member == known or member.startswith((f"{known}.", f"{known}[")) for known in REFUSED_AT_RUN)
    assert member in HONOURED or at_run or member in REFUSED


def test_a_volume_of_other_tasks_logs_is_refused_by_its_name() -> None:
    volumes = [{"name": "logs", "logDriverVolumeConfiguration": {"driver": "json-file"}}]
    with pytest.raises(ClientException, match="logDriverVolumeConfiguration"):
        daemon_definition({**PLAIN, "volumes": volumes}, HERE)


@pytest.mark.parametrize("space", ["pidMode", "ipcMode"])
def test_a_shared_name_space_is_the_hosts_and_none_is_the_daemons_own(space: str) -> None:
    """Source: botocore's DaemonPidMode and DaemonIpcMode."""
    assert daemon_definition({**PLAIN, space: "shared"}, HERE)[space] == "host"
    assert space not in daemon_definition({**PLAIN, space: "none"}, HERE)
    assert space not in daemon_definition(PLAIN, HERE)


def test_what_a_shared_name_space_needs_of_an_instance_is_asked_for() -> None:
    names = [
        one["name"] for one in daemon_definition({**PLAIN, "pidMode": "shared"}, HERE)["requiresAttributes"]
    ]
    assert "ecs.capability.pid-ipc-namespace-sharing" in names


def test_what_a_request_does_not_say_is_as_by_default() -> None:
    """Source: developer guide, "Daemon deployments" and "Creating and managing daemons"."""
    assert daemon_settings({}) == (25.0, 0, (), "NONE", False, True)


@pytest.mark.parametrize(
    ("configuration", "words"),
    [
        ({"drainPercent": -0.1}, "drainPercent"),
        ({"drainPercent": 100.1}, "drainPercent"),
        ({"bakeTimeInMinutes": -1}, "bakeTimeInMinutes"),
        ({"bakeTimeInMinutes": 1441}, "bakeTimeInMinutes"),
    ],
)
def test_numbers_have_their_range(configuration: dict[str, Any], words: str) -> None:
    with pytest.raises(InvalidParameterException, match=words):
        daemon_settings({"deploymentConfiguration": configuration})


@pytest.mark.parametrize(
    "request_",
    [
        {"enableExecuteCommand": True},
        {"deploymentConfiguration": {"alarms": {"alarmNames": ["high"], "enable": True}}},
    ],
)
def test_what_is_not_there_yet_is_refused(request_: dict[str, Any]) -> None:
    with pytest.raises(AwsError, match="not supported by Homeport yet"):
        daemon_settings(request_)
