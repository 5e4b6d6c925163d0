"""What the protocol modules have in common."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, TypeAlias

from homeport.wire.http import HttpAnswer, HttpRequest
from homeport.wire.model import OperationApi, ServiceApi, Shape
from homeport.wire.problems import Problems

Parse: TypeAlias = Callable[[HttpRequest, Mapping[str, str], Problems], Any]
"""Request and path labels to input."""
Write: TypeAlias = Callable[[Mapping[str, Any], str, bool], HttpAnswer]
"""Output, request id and strictness to the answer."""


@dataclass(frozen=True, slots=True)
class Exchange:
    """One operation in one protocol."""

    parse: Parse
    write: Write


@dataclass(frozen=True, slots=True, kw_only=True)
class Failure:
    """An error as it will be told. `name` is the shape's, `code` the model's wire code."""

    name: str
    code: str
    message: str
    status: int
    fault: str
    members: Mapping[str, Any]
    shape: Shape | None
    request_id: str


@dataclass(frozen=True, slots=True)
class Speaker:
    """One protocol."""

    exchange: Callable[[ServiceApi, OperationApi], Exchange]
    fail: Callable[[ServiceApi | None, Failure], HttpAnswer]


def message_key(shape: Shape | None) -> str:
    """The member that carries an error's text: `message`, unless the shape spells it otherwise."""
    names = shape.members if shape is not None else ()
    return next((name for name in names if name.lower() == "message"), "message")


def failure_members(failure: Failure) -> dict[str, Any]:
    """An error's members: its text, what the handler gave, and the code where a member wants it."""
    shape = failure.shape
    found: dict[str, Any] = {message_key(shape): failure.message, **failure.members}
    if shape is not None and "ErrorCode" in shape.required:
        found.setdefault("ErrorCode", failure.code)
    return found


def query_error(service: ServiceApi | None, failure: Failure) -> tuple[tuple[str, str], ...]:
    """The header by which former query services tell their old error codes."""
    if service is None or not service.query_compatible:
        return ()
    return (("x-amzn-query-error", header_text(f"{failure.code};{failure.fault}")),)


def qualified(service: ServiceApi | None, failure: Failure) -> str:
    """The error's name with its namespace, where it is the model's."""
    if service is None or failure.shape is None:
        return failure.name
    return f"com.amazonaws.{service.name}#{failure.name}"


_NOT_IN_HEADERS = re.compile("[\x00-\x1f\x7f]+")


def header_text(text: str) -> str:
    """`text` as a header's value: no line ends, and UTF-8 in latin-1's clothes."""
    if text.isascii() and text.isprintable():
        return text
    return _NOT_IN_HEADERS.sub(" ", text).encode("utf-8", "replace").decode("latin-1")
