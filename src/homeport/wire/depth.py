"""How deep a body may nest; measured without recursion, so that depth itself cannot hurt."""

from __future__ import annotations

from typing import Any

MAX_DEPTH = 64


def too_deep(value: Any) -> bool:
    """Whether containers nest deeper than `MAX_DEPTH`. A container that holds itself does."""
    level = [value]
    for _ in range(MAX_DEPTH):
        following: list[Any] = []
        for node in level:
            if type(node) is dict:
                following.extend(v for v in node.values() if type(v) in {dict, list})
            elif type(node) is list:
                following.extend(v for v in node if type(v) in {dict, list})
        if not following:
            return False
        level = following
    return True
