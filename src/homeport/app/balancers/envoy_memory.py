"""What a control plane knows about targets' health, kept beside the proxy for the next one.

It is about one process of the proxy: another one checks everybody anew. What was killed before it could
be written costs a target one more check, no more.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

import msgspec

from homeport.app.balancers.envoy_process import Files, Running
from homeport.dataplane.health_book import Remembered


@dataclass(frozen=True, slots=True, kw_only=True)
class _Written:
    pid: int
    started: int
    targets: tuple[Remembered, ...] = field(default=())


class HealthMemory:
    """The file of one folder."""

    def __init__(self, files: Files) -> None:
        self._path = files.targets
        self._last: _Written | None = None

    def read(self, running: Running | None) -> tuple[Remembered, ...]:
        """What was kept about this process; nothing if there is none, or of another."""
        if running is None:
            return ()
        try:
            found = msgspec.json.decode(self._path.read_bytes(), type=_Written)
        except (FileNotFoundError, msgspec.DecodeError):
            return ()
        if (found.pid, found.started) != (running.pid, running.started):
            return ()
        return found.targets

    def keep(self, running: Running | None, targets: Iterable[Remembered]) -> None:
        """Keep this, if it is anything new. The file is whole at every moment."""
        if running is None:
            return
        now = _Written(pid=running.pid, started=running.started, targets=tuple(targets))
        if now == self._last:
            return
        fresh = self._path.with_suffix(".new")
        fresh.write_bytes(msgspec.json.encode(now))
        fresh.replace(self._path)
        self._last = now
