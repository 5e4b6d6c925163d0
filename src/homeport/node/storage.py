"""How much Fargate's tasks have written, and the end of those that wrote more than they may.

Docker's overlay file systems have no quota where the disk has none, so usage is watched: what containers
wrote in their own layers, and what is in the task's own volumes. Images are shared, and are not counted.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable

from homeport.core.log import get_logger
from homeport.node.engine import Engine
from homeport.node.fargate import GIBIBYTE, is_fargate, storage_bytes
from homeport.node.model import Phase
from homeport.node.owner import TaskOwner
from homeport.node.ports import DriverError, Drivers, DriverUnavailableError
from homeport.node.render_volumes import render_volumes

log = get_logger("node.storage")

_THERE = frozenset({Phase.CREATED, Phase.RUNNING, Phase.STOPPED})


class StorageWatch:
    """One node's."""

    def __init__(self, engine: Engine, drivers: Drivers, *, region: str, interval_seconds: float) -> None:
        self._engine = engine
        self._drivers = drivers
        self._region = region
        self._interval = interval_seconds
        self._used: dict[str, int] = {}

    def used(self, task_arn: str) -> int | None:
        """Bytes, as they were seen last."""
        return self._used.get(task_arn)

    async def run(self) -> None:
        """Look again and again, until cancelled."""
        while True:
            await self.look()
            await asyncio.sleep(self._interval)

    async def look(self) -> None:
        """Measure what runs; stop who wrote too much."""
        watched = [owner for owner in self._engine.tasks if is_fargate(owner.task) and owner.record.alive]
        self._used = {arn: used for arn, used in self._used.items() if arn in {o.task.arn for o in watched}}
        for owner in watched:
            limit = storage_bytes(owner.task)
            try:
                used = await self._measure(owner)
            except (DriverError, DriverUnavailableError) as error:
                log.info("storage.unknown", task=owner.task.arn, error=str(error))
                continue
            self._used[owner.task.arn] = used
            if limit is not None and used > limit:
                log.warning("storage.exceeded", task=owner.task.arn, used=used, limit=limit)
                owner.want_stopped(exceeded(used, limit))

    async def _measure(self, owner: TaskOwner) -> int:
        record = owner.record
        names = [record.docker_names[name] for name in record.rules.containers if _is_there(owner, name)]
        containers, volumes = self._drivers.containers, self._drivers.volumes
        written = await _sum(containers.written, names)
        planned = render_volumes(owner.task, region=self._region)
        return written + await _sum(volumes.size, [one.spec.name for one in planned if one.task_scoped])


def exceeded(used: int, limit: int) -> str:
    """Why a task had to go; the words are ours."""
    return (
        f"EphemeralStorageExceededError: the task's containers have written {used / GIBIBYTE:.1f} GiB, and "
        f"its ephemeral storage is {limit // GIBIBYTE} GiB"
    )


def _is_there(owner: TaskOwner, name: str) -> bool:
    return owner.record.of(name).phase in _THERE and not owner.record.rules.containers[name].sandbox


async def _sum(ask: Callable[[str], Awaitable[int]], names: Iterable[str]) -> int:
    """One after the other: each is a walk over the disk."""
    total = 0
    for name in names:
        total += await ask(name)
    return total
