"""One step of a REPLICA service: what to stop, how many to start, what became of its deployment. Pure.

`plan_service` decides the next safe step from one snapshot; called again before
anything changed it gives the same step. Sources: developer guide, "Deploy Amazon
ECS services by replacing tasks" (floor rounded up, ceiling down), "Amazon ECS
service deployment circuit breaker", "Amazon ECS task health".
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

import msgspec

from homeport.services.ecs.model import Deployment, Service, Task
from homeport.services.ecs.plan.alarms import ALARM, is_alarmed
from homeport.services.ecs.plan.capacity_strategy import by_provider, surplus, to_start
from homeport.services.ecs.plan.failures import scaling_reason
from homeport.services.ecs.plan.rollout_closing import STUCK_TOLD, Closing, closing
from homeport.services.ecs.plan.rollout_endings import (
    BREAKER,
    fail_deployment,
    with_primary,
    without_past,
)
from homeport.services.ecs.plan.rollout_failures import (
    THROTTLE_TOLD_FROM,
    counted,
    noted_health,
    threshold,
)
from homeport.services.ecs.plan.rollout_health import (
    Verdict,
    is_protected,
    protection_told,
    verdict,
)
from homeport.services.ecs.plan.rollout_types import (
    STEADY_TOLD,
    STEADY_TOLD_EVERY,
    ScaleIn,
    ServicePlan,
    ServiceSnapshot,
    TaskStop,
    count_ceiling,
    healthy_floor,
    newest_first,
)
from homeport.services.ecs.plan.target_health import waits_for_targets

__all__ = [
    "STEADY_TOLD",
    "STEADY_TOLD_EVERY",
    "ScaleIn",
    "ServicePlan",
    "ServiceSnapshot",
    "TaskStop",
    "count_ceiling",
    "healthy_floor",
    "judged",
    "newest_first",
    "plan_end",
    "plan_service",
]


def plan_service(
    snapshot: ServiceSnapshot, now: datetime, *, scale_in: ScaleIn = newest_first
) -> ServicePlan:
    """Decide the next step towards `desired_count` healthy tasks of the primary deployment.

    Never goes below the healthy floor by its own stops nor above the ceiling by
    its own starts; a task protected from scale-in is not stopped.
    """
    if snapshot.service.status != "ACTIVE":
        return plan_end(snapshot)
    service, failed, events = judged(snapshot, now)
    step = _Step(service, snapshot, now, scale_in)
    step.start_missing()
    step.stop_surplus()
    step.stop_unhealthy()
    step.stop_stale()
    return step.plan(failed, events)


def plan_end(snapshot: ServiceSnapshot) -> ServicePlan:
    """A deleted service: stop everything, INACTIVE once nothing should run any more."""
    running = tuple(task for task in snapshot.live if task.desired_status == "RUNNING")
    service = snapshot.service
    if not running and service.status == "DRAINING":
        service = msgspec.structs.replace(service, status="INACTIVE")
    reason = scaling_reason(f"deployment {service.primary.id}")
    return ServicePlan(service=service, stop=tuple(TaskStop(task=task, reason=reason) for task in running))


def judged(snapshot: ServiceSnapshot, now: datetime) -> tuple[Service, Deployment | None, tuple[str, ...]]:
    """The service with its primary's failures counted; if they are too many, the deployment that failed."""
    service = snapshot.service
    before = service.primary
    primary = counted(before, snapshot.stopped, now)
    mine = [task for task in (*snapshot.live, *snapshot.stopped) if task.started_by == primary.id]
    seen = [verdict(task, service, snapshot.targets, now) for task in mine]
    primary = noted_health(
        primary,
        service.breaker,
        runs=any(task.started_at is not None for task in mine),
        healthy_at=max((v.healthy_at for v in seen if v.healthy_at and v.is_healthy(now)), default=None),
    )
    events: tuple[str, ...] = ()
    if primary.failed_starts >= THROTTLE_TOLD_FROM > before.failed_starts:
        events = (f"(service {service.name}) is unable to consistently start tasks successfully.",)
    service = with_primary(service, primary)
    limit = threshold(service.breaker, service.desired_count)
    tripped = service.breaker.enable and primary.failed_tasks >= limit
    failed = None
    if tripped and primary.rollout_state == "IN_PROGRESS":
        service, failed, told = fail_deployment(
            service, now, texts=BREAKER, roll_back=service.breaker.rollback
        )
        events += told
    elif is_alarmed(service):
        service, failed, told = fail_deployment(service, now, texts=ALARM, roll_back=service.alarms.rollback)
        events += told
    return service, failed, events


@dataclass(frozen=True, slots=True, kw_only=True)
class Kept:
    """What keeping up one revision takes; `deployment` has the failures counted that were met."""

    deployment: Deployment
    stop: tuple[TaskStop, ...]
    start: int
    start_in: tuple[str, ...]
    replaces: int
    wakes: tuple[datetime, ...]
    waits: tuple[str, ...]


