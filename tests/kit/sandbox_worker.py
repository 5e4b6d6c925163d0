"""A process that makes and removes sandboxes until it is killed: `HOMEPORT RUN_ID ADDRESS ADDRESS LIFE`."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[2]))

from homeport.core.ids import SystemIds
from homeport.node.drivers.engine_client import EngineClient
from homeport.node.drivers.pause_image import PAUSE_IMAGE
from homeport.node.ports import Publication, SandboxSpec, TaskInterface
from homeport.node.sandbox.driver import DockerSandboxes, SandboxSettings
from homeport.node.sandbox.holder import Holders
from tests.kit.docker import LABEL
from tests.kit.sandbox_stage import RESOLVER, ground_of


async def main(homeport: str, run_id: str, addresses: list[str], life: int) -> None:
    ground = ground_of(homeport)
    await ground.up(dict(enumerate(addresses)))
    holders = Holders(EngineClient(), image=PAUSE_IMAGE, labels={LABEL: run_id})
    settings = SandboxSettings(index=0, resolver=RESOLVER, warm=2, quiet_seconds=0.0)
    driver = DockerSandboxes(ground, holders, settings, ids=SystemIds())
    await driver.adopt()
    print("at work", flush=True)

    async def work(lane: int) -> None:
        number = 0
        while True:
            number += 1
            name = f"hpt-{run_id}-{life}-{lane}-{number}"
            own = TaskInterface(
                attachment_id="eni-attach-1",
                mac=f"02:cd:00:{life:02x}:{lane:02x}:{number % 256:02x}",
                address=f"10.254.{life}.{lane * 64 + number % 64}",
                subnet="10.254.0.0/16",
                gateway="10.254.0.1",
            )
            ports = (
                Publication(container_port=80, protocol="tcp", host_port=51_000 + lane * 1000 + number % 999),
            )
            spec = (
                SandboxSpec(name=name, interface=own)
                if number % 2
                else SandboxSpec(name=name, published=ports)
            )
            await driver.ensure(spec)
            await driver.remove(name)

    async with asyncio.TaskGroup() as group:
        group.create_task(driver.run())
        for lane in range(3):
            group.create_task(work(lane))


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], sys.argv[2], sys.argv[3:5], int(sys.argv[5])))
