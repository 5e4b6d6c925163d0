"""Tags of certificates. Pure. Source: API Reference, Tag; User Guide, "Tag restrictions"."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from homeport.services.acm.errors import InvalidTagException, TooManyTagsException

TAGS_MAX = 50


def tags_of(
    given: Iterable[Mapping[str, str]] | None, old: Mapping[str, str] | None = None
) -> dict[str, str]:
    """`old` with these tags laid over it. Raise when one may not be."""
    tags = dict(old or {})
    for tag in given or ():
        if tag["Key"].lower().startswith("aws:"):
            raise InvalidTagException(f"The tag key '{tag['Key']}' must not begin with 'aws:'.")
        tags[tag["Key"]] = tag.get("Value") or ""
    if len(tags) > TAGS_MAX:
        raise TooManyTagsException(f"A certificate has at most {TAGS_MAX} tags.")
    return tags


def without(held: Mapping[str, str], given: Iterable[Mapping[str, str]]) -> dict[str, str]:
    """`held` without these tags; one that comes with a value goes only if it has that value.

    Source: API Reference, RemoveTagsFromCertificate.
    """
    tags = dict(held)
    for tag in given:
        value = tag.get("Value")
        if value is None or tags.get(tag["Key"]) == value:
            tags.pop(tag["Key"], None)
    return tags
