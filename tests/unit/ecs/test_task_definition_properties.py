"""What holds for every definition that registers."""

from __future__ import annotations

import copy
import json
from collections.abc import Mapping
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st
from tests.kit.task_definitions import FULL, SETTINGS

from homeport.services.ecs.errors import ClientException
from homeport.services.ecs.plan.overrides import demand_of
from homeport.services.ecs.plan.task_definition import normalise, request_part

NAMES = ("a", "b", "c")


def optional(**members: st.SearchStrategy[Any]) -> st.SearchStrategy[dict[str, Any]]:
    return st.fixed_dictionaries({}, optional=members)


ports = st.lists(
    st.integers(1, 65000).flatmap(
        lambda port: st.fixed_dictionaries(
            {"containerPort": st.just(port)},
            optional={"hostPort": st.sampled_from([0, port]), "protocol": st.sampled_from(["tcp", "udp"])},
        )
    ),
    max_size=3,
)


@st.composite
def containers(draw: st.DrawFn, name: str) -> dict[str, Any]:
    memory = draw(st.integers(4, 512))
    members: dict[str, Any] = draw(
        optional(
            cpu=st.integers(0, 512),
            memoryReservation=st.integers(4, memory),
            portMappings=ports,
            essential=st.booleans(),
            environment=st.lists(
                st.fixed_dictionaries({"name": st.sampled_from(["X", "Y"]), "value": st.text(max_size=3)}),
                max_size=3,
            ),
            command=st.lists(st.text(max_size=5), max_size=2),
            privileged=st.booleans(),
            user=st.sampled_from(["0", "www"]),
            stopTimeout=st.integers(0, 300),
            healthCheck=st.fixed_dictionaries(
                {"command": st.just(["CMD", "true"])},
                optional={"interval": st.integers(5, 300), "startPeriod": st.integers(0, 300)},
            ),
            ulimits=st.just([{"name": "nofile", "softLimit": 1, "hardLimit": 2}]),
            mountPoints=st.just([{"sourceVolume": "v", "containerPath": "/v"}]),
            dockerLabels=st.dictionaries(st.sampled_from(["k", "l"]), st.text(max_size=3)),
        )
    )
    return {"name": name, "image": "i", "memory": memory, **members}


@st.composite
def requests(draw: st.DrawFn) -> dict[str, Any]:
    """Requests of which most register."""
    chosen = NAMES[: draw(st.integers(1, 3))]
    members: dict[str, Any] = draw(
        optional(
            networkMode=st.sampled_from(["bridge", "host", "awsvpc", "none"]),
            cpu=st.sampled_from(["2048", "2 vCPU", "4 vcpu"]),
            memory=st.sampled_from(["2048", "2GB", "4 GB"]),
            taskRoleArn=st.sampled_from(["short", "arn:aws:iam::123456789012:role/long"]),
            pidMode=st.sampled_from(["host", "task"]),
            requiresCompatibilities=st.sampled_from([[], ["EC2"]]),
            placementConstraints=st.just([{"type": "memberOf", "expression": "a == b"}]),
        )
    )
    return {
        "family": "app",
        "containerDefinitions": [draw(containers(name)) for name in chosen],
        "volumes": [draw(optional(host=st.just({"sourcePath": "/srv"}))) | {"name": "v"}],
        **members,
    }


def registers(asked: Mapping[str, Any]) -> dict[str, Any] | None:
    try:
        return normalise(asked, settings=SETTINGS)
    except ClientException:
        return None


@settings(max_examples=40)
@given(requests())
def test_registering_a_document_again_gives_the_same_document(asked: dict[str, Any]) -> None:
    document = registers(asked)
    if document is not None:
        assert normalise(request_part(document), settings=SETTINGS) == document


@settings(max_examples=40)
@given(requests())
def test_defaults_never_override_what_was_given(asked: dict[str, Any]) -> None:
    document = registers(asked)
    if document is None:
        return
    for given_, stored in zip(asked["containerDefinitions"], document["containerDefinitions"], strict=True):
        for key, value in given_.items():
            if key == "portMappings":
                for one, other in zip(value, stored[key], strict=True):
                    wanted = {k: v for k, v in one.items() if (k, v) != ("hostPort", 0)}
                    assert wanted.items() <= other.items()
            elif key == "healthCheck":
                assert value.items() <= stored[key].items()
            else:
                assert stored[key] == value
    for key in ("networkMode", "pidMode", "requiresCompatibilities", "placementConstraints"):
        if key in asked:
            assert document[key] == asked[key]


