"""Tags. Pure. Source: EC2 user guide, "Tag restrictions"; API Reference, CreateTags."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from homeport.services.ec2.errors import Ec2Error, invalid

TAGS_MAX = 50


def tags_of(
    given: Sequence[Mapping[str, Any]] | None, old: Mapping[str, str] | None = None
) -> dict[str, str]:
    """`old` with these tags laid over it. Raise when one may not be."""
    seen: dict[str, str] = {}
    for tag in given or ():
        key, value = str(tag.get("Key", "")), str(tag.get("Value") or "")
        if not key:
            raise invalid("Tag key cannot be null.")
        if len(key) > 127:
            raise invalid(f"Tag key exceeds the maximum length of 127 characters: {key}")
        if len(value) > 256:
            raise invalid(f"Tag value exceeds the maximum length of 256 characters: {value}")
        if key.lower().startswith("aws:"):
            raise invalid(
                f"Value ( {key} ) for parameter key is invalid. Tag keys starting with 'aws:' are reserved"
            )
        if key in seen:
            raise invalid(f"Duplicate tag key '{key}' specified.")
        seen[key] = value
    tags = {**(old or {}), **seen}
    if len(tags) > TAGS_MAX:
        raise Ec2Error("TagLimitExceeded", f"The maximum number of Tags for a resource is {TAGS_MAX}.")
    return tags


def specified(request: Mapping[str, Any], kind: str) -> dict[str, str]:
    """The tags that a creation gives to what it makes. Raise for tags of anything else."""
    found: list[Mapping[str, Any]] = []
    for one in request.get("TagSpecifications") or ():
        if not one.get("ResourceType"):
            raise Ec2Error("InvalidParameter", "Tag specification resource type must have a value")
        if one["ResourceType"] != kind:
            raise invalid(
                f"'{one['ResourceType']}' is not a valid taggable resource type for this operation."
            )
        found += one.get("Tags") or ()
    return tags_of(found)
