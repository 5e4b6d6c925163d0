"""What services do, before it is a document."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any


@dataclass(frozen=True, slots=True, kw_only=True)
class Happening:
    """Something that a service did, or that became of its deployment. `members` are the detail's own."""

    detail_type: str
    event_type: str
    event_name: str
    at: datetime
    members: Mapping[str, Any] = field(default_factory=dict)
