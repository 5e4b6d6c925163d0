"""What the views share: members that are not there vanish."""

from __future__ import annotations

from typing import Any

Wire = dict[str, Any]
Include = frozenset[str]

PENDING = ("PROVISIONING", "PENDING", "ACTIVATING")
"""Last statuses that count as pending."""


def present(view: Wire) -> Wire:
    """The members that are there. What has no `None` in it is encoded in one go."""
    return {name: value for name, value in view.items() if value is not None}
