"""What cannot be made so."""

from __future__ import annotations


class UntranslatableError(ValueError):
    """The model asks for something that the data plane cannot do. The message says what, for people."""