def keep_up(snapshot: ServiceSnapshot, now: datetime, *, scale_in: ScaleIn) -> Kept:
    """Keep the tasks of one deployment, the service's only one in `snapshot`, as many and healthy."""
    step = _Step(snapshot.service, snapshot, now, scale_in)
    step.start_missing()
    step.stop_surplus()
    step.stop_unhealthy()
    step.stop_stale()
    return step.kept()


class _Step:
    """The counts of one decision, and what was decided so far."""

    def __init__(self, service: Service, snapshot: ServiceSnapshot, now: datetime, scale_in: ScaleIn) -> None:
        self._service = service
        self._snapshot = snapshot
        self._now = now
        self._scale_in = scale_in
        self._primary = service.primary
        self._active = [task for task in snapshot.live if task.desired_status == "RUNNING"]
        self._verdicts: dict[int, Verdict] = {
            task.id: verdict(task, service, snapshot.targets, now) for task in self._active
        }
        self._fresh = [
            task
            for task in self._active
            if task.started_by == self._primary.id and task.instance_id not in snapshot.draining_instances
        ]
        self._unhealthy = [task for task in self._fresh if self._verdicts[task.id].failed]
        ids = {task.id for task in self._fresh}
        self._stale = [task for task in self._active if task.id not in ids]
        self._healthy = {task.id for task in self._active if self._verdicts[task.id].is_healthy(now)}
        self._spare = len(self._healthy) - healthy_floor(service)
        """How many healthy tasks may go."""
        self._stops: list[TaskStop] = []
        self._start = 0
        self._start_in: tuple[str, ...] = ()
        self._replaces = 0
        self._wakes = [
            at
            for seen in self._verdicts.values()
            if (at := seen.healthy_at or seen.look_at) is not None and at > now
        ]
        self._protected_until: list[datetime] = []
        self._waits: list[str] = list(waits_for_targets(snapshot.targets, self._active))
        self._held: Counter[str] = Counter()
        """Protected tasks that should go, by the deployment that they are of."""

    def start_missing(self) -> None:
        """Start what is missing, replacements of unhealthy tasks included, as far as the ceiling lets it."""
        good = len(self._fresh) - len(self._unhealthy)
        missing = self._service.desired_count - good
        if missing <= 0:
            return
        if self._primary.rollout_state == "FAILED":
            self._waits.append(f"deployment {self._primary.id} has failed: it starts no more tasks")
            return
        if self._primary.retry_at is not None and self._primary.retry_at > self._now:
            self._wakes.append(self._primary.retry_at)
            self._waits.append(
                f"{self._primary.failed_starts} starts in a row failed: "
                f"the next is tried at {self._primary.retry_at.isoformat()}"
            )
            return
        room = count_ceiling(self._service) - len(self._active)
        self._start = max(min(missing, room), 0)
        if strategy := self._primary.strategy:
            sound = [task for task in self._fresh if not self._verdicts[task.id].failed]
            self._start_in = to_start(strategy, by_provider(sound), self._start)
        new = max(self._service.desired_count - len(self._fresh), 0)
        self._replaces = max(self._start - new, 0)
        if room < missing:
            self._waits.append(
                f"{missing} tasks are missing, {len(self._active)} of at most "
                f"{count_ceiling(self._service)} are there (maximumPercent {self._service.maximum_percent})"
            )

    def stop_surplus(self) -> None:
        """Stop tasks of the primary above the desired count: pending ones first, healthy ones last."""
        good = [task for task in self._fresh if not self._verdicts[task.id].failed]
        over = len(good) - self._service.desired_count
        free = [task for task in good if not is_protected(task, self._now)]
        if over > len(free):
            held = len(good) - len(free)
            self._waits.append(f"{over} tasks are too many, {held} are protected from scale-in")
            self._held[self._primary.id] += held
            self._note_protection(good)
        if over <= 0:
            return
        for some, count in surplus(self._primary.strategy, good, free, over):
            self._stop_some(some, count)

    def _stop_some(self, free: Sequence[Task], over: int) -> None:
        chosen = list(newest_first([task for task in free if task.last_status != "RUNNING"], over))
        for healthy in (False, True):
            wanted = min(over - len(chosen), self._spare) if healthy else over - len(chosen)
            running = [
                task
                for task in free
                if task.last_status == "RUNNING" and (task.id in self._healthy) == healthy
            ]
            chosen += self._scale_in(running, wanted) if wanted > 0 else ()
        self._spare -= sum(task.id in self._healthy for task in chosen)
        self._stop(chosen, self._scaling_reason)

    def stop_unhealthy(self) -> None:
        """Stop unhealthy tasks whose replacements are healthy; without room for these, one at a time."""
        healthy = sum(task.id in self._healthy for task in self._fresh)
        over = max(healthy + len(self._unhealthy) - self._service.desired_count, 0)
        room = count_ceiling(self._service) - len(self._active)
        if not over and self._unhealthy and room <= 0 and self._primary.rollout_state != "FAILED":
            over = 1
        for task in sorted(self._unhealthy, key=lambda task: task.id)[:over]:
            self._stop([task], self._verdicts[task.id].failed or self._scaling_reason)
            self._primary = msgspec.structs.replace(
                self._primary, failed_tasks=self._primary.failed_tasks + 1
            )

    def stop_stale(self) -> None:
        """Stop older and draining tasks: none that takes the healthy ones below the floor.

        One that runs and may yet become healthy is not given up for new ones that are in doubt as well.
        """
        hopeful = {task.id for task in self._stale if self._is_hopeful(task)}
        spare = self._spare + len(hopeful)
        kept = 0
        order = sorted(
            self._stale, key=lambda task: (task.id in self._healthy, task.last_status == "RUNNING", task.id)
        )
        for task in order:
            if is_protected(task, self._now):
                self._waits.append(f"task {task.uid} is protected from scale-in")
                self._held[task.started_by or ""] += 1
                self._note_protection([task])
            elif task.id not in self._healthy and task.id not in hopeful:
                self._stop([task], self._scaling_reason)
            elif spare > 0 and (task.id in hopeful or self._spare > 0):
                spare -= 1
                self._spare -= task.id in self._healthy
                self._stop([task], self._scaling_reason)
            else:
                kept += 1
        if kept:
            self._waits.append(
                f"{kept} older tasks stay: {len(self._healthy)} tasks are healthy and at least "
                f"{healthy_floor(self._service)} must be (minimumHealthyPercent "
                f"{self._service.minimum_healthy_percent})"
            )

    def _note_protection(self, tasks: Sequence[Task]) -> None:
        """Protection ends by itself, and nobody tells."""
        ends = [task.protection.expires_at for task in tasks if task.protection is not None]
        self._protected_until += [at for at in ends if at > self._now]

    def _is_hopeful(self, task: Task) -> bool:
        runs = task.last_status == "RUNNING" and self._verdicts[task.id].failed is None
        return runs and task.id not in self._healthy

    @property
    def _scaling_reason(self) -> str:
        return scaling_reason(f"deployment {self._primary.id}")

    def _stop(self, tasks: Sequence[Task], reason: str) -> None:
        self._stops += [TaskStop(task=task, reason=reason) for task in tasks]

    def kept(self) -> Kept:
        """What was decided, for one of several revisions."""
        return Kept(
            deployment=self._primary,
            stop=tuple(self._stops),
            start=self._start,
            start_in=self._start_in,
            replaces=self._replaces,
            wakes=(*self._wakes, *self._protected_until),
            waits=tuple(self._waits),
        )

    def plan(self, failed: Deployment | None, events: tuple[str, ...]) -> ServicePlan:
        """Everything decided, and the service as it stands then."""
        name = f"(service {self._service.name})"
        service = with_primary(self._service, self._primary)
        end = closing(service, self._now, settled=self._is_settled(), **self._counts_for_success())
        events += (*end.events, *protection_told(service, self._held))
        if self._is_stuck(end):
            events += (f"{name} {STUCK_TOLD}",)
        return ServicePlan(
            service=without_past(end.service, self._snapshot.live),
            stop=tuple(self._stops),
            start=self._start,
            start_in=self._start_in,
            replaces=self._replaces,
            failed=failed,
            events=events,
            wake_at=self._now + STEADY_TOLD_EVERY
            if end.is_settled
            else min([*self._wakes, *end.wakes, *self._protected_until], default=None),
            waits_for=() if end.is_settled else (*self._waits, *end.waits),
        )

    def _counts_for_success(self) -> dict[str, int]:
        """What an early success is decided by; tasks of the primary on draining instances are no sources."""
        sources = [task for task in self._stale if task.started_by != self._primary.id]
        return {"healthy": sum(task.id in self._healthy for task in self._fresh), "sources": len(sources)}

    def _is_settled(self) -> bool:
        """Whether exactly the desired tasks of the primary run, none of them in doubt, and nothing else."""
        if self._stops or self._start or self._stale or len(self._fresh) != self._service.desired_count:
            return False
        return all(
            task.last_status == "RUNNING" and self._verdicts[task.id].healthy_at is not None
            for task in self._fresh
        )

    def _is_stuck(self, end: Closing) -> bool:
        """Whether the percentages alone keep a deployment from going on."""
        wakes = (*self._wakes, *end.wakes)
        waiting = any(task.last_status != "RUNNING" for task in self._active) or bool(wakes)
        blocked = count_ceiling(self._service) - len(self._active) <= 0 and self._spare <= 0
        stale = any(not is_protected(task, self._now) for task in self._stale)
        return stale and blocked and not waiting and not self._stops and not self._start
