"""Tags: what may be a tag, and how tags are merged. Pure.

Source: Amazon ECS developer guide, "Tagging your Amazon ECS resources", restrictions.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any

from homeport.services.ecs.errors import InvalidParameterException, LimitExceededException

TAGS_MAX = 50
_ALLOWED = re.compile(r"[\w\s+\-=.:/@]*", re.UNICODE)

Tags = tuple[Mapping[str, Any], ...]


def checked(tags: Iterable[Mapping[str, Any]] | None) -> Tags:
    """The tags of a create call. Raise when one may not be."""
    given = tuple(tags or ())
    keys = [str(tag.get("key", "")) for tag in given]
    for tag, key in zip(given, keys, strict=True):
        value = str(tag.get("value", ""))
        if not key:
            raise InvalidParameterException("A tag must have a key.")
        if key.lower().startswith("aws:"):
            raise InvalidParameterException(
                f"Tag key '{key}' starts with the prefix 'aws:', which is reserved."
            )
        if len(key) > 128 or len(value) > 256:
            raise InvalidParameterException("A tag key has at most 128 characters, a tag value 256.")
        if not (_ALLOWED.fullmatch(key) and _ALLOWED.fullmatch(value)):
            raise InvalidParameterException(
                "Tags are made of letters, digits, spaces and the characters + - = . _ : / @."
            )
    if len(set(keys)) != len(keys):
        raise InvalidParameterException(
            "Duplicate tag keys found. Please note that Tag keys are case sensitive."
        )
    if len(given) > TAGS_MAX:
        raise InvalidParameterException(f"A resource has at most {TAGS_MAX} tags.")
    return tuple(
        {"key": key, "value": str(tag.get("value", ""))} for tag, key in zip(given, keys, strict=True)
    )


def merged(old: Tags, new: Tags) -> Tags:
    """`old` with `new` laid over it. Raise `LimitExceededException` above fifty."""
    by_key = {tag["key"]: tag for tag in old} | {tag["key"]: tag for tag in new}
    users = [key for key in by_key if not key.startswith("aws:")]
    if len(users) > TAGS_MAX:
        raise LimitExceededException(f"A resource has at most {TAGS_MAX} tags; this would make {len(users)}.")
    return tuple(by_key.values())


def without(old: Tags, keys: Iterable[str]) -> Tags:
    """`old` without those keys; absent keys are ignored."""
    gone = set(keys)
    return tuple(tag for tag in old if tag["key"] not in gone)
