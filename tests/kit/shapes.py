"""What a JSON answer may look like: the model's members, of the model's types, and no nulls."""

from __future__ import annotations

import json
from typing import Any

from homeport.wire.model import Shape, service_api

_TYPES: dict[str, tuple[type, ...]] = {
    "string": (str,),
    "character": (str,),
    "blob": (str,),
    "boolean": (bool,),
    "integer": (int,),
    "long": (int,),
    "float": (int, float),
    "double": (int, float),
    "timestamp": (int, float),
}

BEYOND_THE_MODEL = {"dualStackIPv6"}
"""What AWS lists though its model does not. Source: ECS Developer Guide, account settings."""


def misfits(shape: Shape, value: Any, path: str = "answer") -> list[str]:
    """What in a JSON value is not as the shape says."""
    if shape.kind == "structure":
        if not isinstance(value, dict):
            return [f"{path} is no object: {value!r}"]
        found = [f"{path}.{name} is unknown to the model" for name in value if name not in shape.members]
        for name, member in shape.members.items():
            if name in value:
                found += misfits(member, value[name], f"{path}.{name}")
        return found
    if shape.kind == "list":
        if not isinstance(value, list):
            return [f"{path} is no list: {value!r}"]
        return [text for n, item in enumerate(value) for text in misfits(shape.member, item, f"{path}[{n}]")]
    if shape.kind == "map":
        if not isinstance(value, dict):
            return [f"{path} is no object: {value!r}"]
        return [text for key, item in value.items() for text in misfits(shape.value, item, f"{path}[{key}]")]
    if not isinstance(value, _TYPES[shape.kind]) or (isinstance(value, bool) != (shape.kind == "boolean")):
        return [f"{path} is no {shape.kind}: {value!r}"]
    if choices := shape.traits.get("enum"):
        return (
            []
            if value in choices or value in BEYOND_THE_MODEL
            else [f"{path} is none of {choices}: {value!r}"]
        )
    return []


def must_fit(service: str, operation: str, body: bytes) -> None:
    """Assert that a success is as the model says."""
    shape = service_api(service).operation(operation).output
    wrong = [] if shape is None or not body else misfits(shape, json.loads(body))
    assert not wrong, f"{service}:{operation}: {'; '.join(wrong)}"
