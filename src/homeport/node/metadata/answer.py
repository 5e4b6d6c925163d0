"""A question to a local endpoint and its answer, free of HTTP's machinery."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """One request. `path` is decoded, header names are in lower case; `remote`: the caller."""

    method: str = "GET"
    path: str
    query: Mapping[str, str] = field(default_factory=dict)
    headers: Mapping[str, str] = field(default_factory=dict)
    remote: str = ""
    remote_port: int = 0
    body: bytes = b""


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """One response."""

    status: int = 200
    body: bytes = b""
    content_type: str = "application/json"
    headers: Mapping[str, str] = field(default_factory=dict)


def answer_json(value: Any, status: int = 200) -> Answer:
    """Compact JSON, as Go writes it."""
    return Answer(status=status, body=json.dumps(value, separators=(",", ":")).encode())


NOT_FOUND = Answer(status=404, body=b"404 page not found\n", content_type="text/plain; charset=utf-8")
TOO_MANY = Answer(
    status=429, body=b"You have reached maximum request limit.", content_type="text/plain; charset=utf-8"
)
