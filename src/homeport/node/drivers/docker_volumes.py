"""Volumes on Docker Engine. Implements `ports.VolumeDriver`."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path

from homeport.node.drivers import agent_errors as agent
from homeport.node.drivers.engine_client import EngineClient, EngineError, segment
from homeport.node.ports import VolumeSpec


class DockerVolumes:
    """One daemon's volumes."""

    def __init__(self, client: EngineClient) -> None:
        self._client = client

    async def create(self, spec: VolumeSpec) -> None:
        """Create it; an existing volume of that name and driver is kept as it is."""
        body = {
            "Name": spec.name,
            "Driver": spec.driver,
            "DriverOpts": dict(spec.driver_opts),
            "Labels": dict(spec.labels),
        }
        with agent.named("CannotCreateVolumeError"):
            await self._client.post("/volumes/create", body)

    async def inspect(self, name: str) -> VolumeSpec | None:
        """What it was created with; `None`: it does not exist."""
        with agent.named("CannotInspectVolumeError"):
            try:
                body = await self._client.get(f"/volumes/{segment(name)}")
            except EngineError as error:
                if error.status == 404:
                    return None
                raise
        return VolumeSpec(
            name=body["Name"],
            driver=body["Driver"],
            driver_opts=body.get("Options") or {},
            labels=body.get("Labels") or {},
        )

    async def size(self, name: str) -> int:
        """Bytes in it, where its directory is one of this machine's that we may read."""
        with agent.named("CannotInspectVolumeError"):
            try:
                body = await self._client.get(f"/volumes/{segment(name)}")
            except EngineError as error:
                if error.status == 404:
                    return 0
                raise
        place = body.get("Mountpoint")
        return await asyncio.to_thread(_bytes_below, Path(place)) if place else 0

    async def remove(self, name: str) -> None:
        """Remove it with its content. Missing is fine; one in use is a `DriverError`."""
        with agent.named("CannotRemoveVolumeError"):
            try:
                await self._client.delete(f"/volumes/{segment(name)}")
            except EngineError as error:
                if error.status != 404:
                    raise


def _bytes_below(place: Path) -> int:
    """What the files take on the disk; what vanishes meanwhile takes nothing."""
    total = 0
    for folder, _, names in os.walk(place):
        for name in names:
            try:
                total += os.lstat(os.path.join(folder, name)).st_blocks * 512
            except OSError:
                continue
    return total
