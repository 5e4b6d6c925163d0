"""Docker's own networks on this machine: the links of their bridges, and when there are others.

What is on such a network is reached from elsewhere by the ports that it publishes, and by nothing else.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Mapping
from typing import Any

from homeport.core.log import get_logger
from homeport.node.drivers.docker_views import filters
from homeport.node.drivers.engine_client import EngineClient, EngineError, documents
from homeport.node.ports import DriverUnavailableError

log = get_logger("node.docker_networks")

AGAIN_SECONDS = 1.0
_NAME = "com.docker.network.bridge.name"


class DockerNetworks:
    """Those of one engine."""

    def __init__(self, client: EngineClient) -> None:
        self._client = client

    async def links(self) -> frozenset[str]:
        """The names of their links. Raise `EngineError`, `DriverUnavailableError`."""
        found = await self._client.get("/networks", params={"filters": filters(driver=["bridge"])})
        return frozenset(_link(each) for each in found or ())

    async def changes(self) -> AsyncGenerator[frozenset[str], None]:
        """The links now, and again whenever a network came or went; after every gap, too."""
        params = {"filters": filters(type=["network"], event=["create", "destroy"])}
        while True:
            try:
                async with self._client.stream("GET", "/events", params=params) as answer:
                    yield await self.links()
                    async for _ in documents(answer):
                        yield await self.links()
            except (EngineError, DriverUnavailableError, TimeoutError) as error:
                log.info("docker_networks.unasked", error=str(error))
            await asyncio.sleep(AGAIN_SECONDS)


def _link(network: Mapping[str, Any]) -> str:
    """Source: Docker's bridge driver: a bridge without a name of its own is called by its network's id."""
    return str((network.get("Options") or {}).get(_NAME) or f"br-{network['Id'][:12]}")
