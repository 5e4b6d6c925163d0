"""Keeps the placer's fleets current: tasks that were written, in batches."""

from __future__ import annotations

from collections.abc import Callable

from homeport.runtime.changes import Batch, Subscription
from homeport.services.ecs.control.placer import Placer
from homeport.services.ecs.model import Task
from homeport.services.ecs.repo.tasks import TaskRepo
from homeport.store.base import Store
from homeport.store.tx import Tx

KINDS = frozenset({"ecs.task"})
CHUNK = 500


class FleetFeed:
    """Reads every task that the feed names and shows it to the placer."""

    def __init__(
        self, store: Store, placer: Placer, subscribe: Callable[[frozenset[str]], Subscription]
    ) -> None:
        self._store = store
        self._placer = placer
        self._subscribe = subscribe

    async def run(self) -> None:
        """Feed until cancelled."""
        async for batch in self._subscribe(KINDS):
            await self._take(batch)

    async def _take(self, batch: Batch) -> None:
        if batch.resync:
            self._placer.forget()
        by_cluster: dict[int, list[str]] = {}
        for change in batch.changes:
            cluster, _, uid = change.key.partition("/")
            if self._placer.knows(int(cluster)):
                by_cluster.setdefault(int(cluster), []).append(uid)
        for cluster_id, uids in by_cluster.items():
            for start in range(0, len(uids), CHUNK):
                chunk = uids[start : start + CHUNK]

                def look(tx: Tx, cluster_id: int = cluster_id, chunk: list[str] = chunk) -> dict[str, Task]:
                    return TaskRepo(tx).find_many(cluster_id, chunk)

                found = await self._store.read(look, bulk=len(chunk) > 50)
                for task in found.values():
                    self._placer.observe(task)
