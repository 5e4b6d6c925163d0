"""Keeping a REPLICA service at its desired count. Pure.

`plan_service` decides the next safe step from one snapshot; calling it again
before anything changed gives the same step. Source: ECS developer guide,
"Deploy Amazon ECS services by replacing tasks" (floor rounded up, ceiling
down, 40 seconds until a task without checks counts as healthy).
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta

import msgspec

from homeport.services.ecs.model import Deployment, Service, Task

SETTLING = timedelta(seconds=40)
THROTTLE_MAX_SECONDS = 1620.0
SHORT_LIFE = timedelta(seconds=10)
SHORT_LIFE_PAUSE_MAX_SECONDS = 10.0
SERVICE_EVENTS_MAX = 100


@dataclass(frozen=True, slots=True, kw_only=True)
class ServiceSnapshot:
    """A service as one transaction saw it. `stopped`: its tasks that stopped since the last count."""

    service: Service
    live: tuple[Task, ...]
    stopped: tuple[Task, ...] = ()
    draining_instances: frozenset[int] = frozenset()


@dataclass(frozen=True, slots=True, kw_only=True)
class ServicePlan:
    """The step: save `service` (when it differs), stop `stop`, then start `start` tasks of the primary."""

    service: Service
    stop: tuple[Task, ...] = ()
    start: int = 0
    events: tuple[str, ...] = ()
    wake_at: datetime | None = None


def healthy_floor(service: Service) -> int:
    """Fewest healthy tasks a step may leave, in tasks; rounded up."""
    return -(-service.desired_count * service.minimum_healthy_percent // 100)


def count_ceiling(service: Service) -> int:
    """Most tasks, running or on their way, that a step may reach; rounded down."""
    return service.desired_count * service.maximum_percent // 100


def healthy_at(task: Task) -> datetime | None:
    """When a task counts as healthy; `None`: when its state changes."""
    if task.last_status != "RUNNING" or task.started_at is None:
        return None
    checks = [c for c in task.containers if c.essential and c.has_health_check]
    if checks:
        return task.started_at if all(c.health_status == "HEALTHY" for c in checks) else None
    return task.started_at + SETTLING


def _is_protected(task: Task, now: datetime) -> bool:
    return task.protection is not None and task.protection.expires_at > now


def counted(deployment: Deployment, stopped: Iterable[Task], now: datetime) -> Deployment:
    """The deployment with the stops of its tasks counted, and the pause that they ask for."""
    failed, short, until = deployment.failed_tasks, deployment.short_lives, deployment.counted_until
    retry_at = deployment.retry_at
    for task in stopped:
        if task.started_by != deployment.id or task.stopped_at is None or task.stopped_at <= until:
            continue
        until = task.stopped_at
        if task.started_at is None:
            failed += task.stop_code == "TaskFailedToStart"
        else:
            failed = 0
            brief = (task.execution_stopped_at or task.stopped_at) - task.started_at < SHORT_LIFE
            short = short + 1 if brief and task.stop_code == "EssentialContainerExited" else 0
    if until > deployment.counted_until:
        seconds = 0.0
        if failed:
            seconds = min(2.0 ** (failed - 1), THROTTLE_MAX_SECONDS)
        elif short > 1:
            seconds = min(2.0 ** (short - 2), SHORT_LIFE_PAUSE_MAX_SECONDS)
        retry_at = now + timedelta(seconds=seconds) if seconds else None
    return msgspec.structs.replace(
        deployment, failed_tasks=failed, short_lives=short, counted_until=until, retry_at=retry_at
    )


def _plan_end(snapshot: ServiceSnapshot) -> ServicePlan:
    """A deleted service: stop everything, INACTIVE once nothing should run any more."""
    running = tuple(task for task in snapshot.live if task.desired_status == "RUNNING")
    service = snapshot.service
    if not running and service.status == "DRAINING":
        service = msgspec.structs.replace(service, status="INACTIVE")
    return ServicePlan(service=service, stop=running)


def plan_service(snapshot: ServiceSnapshot, now: datetime) -> ServicePlan:
    """Decide the next step towards `desired_count` healthy tasks of the primary deployment.

    Never goes below the healthy floor by its own stops nor above the ceiling by
    its own starts; a task protected from scale-in is not stopped.
    """
    service = snapshot.service
    if service.status != "ACTIVE":
        return _plan_end(snapshot)
    primary = counted(service.primary, snapshot.stopped, now)
    active = [task for task in snapshot.live if task.desired_status == "RUNNING"]
    if any(task.started_by == primary.id and task.last_status == "RUNNING" for task in active):
        primary = msgspec.structs.replace(primary, failed_tasks=0)
    fresh = [
        task
        for task in active
        if task.started_by == primary.id and task.instance_id not in snapshot.draining_instances
    ]
    stale = [task for task in active if task not in fresh]
    wakes: list[datetime] = []

    start = max(min(service.desired_count - len(fresh), count_ceiling(service) - len(active)), 0)
    if start and primary.retry_at is not None and primary.retry_at > now:
        wakes.append(primary.retry_at)
        start = 0
    stop = _surplus(service, fresh, now) + _replaceable(service, active, fresh, stale, now, wakes)

    settled = len(fresh) == service.desired_count and not stale and not stop
    running = sum(task.last_status == "RUNNING" for task in fresh)
    events: tuple[str, ...] = ()
    if settled and running == service.desired_count and primary.rollout_state == "IN_PROGRESS":
        primary = msgspec.structs.replace(
            primary,
            rollout_state="COMPLETED",
            rollout_state_reason=f"ECS deployment {primary.id} completed.",
            updated_at=now,
        )
        events = (
            f"(service {service.name}) (deployment {primary.id}) deployment completed.",
            f"(service {service.name}) has reached a steady state.",
        )
    kept = {task.started_by for task in snapshot.live}
    older = tuple(
        deployment
        for deployment in service.deployments[1:]
        if deployment.id in kept and not (settled and primary.rollout_state == "COMPLETED")
    )
    return ServicePlan(
        service=msgspec.structs.replace(service, deployments=(primary, *older)),
        stop=stop,
        start=start,
        events=events,
        wake_at=min(wakes, default=None),
    )


def _surplus(service: Service, fresh: list[Task], now: datetime) -> tuple[Task, ...]:
    """Tasks of the primary above the desired count: the ones not yet running first, then the newest."""
    over = len(fresh) - service.desired_count
    if over <= 0:
        return ()
    candidates = [task for task in fresh if not _is_protected(task, now)]
    candidates.sort(key=lambda task: (task.last_status == "RUNNING", -task.id))
    return tuple(candidates[:over])


def _replaceable(
    service: Service,
    active: list[Task],
    fresh: list[Task],
    stale: list[Task],
    now: datetime,
    wakes: list[datetime],
) -> tuple[Task, ...]:
    """Stale tasks that may go: none that takes the healthy ones below the floor."""
    if not stale:
        return ()
    due = {task.id: healthy_at(task) for task in active}
    healthy = {task_id for task_id, at in due.items() if at is not None and at <= now}
    spare = len(healthy) - healthy_floor(service)
    wakes += [at for task in fresh if (at := due[task.id]) is not None and at > now]
    chosen: list[Task] = []
    for task in sorted(stale, key=lambda t: (t.id in healthy, t.last_status == "RUNNING", t.id)):
        if _is_protected(task, now):
            continue
        if task.id in healthy:
            if spare <= 0:
                continue
            spare -= 1
        elif task.last_status == "RUNNING" and len(fresh) < service.desired_count and spare < 0:
            continue
        chosen.append(task)
    return tuple(chosen)
