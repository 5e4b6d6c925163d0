"""Keeps services as they should be, REPLICA and DAEMON ones; one key is one service's row."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from functools import partial

import msgspec

from homeport.core.clock import Clock
from homeport.core.errors import AwsError
from homeport.core.ids import Ids
from homeport.core.log import get_logger
from homeport.runtime.changes import Change
from homeport.runtime.retry import decide_again
from homeport.runtime.runner import Next
from homeport.services.ecs.control.daemons import DaemonWatch, daemon_snapshot, starts_no_more
from homeport.services.ecs.control.rests import Rests
from homeport.services.ecs.control.service_steps import (
    START_MAX,
    counted_until,
    groups_of,
    log_mode,
    still_due,
    stopping,
    target_facts,
    told_moves,
    told_starts,
    told_stops,
    with_events,
)
from homeport.services.ecs.control.stages import Outside, StageWork
from homeport.services.ecs.control.task_roles import UnassumableRoleError, has_roles
from homeport.services.ecs.control.task_sets import LoadedTaskSets, TaskSetSteps, load_task_sets
from homeport.services.ecs.control.zones import ZoneWatch
from homeport.services.ecs.model import Cluster, Service, ServiceDeployment, Task, TaskDefinition
from homeport.services.ecs.plan.daemon import plan_either
from homeport.services.ecs.plan.history import advanced, counted_at_its_end
from homeport.services.ecs.plan.launch import launch_of, service_template
from homeport.services.ecs.plan.placing import service_placement, shares
from homeport.services.ecs.plan.rollout import ServicePlan, ServiceSnapshot
from homeport.services.ecs.ports import ROLES_CHANGED, PlacementOutcome, TaskPlacer
from homeport.services.ecs.repo.clusters import ClusterRepo
from homeport.services.ecs.repo.history import HistoryRepo
from homeport.services.ecs.repo.instances import InstanceRepo
from homeport.services.ecs.repo.services import ServiceRepo
from homeport.services.ecs.repo.task_definitions import TaskDefinitionRepo
from homeport.services.ecs.repo.tasks import TaskRepo
from homeport.store.base import Store
from homeport.store.tx import Tx

log = get_logger("ecs.replicas")
BULK_TASKS = 20
"""From so many live tasks on, deciding in a write is long for the event loop."""

_Loaded = tuple[ServiceSnapshot, Cluster | None, TaskDefinition | None]


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
    ) -> None:
        self._store = store
        self._clock = clock
        self._ids = ids
        self._placer = placer
        self._zones = zones or ZoneWatch(store)
        self._short: dict[int, set[str]] = {}
        self._roleless: dict[str, set[str]] = {}
        """Services that tried to start tasks with roles since their account's roles changed."""
        self._rests = Rests()
        self._known: dict[int, dict[int, Task]] = {}
        """Of large services on their way, the tasks as they were last read: so few of them change between."""
        self._task_sets = TaskSetSteps(store, clock, ids, placer, self._listen, self._listen_for_roles)
        self._daemons = DaemonWatch(placer)
        self._stages = StageWork(store, clock, ids, outside or Outside())

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
        if change.kind == ROLES_CHANGED:
            return self._roleless.pop(change.key, ())
        if change.kind == "ecs.instances":
            return self._daemons.keys(int(change.key))
        return self._short.pop(int(change.key), ())

    async def reconcile(self, key: str) -> Next:
        """One step of one service. A large one is looked at once for many reports of its tasks."""
        now, rest = self._clock.now(), self._rests.left(key)
        if rest:
            return Next(wake_at=now + timedelta(seconds=rest))
        loaded, history = await self._store.read(
            lambda tx: (self._load(tx, int(key)), HistoryRepo(tx).open_of(int(key)))
        )
        if loaded is None:
            self._known.pop(int(key), None)
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
        self._remember(snapshot, plan)
        # The larger it is already, the more it starts before it is looked at again: looks cost what it has.
        most = max(START_MAX, len(snapshot.live))
        self._rests.begin(key, len(snapshot.live), is_done=plan.start <= most)
        is_news = plan.waits_for_others and self._listen(service)
        # A rollback has brought another definition: it is loaded with the next look.
        acting, definition = await self._acting(service, definition, plan)
        is_same = definition is not None and definition.id == acting.primary.task_definition_id
        if plan.start and cluster is not None and definition is not None and is_same:
            await self._start(acting, cluster, definition, plan, most)
        wake_at = await self._stages.carry_out(service, plan)
        if plan.waits_for_others and (self._listen(service) or is_news):
            return Next(wake_at=now)  # the others may have left before anybody listened for it
        return Next(wake_at=min(filter(None, (plan.wake_at, wake_at)), default=None))

    async def _acting(
        self, service: Service, definition: TaskDefinition | None, plan: ServicePlan
    ) -> tuple[Service, TaskDefinition | None]:
        """The service as if the deployment that the plan starts tasks of were its only one."""
        deployment = next((one for one in service.deployments if one.id == plan.start_of), service.primary)
        if deployment is service.primary:
            return service, definition
        wanted = deployment.task_definition_id
        found = await self._store.read(lambda tx: TaskDefinitionRepo(tx).by_ids([wanted]))
        return msgspec.structs.replace(service, deployments=(deployment,)), found.get(wanted)

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

    def _remember(self, snapshot: ServiceSnapshot, plan: ServicePlan) -> None:
        """Keep the tasks of a large service for the next look, while there will be one soon."""
        on_its_way = plan.start or plan.stop or plan.service.steady_at is None
        if on_its_way and len(snapshot.live) > BULK_TASKS:
            self._known[snapshot.service.id] = {task.id: task for task in snapshot.live}
        else:
            self._known.pop(snapshot.service.id, None)

    def _listen(self, service: Service) -> bool:
        """The next news of the cluster's fleet concerns the service; whether that is new."""
        waiting = self._short.setdefault(service.cluster_id, set())
        is_new = str(service.id) not in waiting
        waiting.add(str(service.id))
        return is_new

    def _listen_for_roles(self, service: Service) -> None:
        """A role that cannot be assumed may be, once the account's roles have changed."""
        self._roleless.setdefault(service.account_id, set()).add(str(service.id))

    def _scale_in(self, service: Service, tasks: Sequence[Task], count: int) -> Sequence[Task]:
        """The tasks whose going keeps the placement strategy's result best."""
        return self._placer.pick_for_scale_in(service.cluster_id, tasks, service.placement_strategy, count)

    def _load(self, tx: Tx, service_id: int) -> _Loaded | LoadedTaskSets | None:
        service = ServiceRepo(tx).get(service_id)
        if service is None or service.status == "INACTIVE":
            return None
        if service.is_external:
            return load_task_sets(tx, service, self._clock.now())
        tasks = TaskRepo(tx)
        live = tasks.live_of_service(service_id, self._known.get(service_id))
        snapshot = ServiceSnapshot(
            service=service,
            live=live,
            stopped=tasks.stopped_of_service(
                service_id,
                after=counted_until(service),
                started_by=None if service.primary.staging is not None else service.primary.id,
            ),
            draining_instances=InstanceRepo(tx).draining_ids(service.cluster_id),
            targets=target_facts(tx, service, live),
        )
        definitions = TaskDefinitionRepo(tx).by_ids([service.primary.task_definition_id])
        cluster = ClusterRepo(tx).get(service.cluster_id)
        definition = definitions.get(service.primary.task_definition_id)
        if service.is_daemon:
            snapshot = daemon_snapshot(tx, snapshot, definition)
        return snapshot, cluster, definition

    def _stop(
        self, tx: Tx, service_id: int, zones: frozenset[str]
    ) -> tuple[_Loaded, ServicePlan, Service] | None:
        """Decide on what is there now, and write it."""
        loaded = self._load(tx, service_id)
        if loaded is None or isinstance(loaded, LoadedTaskSets):
            return None
        now = self._clock.now()
        snapshot = replace(loaded[0], zones=zones)
        plan = self._plan(snapshot, now)
        return (snapshot, *loaded[1:]), plan, self._apply(tx, snapshot, plan, now)

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

    async def _start(
        self,
        service: Service,
        cluster: Cluster,
        definition: TaskDefinition,
        plan: ServicePlan,
        most: int,
    ) -> None:
        mode, groups = await self._store.read(
            lambda tx: (log_mode(tx, service), groups_of(tx, service, plan.start_in))
        )
        launch = launch_of(definition, {})
        template = service_template(
            service, cluster, definition, launch, log_mode=mode, now=self._clock.now()
        )
        left = len(plan.start_on) or min(plan.start, most)
        due, is_short = Counter(plan.start_in[:left]), False
        while left:
            parts = shares(due, groups, most=START_MAX)
            count = len(plan.start_on) or sum(part.count for part in parts) or min(left, START_MAX)
            request = service_placement(
                service,
                cluster,
                definition,
                launch,
                template,
                count=count,
                instance_uids=plan.start_on or None,
                zones=plan.zones,
                shares=parts,
            )
            # Before looking for room: news of room that comes while somebody looks must not be lost.
            self._listen(service)
            if has_roles(template):
                self._listen_for_roles(service)
            try:
                outcome = await self._placer.place(request)
            except UnassumableRoleError as error:
                outcome = PlacementOutcome(tasks=(), unassumable=error.message)
            except AwsError as error:
                outcome = PlacementOutcome(tasks=(), explanation=error.message)
            noted = await self._note_outcome(service, outcome, count, plan)
            due = still_due(due, parts, outcome)
            is_short |= len(outcome.tasks) < count
            if is_short and not due:
                return
            if cluster.id in self._short and not is_short:
                self._short[cluster.id].discard(str(service.id))
            left = due.total() if parts else left - count
            plan = replace(plan, replaces=max(plan.replaces - count, 0))
            if noted is None:
                return  # somebody else has changed it: the next look decides anew
            service = noted

    async def _note_outcome(
        self, service: Service, outcome: PlacementOutcome, count: int, plan: ServicePlan
    ) -> Service | None:
        """Tell in the service's events what became of the starts: it, unless somebody else wrote it."""
        started = tuple(told_starts(f"(service {service.name})", outcome, count, replaces=plan.replaces))

        def work(tx: Tx) -> Service | None:
            repo = ServiceRepo(tx)
            current = repo.get(service.id)
            if current is None:
                return None
            noted, messages = current, started
            if plan.zones:
                noted, messages = told_moves(current, outcome, plan.zones, plan.begins)
            noted = with_events(noted, messages, ids=self._ids, now=self._clock.now())
            if noted != current:
                noted = repo.save(noted)
            return noted if current.version == service.version else None

        return await decide_again(lambda: self._store.write(work))
