"""One step of a service with the EXTERNAL deployment controller, task set by task set. Pure.

A task set is kept at its share as a rolling service is kept at its desired count, with 100 and 200
percent, which are all that ECS lets such a service have: unhealthy tasks, tasks on draining instances
and protected ones are treated alike. Sources: botocore's TaskSet, Scale and DeploymentConfiguration;
developer guide, "Deploy Amazon ECS services using a third-party controller".
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal

import msgspec

from homeport.services.ecs.model import Breaker, Service, Task, TaskSet
from homeport.services.ecs.plan.failures import scaling_reason
from homeport.services.ecs.plan.rollout import (
    STEADY_TOLD_EVERY,
    ScaleIn,
    ServicePlan,
    ServiceSnapshot,
    TaskStop,
    newest_first,
    plan_service,
)
from homeport.services.ecs.plan.rollout_failures import THROTTLE_TOLD_FROM
from homeport.services.ecs.plan.rollout_health import TargetHealth

COUNTED = ("PROVISIONING", "PENDING", "ACTIVATING", "RUNNING")


@dataclass(frozen=True, slots=True, kw_only=True)
class TaskSetsSnapshot:
    """A service and its task sets as one transaction saw them; `stopped`: since the last counts."""

    service: Service
    task_sets: tuple[TaskSet, ...]
    live: tuple[Task, ...]
    stopped: tuple[Task, ...] = ()
    draining_instances: frozenset[int] = frozenset()
    targets: Mapping[int, TargetHealth] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class TaskSetStep:
    """What becomes of one task set: save `task_set` (when it differs), stop `stop`, start `start`.

    `gone`: it has nothing left and is forgotten. The rest is as in `ServicePlan`.
    """

    task_set: TaskSet
    stop: tuple[TaskStop, ...] = ()
    start: int = 0
    start_in: tuple[str, ...] = ()
    replaces: int = 0
    gone: bool = False
    waits_for: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class TaskSetsPlan:
    """The step: all of it in one transaction, then the starts."""

    service: Service
    steps: tuple[TaskSetStep, ...] = ()
    strays: tuple[TaskStop, ...] = ()
    """Tasks of no task set."""
    events: tuple[str, ...] = ()
    wake_at: datetime | None = None


def share_of(desired_count: int, scale: float) -> int:
    """How many tasks `scale` percent of a desired count are; rounded up, reckoned in decimals."""
    return math.ceil(Decimal(repr(scale)) * desired_count / 100)


def as_service(service: Service, task_set: TaskSet) -> Service:
    """A task set as if it were a service with one deployment: itself."""
    return msgspec.structs.replace(
        service,
        desired_count=task_set.computed_desired_count,
        deployments=(task_set.deployment,),
        minimum_healthy_percent=100,
        maximum_percent=200,
        breaker=Breaker(),
        last_completed=None,
        steady_at=None,
    )


def plan_task_sets(
    snapshot: TaskSetsSnapshot, now: datetime, *, scale_in: ScaleIn = newest_first
) -> TaskSetsPlan:
    """Decide the next step of every task set towards its share of the service's desired count."""
    looks = [_Look(snapshot, task_set, now, scale_in) for task_set in snapshot.task_sets]
    known = {task_set.uid for task_set in snapshot.task_sets}
    strays = _stops((task for task in snapshot.live if task.started_by not in known), None)
    events = [event for look in looks for event in look.events]
    service, told = _standing(snapshot, [look.step for look in looks], strays, now)
    wakes = [look.wake_at for look in looks if look.wake_at is not None]
    if service.steady_at is not None:
        wakes.append(service.steady_at + STEADY_TOLD_EVERY)
    return TaskSetsPlan(
        service=service,
        steps=tuple(look.step for look in looks),
        strays=strays,
        events=(*events, *told),
        wake_at=min(wakes, default=None),
    )


def _standing(
    snapshot: TaskSetsSnapshot, steps: list[TaskSetStep], strays: tuple[TaskStop, ...], now: datetime
) -> tuple[Service, tuple[str, ...]]:
    """How the service stands as a whole, and what is told of that."""
    service = snapshot.service
    if service.status != "ACTIVE":
        over = not strays and not any(task.desired_status == "RUNNING" for task in snapshot.live)
        status = "INACTIVE" if over else service.status
        return msgspec.structs.replace(service, status=status, steady_at=None), ()
    left = [step.task_set.stability_status for step in steps if not step.gone]
    steady = bool(left) and set(left) == {"STEADY_STATE"}
    if not steady or strays:
        return msgspec.structs.replace(service, steady_at=None), ()
    if service.steady_at is not None and service.steady_at + STEADY_TOLD_EVERY > now:
        return service, ()
    told = f"(service {service.name}) has reached a steady state."
    return msgspec.structs.replace(service, steady_at=now), (told,)


