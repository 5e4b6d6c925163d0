"""Filters of listings. Pure.

Source: EC2 user guide, "Filter resources": values of one filter are alternatives, filters must all hold,
values are case-sensitive, `*` is any text, `?` one character, a backslash takes their meaning away; at most
200 values.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, TypeAlias, TypeVar

from homeport.services.ec2.errors import Ec2Error, invalid

T = TypeVar("T")
Fields: TypeAlias = Mapping[str, Callable[[T], Iterable[str]]]
"""What can be asked of a T by each filter's name."""

VALUES_MAX = 200
_SPECIAL = re.compile(r"\\(.)|([*?])", re.DOTALL)


def pattern(value: str) -> re.Pattern[str]:
    """A value with its wildcards."""
    out, at = [], 0
    for found in _SPECIAL.finditer(value):
        out.append(re.escape(value[at : found.start()]))
        escaped, wild = found.groups()
        out.append(re.escape(escaped) if escaped is not None else ".*" if wild == "*" else ".")
        at = found.end()
    out.append(re.escape(value[at:]))
    return re.compile("".join(out), re.DOTALL)


def predicate(
    given: Sequence[Mapping[str, Any]] | None,
    fields: Fields[T],
    *,
    tags: Callable[[T], Mapping[str, str]] | None = None,
) -> Callable[[T], bool]:
    """Whether a T passes all filters. Raise for a filter that there is not."""
    tests = [_one(one, fields, tags) for one in given or ()]
    return lambda item: all(test(item) for test in tests)


def _one(
    given: Mapping[str, Any], fields: Fields[T], tags: Callable[[T], Mapping[str, str]] | None
) -> Callable[[T], bool]:
    name = str(given.get("Name", ""))
    values = [str(value) for value in given.get("Values") or ()]
    if not values:
        raise invalid(f"The filter '{name}' needs at least one value")
    if len(values) > VALUES_MAX:
        raise Ec2Error(
            "FilterLimitExceeded",
            f"The maximum number of filter values specified on a single call is {VALUES_MAX}",
        )
    read = fields.get(name)
    if read is None and tags is not None:
        read = _tag_field(name, tags)
    if read is None:
        raise invalid(f"The filter '{name}' is invalid")
    patterns = [pattern(value) for value in values]
    return lambda item: any(one.fullmatch(text) for text in read(item) for one in patterns)


def _tag_field(name: str, tags: Callable[[T], Mapping[str, str]]) -> Callable[[T], Iterable[str]] | None:
    if name == "tag-key":
        return lambda item: tags(item).keys()
    if name == "tag-value":
        return lambda item: tags(item).values()
    if name.startswith("tag:"):
        key = name.removeprefix("tag:")
        return lambda item: (tags(item)[key],) if key in tags(item) else ()
    return None


def always(*values: str) -> Callable[[Any], Iterable[str]]:
    """A field that is the same of everything; without values nothing passes a filter of it."""
    return lambda _: values


def flag(value: bool) -> tuple[str]:
    """A boolean as filters spell it."""
    return ("true" if value else "false",)
