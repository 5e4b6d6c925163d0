"""The real agent's own model of its frames: which members it reads and writes, and their types.

Source: amazon-ecs-agent 1.105.1, the API models of ACS and TCS (see tests/data/agent-wire/README.md).
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

MODEL: dict[str, dict[str, Any]] = json.loads(
    (Path(__file__).parent.parent / "data" / "agent-wire" / "model.json").read_text()
)
_TYPES: dict[str, tuple[type, ...]] = {
    "string": (str,),
    "integer": (int,),
    "number": (int, float),
    "boolean": (bool,),
}


def faults(frame: Mapping[str, Any]) -> list[str]:
    """Where a frame is not what the agent's model says; empty: nowhere.

    Go's decoder refuses a whole frame for one member of a wrong type, and ignores
    a member that it does not know: both are faults here.
    """
    if set(frame) != {"type", "message"}:
        return [f"members of the envelope: {sorted(frame)}"]
    return _faults(frame["message"], frame["type"], frame["type"])


def _faults(value: Any, kind: Any, at: str) -> list[str]:
    if isinstance(kind, list):
        if not isinstance(value, list):
            return [f"{at}: no list: {value!r}"]
        return [f for index, item in enumerate(value) for f in _faults(item, kind[0], f"{at}[{index}]")]
    if isinstance(kind, dict):
        if not isinstance(value, dict):
            return [f"{at}: no map: {value!r}"]
        return [f for key, item in value.items() for f in _faults(item, kind["*"], f"{at}[{key}]")]
    if kind in MODEL:
        return _structure_faults(value, kind, at)
    if kind.startswith("one of "):
        return [] if value in kind.split()[2:] else [f"{at}: {value!r} is not {kind}"]
    wrong = not isinstance(value, _TYPES[kind]) or (isinstance(value, bool) and kind != "boolean")
    return [f"{at}: {value!r} is no {kind}"] if wrong else []


def _structure_faults(value: Any, kind: str, at: str) -> list[str]:
    if not isinstance(value, dict):
        return [f"{at}: no {kind}: {value!r}"]
    members = MODEL[kind]
    unknown = [f"{at}.{name}: unknown to {kind}" for name in value if name not in members]
    known = [name for name in value if name in members]
    return unknown + [f for name in known for f in _faults(value[name], members[name], f"{at}.{name}")]
