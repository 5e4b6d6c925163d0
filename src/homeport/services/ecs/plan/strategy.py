"""One step of a service whose deployment goes through stages, with two revisions side by side. Pure.

Each revision is kept up by itself as `plan_service` keeps up a service: replaced when it is unhealthy,
drained from instances that go, scaled with the desired count. Which of them should be there the stages say
(`strategy_stages`). Source: developer guide, "Amazon ECS blue/green service deployments workflow".
"""

from __future__ import annotations

import dataclasses
from collections import Counter
from collections.abc import Sequence
from datetime import datetime

import msgspec

from homeport.services.ecs.model import Deployment, Service, Staging, Task
from homeport.services.ecs.plan.failures import scaling_reason
from homeport.services.ecs.plan.rollout import (
    Kept,
    ScaleIn,
    ServicePlan,
    ServiceSnapshot,
    TaskStop,
    judged,
    keep_up,
    newest_first,
    plan_end,
)
from homeport.services.ecs.plan.rollout_endings import (
    complete_deployment,
    fail_deployment,
    with_primary,
    without_past,
)
from homeport.services.ecs.plan.rollout_failures import counted
from homeport.services.ecs.plan.rollout_health import is_protected, verdict
from homeport.services.ecs.plan.strategy_stages import Course, Sides, advanced_stages, may_shift


def plan_staged(snapshot: ServiceSnapshot, now: datetime, *, scale_in: ScaleIn = newest_first) -> ServicePlan:
    """Decide the next step of a service whose primary deployment has stages.

    Blue is not touched before all of production is green's and the bake time is over;
    green gets no traffic before all its tasks are healthy.
    """
    service = snapshot.service
    if service.status != "ACTIVE":
        return plan_end(snapshot)
    staging = _staging(service)
    events: tuple[str, ...] = ()
    if service.primary.rollout_state == "IN_PROGRESS" and not staging.returns and staging.stage != "CLEAN_UP":
        service, failed, events = judged(snapshot, now)
        if failed is not None:
            return ServicePlan(service=service, failed=failed, events=events, wake_at=now)
    service = _counted(service, snapshot, now)
    snapshot = dataclasses.replace(snapshot, service=service)
    if service.primary.rollout_state == "FAILED":
        return _Hands(snapshot, now, scale_in).plan(Course(staging), events)
    staging = msgspec.structs.replace(staging, shifts=snapshot.has_target_groups)
    course = advanced_stages(staging, service.primary, _sides(snapshot, staging, now), now)
    if course.failed is not None:
        service = _with_staging(service, course.staging)
        service, failed, told = fail_deployment(service, now, texts=course.failed, roll_back=True)
        return ServicePlan(service=service, failed=failed, events=(*events, *told), wake_at=now)
    if course.done:
        return _completed(snapshot, now, events)
    service = _with_staging(service, course.staging)
    if course.staging.stage == "CLEAN_UP" and staging.stage != "CLEAN_UP" and not staging.returns:
        # Production is green's for good: a deployment that comes now takes over from it.
        kept = msgspec.structs.replace(service.primary, staging=None)
        service = msgspec.structs.replace(service, last_completed=kept)
    snapshot = dataclasses.replace(snapshot, service=service)
    return _Hands(snapshot, now, scale_in).plan(course, events)


def _staging(service: Service) -> Staging:
    staging = service.primary.staging
    assert staging is not None, "only a deployment with stages is planned so"
    return staging


def _with_staging(service: Service, staging: Staging | None) -> Service:
    return with_primary(service, msgspec.structs.replace(service.primary, staging=staging))


def _counted(service: Service, snapshot: ServiceSnapshot, now: datetime) -> Service:
    """The service with the failed starts of every deployment counted: each has its own pause."""
    deployments = tuple(counted(one, snapshot.stopped, now) for one in service.deployments)
    return (
        service
        if deployments == service.deployments
        else msgspec.structs.replace(service, deployments=deployments)
    )


def _completed(snapshot: ServiceSnapshot, now: datetime, events: tuple[str, ...]) -> ServicePlan:
    """The end: from here on it is a service like any other."""
    service = complete_deployment(_with_staging(snapshot.service, None), now)
    told = f"(service {service.name}) (deployment {service.primary.id}) deployment completed."
    return ServicePlan(service=without_past(service, snapshot.live), events=(*events, told), wake_at=now)


def _sides(snapshot: ServiceSnapshot, staging: Staging, now: datetime) -> Sides:
    """How blue and green stand."""
    service, wanted = snapshot.service, snapshot.service.desired_count
    active = [task for task in snapshot.live if task.desired_status == "RUNNING"]

    healthy = Counter(
        task.started_by
        for task in active
        if task.instance_id not in snapshot.draining_instances
        and verdict(task, service, snapshot.targets, now).is_healthy(now)
    )
    green, blue = healthy[staging.green], healthy[staging.blue]
    counts = {
        deployment_id: sum(task.started_by == deployment_id for task in active)
        for deployment_id in (staging.blue, staging.green)
    }
    return Sides(
        blue_whole=blue >= wanted,
        green_whole=green >= wanted,
        green_told=f"{green} of {wanted} tasks are healthy",
        others=sum(task.started_by not in counts for task in active),
        blue=counts[staging.blue],
        green=counts[staging.green],
        blue_healthy=blue,
        elsewhere_healthy=healthy.total() - blue,
    )


