"""Asking the proxy itself: which targets it takes for healthy, what it has counted."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Self

import aiohttp

TIMEOUT = aiohttp.ClientTimeout(total=10)


class EnvoyAdmin:
    """The proxy's administration, at a Unix socket that only this user can reach."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._client: aiohttp.ClientSession

    async def __aenter__(self) -> Self:
        connector = aiohttp.UnixConnector(path=str(self._path), force_close=True)
        self._client = aiohttp.ClientSession(connector=connector, timeout=TIMEOUT)
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._client.close()

    async def clusters(self) -> dict[str, Any]:
        """Every group with its targets as the proxy has them."""
        async with self._client.get("http://envoy/clusters?format=json") as answer:
            found: dict[str, Any] = await answer.json(content_type=None)
            return found

    async def stats(self) -> str:
        """What was counted since the proxy began, as Prometheus reads it."""
        async with self._client.get("http://envoy/stats/prometheus") as answer:
            return await answer.text()

    async def reopen_logs(self) -> None:
        """Let it begin all files anew that it writes to, by their names."""
        async with self._client.post("http://envoy/reopen_logs") as answer:
            answer.raise_for_status()
