"""What the model demands of a value beyond its type: required, length, range, pattern, enum, union.

A check is compiled per shape, once; parts of a shape without demands are not visited.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeAlias

from homeport.wire.compiler import Compiler
from homeport.wire.model import Shape
from homeport.wire.patterns import compile_pattern
from homeport.wire.problems import Path, Problems

Check: TypeAlias = Callable[[Any, "Path | None", Problems], None]
_INTEGER_RANGES = {"integer": (-(2**31), 2**31 - 1), "long": (-(2**63), 2**63 - 1)}


def nothing(value: Any, path: Path | None, out: Problems) -> None:
    """The check of a shape that demands nothing."""


def new_checks() -> Compiler[Check]:
    """A compiler of checks, with its own memo."""
    return Compiler(_build)


def _build(shape: Shape, compile_: Compiler[Check]) -> Check:
    if shape.document:
        return nothing
    match shape.kind:
        case "structure":
            return _structure(shape, compile_)
        case "list":
            return _list(shape, compile_)
        case "map":
            return _map(shape, compile_)
        case "string" | "character":
            return _string(shape)
        case "blob":
            return _length(shape)
        case "integer" | "long" | "float" | "double":
            return _number(shape)
        case _:
            return nothing


def _structure(shape: Shape, compile_: Compiler[Check]) -> Check:
    required = shape.required
    inner = [(name, compile_(member)) for name, member in shape.members.items()]
    checks = tuple((name, check) for name, check in inner if check is not nothing)
    union = shape.union
    if not (required or checks or union):
        return nothing

    def check(value: Any, path: Path | None, out: Problems) -> None:
        for name in required:
            if name not in value:
                out.missing((path, name))
        for name, check_member in checks:
            if (member := value.get(name)) is not None:
                check_member(member, (path, name), out)
        if union and len(value) != 1:
            out.refuse(shape, value, path, f"set exactly one of [{', '.join(shape.members)}]")

    return check


def _list(shape: Shape, compile_: Compiler[Check]) -> Check:
    check_length = _length(shape)
    check_item = compile_(shape.member)
    if check_item is nothing:
        return check_length

    def check(value: Any, path: Path | None, out: Problems) -> None:
        check_length(value, path, out)
        for index, item in enumerate(value, 1):
            if item is not None:
                check_item(item, (path, f"{index}.member"), out)

    return check


def _map(shape: Shape, compile_: Compiler[Check]) -> Check:
    check_length = _length(shape)
    check_key, check_value = compile_(shape.key), compile_(shape.value)
    if check_key is nothing and check_value is nothing:
        return check_length

    def check(value: Any, path: Path | None, out: Problems) -> None:
        check_length(value, path, out)
        for key, item in value.items():
            check_key(key, (path, "key"), out)
            if item is not None:
                check_value(item, (path, key), out)

    return check


def _length(shape: Shape) -> Check:
    low, high = shape.traits.get("min"), shape.traits.get("max")
    if not low and high is None:
        return nothing

    def check(value: Any, path: Path | None, out: Problems) -> None:
        if low and len(value) < low:
            out.refuse(shape, value, path, f"have length greater than or equal to {low}")
        if high is not None and len(value) > high:
            out.refuse(shape, value, path, f"have length less than or equal to {high}")

    return check


def _string(shape: Shape) -> Check:
    check_length = _length(shape)
    low, high = shape.traits.get("min") or 0, shape.traits.get("max")
    pattern = shape.traits.get("pattern")
    matches = compile_pattern(pattern).fullmatch if pattern else None
    choices = shape.traits.get("enum", ())
    allowed = frozenset(choices)
    if matches is None and not allowed:
        return check_length

    def check(value: Any, path: Path | None, out: Problems) -> None:
        check_length(value, path, out)
        if high is not None and not low <= len(value) <= high:
            return  # a pattern is not run over more than it was meant for
        if matches is not None and matches(value) is None:
            out.refuse(shape, value, path, f"satisfy regular expression pattern: {pattern}")
        if allowed and value not in allowed:
            out.refuse(shape, value, path, f"satisfy enum value set: [{', '.join(choices)}]")

    return check


def _number(shape: Shape) -> Check:
    low, high = _INTEGER_RANGES.get(shape.kind, (None, None))
    low, high = shape.traits.get("min", low), shape.traits.get("max", high)
    if low is None and high is None:
        return nothing

    def check(value: Any, path: Path | None, out: Problems) -> None:
        if low is not None and not value >= low:
            out.refuse(shape, value, path, f"have value greater than or equal to {low}")
        if high is not None and not value <= high:
            out.refuse(shape, value, path, f"have value less than or equal to {high}")

    return check
