"""The web identities' issuers that somebody configured, with their signing keys from files."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec


class Issuers:
    """JSON Web Key Sets by issuer. A file is read when it is asked for: keys rotate."""

    def __init__(self, files: Mapping[str, Path]) -> None:
        self._files = dict(files)

    def keys(self, issuer: str) -> Mapping[str, Any] | None:
        """The key set of an issuer's URL; `None`: nobody configured it, or its file is not one."""
        path = self._files.get(issuer.rstrip("/"))
        if path is None:
            return None
        try:
            return msgspec.json.decode(path.read_bytes(), type=dict[str, Any])
        except (OSError, msgspec.DecodeError):
            return None


NO_ISSUERS = Issuers({})
