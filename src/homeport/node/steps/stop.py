"""Stop a container: ask, wait, kill, and do not give up."""

from __future__ import annotations

import asyncio

from homeport.core.backoff import Backoff
from homeport.core.log import get_logger
from homeport.node.ports import DriverError
from homeport.node.steps.tools import Tools

log = get_logger("node.stop")

ASKED_TIMES = 5
"""Source: amazon-ecs-agent, attempts to stop a container. After them it is killed."""
BACKOFF = Backoff(first_seconds=1.0, ceiling_seconds=30.0)


async def stop(tools: Tools, docker_name: str, grace_seconds: float) -> None:
    """Returns when the engine says that it is stopped; a container that is gone is stopped, too."""
    failures = 0
    while True:
        try:
            if failures < ASKED_TIMES:
                await tools.drivers.containers.stop(docker_name, grace_seconds=grace_seconds)
            else:
                await tools.drivers.containers.kill(docker_name)
        except DriverError as error:
            failures += 1
            log.warning("container.stop_failed", container=docker_name, attempt=failures, error=str(error))
            await asyncio.sleep(BACKOFF.delay_seconds(failures, tools.dice))
        else:
            return
