"""Carries out the starts of a step: a batch after the other, each told in the service's events."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace

from homeport.core.clock import Clock
from homeport.core.errors import AwsError
from homeport.core.ids import Ids
from homeport.runtime.retry import decide_again
from homeport.services.ecs.control.service_steps import (
    START_MAX,
    groups_of,
    log_mode,
    still_due,
    told_moves,
    told_starts,
    with_events,
)
from homeport.services.ecs.control.task_roles import UnassumableRoleError, has_roles
from homeport.services.ecs.control.waits import Waits
from homeport.services.ecs.model import Cluster, Service, TaskDefinition
from homeport.services.ecs.plan.launch import launch_of, service_template
from homeport.services.ecs.plan.placing import service_placement, shares
from homeport.services.ecs.plan.rollout import ServicePlan
from homeport.services.ecs.ports import PlacementOutcome, TaskPlacer
from homeport.services.ecs.repo.services import ServiceRepo
from homeport.store.base import Store
from homeport.store.tx import Tx


class ServiceStarts:
    """Starts tasks of services that are made of deployments."""

    def __init__(self, store: Store, clock: Clock, ids: Ids, placer: TaskPlacer, waits: Waits) -> None:
        self._store = store
        self._clock = clock
        self._ids = ids
        self._placer = placer
        self._waits = waits

    async def start(
        self,
        service: Service,
        cluster: Cluster,
        definition: TaskDefinition,
        plan: ServicePlan,
        most: int,
        standing: Counter[str],
    ) -> None:
        """Start up to `most` of the plan's tasks, and tell in the service's events what became of them.

        `standing`: how many of the service's tasks are in each zone.
        """
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
            request = replace(request, standing=standing)
            # Before looking for room: news of room that comes while somebody looks must not be lost.
            self._waits.for_room(service)
            if has_roles(template):
                self._waits.for_roles(service)
            try:
                outcome = await self._placer.place(request)
            except UnassumableRoleError as error:
                outcome = PlacementOutcome(tasks=(), unassumable=error.message)
            except AwsError as error:
                outcome = PlacementOutcome(tasks=(), explanation=error.message)
            standing += Counter(task.availability_zone or "" for task in outcome.tasks)
            noted = await self._note(service, outcome, count, plan)
            due = still_due(due, parts, outcome)
            is_short |= len(outcome.tasks) < count
            if is_short and not due:
                return
            if not is_short:
                self._waits.has_room(service)
            left = due.total() if parts else left - count
            plan = replace(plan, replaces=max(plan.replaces - count, 0))
            if noted is None:
                return  # somebody else has changed it: the next look decides anew
            service = noted

    async def _note(
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
