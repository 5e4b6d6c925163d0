"""Keeps the placer's fleets current: tasks that were written, in batches."""

from __future__ import annotations

from collections.abc import Callable

from homeport.runtime.changes import Batch, Subscription
from homeport.services.ecs.control.placer import Placer
from homeport.services.ecs.repo.tasks import TaskRepo
from homeport.store.base import Store
from homeport.store.tx import Tx

KINDS = frozenset({"ecs.task"})
CHUNK = 500
BULK = 50


class FleetFeed:
    """Shows the placer every task that the feed names."""

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
                await self._show(cluster_id, chunk)

    async def _show(self, cluster_id: int, uids: list[str]) -> None:
        """Nearly always only a task's status changed: then the task itself need not be read."""

        def standings(tx: Tx) -> tuple[tuple[str, str, str], ...]:
            return TaskRepo(tx).standings(cluster_id, uids)

        strange = [
            uid
            for uid, desired, last in await self._store.read(standings)
            if not self._placer.mark(cluster_id, uid, desired_status=desired, last_status=last)
        ]
        if strange:
            found = await self._store.read(
                lambda tx: TaskRepo(tx).find_many(cluster_id, strange), bulk=len(strange) > BULK
            )
            for task in found.values():
                self._placer.observe(task)
