"""Where tasks are to run: launch types, strategies of Fargate's providers, platform versions.

Sources: ECS API Reference, RunTask, CreateService and UpdateService; developer guide, "Fargate platform
versions", "Task size", "Task definition differences for Fargate".
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.kit.task_definitions import SETTINGS, container, fargate, request

from homeport.core.errors import AwsError
from homeport.services.ecs.model import Cluster, TaskDefinition
from homeport.services.ecs.plan.compute import (
    Compute,
    check_fargate,
    check_launch_type,
    compute_of,
    next_compute,
)
from homeport.services.ecs.plan.overrides import effective
from homeport.services.ecs.plan.task_definition import normalise
from homeport.services.ecs.plan.task_definition.sizes import FARGATE_SIZES

NOW = datetime(2030, 1, 1, tzinfo=UTC)
PROVIDERS = ("FARGATE", "FARGATE_SPOT", "group")
FARGATE = Compute(launch_type="FARGATE", platform_version="LATEST")
OLDER = Compute(launch_type="FARGATE", platform_version="1.3.0")


def cluster(*default: dict[str, Any]) -> Cluster:
    return Cluster(
        account_id="000000000000",
        region="us-east-1",
        name="default",
        created_at=NOW,
        capacity_providers=PROVIDERS,
        default_strategy=default,
    )


def item(name: str, weight: int = 1, base: int = 0) -> dict[str, Any]:
    return {"capacityProvider": name, "weight": weight, "base": base}


def definition(asked: dict[str, Any]) -> TaskDefinition:
    return TaskDefinition(
        account_id="000000000000",
        region="us-east-1",
        family="app",
        revision=1,
        registered_at=NOW,
        registered_by="test",
        body=normalise(asked, settings=SETTINGS),
    )


def refusal(work: Any, *args: Any, **members: Any) -> tuple[str, str]:
    with pytest.raises(AwsError) as caught:
        work(*args, **members)
    return type(caught.value).code, caught.value.message


@pytest.mark.parametrize(
    ("asked", "default", "expected"),
    [
        ({}, (), ("EC2", None)),
        ({"launchType": "FARGATE"}, (), ("FARGATE", "LATEST")),
        ({"launchType": "FARGATE", "platformVersion": "latest"}, (), ("FARGATE", "LATEST")),
        ({"launchType": "FARGATE", "platformVersion": "1.3.0"}, (), ("FARGATE", "1.3.0")),
        ({"capacityProviderStrategy": [item("FARGATE_SPOT")]}, (), ("FARGATE", "LATEST")),
        ({"capacityProviderStrategy": [item("group")]}, (), ("EC2", None)),
        ({}, (item("FARGATE"),), ("FARGATE", "LATEST")),
        ({"launchType": "EC2"}, (item("FARGATE"),), ("EC2", None)),
        ({"capacityProviderStrategy": []}, (item("FARGATE"),), ("FARGATE", "LATEST")),
    ],
)
def test_where_tasks_run_follows_from_the_request_and_then_from_the_cluster(
    asked: dict[str, Any], default: tuple[dict[str, Any], ...], expected: tuple[str, str | None]
) -> None:
    found = compute_of(asked, cluster(*default))
    assert (found.launch_type, found.platform_version) == expected


def test_what_cannot_be_asked_for_together_is_refused() -> None:
    both = {"launchType": "FARGATE", "capacityProviderStrategy": [item("FARGATE")]}
    assert "both a launch type and capacity provider strategy" in refusal(compute_of, both, cluster())[1]
    mixed = {"capacityProviderStrategy": [item("FARGATE"), item("group")]}
    assert "mix of capacity providers" in refusal(compute_of, mixed, cluster())[1]
    version = {"launchType": "EC2", "platformVersion": "LATEST"}
    assert refusal(compute_of, version, cluster())[0] == "InvalidParameterException"
    unknown = {"launchType": "FARGATE", "platformVersion": "1.5.0"}
    assert refusal(compute_of, unknown, cluster())[0] == "PlatformUnknownException"


def test_an_update_keeps_where_tasks_run_until_a_deployment_is_forced() -> None:
    there = cluster()
    now = compute_of({"launchType": "FARGATE", "platformVersion": "1.3.0"}, there)
    assert next_compute({}, there, now, is_deployed=False) == now
    newer = next_compute({"platformVersion": "LATEST"}, there, now, is_deployed=False)
    assert (newer.platform_version, newer.resolved_version) == ("LATEST", "1.4.0")
    spot = {"capacityProviderStrategy": [item("FARGATE_SPOT")]}
    assert "must force a new deployment" in refusal(next_compute, spot, there, now, is_deployed=False)[1]
    moved = next_compute(spot, there, now, is_deployed=True)
    assert (moved.launch_type, moved.platform_version) == ("FARGATE", "1.3.0")
    away = next_compute({"capacityProviderStrategy": [item("group")]}, there, moved, is_deployed=True)
    assert away == Compute(launch_type="EC2", strategy=away.strategy)


def test_fargate_chooses_its_machines_itself() -> None:
    app = definition(fargate())
    check_launch_type(FARGATE, {}, app)
    for member in ("placementConstraints", "placementStrategy"):
        code, text = refusal(check_launch_type, FARGATE, {member: [{"type": "spread"}]}, app)
        assert code == "InvalidParameterException"
        assert "not supported with FARGATE" in text


def test_public_addresses_are_fargates() -> None:
    public = {"networkConfiguration": {"awsvpcConfiguration": {"assignPublicIp": "ENABLED"}}}
    app = definition(fargate())
    check_launch_type(FARGATE, public, app)
    assert refusal(check_launch_type, Compute(), public, app) == (
        "InvalidParameterException",
        "Assign public IP is not supported for this launch type.",
    )


def test_a_definition_that_fargate_cannot_run_is_refused() -> None:
    text = refusal(check_launch_type, FARGATE, {}, definition(request(container())))[1]
    assert text == "Task definition does not support launch_type FARGATE."


@given(st.sampled_from(sorted(FARGATE_SIZES)), st.integers(1, 512).map(lambda blocks: blocks * 512))
def test_overrides_may_only_make_a_size_that_there_is(cpu: int, memory: int) -> None:
    body = effective(definition(fargate()).body, {"cpu": str(cpu), "memory": str(memory)})
    if memory in FARGATE_SIZES[cpu]:
        check_fargate(FARGATE, body)
    else:
        assert refusal(check_fargate, FARGATE, body)[1].startswith("No Fargate configuration exists")


@pytest.mark.parametrize(
    "members",
    [
        {"ephemeralStorage": {"sizeInGiB": 21}},
        {"pidMode": "task"},
        {"runtimePlatform": {"cpuArchitecture": "ARM64"}},
        {"containers": [container(linuxParameters={"capabilities": {"add": ["SYS_PTRACE"]}})]},
    ],
    ids=lambda members: next(iter(members)),
)
def test_an_older_platform_has_not_what_came_later(members: dict[str, Any]) -> None:
    containers = members.pop("containers", [])
    body = definition(fargate(*containers, **members)).body
    check_fargate(FARGATE, body)
    assert refusal(check_fargate, OLDER, body)[0] == "PlatformTaskDefinitionIncompatibilityException"


def test_storage_is_what_was_asked_for_or_what_the_platform_has() -> None:
    plain, large = definition(fargate()).body, definition(fargate(ephemeralStorage={"sizeInGiB": 50})).body
    assert FARGATE.storage_gib(plain) == 20
    assert FARGATE.storage_gib(large) == 50
    assert OLDER.storage_gib(plain) == 14
    assert Compute().storage_gib(large) is None
    assert (
        "ephemeralStorage is for tasks of the launch type FARGATE"
        in refusal(check_fargate, Compute(), large)[1]
    )
