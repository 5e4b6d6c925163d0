"""What registering depends on besides the request."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from homeport.services.ecs.errors import ClientException

Document = Mapping[str, Any]
"""A wire-shaped task definition, or a part of one."""


def check_brackets(expression: str) -> None:
    """Raise `ValueError` when an expression cannot be a cluster query: empty, or open brackets or quotes."""
    open_brackets: list[str] = []
    quote = ""
    for char in expression:
        if quote:
            quote = "" if char == quote else quote
        elif char in "\"'":
            quote = char
        elif char in "([":
            open_brackets.append({"(": ")", "[": "]"}[char])
        elif char in ")]" and (not open_brackets or open_brackets.pop() != char):
            raise ValueError(f"unexpected '{char}'")
    if quote or open_brackets or not expression.strip():
        raise ValueError("the expression is incomplete")


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """Facts about the account and this installation.

    `fargate_32vcpu` allows the 32 vCPU sizes, which not every region has.
    `check_expression` raises `ValueError` for a placement expression that does not parse.
    """

    region: str
    account_id: str
    fargate_32vcpu: bool = True
    check_expression: Callable[[str], object] = check_brackets


def refuse(message: str) -> ClientException:
    """The error that RegisterTaskDefinition answers with."""
    return ClientException(message)


def check_range(value: int, least: int, most: int, what: str) -> None:
    """Raise unless `least <= value <= most`."""
    if not least <= value <= most:
        raise refuse(f"{what} must be between {least} and {most}, not {value}.")


def words(text: str) -> frozenset[str]:
    """A set of names, written as a sentence."""
    return frozenset(text.split())
