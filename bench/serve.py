"""Homeport with hollow instances: everything real but the machines.

Run as `python -m bench.serve --port P --data-dir D [--instances 1] [--cpus 64]`; ends with SIGTERM.
"""

from __future__ import annotations

import asyncio
import signal
from pathlib import Path
from unittest import mock

import uvloop
from tests.kit.machine import GIB, FakeMachine

from bench.kit import arguments
from homeport.app import server
from homeport.app.settings import AuthMode, UpSettings
from homeport.core.sigv4 import Credentials
from homeport.node.agent import NodeAgent
from homeport.node.settings import ImageGcSettings, NodeSettings


class HollowNodes:
    """`app.local_nodes.LocalNodes`, with machines in memory."""

    def __init__(self, settings, credentials: Credentials, clock, ids, report) -> None:
        self._settings, self._credentials = settings, credentials
        self._clock, self._ids, self._report = clock, ids, report

    async def run(self) -> None:
        async with asyncio.TaskGroup() as group:
            for index in range(self._settings.instances):
                group.create_task(self._one(index))

    async def _one(self, index: int) -> None:
        machine = FakeMachine(self._clock, cpus=1000, memory_bytes=100_000 * GIB)
        settings = NodeSettings(
            endpoint_url=self._settings.endpoint,
            credentials=self._credentials,
            data_dir=None,
            availability_zone="us-east-1a",
            ec2_instance_id=f"i-{index:017x}",
            images=ImageGcSettings(enabled=False),
            cluster_configured=False,
            memory_mib=2_000_000_000,
        )
        node = NodeAgent(
            settings,
            machine.drivers,
            clock=self._clock,
            ids=self._ids,
            dice=lambda: 0.5,
            starts=asyncio.Semaphore(1000),
            is_free=lambda _port, _protocol: True,
        )
        async with asyncio.TaskGroup() as group:
            group.create_task(node.run())
            await node.registered.wait()
            self._report("node.registered", {"instance": node.instance_arn})


async def main() -> None:
    options = arguments(__doc__ or "", port=4566, data_dir="", instances=1)
    settings = UpSettings(
        data_dir=Path(options.data_dir),
        installation_id="bench",
        port=options.port,
        instances=options.instances,
        auth=AuthMode.ON,
        log_level="error",
    )
    with mock.patch.object(server, "LocalNodes", HollowNodes):
        serving = asyncio.ensure_future(server.run_up(settings, lambda _event, _fields: None))
        asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, serving.cancel)
        await asyncio.wait([serving])


if __name__ == "__main__":
    uvloop.run(main())
