"""What a request needs to be allowed: actions on resources, under condition keys."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

KeyValue = str | bool | int | float | tuple[str, ...]
Keys = Mapping[str, KeyValue]
"""Condition keys and their values; an empty value is a key that is not there."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Access:
    """One action on one resource (`*`: on none in particular), with the keys that the request gives it."""

    action: str
    resource: str = "*"
    keys: Keys = field(default_factory=dict)


def tag_keys(tags: Mapping[str, str]) -> dict[str, KeyValue]:
    """The keys of tags that a request brings. Source: IAM User Guide, `aws:RequestTag/key`, `aws:TagKeys`."""
    keys: dict[str, KeyValue] = {f"aws:RequestTag/{key}": value for key, value in tags.items()}
    if tags:
        keys["aws:TagKeys"] = tuple(tags)
    return keys


def account_of(arn: str) -> str:
    """The account in an ARN; empty for `*`, for ARNs without one and for what AWS gives to all accounts."""
    parts = arn.split(":", 5)
    return parts[4] if len(parts) == 6 and parts[0] == "arn" and parts[4] != "aws" else ""
