"""Condition keys that a simulation is given, checked against the types they are said to have."""

from __future__ import annotations

import binascii
from base64 import b64decode
from collections.abc import Mapping, Sequence
from ipaddress import ip_network
from typing import Any

from homeport.policy.values import instant
from homeport.services.iam.errors import InvalidInputException


def context_of(entries: Sequence[Mapping[str, Any]]) -> dict[str, tuple[str, ...]]:
    """Values by key."""
    found: dict[str, tuple[str, ...]] = {}
    for entry in entries:
        name, values = entry.get("ContextKeyName", ""), tuple(entry.get("ContextKeyValues", ()))
        kind = entry.get("ContextKeyType", "string")
        if not name:
            raise InvalidInputException("A context entry must have a ContextKeyName.")
        if name.lower() in {known.lower() for known in found}:
            raise InvalidInputException(f"Duplicate context key name: {name}")
        if not kind.endswith("List") and len(values) > 1:
            raise InvalidInputException(f"{name} is a {kind}, and has one value, not {len(values)}.")
        for value in values:
            if not _fits(kind.removesuffix("List"), value):
                raise InvalidInputException(f"{value} is not a value of type {kind} for {name}.")
        found[name] = values
    return found


def _fits(kind: str, value: str) -> bool:
    try:
        match kind:
            case "numeric":
                float(value)
            case "boolean":
                return value.lower() in ("true", "false")
            case "ip":
                ip_network(value, strict=False)
            case "binary":
                b64decode(value, validate=True)
            case "date":
                return instant(value) is not None
    except (ValueError, binascii.Error):
        return False
    return True
