"""What is wrong with an input, in the words of AWS's own validators, and where."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from typing import Any, TypeAlias

from homeport.wire.model import Shape

MAX_PROBLEMS = 20
"""How many problems one refusal lists; the rest are not looked for."""
_SHOWN_CHARS = 200

Path: TypeAlias = tuple["Path | None", str]
"""Where a value is: the path of what holds it, and its own name."""


class TooManyProblemsError(Exception):
    """Enough was found; looking on would only cost time."""


class Problems:
    """Collects what is wrong, up to `MAX_PROBLEMS`."""

    __slots__ = ("found", "lacking")

    def __init__(self) -> None:
        self.found: list[str] = []
        self.lacking: list[str] = []
        """Where something is missing, among what was found."""

    def _add(self, text: str) -> None:
        self.found.append(text)
        if len(self.found) >= MAX_PROBLEMS:
            raise TooManyProblemsError

    def refuse(self, shape: Shape, value: Any, path: Path | None, must: str) -> None:
        """`must` completes "Member must ...". A sensitive value is not shown."""
        shown = "Value" if shape.sensitive else f"Value {show(value)}"
        self._add(f"{shown} at '{spell(path)}' failed to satisfy constraint: Member must {must}")

    def missing(self, path: Path | None) -> None:
        """A required member is absent."""
        self.lacking.append(spell(path))
        self._add(f"Value null at '{spell(path)}' failed to satisfy constraint: Member must not be null")

    def unknown(self, name: str, path: Path | None, known: Iterable[str]) -> None:
        """A member that the shape does not have."""
        where = "input" if path is None else spell(path)
        allowed = ", ".join(sorted(known)) or "(none)"
        self._add(f'Unknown parameter in {where}: "{name[:_SHOWN_CHARS]}", must be one of: {allowed}')


Reader: TypeAlias = Callable[[Any, "Path | None", Problems], Any]
"""Reads a wire value; on a problem it reports it and returns None."""


def spell(path: Path | None) -> str:
    """`tags.1.member.key`."""
    names: list[str] = []
    while path is not None:
        path, name = path
        names.append(name)
    return ".".join(reversed(names)) or "input"


def show(value: Any) -> str:
    """The value as a message repeats it: quoted text, shortened."""
    text = value if isinstance(value, str) else _as_json(value)
    if len(text) > _SHOWN_CHARS:
        text = f"{text[:_SHOWN_CHARS]}..."
    return f"'{text}'" if isinstance(value, str) else text


def _as_json(value: Any) -> str:
    """What a caller would have written; only CBOR has keys that JSON lacks."""
    try:
        return json.dumps(value, default=str, ensure_ascii=False)
    except TypeError:
        return str(value)
