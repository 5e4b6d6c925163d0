"""How a part of the proxy's configuration is written: as the JSON form of its protocol buffers."""

from __future__ import annotations

import hashlib
import json
from typing import Any

Body = dict[str, Any]
PREFIX = "type.googleapis.com/"


def typed(kind: str, /, **members: Any) -> Body:
    """An extension's configuration with its type."""
    return {"@type": PREFIX + kind, **members}


def seconds(value: float) -> str:
    """A span of time."""
    return f"{value:g}s"


def digest(body: Any) -> str:
    """A name for this content: equal for equal content, on every machine."""
    text = json.dumps(body, sort_keys=True, separators=(",", ":"), ensure_ascii=True)
    return hashlib.sha256(text.encode()).hexdigest()[:16]
