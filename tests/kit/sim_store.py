"""A store whose calls take a while, fail now and then, end with their process - and are looked at.

What must hold at every commit is checked inside the transaction that writes it: no other moment is exact.
Violations are recorded, never raised: whoever writes would take the exception for its own.
"""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from collections.abc import Callable
from typing import TypeVar

from homeport.core.clock import Clock
from homeport.core.errors import UnavailableError
from homeport.services.ecs.model import Service, Task
from homeport.services.ecs.plan.rollout import count_ceiling, healthy_floor
from homeport.services.ecs.plan.rollout_health import CONTAINER_REASON, is_protected, verdict
from homeport.services.ecs.repo.services import ServiceRepo
from homeport.services.ecs.repo.tasks import TaskRepo
from homeport.store import StoreClosedError, Tx
from homeport.store.sqlite import SqliteStore

T = TypeVar("T")


class Watch:
    """One service, as every commit leaves it."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self.service_id = 0
        self.live: dict[int, Task] = {}
        self.violations: list[str] = []
        self.faults: Counter[str] = Counter()
        """What bad luck there was, for those who doubt that there was any."""
        self.commits = 0
        self.told: set[str] = set()

    def committed(self, tx: Tx) -> None:
        """Compare with what the last commit left."""
        kinds = {kind for kind, _ in tx.touched}
        self.commits += bool(kinds)
        if not self.service_id or not kinds & {"ecs.task", "ecs.service"}:
            return
        service = ServiceRepo(tx).get(self.service_id)
        assert service is not None
        before, self.live = self.live, {t.id: t for t in TaskRepo(tx).live_of_service(self.service_id)}
        self._check_starts(service, before)
        self._check_stops(service, before)
        self._check_events(service)

    def _check_events(self, service: Service) -> None:
        seen, self.told = self.told, {event.id for event in service.events}
        for newer, older in zip(service.events, service.events[1:], strict=False):
            since = service.primary.created_at if service.deployments else service.created_at
            again = newer.message == older.message and older.created_at >= since
            if again and newer.id not in seen and "pending" not in newer.message:
                self._note(f"two equal events in a row: {newer.message}")

    def _check_starts(self, service: Service, before: dict[int, Task]) -> None:
        fresh = self.live.keys() - before.keys()
        if not fresh:
            return
        definitions = {one.id: one.task_definition_id for one in service.deployments}
        for task in map(self.live.__getitem__, fresh):
            if definitions.get(task.started_by or "") != task.task_definition_id:
                self._note(f"{task.uid} of {task.started_by} is made of {task.task_definition_arn}")
        active = sum(task.desired_status == "RUNNING" for task in self.live.values())
        if active > count_ceiling(service):
            self._note(f"{active} tasks after a start, at most {count_ceiling(service)} were promised")

    def _check_stops(self, service: Service, before: dict[int, Task]) -> None:
        now = self._clock.now()
        stopped = [
            task
            for task_id, task in self.live.items()
            if task.desired_status == "STOPPED"
            and task.stop_code == "ServiceSchedulerInitiated"
            and task_id in before
            and before[task_id].desired_status == "RUNNING"
        ]
        if not stopped or service.status != "ACTIVE":
            return
        healthy = {
            task.id
            for task in before.values()
            if task.desired_status == "RUNNING" and verdict(task, service, {}, now).is_healthy(now)
        }
        left = len(healthy - {task.id for task in stopped})
        if left < min(len(healthy), healthy_floor(service)):
            self._note(
                f"stops left {left} of {len(healthy)} healthy tasks, {healthy_floor(service)} were promised"
            )
        for task in stopped:
            if is_protected(before[task.id], now) and task.stopped_reason != CONTAINER_REASON:
                self._note(f"protected task {task.uid} was stopped: {task.stopped_reason}")

    def rival(self, tx: Tx, dice: random.Random) -> bool:
        """Whoever decided on the versions that were must decide again. Whether it wrote anything."""
        live = TaskRepo(tx).live_of_service(self.service_id)
        service = ServiceRepo(tx).get(self.service_id)
        if live and dice.random() < 0.5:
            TaskRepo(tx).save(dice.choice(live))
        elif service is not None:
            ServiceRepo(tx).save(service)
        return bool(live) or service is not None

    def _note(self, text: str) -> None:
        self.violations.append(f"{self._clock.now():%H:%M:%S.%f} {text}")


class MoodyStore:
    """One process's way to the store. It answers late, sometimes not at all, and never again once retired.

    A write that fails may have been committed all the same: the answer was lost. And somebody else may write
    the service, or one of its tasks, between what was read and what is written.
    """

    def __init__(self, inner: SqliteStore, watch: Watch, dice: random.Random) -> None:
        self.feed = inner.feed
        self._inner = inner
        self._watch = watch
        self._dice = dice
        self.trouble = 0.0
        self.delays = (0.0,)
        self._retired = False

    def retire(self) -> None:
        """Its process has gone."""
        self._retired = True

    async def read(self, fn: Callable[[Tx], T], *, bulk: bool = False) -> T:
        await self._pause()
        return await self._inner.read(fn, bulk=bulk)

    async def write(self, fn: Callable[[Tx], T], *, bulk: bool = False) -> T:
        await self._pause()
        unlucky = self._dice.random() < self.trouble
        if unlucky and self._dice.random() < 0.5:
            self._watch.faults["store away"] += 1
            raise UnavailableError("The simulated database is away.")

        def watched(tx: Tx) -> T:
            result = fn(tx)
            self._watch.committed(tx)
            return result

        if self._dice.random() < 2 * self.trouble:
            conflicts = await self._inner.write(lambda tx: self._watch.rival(tx, self._dice))
            self._watch.faults["conflicting write"] += conflicts
        result = await self._inner.write(watched, bulk=bulk)
        await self._pause()
        if unlucky:
            self._watch.faults["store's answer lost"] += 1
            raise UnavailableError("The simulated database's answer was lost.")
        return result

    async def close(self) -> None:
        return

    async def _pause(self) -> None:
        if delay := self._dice.choice(self.delays):
            await asyncio.sleep(delay)
        if self._retired:
            raise StoreClosedError