def _stops(tasks: Iterable[Task], task_set: TaskSet | None) -> tuple[TaskStop, ...]:
    """All of the tasks that should still run."""
    of = "task set that is gone" if task_set is None else f"deployment {task_set.uid}"
    reason = scaling_reason(of)
    return tuple(TaskStop(task=task, reason=reason) for task in tasks if task.desired_status == "RUNNING")


class _Look:
    """One task set, looked at: its step, its events, and when to look again."""

    def __init__(
        self, snapshot: TaskSetsSnapshot, task_set: TaskSet, now: datetime, scale_in: ScaleIn
    ) -> None:
        self._service = snapshot.service
        self._now = now
        self.events: list[str] = []
        self.wake_at: datetime | None = None
        self._live = tuple(task for task in snapshot.live if task.started_by == task_set.uid)
        if self._service.status != "ACTIVE" or task_set.forced:
            stop = _stops(self._live, task_set)
            self.step = self._closed(self._draining(task_set), stop=stop)
            return
        task_set = self._computed(task_set)
        mine = ServiceSnapshot(
            service=as_service(self._service, task_set),
            live=self._live,
            stopped=tuple(task for task in snapshot.stopped if task.started_by == task_set.uid),
            draining_instances=snapshot.draining_instances,
            targets=snapshot.targets,
        )
        plan = plan_service(mine, now, scale_in=scale_in)
        settled = plan.service.steady_at is not None
        self.wake_at = None if settled else plan.wake_at
        self.step = self._going_on(task_set, plan, settled=settled)

    def _draining(self, task_set: TaskSet) -> TaskSet:
        if task_set.status == "DRAINING" and not task_set.computed_desired_count:
            return task_set
        return msgspec.structs.replace(
            task_set, status="DRAINING", computed_desired_count=0, updated_at=self._now
        )

    def _computed(self, task_set: TaskSet) -> TaskSet:
        """The task set with its share of what the service should have now."""
        share = 0
        if task_set.status != "DRAINING":
            share = share_of(self._service.desired_count, task_set.scale)
        if share == task_set.computed_desired_count:
            return task_set
        self.events.append(
            f"(service {self._service.name}) updated computedDesiredCount for taskSet {task_set.uid} "
            f"to {share}."
        )
        return msgspec.structs.replace(task_set, computed_desired_count=share, updated_at=self._now)

    def _going_on(self, task_set: TaskSet, plan: ServicePlan, *, settled: bool) -> TaskSetStep:
        before, after = task_set.deployment, plan.service.primary
        if after.failed_starts >= THROTTLE_TOLD_FROM > before.failed_starts:
            self.events.append(f"{self._name(task_set)} is unable to consistently start tasks successfully.")
        self.events += [text for text in plan.events if "was unable to scale in" in text]
        task_set = self._judged(msgspec.structs.replace(task_set, deployment=after), settled=settled)
        if task_set.status == "DRAINING":
            return self._closed(task_set, stop=plan.stop, waits_for=plan.waits_for)
        return TaskSetStep(
            task_set=task_set,
            stop=plan.stop,
            start=plan.start,
            start_in=plan.start_in,
            replaces=plan.replaces,
            waits_for=plan.waits_for,
        )

    def _judged(self, task_set: TaskSet, *, settled: bool) -> TaskSet:
        """The task set with its stability: what is on its way out counts until it is out."""
        counted = sum(task.last_status in COUNTED for task in self._live)
        steady = settled and counted == task_set.computed_desired_count and task_set.status != "DRAINING"
        status = "STEADY_STATE" if steady else "STABILIZING"
        if status == task_set.stability_status:
            return task_set
        if steady:
            self.events.append(f"{self._name(task_set)} updated state to STEADY_STATE.")
        return msgspec.structs.replace(task_set, stability_status=status, stability_at=self._now)

    def _closed(
        self, task_set: TaskSet, *, stop: tuple[TaskStop, ...], waits_for: tuple[str, ...] = ()
    ) -> TaskSetStep:
        """A task set that drains; it is gone once its tasks are, and at the latest with its service."""
        still = any(task.desired_status == "RUNNING" for task in self._live)
        gone = not self._live or (self._service.status != "ACTIVE" and not still)
        return TaskSetStep(task_set=task_set, stop=stop, gone=gone, waits_for=waits_for)

    def _name(self, task_set: TaskSet) -> str:
        return f"(service {self._service.name}, taskSet {task_set.uid})"