@settings(max_examples=40)
@given(requests())
def test_a_request_is_not_changed_by_registering_it(asked: dict[str, Any]) -> None:
    before = copy.deepcopy(asked)
    registers(asked)
    assert asked == before


@settings(max_examples=40)
@given(requests())
def test_the_document_is_json_and_as_long_as_there_are_containers(asked: dict[str, Any]) -> None:
    document = registers(asked)
    if document is not None:
        assert json.loads(json.dumps(document)) == document
        assert len(document["containerDefinitions"]) == len(asked["containerDefinitions"])


@settings(max_examples=40)
@given(requests())
def test_demand_is_the_tasks_size_or_the_containers_sum(asked: dict[str, Any]) -> None:
    """The agent's own account: task CPU else the sum; task memory else reservations else limits."""
    document = registers(asked)
    if document is None:
        return
    demand = demand_of(document, None)
    sizes = [c.get("memoryReservation") or c["memory"] for c in asked["containerDefinitions"]]
    assert demand.cpu == int(
        document.get("cpu") or sum(c.get("cpu", 0) for c in asked["containerDefinitions"])
    )
    assert demand.memory == int(document.get("memory") or sum(sizes))
    static = [
        (m["protocol"], m["hostPort"])
        for c in document["containerDefinitions"]
        for m in c["portMappings"]
        if m["hostPort"] and document["networkMode"] != "awsvpc"
    ]
    assert sorted(p for kind, p in static if kind == "tcp") == list(demand.ports_tcp)
    assert sorted(p for kind, p in static if kind == "udp") == list(demand.ports_udp)
    assert demand.required_attributes == {a["name"] for a in document["requiresAttributes"]}


def test_enough_of_these_requests_register() -> None:
    """The properties above would hold for nothing, too."""
    seen: list[bool] = []

    @settings(max_examples=40)
    @given(requests())
    def count(asked: dict[str, Any]) -> None:
        seen.append(registers(asked) is not None)

    count()
    assert sum(seen) > len(seen) / 5


def test_null_members_are_absent() -> None:
    asked = {**FULL, "pidMode": None, "volumes": [*FULL["volumes"], None]}
    without = {key: value for key, value in FULL.items() if key != "pidMode"}
    assert normalise(asked, settings=SETTINGS) == normalise(without, settings=SETTINGS)


def test_the_documented_defaults_are_filled_in() -> None:
    """Source: recorded DescribeTaskDefinition answers; HealthCheck for interval, timeout and retries."""
    document = normalise(
        {
            "family": "app",
            "containerDefinitions": [
                {
                    "name": "web",
                    "image": "busybox",
                    "memory": 64,
                    "portMappings": [{"containerPort": 80}],
                    "healthCheck": {"command": ["CMD", "true"]},
                }
            ],
        },
        settings=SETTINGS,
    )
    assert document == {
        "family": "app",
        "networkMode": "bridge",
        "volumes": [],
        "placementConstraints": [],
        "containerDefinitions": [
            {
                "name": "web",
                "image": "busybox",
                "cpu": 0,
                "memory": 64,
                "essential": True,
                "environment": [],
                "mountPoints": [],
                "volumesFrom": [],
                "systemControls": [],
                "portMappings": [{"containerPort": 80, "hostPort": 0, "protocol": "tcp"}],
                "healthCheck": {"command": ["CMD", "true"], "interval": 30, "timeout": 5, "retries": 3},
            }
        ],
        "requiresAttributes": [
            {"name": "com.amazonaws.ecs.capability.docker-remote-api.1.24"},
            {"name": "ecs.capability.container-health-check"},
        ],
        "compatibilities": ["EXTERNAL", "EC2"],
    }


def test_a_gpu_is_counted_and_a_platform_constrains() -> None:
    demand = demand_of(normalise(FULL, settings=SETTINGS), None)
    assert demand.gpus == 1
    assert [c["expression"] for c in demand.constraints] == [
        "attribute:stack == blue",
        "attribute:ecs.cpu-architecture == x86_64",
        "attribute:ecs.os-type == linux",
    ]
