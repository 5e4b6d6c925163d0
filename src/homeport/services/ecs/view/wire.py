"""What the views share: members that are not there vanish."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

Wire = dict[str, Any]
Include = frozenset[str]

PLATFORM_FAMILY = "Linux"
PENDING = ("PROVISIONING", "PENDING", "ACTIVATING")
"""Last statuses that count as pending."""


class Standings:
    """How many live tasks of a service stand where, by who started them."""

    def __init__(self, counts: Mapping[tuple[str | None, str], int]) -> None:
        """`counts`: by starter and last status."""
        self._counts = counts

    def running(self, *starters: str) -> int:
        """Those that run; of all starters where none is named."""
        return self._of(("RUNNING",), starters)

    def pending(self, *starters: str) -> int:
        """Those on their way."""
        return self._of(PENDING, starters)

    def _of(self, statuses: Sequence[str], starters: Sequence[str]) -> int:
        return sum(
            count
            for (starter, status), count in self._counts.items()
            if status in statuses and (not starters or starter in starters)
        )


def present(view: Wire) -> Wire:
    """The members that are there. What has no `None` in it is encoded in one go."""
    return {name: value for name, value in view.items() if value is not None}


def placed_by(
    launch_type: str, strategy: Sequence[Mapping[str, Any]], platform_version: str | None = None
) -> Wire:
    """What decides where tasks go: a capacity provider strategy or a launch type, and Fargate's platform."""
    view: Wire = {"capacityProviderStrategy": list(strategy)} if strategy else {"launchType": launch_type}
    return view | platform(platform_version)


def platform(version: str | None) -> Wire:
    """What Fargate's tasks, and what is made of them, say of where they run."""
    return {} if version is None else {"platformVersion": version, "platformFamily": PLATFORM_FAMILY}
