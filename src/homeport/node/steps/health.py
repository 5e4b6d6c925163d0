"""Look at a container: what it is, and how it feels."""

from __future__ import annotations

from homeport.node.ports import ContainerStatus
from homeport.node.steps.tools import Tools


async def look(tools: Tools, docker_name: str) -> ContainerStatus | None:
    """The truth about it now. `None`: it does not exist."""
    return await tools.drivers.containers.status(docker_name)
