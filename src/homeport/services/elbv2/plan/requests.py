"""What things may be called and tagged, and quotas. Pure. Source: API Reference; guides, "Quotas"."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from homeport.services.elbv2.errors import DuplicateTagKeys, TooManyTags, ValidationError

TAGS_MAX = 50
_NAME = re.compile(r"[A-Za-z0-9-]+\Z")

LIMITS: Mapping[str, int] = {
    "target-groups": 3000,
    "targets-per-application-load-balancer": 1000,
    "listeners-per-application-load-balancer": 50,
    "rules-per-application-load-balancer": 100,
    "network-load-balancers": 50,
    "targets-per-network-load-balancer": 3000,
    "targets-per-availability-zone-per-network-load-balancer": 500,
    "listeners-per-network-load-balancer": 50,
    "condition-values-per-alb-rule": 5,
    "condition-wildcards-per-alb-rule": 5,
    "target-groups-per-application-load-balancer": 100,
    "target-groups-per-action-on-application-load-balancer": 5,
    "target-groups-per-action-on-network-load-balancer": 1,
    "certificates-per-application-load-balancer": 25,
    "certificates-per-network-load-balancer": 25,
    "application-load-balancers": 50,
}
"""Default quotas by the names of DescribeAccountLimits. They are kept, not only told."""
TARGETS_PER_GROUP_MAX = 1000


def limit(what: str, balancer_type: str) -> int:
    """A quota of a kind of balancer; `what` has a `{}` where its kind's name goes."""
    return LIMITS[what.format(balancer_type)]


def check_name(name: str, noun: str) -> None:
    """Raise unless a load balancer or target group may be called so."""
    if not name or len(name) > 32:
        raise ValidationError(f"{noun} name '{name}' cannot be longer than '32' characters")
    if not _NAME.match(name):
        raise ValidationError(
            f"{noun} name '{name}' can only contain characters that are alphanumeric characters or hyphens(-)"
        )
    if name.startswith("-") or name.endswith("-"):
        raise ValidationError(f"{noun} name '{name}' cannot begin or end with '-'")
    if noun == "Load balancer" and name.startswith("internal-"):
        raise ValidationError(f"{noun} name '{name}' cannot begin with 'internal-'")


def tags_of(
    given: Sequence[Mapping[str, str]] | None, old: Mapping[str, str] | None = None
) -> dict[str, str]:
    """`old` with these tags laid over it. Raise when one may not be."""
    keys = [tag["Key"] for tag in given or ()]
    if twice := sorted({key for key in keys if keys.count(key) > 1}):
        raise DuplicateTagKeys(f"Tag keys cannot be specified more than once: '{twice[0]}'")
    if own := next((key for key in keys if key.lower().startswith("aws:")), None):
        raise ValidationError(f"The tag key '{own}' cannot begin with 'aws:'")
    tags = {**(old or {}), **{tag["Key"]: tag.get("Value", "") for tag in given or ()}}
    if len(tags) > TAGS_MAX:
        raise TooManyTags(f"A resource has at most {TAGS_MAX} tags")
    return tags


def once(given: Iterable[str], what: str) -> tuple[str, ...]:
    """The items, which must be there and differ."""
    items = tuple(given)
    if len(set(items)) != len(items):
        raise ValidationError(f"{what} cannot be specified more than once")
    return items


def unsupported(request: Mapping[str, Any], members: Mapping[str, str]) -> None:
    """Raise for members that Homeport cannot honour; `members` says why."""
    for member, why in members.items():
        if request.get(member) not in (None, "", False, "off", {}, []):
            raise ValidationError(f"{member} is not supported by Homeport: {why}.")
