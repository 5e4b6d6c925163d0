"""Forgets what ECS forgets: stopped tasks after an hour, client tokens after a day, deployments after 90.

Source: ECS API Reference (DescribeTasks shows stopped tasks for at least an
hour) and "Ensuring idempotency" (24 hours).
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from homeport.core.clock import Clock
from homeport.runtime.runner import Next
from homeport.services.ecs.repo.daemons import DaemonRepo
from homeport.services.ecs.repo.events import EventRepo
from homeport.services.ecs.repo.history import HistoryRepo
from homeport.services.ecs.repo.services import ServiceRepo
from homeport.services.ecs.repo.settings import TokenRepo
from homeport.services.ecs.repo.task_definitions import TaskDefinitionRepo
from homeport.services.ecs.repo.task_sets import TaskSetRepo
from homeport.services.ecs.repo.tasks import TaskRepo
from homeport.store.base import Store
from homeport.store.tx import Tx

TASKS_KEPT = timedelta(hours=1)
TOKENS_KEPT = timedelta(hours=24)
EVENTS_KEPT = 200_000
"""And those of the last hour: no longer than tasks, whose first events are read from their rows."""
EVENTS_BATCH = 5_000
HISTORY_KEPT = timedelta(days=90)
PAUSE = timedelta(minutes=1)
BATCH = 500


class Reaper:
    """One key, `all`: there is one clock for everything that expires."""

    name = "ecs.reaper"

    def __init__(self, store: Store, clock: Clock) -> None:
        self._store = store
        self._clock = clock

    async def keys(self) -> tuple[str, ...]:
        """The one key."""
        return ("all",)

    async def reconcile(self, key: str) -> Next:
        """Purge what is due, then sleep until something will be."""
        del key
        now = self._clock.now()

        def work(tx: Tx) -> tuple[bool, float | None]:
            outbox = EventRepo(tx)
            told = outbox.purge(
                older_than_seconds=TASKS_KEPT.total_seconds(), beyond=EVENTS_KEPT, limit=EVENTS_BATCH
            )
            purged = 0 if told == EVENTS_BATCH else TaskRepo(tx).purge(now - TASKS_KEPT, limit=BATCH)
            TokenRepo(tx).purge((now - TOKENS_KEPT).timestamp())
            in_use = ServiceRepo(tx).definition_ids() | TaskSetRepo(tx).definition_ids()
            TaskDefinitionRepo(tx).purge_deleted(kept=in_use, limit=BATCH)
            HistoryRepo(tx).purge(now - HISTORY_KEPT, limit=BATCH)
            DaemonRepo(tx).purge(now - HISTORY_KEPT, limit=BATCH)
            return purged == BATCH or told == EVENTS_BATCH, TaskRepo(tx).oldest_stop()

        more, oldest = await self._store.write(work)
        if more:
            return Next(wake_at=now)
        if oldest is None:
            return Next(wake_at=now + TASKS_KEPT)
        due = datetime.fromtimestamp(oldest, UTC) + TASKS_KEPT
        return Next(wake_at=max(due, now + PAUSE))