def may_be_in_force(snapshot: ServiceSnapshot, now: datetime) -> bool:
    """Whether the shares that are asked for may be put in force as things are now."""
    staging = _staging(snapshot.service)
    return may_shift(staging, _sides(snapshot, staging, now), now)


class _Hands:
    """What is done to the tasks at one stage."""

    def __init__(self, snapshot: ServiceSnapshot, now: datetime, scale_in: ScaleIn) -> None:
        self._snapshot = snapshot
        self._service = snapshot.service
        self._staging = _staging(snapshot.service)
        self._now = now
        self._scale_in = scale_in
        self._stops: list[TaskStop] = []
        self._starts: list[tuple[Deployment, Kept]] = []
        self._waits: list[str] = []
        self._wakes: list[datetime] = []

    def plan(self, course: Course, events: tuple[str, ...]) -> ServicePlan:
        """Keep up what should be there, end what should not; the rest is left alone."""
        service, staging = self._service, self._staging
        halted = service.primary.rollout_state == "FAILED"
        if halted:
            self._waits.append(f"deployment {service.primary.id} has failed: it stays at {staging.stage}")
        for deployment in sorted(service.deployments, key=lambda one: one.id != staging.blue):
            mine = [task for task in self._snapshot.live if task.started_by == deployment.id]
            if staging.wants(deployment.id) and not self._is_left_alone(deployment):
                self._keep(deployment, mine)
            elif not halted and self._goes(deployment):
                self._end(mine)
        if service.steady_at is not None:
            service = msgspec.structs.replace(service, steady_at=None)
        first = next(((one, kept) for one, kept in self._starts if kept.start), None)
        wakes = [at for at in (*self._wakes, *course.wakes) if at >= self._now]
        return ServicePlan(
            service=without_past(self._kept_service(service), self._snapshot.live),
            stop=tuple(self._stops),
            start=first[1].start if first else 0,
            start_in=first[1].start_in if first else (),
            start_of=first[0].id if first else "",
            replaces=first[1].replaces if first else 0,
            shift=not halted and staging.shifts and not staging.live and self._may_shift(),
            calls=course.calls,
            events=events,
            wake_at=min(wakes, default=None),
            waits_for=tuple(dict.fromkeys((*course.waits, *self._waits))),
        )

    def _may_shift(self) -> bool:
        """Whether those that are to get traffic can serve it."""
        is_safe = may_be_in_force(dataclasses.replace(self._snapshot, service=self._service), self._now)
        if not is_safe:
            self._waits.append("traffic is not shifted to a revision whose tasks are not healthy")
        return is_safe

    def _is_left_alone(self, deployment: Deployment) -> bool:
        """A green that failed keeps its tasks as they are until its traffic has gone back."""
        return self._staging.returns and deployment.id == self._staging.green

    def _goes(self, deployment: Deployment) -> bool:
        """Whether the tasks of a deployment that is not wanted (any more) end now."""
        staging = self._staging
        if staging.stage == "CLEAN_UP":
            return True
        mine = deployment.id in (staging.blue, staging.green)
        if not staging.blue:
            # Nothing has completed yet: the newest of what runs is left alone, or interrupted ones pile up.
            return not mine and deployment.id != self._service.deployments[1].id
        if staging.stage != "RECONCILE_SERVICE" or not staging.blue or mine:
            return False
        return staging.live and _sides(self._snapshot, staging, self._now).blue_whole

    def _keep(self, deployment: Deployment, mine: Sequence[Task]) -> None:
        alone = msgspec.structs.replace(self._service, deployments=(deployment,))
        seen = dataclasses.replace(self._snapshot, service=alone, live=tuple(mine), stopped=())
        kept = keep_up(seen, self._now, scale_in=self._scale_in)
        self._starts.append((deployment, kept))
        self._stops += kept.stop
        self._wakes += kept.wakes
        self._waits += kept.waits

    def _end(self, mine: Sequence[Task]) -> None:
        reason = scaling_reason(f"deployment {self._service.primary.id}")
        for task in mine:
            if task.desired_status != "RUNNING":
                continue
            if task.protection is not None and is_protected(task, self._now):
                self._waits.append(f"task {task.uid} is protected from scale-in")
                self._wakes.append(task.protection.expires_at)
            else:
                self._stops.append(TaskStop(task=task, reason=reason))

    def _kept_service(self, service: Service) -> Service:
        """With the failures counted that keeping up has met."""
        kept = {one.id: kept.deployment for one, kept in self._starts}
        deployments = tuple(kept.get(one.id, one) for one in service.deployments)
        return msgspec.structs.replace(service, deployments=deployments)
