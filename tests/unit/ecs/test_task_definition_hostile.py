"""Whatever the model's types allow is answered: a document that renders, or one of AWS's errors."""

from __future__ import annotations

from typing import Any

import botocore.session
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.kit.task_definitions import FULL, SETTINGS, identity

from homeport.core.errors import AwsError
from homeport.services.ecs.plan.overrides import demand_of, echo, effective, validate_overrides
from homeport.services.ecs.plan.payload import render_task
from homeport.services.ecs.plan.task_definition import normalise, request_part, unsupported_at_run

MODEL = botocore.session.get_session().get_service_model("ecs")
TEXTS = st.sampled_from(
    [
        "/x",
        "1",
        "ALL",
        "²",
        "x:y",
        "a-b",
        "1-2",
        "9-1",
        "CMD",
        "a@b",
        "arn:",
        "::::",
        "web",
        "db",
        "data",
        "512",
        "1 vCPU",
        ".env",
        "arn:aws:s3:::b/a.env",
        "arn:aws:secretsmanager:us-east-1:1:secret:x",
        "arn:aws:iam::000000000000:role/r",
        "net.core.x",
        "mode",
        "label:x",
    ]
) | st.text(max_size=4)
NUMBERS = st.sampled_from([-(2**31), -1, 0, 1, 5, 21, 60, 80, 512, 65535, 2**31 - 1])


def values(shape: Any) -> st.SearchStrategy[Any]:
    """Anything that the gateway's parser could hand on for this shape."""
    if shape.type_name == "structure":
        members = {name: values(member) for name, member in shape.members.items()}
        required = {name: members.pop(name) for name in shape.required_members}
        return st.fixed_dictionaries(required, optional=members)
    if shape.type_name == "list":
        return st.lists(values(shape.member), max_size=2)
    if shape.type_name == "map":
        return st.dictionaries(TEXTS, TEXTS, max_size=2)
    if shape.type_name == "string":
        return st.sampled_from(shape.enum) if shape.enum else TEXTS
    return st.booleans() if shape.type_name == "boolean" else NUMBERS


REQUEST = MODEL.operation_model("RegisterTaskDefinition").input_shape
CONTAINER = REQUEST.members["containerDefinitions"].member
OVERRIDES = values(MODEL.shape_for("TaskOverride"))


def one_member(shape: Any, without: str = "") -> st.SearchStrategy[dict[str, Any]]:
    """One or two members of a structure: more would only be refused for the first."""
    names = sorted(set(shape.members) - {without})
    pairs = st.sampled_from(names).flatmap(lambda name: st.tuples(st.just(name), values(shape.members[name])))
    return st.lists(pairs, max_size=2).map(dict)


@given(one_member(REQUEST, "containerDefinitions"), one_member(CONTAINER), st.booleans(), OVERRIDES)
@settings(max_examples=60)
def test_hostile_members_are_refused_or_rendered(
    task: dict[str, Any], first: dict[str, Any], plain: bool, overrides: dict[str, Any]
) -> None:
    base: dict[str, Any] = {
        "family": "f",
        "containerDefinitions": [{"name": "web", "image": "i", "memory": 64}],
    }
    base = base if plain else FULL
    web, *others = base["containerDefinitions"]
    asked = {**base, **task, "containerDefinitions": [{**web, **first}, *others]}
    try:
        document = normalise(asked, settings=SETTINGS)
    except AwsError:
        return
    assert normalise(request_part(document), settings=SETTINGS) == document
    renders(document, {})
    try:
        validate_overrides(document, overrides)
    except AwsError:
        return
    assert len(echo(document, overrides)["containerOverrides"]) == len(document["containerDefinitions"])
    renders(document, overrides)


def renders(document: dict[str, Any], overrides: dict[str, Any]) -> None:
    merged = effective(document, overrides)
    demand = demand_of(document, overrides)
    assert min(demand.cpu, demand.memory, demand.gpus) >= 0
    if unsupported_at_run(merged) is None:
        task = render_task(td=document, overrides=overrides, task=identity())
        assert len(task.containers) == len(document["containerDefinitions"])
