"""Overrides of RunTask and StartTask."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.kit.task_definitions import ROLE, container, registered

from homeport.services.ecs.errors import ClientException, InvalidParameterException
from homeport.services.ecs.plan.compute import Compute, check_fargate
from homeport.services.ecs.plan.overrides import (
    OVERRIDES_MOST,
    demand_of,
    echo,
    effective,
    validate_overrides,
)
from homeport.services.ecs.plan.task_definition import unsupported_at_run

TWO = registered(
    container(
        name="web",
        cpu=100,
        memory=256,
        memoryReservation=128,
        command=["serve"],
        environment=[{"name": "A", "value": "1"}, {"name": "B", "value": "2"}],
    ),
    container(name="side"),
)


def of(name: str, **members: Any) -> dict[str, Any]:
    return {"containerOverrides": [{"name": name, **members}]}


def test_the_override_of_a_variable_wins_and_the_others_stay() -> None:
    """Source: developer guide; ContainerOverride.environment."""
    merged = effective(TWO, of("web", environment=[{"name": "B", "value": "x"}, {"name": "C", "value": "y"}]))
    assert merged["containerDefinitions"][0]["environment"] == [
        {"name": "A", "value": "1"},
        {"name": "B", "value": "x"},
        {"name": "C", "value": "y"},
    ]
    assert merged["containerDefinitions"][1] == TWO["containerDefinitions"][1]


@pytest.mark.parametrize(
    ("member", "value"),
    [
        ("command", ["other"]),
        ("cpu", 7),
        ("memory", 300),
        ("memoryReservation", 200),
        ("resourceRequirements", [{"type": "GPU", "value": "2"}]),
        ("environmentFiles", [{"value": "arn:aws:s3:::b/a.env", "type": "s3"}]),
    ],
)
def test_what_is_not_merged_is_replaced(member: str, value: Any) -> None:
    overrides = of("web", **{member: value})
    validate_overrides(TWO, overrides)
    assert effective(TWO, overrides)["containerDefinitions"][0][member] == value


def test_a_tasks_own_members_are_replaced() -> None:
    overrides = {
        "cpu": "1 vCPU",
        "memory": "2 GB",
        "taskRoleArn": ROLE,
        "executionRoleArn": ROLE,
        "ephemeralStorage": {"sizeInGiB": 30},
    }
    validate_overrides(TWO, overrides)
    merged = effective(TWO, overrides)
    assert {key: merged[key] for key in overrides} == {**overrides, "cpu": "1024", "memory": "2048"}


def test_no_overrides_change_nothing() -> None:
    for nothing in (None, {}, {"containerOverrides": []}, of("web")):
        validate_overrides(TWO, nothing)
        assert effective(TWO, nothing) == TWO


def test_the_echo_names_every_container() -> None:
    """Recorded: tasks show both lists even if nothing was overridden."""
    assert echo(TWO, None) == {
        "containerOverrides": [{"name": "web"}, {"name": "side"}],
        "inferenceAcceleratorOverrides": [],
    }
    overrides = {"cpu": "256", **of("side", command=["x"])}
    assert echo(TWO, overrides) == {
        "cpu": "256",
        "containerOverrides": [{"name": "web"}, {"name": "side", "command": ["x"]}],
        "inferenceAcceleratorOverrides": [],
    }


REFUSED: tuple[tuple[str, dict[str, Any], str], ...] = (
    (
        "unknown container [O]",
        of("ghost"),
        "Override for container named ghost is not a container in the TaskDefinition.",
    ),
    ("no name [D]", {"containerOverrides": [{"command": ["x"]}]}, "name should not be null or empty"),
    ("a container twice", {"containerOverrides": [{"name": "web"}, {"name": "web"}]}, "more than once"),
    ("soft above hard [D]", of("web", memory=64), "soft limit"),
    ("sum of cpu [D]", {"cpu": "128", **of("side", cpu=64)}, "exceeds task cpu"),
    ("sum of memory [D]", {"memory": "150"}, "than for the task"),
    ("cpu unparsable [D]", {"cpu": "lots"}, "Invalid 'cpu' setting"),
    ("cpu out of range [D]", {"cpu": "64"}, "Invalid 'cpu' setting"),
    ("role malformed", {"taskRoleArn": "<role>"}, "Role is not valid"),
    ("ephemeralStorage [O]", {"ephemeralStorage": {"sizeInGiB": 20}}, "at least 21"),
    ("GPU of nothing", of("web", resourceRequirements=[{"type": "GPU", "value": "0"}]), "GPU needs"),
    ("environment file", of("web", environmentFiles=[{"value": "x", "type": "s3"}]), "environment file"),
    ("variable without a name", of("web", environment=[{"value": "x"}]), "has no name"),
)


@pytest.mark.parametrize(("overrides", "text"), [r[1:] for r in REFUSED], ids=[r[0] for r in REFUSED])
def test_a_wrong_override_is_an_invalid_parameter(overrides: dict[str, Any], text: str) -> None:
    with pytest.raises(InvalidParameterException) as refusal:
        validate_overrides(TWO, overrides)
    assert text in refusal.value.message


def test_a_variable_may_not_take_the_name_of_a_secret() -> None:
    """Recorded: "... not shared with any new or existing environment variables"."""
    document = registered(container(secrets=[{"name": "S", "valueFrom": "/p"}]), executionRoleArn=ROLE)
    with pytest.raises(InvalidParameterException, match="such as 'S'"):
        validate_overrides(document, of("web", environment=[{"name": "S", "value": "x"}]))


def test_accelerator_overrides_are_refused_rather_than_ignored() -> None:
    with pytest.raises(ClientException, match="is not supported by Homeport yet"):
        validate_overrides(TWO, {"inferenceAcceleratorOverrides": [{"deviceName": "d", "deviceType": "t"}]})
    validate_overrides(TWO, {"inferenceAcceleratorOverrides": []})


def test_overrides_have_at_most_8192_characters_of_json() -> None:
    """Source: RunTaskRequest.overrides."""

    def sized(length: int) -> dict[str, Any]:
        empty = of("web", command=[""])
        padding = length - len(json.dumps(empty, separators=(",", ":")))
        return of("web", command=["é" * padding])

    validate_overrides(TWO, sized(OVERRIDES_MOST))
    with pytest.raises(InvalidParameterException):
        validate_overrides(TWO, sized(OVERRIDES_MOST + 1))


def test_what_an_override_brings_in_can_keep_the_task_from_running() -> None:
    files = [{"value": "arn:aws:s3:::b/a.env", "type": "s3"}]
    assert unsupported_at_run(effective(TWO, of("web", environmentFiles=files))) is not None
    with pytest.raises(ClientException, match="for tasks of the launch type FARGATE"):
        check_fargate(Compute(), effective(TWO, {"ephemeralStorage": {"sizeInGiB": 30}}))


def test_demand_follows_the_overrides() -> None:
    assert demand_of(TWO, None)[:2] == (100, 128 + 64)
    assert demand_of(TWO, of("web", cpu=200, memoryReservation=100))[:2] == (200, 100 + 64)
    assert demand_of(TWO, {"cpu": "512", "memory": "1024"})[:2] == (512, 1024)
    assert demand_of(TWO, of("web", resourceRequirements=[{"type": "GPU", "value": "2"}])).gpus == 2
    roles = demand_of(TWO, {"taskRoleArn": ROLE}).required_attributes
    assert "com.amazonaws.ecs.capability.task-iam-role" in roles


overrides = st.fixed_dictionaries(
    {},
    optional={
        "cpu": st.sampled_from(["512", "1 vCPU"]),
        "containerOverrides": st.lists(
            st.fixed_dictionaries(
                {"name": st.sampled_from(["web", "side"])},
                optional={
                    "command": st.lists(st.text(max_size=3), max_size=2),
                    "cpu": st.integers(0, 50),
                    "memory": st.integers(128, 300),
                    "environment": st.lists(
                        st.fixed_dictionaries({"name": st.sampled_from("ABC"), "value": st.text(max_size=3)}),
                        max_size=3,
                    ),
                },
            ),
            max_size=2,
            unique_by=lambda override: override["name"],
        ),
    },
)


@given(overrides)
def test_merging_twice_is_merging_once(given_: dict[str, Any]) -> None:
    validate_overrides(TWO, given_)
    once = effective(TWO, given_)
    assert effective(once, given_) == once


@given(overrides)
def test_merging_the_echo_is_merging_the_overrides(given_: dict[str, Any]) -> None:
    assert effective(TWO, echo(TWO, given_)) == effective(TWO, given_)


@given(overrides)
def test_every_variable_has_one_value_and_it_is_the_last_given(given_: dict[str, Any]) -> None:
    for before, after in zip(
        TWO["containerDefinitions"], effective(TWO, given_)["containerDefinitions"], strict=True
    ):
        asked = [o for o in given_.get("containerOverrides", ()) if o["name"] == before["name"]]
        expected = {v["name"]: v["value"] for v in before["environment"]}
        for override in asked:
            expected |= {v["name"]: v["value"] for v in override.get("environment", ())}
        assert {v["name"]: v["value"] for v in after["environment"]} == expected
        assert len(after["environment"]) == len(expected)
