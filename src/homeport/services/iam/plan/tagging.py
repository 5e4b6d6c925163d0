"""Tags: one value for a key. Keys of users and roles differ by more than case, those of the others need not.

Source: IAM user guide, "Tags for AWS Identity and Access Management resources".
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from homeport.services.iam.errors import InvalidInputException, LimitExceededException
from homeport.services.iam.model import Kind
from homeport.services.iam.plan.quotas import TAGS

CASELESS = frozenset({Kind.USER, Kind.ROLE})


def tagged(kind: Kind, before: Mapping[str, str], asked: Sequence[Mapping[str, str]]) -> dict[str, str]:
    """The tags after adding these; a key that is there gets the new value."""
    keys = [_folded(kind, tag["Key"]) for tag in asked]
    if len(set(keys)) != len(keys):
        raise InvalidInputException(
            "Duplicate tag keys found. Please note that Tag keys are case insensitive."
            if kind in CASELESS
            else "Duplicate tag keys found."
        )
    for tag in asked:
        if tag["Key"].lower().startswith("aws:"):
            raise InvalidInputException(f"Tag keys that begin with aws: are AWS's own: {tag['Key']}")
    replaced = set(keys)
    tags = {key: value for key, value in before.items() if _folded(kind, key) not in replaced}
    tags.update((tag["Key"], tag["Value"]) for tag in asked)
    if len(tags) > TAGS:
        raise LimitExceededException("The number of tags has reached the maximum limit.")
    return tags


def untagged(kind: Kind, before: Mapping[str, str], keys: Iterable[str]) -> dict[str, str]:
    """The tags after removing these; a key that is not there is no error."""
    gone = {_folded(kind, key) for key in keys}
    return {key: value for key, value in before.items() if _folded(kind, key) not in gone}


def _folded(kind: Kind, key: str) -> str:
    return key.lower() if kind in CASELESS else key
