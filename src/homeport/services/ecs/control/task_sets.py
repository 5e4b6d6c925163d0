"""Carries out the steps of services that are made of task sets."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from homeport.core.clock import Clock
from homeport.core.errors import AwsError
from homeport.core.ids import Ids
from homeport.runtime.retry import decide_again
from homeport.runtime.runner import Next
from homeport.services.ecs.control.service_steps import (
    START_MAX,
    groups_of,
    log_mode,
    stopping,
    target_facts,
    told_starts,
    told_stops,
    with_events,
)
from homeport.services.ecs.control.task_roles import UnassumableRoleError
from homeport.services.ecs.control.waits import Waits
from homeport.services.ecs.model import Cluster, Service, Task, TaskDefinition, TaskSet
from homeport.services.ecs.plan.launch import launch_of, service_template
from homeport.services.ecs.plan.placing import service_placement, shares
from homeport.services.ecs.plan.task_sets import (
    TaskSetsPlan,
    TaskSetsSnapshot,
    TaskSetStep,
    as_service,
    plan_task_sets,
)
from homeport.services.ecs.ports import PlacementOutcome, TaskPlacer
from homeport.services.ecs.repo.clusters import ClusterRepo
from homeport.services.ecs.repo.instances import InstanceRepo
from homeport.services.ecs.repo.services import ServiceRepo
from homeport.services.ecs.repo.task_definitions import TaskDefinitionRepo
from homeport.services.ecs.repo.task_sets import TaskSetRepo
from homeport.services.ecs.repo.tasks import TaskRepo
from homeport.store.base import Store
from homeport.store.tx import Tx


@dataclass(frozen=True, slots=True, kw_only=True)
class LoadedTaskSets:
    """What one transaction saw. `definitions`: those of the task sets, by row."""

    snapshot: TaskSetsSnapshot
    cluster: Cluster | None
    definitions: Mapping[int, TaskDefinition]


def load_task_sets(tx: Tx, service: Service, now: datetime) -> LoadedTaskSets:
    """Everything that the next step of the service depends on."""
    tasks, task_sets = TaskRepo(tx), TaskSetRepo(tx).of_service(service.id)
    live = tasks.live_of_service(service.id)
    since = min((one.deployment.counted_until for one in task_sets), default=now)
    return LoadedTaskSets(
        snapshot=TaskSetsSnapshot(
            service=service,
            task_sets=task_sets,
            live=live,
            stopped=tasks.stopped_of_service(service.id, after=since),
            draining_instances=InstanceRepo(tx).draining_ids(service.cluster_id),
            targets=target_facts(tx, service, live),
        ),
        cluster=ClusterRepo(tx).get(service.cluster_id),
        definitions=TaskDefinitionRepo(tx).by_ids([one.deployment.task_definition_id for one in task_sets]),
    )


class TaskSetSteps:
    """Decides and applies."""

    def __init__(
        self,
        store: Store,
        clock: Clock,
        ids: Ids,
        placer: TaskPlacer,
        waits: Waits,
    ) -> None:
        self._store = store
        self._clock = clock
        self._ids = ids
        self._placer = placer
        self._waits = waits

    async def step(self, loaded: LoadedTaskSets) -> Next:
        """One step of one service: the writes in one transaction, then the starts."""
        now = self._clock.now()
        plan = self._plan(loaded, now)
        if plan.strays or any(step.stop for step in plan.steps):
            # What was healthy when it was read may have ended since, and no task's report touches the
            # service's row: such a stop is decided in the transaction that writes it.
            again = await self._store.write(lambda tx: self._stop(tx, loaded))
            if again is None:
                return Next()
            loaded, plan, service = again
        elif self._is_news(loaded.snapshot, plan, now):
            service = await self._store.write(lambda tx: self._apply(tx, loaded.snapshot, plan, now))
        else:
            service = loaded.snapshot.service
        if any(step.start for step in plan.steps):
            await self._start(service, loaded, plan)
        return Next(wake_at=plan.wake_at)

    def _plan(self, loaded: LoadedTaskSets, now: datetime) -> TaskSetsPlan:
        service = loaded.snapshot.service

        def scale_in(tasks: Sequence[Task], count: int) -> Sequence[Task]:
            return self._placer.pick_for_scale_in(
                service.cluster_id, tasks, service.placement_strategy, count
            )

        return plan_task_sets(loaded.snapshot, now, scale_in=scale_in)

    def _is_news(self, snapshot: TaskSetsSnapshot, plan: TaskSetsPlan, now: datetime) -> bool:
        """Whether there is anything to write. `plan` stops nothing."""
        noted = with_events(plan.service, plan.events, ids=self._ids, now=now)
        return noted != snapshot.service or any(map(_changes, snapshot.task_sets, plan.steps))

    def _stop(self, tx: Tx, seen: LoadedTaskSets) -> tuple[LoadedTaskSets, TaskSetsPlan, Service] | None:
        """Decide on what is there now, and write it."""
        now = self._clock.now()
        service = ServiceRepo(tx).get(seen.snapshot.service.id)
        if service is None or service.status == "INACTIVE":
            return None
        loaded = load_task_sets(tx, service, now)
        plan = self._plan(loaded, now)
        return loaded, plan, self._apply(tx, loaded.snapshot, plan, now)

    def _apply(self, tx: Tx, snapshot: TaskSetsSnapshot, plan: TaskSetsPlan, now: datetime) -> Service:
        """Stops, task sets and service in one transaction, guarded by the service's version."""
        tasks, task_sets = TaskRepo(tx), TaskSetRepo(tx)
        messages: list[str] = []
        changed = False
        for before, step in zip(snapshot.task_sets, plan.steps, strict=True):
            messages += told_stops(_subject(snapshot.service, step), step.stop)
            if step.gone:
                task_sets.remove(before)
            elif step.task_set != before:
                task_sets.save(step.task_set)
            changed |= _changes(before, step)
        for stop in (*plan.strays, *(stop for step in plan.steps for stop in step.stop)):
            tasks.save(stopping(stop, now))
            changed = True
        service = with_events(plan.service, [*messages, *plan.events], ids=self._ids, now=now)
        if service == snapshot.service and not changed:
            return service
        return ServiceRepo(tx).save(service)

    async def _start(self, service: Service, loaded: LoadedTaskSets, plan: TaskSetsPlan) -> None:
        # Before looking for room: news of room that comes while somebody looks must not be lost.
        self._waits.for_room(service)
        self._waits.for_roles(service)
        messages: list[str] = []
        for step in plan.steps:
            definition = loaded.definitions.get(step.task_set.deployment.task_definition_id)
            if step.start and loaded.cluster is not None and definition is not None:
                outcome, count = await self._place(service, loaded.cluster, definition, step)
                subject = _subject(service, step)
                messages += told_starts(subject, outcome, count, replaces=step.replaces)

        def note(tx: Tx) -> None:
            services = ServiceRepo(tx)
            current = services.get(service.id)
            if current is not None:
                noted = with_events(current, messages, ids=self._ids, now=self._clock.now())
                if noted != current:
                    services.save(noted)

        await decide_again(lambda: self._store.write(note))

    async def _place(
        self,
        service: Service,
        cluster: Cluster,
        definition: TaskDefinition,
        step: TaskSetStep,
    ) -> tuple[PlacementOutcome, int]:
        """Start tasks of one task set, so many; the service must still be as it was read."""
        mode, groups = await self._store.read(
            lambda tx: (log_mode(tx, service), groups_of(tx, service, step.start_in))
        )
        parts = shares(Counter(step.start_in), groups, most=START_MAX)
        count = sum(part.count for part in parts) or min(step.start, START_MAX)
        launch = launch_of(definition, {})
        owner = as_service(service, step.task_set)
        template = service_template(owner, cluster, definition, launch, log_mode=mode, now=self._clock.now())
        request = replace(
            service_placement(service, cluster, definition, launch, template, count=count, shares=parts),
            network=step.task_set.deployment.network,
        )
        try:
            return await self._placer.place(request), count
        except UnassumableRoleError as error:
            return PlacementOutcome(tasks=(), unassumable=error.message), count
        except AwsError as error:
            return PlacementOutcome(tasks=(), explanation=error.message), count


def _changes(before: TaskSet, step: TaskSetStep) -> bool:
    """Whether a task set is not what it was, or is not any more."""
    return step.gone or step.task_set != before


def _subject(service: Service, step: TaskSetStep) -> str:
    return f"(service {service.name}, taskSet {step.task_set.uid})"
