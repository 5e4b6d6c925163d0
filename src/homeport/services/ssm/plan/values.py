"""What a parameter may hold, and what a write makes of it. Pure.

Source: API Reference, PutParameter; user guide, "Managing parameter tiers".
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

import regex

from homeport.services.ssm.errors import (
    HierarchyTypeMismatchException,
    InvalidAllowedPatternException,
    InvalidKeyId,
    ParameterPatternMismatchException,
    ValidationException,
)
from homeport.services.ssm.model import Parameter

STANDARD_BYTES = 4096
ADVANCED_BYTES = 8192
DEFAULT_KEY = "alias/aws/ssm"
TAGS_MAX = 50
PATTERN_SECONDS = 0.05
"""How long a caller's regular expression may run: it holds up the writer meanwhile."""
_TAG = re.compile(r"[\w\s_.:/=+\-@]*", re.UNICODE)


def check_put(request: Mapping[str, Any], old: Parameter | None) -> str:
    """The type that the parameter has then. Raise for a write that cannot be."""
    kind = request.get("Type") or (old.type if old is not None else None)
    if kind is None:
        raise ValidationException("A parameter type is required when you create a parameter.")
    if old is not None and kind != old.type:
        raise HierarchyTypeMismatchException(
            f"Parameter Store doesn't support changing a parameter's type: {old.name} is a {old.type}."
        )
    if old is not None and request.get("Tags"):
        raise ValidationException(
            "Invalid request: tags and overwrite can't be used together. To create a parameter with tags, "
            "please remove overwrite flag. To update tags for an existing parameter, please use "
            "AddTagsToResource or RemoveTagsFromResource."
        )
    _refuse_unsupported(request, kind)
    _check_pattern(request)
    return str(kind)


def _refuse_unsupported(request: Mapping[str, Any], kind: str) -> None:
    if request.get("Policies"):
        raise ValidationException("Policies are not supported by Homeport: no parameter expires here.")
    if request.get("DataType", "text") != "text":
        raise ValidationException(
            f"DataType {request['DataType']} is not supported by Homeport: the only one is text."
        )
    key = request.get("KeyId")
    if key and kind != "SecureString":
        raise ValidationException("KeyId is only for parameters of the type SecureString.")
    if key and key != DEFAULT_KEY and not key.endswith(f":{DEFAULT_KEY}"):
        raise InvalidKeyId(f"Homeport has no KMS keys of yours: leave KeyId out or use {DEFAULT_KEY}.")


def _check_pattern(request: Mapping[str, Any]) -> None:
    value, pattern = request["Value"], request.get("AllowedPattern")
    if not value:
        raise ValidationException("Value must have a length of at least 1.")
    if not pattern:
        return
    try:
        matches = regex.fullmatch(pattern, value, timeout=PATTERN_SECONDS)
    except regex.error as error:
        raise InvalidAllowedPatternException(f"AllowedPattern: {error}.") from None
    except TimeoutError:
        raise InvalidAllowedPatternException(
            "AllowedPattern takes too long to check: make it simpler."
        ) from None
    if matches is None:
        raise ParameterPatternMismatchException(
            f"Parameter value, cannot be validated against allowedPattern: {pattern}"
        )


def tier_of(request: Mapping[str, Any], old: Parameter | None) -> str:
    """The tier that the value needs or the request asks for. Raise when it does not fit there."""
    size = len(request["Value"].encode())
    asked = request.get("Tier") or (old.tier if old is not None else "Standard")
    if asked == "Intelligent-Tiering":
        asked = (
            "Advanced"
            if size > STANDARD_BYTES or (old is not None and old.tier == "Advanced")
            else "Standard"
        )
    if old is not None and old.tier == "Advanced" and asked == "Standard":
        raise ValidationException(
            "This parameter uses the advanced-parameter tier. You can't downgrade a parameter from the "
            "advanced-parameter tier to the standard-parameter tier."
        )
    most = ADVANCED_BYTES if asked == "Advanced" else STANDARD_BYTES
    if size > most:
        raise ValidationException(
            f"{asked} tier parameters support a maximum parameter value of {most} characters."
            + (" To create a larger parameter value, use the Advanced tier." if asked == "Standard" else "")
        )
    return str(asked)


def tags_of(given: list[Mapping[str, str]] | None, old: Mapping[str, str] | None = None) -> dict[str, str]:
    """`old` with these tags laid over it. Raise when one may not be."""
    tags = dict(old or {})
    for tag in given or ():
        key, value = tag["Key"], tag["Value"]
        if not 1 <= len(key) <= 128 or len(value) > 256:
            raise ValidationException("A tag key has 1 to 128 characters, a tag value at most 256.")
        if key.lower().startswith("aws:") or not (_TAG.fullmatch(key) and _TAG.fullmatch(value)):
            raise ValidationException(f"The tag {key!r} is not allowed.")
        tags[key] = value
    return tags
