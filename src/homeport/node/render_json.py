"""Laying one JSON object over another as Go's decoder does it. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


def laid_over(base: Mapping[str, Any], over: Mapping[str, Any]) -> dict[str, Any]:
    """`over`'s members replace `base`'s; objects merge, lists are replaced, null empties.

    Member names match in any case and keep `base`'s spelling. Source: Go's encoding/json.
    """
    merged = dict(base)
    spelled = {name.lower(): name for name in base}
    for name, value in over.items():
        key = spelled.setdefault(name.lower(), name)
        before = merged.get(key)
        if value is None:
            merged.pop(key, None)
        elif isinstance(before, Mapping) and isinstance(value, Mapping):
            merged[key] = {**before, **value}
        else:
            merged[key] = value
    return merged
