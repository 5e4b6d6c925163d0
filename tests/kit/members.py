"""Members of requests: which there are, which were looked at, and the plainest values that say something."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import cache
from typing import Any

from hypothesis import HealthCheck, find, settings

from homeport.wire.model import Shape
from tests.wire.oracle import values


def leaves(shape: Shape, path: str = "") -> Iterator[tuple[str, Shape]]:
    """Everything that is not a structure, lists marked with `[]`."""
    if shape.kind == "structure":
        for name, member in shape.members.items():
            yield from leaves(member, f"{path}.{name}" if path else name)
    elif shape.kind == "list":
        yield from leaves(shape.member, f"{path}[]")
    else:
        yield path, shape


class Watched(dict[str, Any]):
    """A request that knows which of its members were looked at."""

    def __init__(self, value: Mapping[str, Any], seen: set[str], path: str = "") -> None:
        self._seen, self._path = seen, path
        super().__init__({name: watched(inner, seen, self._at(name)) for name, inner in value.items()})

    def _at(self, name: str) -> str:
        return f"{self._path}.{name}" if self._path else name

    def __getitem__(self, name: str) -> Any:
        self._seen.add(self._at(name))
        return super().__getitem__(name)

    def get(self, name: str, default: Any = None) -> Any:
        self._seen.add(self._at(name))
        return super().get(name, default)

    def items(self) -> Any:
        if self._path:  # the whole request is gone through to compare it, which proves nothing
            self._seen |= {self._at(name) for name in self}
        return super().items()


def watched(value: Any, seen: set[str], path: str) -> Any:
    if isinstance(value, dict):
        return Watched(value, seen, path)
    return [watched(item, seen, f"{path}[]") for item in value] if isinstance(value, list) else value


def held(value: Any, path: str = "") -> Iterator[str]:
    """The leaves that a request holds."""
    if isinstance(value, dict):
        for name, inner in value.items():
            yield from held(inner, f"{path}.{name}" if path else name)
    elif isinstance(value, list):
        for item in value:
            yield from held(item, f"{path}[]")
    else:
        yield path


def filled(value: Any, world: Mapping[str, str], unique: str) -> Any:
    """The request with names for its `{placeholders}`."""
    if isinstance(value, str):
        return value.format(unique=unique, **world)
    if isinstance(value, dict):
        return {name: filled(inner, world, unique) for name, inner in value.items()}
    return [filled(item, world, unique) for item in value] if isinstance(value, list) else value


@cache
def example(shape: Shape) -> Any:
    """The plainest value of a shape that says something."""
    quiet = settings(database=None, derandomize=True, suppress_health_check=list(HealthCheck), deadline=None)
    if shape.kind == "boolean":
        return True
    if shape.kind in ("integer", "long"):
        return max(int(shape.traits.get("min", 1)), 1)
    if shape.kind in ("float", "double"):
        return 1.0
    return find(values(shape), lambda value: value not in ("", {}, []), settings=quiet)


def with_member(shape: Shape, request: dict[str, Any], path: str) -> dict[str, Any]:
    """The request with a member, and with what its neighbours require."""
    head, _, rest = path.partition(".")
    name = head.removesuffix("[]")
    member = shape.members[name]
    inner = member
    while inner.kind == "list":
        inner = inner.member
    if not rest:
        value = example(inner)
    else:
        before = request.get(name, {})
        before = before[0] if isinstance(before, list) and before else before
        value = with_member(inner, before if isinstance(before, dict) else {}, rest)
        for required in inner.required:
            value.setdefault(required, example_of(inner.members[required]))
    shown = head.count("[]")
    for _ in range(shown):
        value = [value]
    return {**request, name: value}


def example_of(shape: Shape) -> Any:
    if shape.kind == "structure":
        return {name: example_of(shape.members[name]) for name in shape.required}
    return [example_of(shape.member)] if shape.kind == "list" else example(shape)
