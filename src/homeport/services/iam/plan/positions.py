"""Where a policy's statements stand in its text, as the policy simulator tells it.

A statement begins behind the character before it (`[`, `{`, or the statement before) and ends behind its
last; lines and columns count from 1. Source: AWS CLI examples, simulate-custom-policy (column 38 to 167) and
simulate-principal-policy (line 3, column 19).
"""

from __future__ import annotations

import json
from typing import NamedTuple

_DECODER = json.JSONDecoder()


class Span(NamedTuple):
    """From here to there, as offsets into the text."""

    start: int
    end: int


def spans(document: str) -> tuple[Span, ...]:
    """Where each statement of a valid policy stands."""
    at = _behind_space(document, 0) + 1
    while True:
        name, at = _DECODER.raw_decode(document, _behind_space(document, at))
        at = _behind_space(document, _behind_space(document, at) + 1)
        if name == "Statement":
            return _listed(document, at) if document[at] == "[" else (Span(at + 1, _end(document, at)),)
        at = _behind_space(document, _end(document, at)) + 1


def _listed(document: str, at: int) -> tuple[Span, ...]:
    found: list[Span] = []
    while document[at] != "]":
        start = at + 1 if not found else found[-1].end
        end = _end(document, _behind_space(document, at + 1))
        found.append(Span(start, end))
        at = _behind_space(document, end)
    return tuple(found)


def _end(document: str, at: int) -> int:
    return _DECODER.raw_decode(document, at)[1]


def _behind_space(document: str, at: int) -> int:
    while document[at].isspace():
        at += 1
    return at


def position(document: str, offset: int) -> dict[str, int]:
    """An offset as line and column."""
    before = document[:offset]
    return {"Line": before.count("\n") + 1, "Column": offset - before.rfind("\n")}
