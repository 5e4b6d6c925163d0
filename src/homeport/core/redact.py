"""Values kept out of texts that somebody else wrote. Pure."""

from __future__ import annotations

from collections.abc import Iterable

HIDDEN = "****"
HIDDEN_CHARS_MIN = 4
"""Shorter values are left in texts: taking them out would tell where they are, and garble the rest."""


def without_values(text: str, values: Iterable[str]) -> str:
    """The text with every one of the values taken out; Docker's errors may quote a log driver's options."""
    for value in sorted(set(values), key=len, reverse=True):
        if len(value) >= HIDDEN_CHARS_MIN:
            text = text.replace(value, HIDDEN)
    return text
