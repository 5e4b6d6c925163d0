"""What every noun is."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

Document = Mapping[str, Any]


class Noun(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Base of what is stored: absent members take no room."""
