"""Ports that containers were told: a restarted Homeport listens on them again.

Containers in the host's network namespace have the addresses of the metadata endpoints in their environment.
Where the usual port is somebody else's, another is taken, and it has to stay that one.
"""

from __future__ import annotations

import json
from pathlib import Path

FILE = "ports.json"


class RememberedPorts:
    """Ports by what listens on them, in a file; `None`: nothing is remembered."""

    def __init__(self, folder: Path | None) -> None:
        self._path = None if folder is None else folder / FILE
        self._known: dict[str, int] = {}
        if self._path is not None and self._path.exists():
            try:
                self._known = {
                    str(name): int(port) for name, port in json.loads(self._path.read_text()).items()
                }
            except (ValueError, TypeError, AttributeError):
                self._known = {}  # half written: it is written anew

    def wanted(self, name: str, usual: int) -> int:
        """Where to listen if that port is free."""
        return self._known.get(name, usual)

    def note(self, name: str, port: int) -> None:
        """That is where it listens."""
        if self._known.get(name) == port:
            return
        self._known[name] = port
        if self._path is not None:
            self._path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            self._path.write_text(json.dumps(self._known))
