"""Keeps services as they should be, REPLICA and DAEMON ones; one key is one service's row."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from functools import partial

from homeport.core.clock import Clock
from homeport.core.ids import Ids
from homeport.core.log import get_logger
from homeport.runtime.changes import Change
from homeport.runtime.runner import Next
from homeport.services.ecs.control.daemons import DaemonWatch, starts_no_more
from homeport.services.ecs.control.rests import Rests
from homeport.services.ecs.control.service_loads import BULK_TASKS, Loaded, ServiceLoads
from homeport.services.ecs.control.service_starts import ServiceStarts
from homeport.services.ecs.control.service_steps import (
    START_MAX,
    stopping,
    told_stops,
    with_events,
)
from homeport.services.ecs.control.stages import Outside, StageWork
from homeport.services.ecs.control.task_sets import LoadedTaskSets, TaskSetSteps
from homeport.services.ecs.control.waits import Waits
from homeport.services.ecs.control.zones import ZoneWatch
from homeport.services.ecs.model import Service, ServiceDeployment, Task
from homeport.services.ecs.plan.daemon import plan_either
from homeport.services.ecs.plan.history import advanced, counted_at_its_end
from homeport.services.ecs.plan.rollout import ServicePlan, ServiceSnapshot
from homeport.services.ecs.ports import TaskPlacer
from homeport.services.ecs.repo.history import HistoryRepo
from homeport.services.ecs.repo.services import ServiceRepo
from homeport.services.ecs.repo.tasks import TaskRepo
from homeport.store.base import Store
from homeport.store.tx import Tx

log = get_logger("ecs.replicas")


class ReplicaController:
    """Loads, plans, applies. Services that found no room wait for their cluster to change."""

    name = "ecs.replica"

    def __init__(
        self,
        store: Store,
        clock: Clock,
        ids: Ids,
        placer: TaskPlacer,
        zones: ZoneWatch | None = None,
        *,
        outside: Outside | None = None,
        loads: ServiceLoads | None = None,
    ) -> None:
        self._store = store
        self._clock = clock
        self._ids = ids
        self._placer = placer
        self._zones = zones or ZoneWatch(store)
        self._waits = Waits()
        self._rests = Rests()
        self._loads = loads or ServiceLoads(store, clock)
        self._starts = ServiceStarts(store, clock, ids, placer, self._waits)
        self._task_sets = TaskSetSteps(store, clock, ids, placer, self._waits)
        self._daemons = DaemonWatch(placer)
        self._stages = StageWork(store, clock, ids, outside or Outside(), self._loads)

    async def keys(self) -> Iterable[str]:
        """Every service that is not INACTIVE."""
        ids = await self._store.read(lambda tx: ServiceRepo(tx).live_ids())
        return [str(service_id) for service_id in ids]

    def keys_of(self, change: Change) -> Iterable[str]:
        """The service that changed; the cluster's DAEMON services, when one of its instances did.

        Or, when room may have come up, those of the cluster that wait.
        """
        if change.kind == "ecs.service":
            return (change.key,)
        if change.kind == "ecs.instances":
            return self._daemons.keys(int(change.key))
        return self._waits.concerned(change)

    async def reconcile(self, key: str) -> Next:
        """One step of one service. A large one is looked at once for many reports of its tasks."""
        now, rest = self._clock.now(), self._rests.left(key)
        if rest:
            return Next(wake_at=now + timedelta(seconds=rest))
        loaded, history = await self._store.read(
            lambda tx: (self._loads.load(tx, int(key)), HistoryRepo(tx).open_of(int(key)))
        )
        if loaded is None:
            return Next()
        if isinstance(loaded, LoadedTaskSets):
            return await self._task_sets.step(loaded)
        snapshot, cluster, definition = loaded
        if snapshot.service.is_daemon and self._daemons.add(snapshot.service):
            return Next(wake_at=now)  # an instance may have changed before anybody listened for it
        snapshot = await self._zones.seen(snapshot, definition)
        plan = self._plan(snapshot, now)
        self._daemons.reserve(plan.service, definition)
        if plan.stop:
            # What was healthy when it was read may have ended since, and no task's report touches the
            # service's row: such a stop is decided in the transaction that writes it.
            many, zones = len(snapshot.live) > BULK_TASKS, snapshot.zones
            again = await self._store.write(lambda tx: self._stop(tx, int(key), zones), bulk=many)
            if again is None:
                return Next()
            (snapshot, cluster, definition), plan, service = again
            self._daemons.reserve(service, definition)
        elif self._is_news(snapshot, history, plan, now):
            service = await self._store.write(lambda tx: self._apply(tx, snapshot, plan, now))
        else:
            service = snapshot.service
        self._loads.remember(snapshot, plan)
        # The larger it is already, the more it starts before it is looked at again: looks cost what it has.
        most = max(START_MAX, len(snapshot.live))
        self._rests.begin(key, len(snapshot.live), is_done=plan.start <= most)
        is_news = plan.waits_for_others and self._waits.for_room(service)
        # A rollback has brought another definition: it is loaded with the next look.
        acting, definition = await self._loads.acting(service, definition, plan)
        is_same = definition is not None and definition.id == acting.primary.task_definition_id
        if plan.start and cluster is not None and definition is not None and is_same:
            await self._starts.start(acting, cluster, definition, plan, most, _standing(snapshot))
        wake_at = await self._stages.carry_out(service, plan)
        if plan.waits_for_others and (self._waits.for_room(service) or is_news):
            return Next(wake_at=now)  # the others may have left before anybody listened for it
        return Next(wake_at=min(filter(None, (plan.wake_at, wake_at)), default=None))

    def _plan(self, snapshot: ServiceSnapshot, now: datetime) -> ServicePlan:
        return plan_either(snapshot, now, scale_in=partial(self._scale_in, snapshot.service))

    def _is_news(
        self,
        snapshot: ServiceSnapshot,
        history: Iterable[ServiceDeployment],
        plan: ServicePlan,
        now: datetime,
    ) -> bool:
        """Whether there is anything to write. `plan` stops nothing."""
        noted = with_events(plan.service, plan.events, ids=self._ids, now=now)
        return noted != snapshot.service or any(
            advanced(record, noted, plan.failed, now) is not record for record in history
        )

    def _scale_in(self, service: Service, tasks: Sequence[Task], count: int) -> Sequence[Task]:
        """The tasks whose going keeps the placement strategy's result best."""
        return self._placer.pick_for_scale_in(service.cluster_id, tasks, service.placement_strategy, count)

    def _stop(
        self, tx: Tx, service_id: int, zones: frozenset[str]
    ) -> tuple[Loaded, ServicePlan, Service] | None:
        """Decide on what is there now, and write it."""
        loaded = self._loads.load(tx, service_id)
        if loaded is None or isinstance(loaded, LoadedTaskSets):
            return None
        now = self._clock.now()
        snapshot = replace(loaded.snapshot, zones=zones)
        plan = self._plan(snapshot, now)
        return loaded._replace(snapshot=snapshot), plan, self._apply(tx, snapshot, plan, now)

    def _apply(self, tx: Tx, snapshot: ServiceSnapshot, plan: ServicePlan, now: datetime) -> Service:
        """Stops and the service's new state in one transaction, guarded by the service's version."""
        tasks = TaskRepo(tx)
        for stop in plan.stop:
            tasks.save(stopping(stop, now))
        messages = [*told_stops(f"(service {plan.service.name})", plan.stop), *plan.events]
        service = with_events(plan.service, messages, ids=self._ids, now=now)
        history = HistoryRepo(tx)
        for record in history.open_of(service.id):
            after = advanced(record, service, plan.failed, now)
            if after is not record:
                history.save(counted_at_its_end(after, service, snapshot.live))
        if service == snapshot.service and not plan.stop:
            return snapshot.service
        if service.is_daemon and starts_no_more(service):
            tx.touch("ecs.fleet", str(service.cluster_id))  # what was held for it is for those that wait
        return ServiceRepo(tx).save(service)


def _standing(snapshot: ServiceSnapshot) -> Counter[str]:
    """How many tasks that are to run are in each zone."""
    zones = (task.availability_zone for task in snapshot.live if task.desired_status == "RUNNING")
    return Counter(zone for zone in zones if zone is not None)
