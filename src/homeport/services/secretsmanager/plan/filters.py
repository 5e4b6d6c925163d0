"""What a listing of secrets asks for. Pure. Source: API Reference, Filter; user guide, "Find secrets"."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from homeport.services.secretsmanager.errors import InvalidParameterException
from homeport.services.secretsmanager.model import Secret

_KEYS = ("description", "name", "tag-key", "tag-value", "primary-region", "owning-service", "all")


def check_filters(filters: Iterable[Mapping[str, Any]]) -> None:
    """Raise for a filter that is none."""
    for given in filters:
        if given.get("Key") not in _KEYS or not given.get("Values"):
            raise InvalidParameterException(f"A filter has a key, one of {', '.join(_KEYS)}, and values.")


def matches(secret: Secret, filters: Iterable[Mapping[str, Any]]) -> bool:
    """Whether the secret passes every filter: one of its values, unless that begins with `!`."""
    return all(_passes(secret, given["Key"], given["Values"]) for given in filters)


def _passes(secret: Secret, key: str, values: Sequence[str]) -> bool:
    wanted = [value for value in values if not value.startswith("!")]
    refused = [value[1:] for value in values if value.startswith("!")]
    test = _test(secret, key)
    return (not wanted or any(map(test, wanted))) and not any(map(test, refused))


def _test(secret: Secret, key: str) -> Callable[[str], bool]:
    match key:
        case "name":
            return secret.name.startswith
        case "description":
            return lambda value: secret.description.lower().startswith(value.lower())
        case "tag-key":
            return lambda value: any(tag.startswith(value) for tag in secret.tags)
        case "tag-value":
            return lambda value: any(tag.startswith(value) for tag in secret.tags.values())
        case "primary-region" | "owning-service":
            return lambda value: not value  # no secret is replicated or owned here
        case _:
            words = " ".join((secret.name, secret.description, *secret.tags, *secret.tags.values())).lower()
            return lambda value: all(word in words for word in value.lower().split())


SORT_KEYS: Mapping[str, Callable[[Secret], Any]] = {
    "created-date": lambda secret: secret.created_at,
    "last-changed-date": lambda secret: secret.changed_at,
    "last-accessed-date": lambda secret: secret.accessed_on or secret.created_at,
    "name": lambda secret: secret.name,
}


def ordered(found: Iterable[Secret], by: str, order: str) -> list[Secret]:
    """The secrets in a listing's order; equal ones by name."""
    by_name = sorted(found, key=lambda secret: secret.name)
    return sorted(by_name, key=SORT_KEYS[by], reverse=order == "desc")
