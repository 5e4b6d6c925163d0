"""Hollow nodes: the real agent on a machine in memory, joined to a Homeport that runs.

Run as `python -m bench.hollow --data-dir D [--instances 1] [--cpus 1000]`, D being the Homeport's data
directory; ends with SIGTERM. Prints `Ready.` once every agent is registered.
"""

from __future__ import annotations

import asyncio
import json
import signal
from pathlib import Path

import uvloop
from tests.kit.machine import GIB, FakeMachine

from bench.kit import arguments
from homeport.core.clock import SystemClock
from homeport.core.ids import SystemIds
from homeport.core.log import configure
from homeport.core.sigv4 import Credentials
from homeport.node.agent import NodeAgent
from homeport.node.settings import ImageGcSettings, NodeSettings

JOINING = 20
"""So many nodes join at a time."""


async def join(data_dir: Path, instances: int, cpus: int) -> None:
    connection = json.loads((data_dir / "connection.json").read_text())
    credentials = Credentials(
        access_key_id=connection["access_key_id"], secret_access_key=connection["secret_access_key"]
    )
    async with asyncio.TaskGroup() as group:
        for first in range(0, instances, JOINING):
            nodes = [
                hollow(connection["endpoint"], credentials, index, cpus)
                for index in range(first, min(first + JOINING, instances))
            ]
            for node in nodes:
                group.create_task(node.run())
            for node in nodes:
                await node.registered.wait()
        print("Ready.", flush=True)


def hollow(endpoint: str, credentials: Credentials, index: int, cpus: int) -> NodeAgent:
    clock = SystemClock()
    machine = FakeMachine(clock, cpus=cpus, memory_bytes=100 * cpus * GIB)
    settings = NodeSettings(
        endpoint_url=endpoint,
        credentials=credentials,
        data_dir=None,
        availability_zone=f"us-east-1{'abc'[index % 3]}",
        ec2_instance_id=f"i-{index:017x}",
        images=ImageGcSettings(enabled=False),
        cluster_configured=False,
        memory_mib=2_000_000 * cpus,
    )
    return NodeAgent(
        settings,
        machine.drivers,
        clock=clock,
        ids=SystemIds(),
        dice=lambda: 0.5,
        starts=asyncio.Semaphore(1000),
        is_free=lambda _port, _protocol: True,
    )


async def main() -> None:
    options = arguments(__doc__ or "", data_dir="", instances=1, cpus=1000)
    configure(level="error")
    joined = asyncio.ensure_future(join(Path(options.data_dir), options.instances, options.cpus))
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, joined.cancel)
    await asyncio.wait([joined])


if __name__ == "__main__":
    uvloop.run(main())
