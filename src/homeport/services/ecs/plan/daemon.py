"""One step of a DAEMON service: which tasks to stop, and on which instances to start one. Pure.

One task per ACTIVE instance that qualifies, never two; what is replaced is stopped first, its successor
started once it is gone, and never more at a time than the healthy floor leaves. Sources: developer guide,
"Daemon scheduling strategy", "Container instance draining"; botocore's DeploymentConfiguration.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

import msgspec

from homeport.services.ecs.model import Deployment, Service, Task
from homeport.services.ecs.plan.daemon_hosts import Host
from homeport.services.ecs.plan.failures import scaling_reason
from homeport.services.ecs.plan.rebalancing import plan_with_zones
from homeport.services.ecs.plan.rollout import (
    STEADY_TOLD_EVERY,
    ScaleIn,
    ServicePlan,
    ServiceSnapshot,
    TaskStop,
    healthy_floor,
    judged,
    newest_first,
    plan_end,
)
from homeport.services.ecs.plan.rollout_closing import STUCK_TOLD, Closing, closing
from homeport.services.ecs.plan.rollout_endings import with_primary, without_past
from homeport.services.ecs.plan.rollout_health import Verdict, is_protected, verdict
from homeport.services.ecs.plan.strategy import plan_staged
from homeport.services.ecs.plan.target_health import waits_for_targets

VIOLATION = "The container instance no longer meets the placement constraints of (deployment {id})"
VIOLATION_TOLD = "no longer meets the task's placement constraints"
ENDED_BADLY = ("TaskFailedToStart", "EssentialContainerExited")


@dataclass(frozen=True, slots=True, kw_only=True)
class DaemonSnapshot(ServiceSnapshot):
    """A DAEMON service as one transaction saw it, with every instance that is not INACTIVE."""

    hosts: tuple[Host, ...] = ()


def daemon_count(hosts: Iterable[Host]) -> int:
    """The desired count: ACTIVE instances that qualify, connected or not."""
    return sum(host.wanted for host in hosts)


def plan_either(snapshot: ServiceSnapshot, now: datetime, *, scale_in: ScaleIn = newest_first) -> ServicePlan:
    """The next step of a service of either kind."""
    if isinstance(snapshot, DaemonSnapshot):
        return plan_daemon(snapshot, now)
    if snapshot.service.primary.staging is not None:
        return plan_staged(snapshot, now, scale_in=scale_in)
    return plan_with_zones(snapshot, now, scale_in=scale_in)


def plan_daemon(snapshot: DaemonSnapshot, now: datetime) -> ServicePlan:
    """Decide the next step towards one healthy task of the primary deployment per instance that qualifies."""
    if snapshot.service.status != "ACTIVE":
        return plan_end(snapshot)
    sized = msgspec.structs.replace(snapshot.service, desired_count=daemon_count(snapshot.hosts))
    seen = DaemonSnapshot(
        service=sized,
        live=snapshot.live,
        stopped=snapshot.stopped,
        targets=snapshot.targets,
        hosts=snapshot.hosts,
    )
    service, failed, events = judged(seen, now)
    if service.primary.id != sized.primary.id:
        # It rolled back: what the earlier definition asks of an instance is seen with the next look.
        return ServicePlan(service=service, failed=failed, events=events, wake_at=now)
    service = with_primary(service, _blamed(sized.primary, service.primary, seen))
    step = _Step(service, seen, now)
    step.leave_instances()
    step.stop_second_ones()
    step.stop_older()
    step.stop_unhealthy()
    step.start_missing()
    return step.plan(failed, events)


def _blamed(before: Deployment, after: Deployment, snapshot: DaemonSnapshot) -> Deployment:
    """The deployment with the instances that the pause between starts is for; the others need not wait."""
    if after.retry_at is None:
        failing: set[int] = set()
    else:
        news = {
            task.instance_id
            for task in snapshot.stopped
            if task.started_by == after.id
            and task.stop_code in ENDED_BADLY
            and task.stopped_at is not None
            and task.stopped_at > before.counted_until
        }
        blamed = news.union(after.failing_on)
        failing = {host.id for host in snapshot.hosts if host.wanted and host.id in blamed}
    return msgspec.structs.replace(after, failing_on=tuple(sorted(failing)))


class _Step:
    """Who is where, and what was decided so far."""

    def __init__(self, service: Service, snapshot: DaemonSnapshot, now: datetime) -> None:
        self._service = service
        self._snapshot = snapshot
        self._now = now
        self._primary = service.primary
        self._hosts = {host.id: host for host in snapshot.hosts}
        active = [task for task in snapshot.live if task.desired_status == "RUNNING"]
        self._verdicts: dict[int, Verdict] = {
            task.id: verdict(task, service, snapshot.targets, now) for task in active
        }
        self._away = [task for task in active if not self._is_wanted(task)]
        here = [task for task in active if self._is_wanted(task)]
        mine = [task for task in here if task.started_by == self._primary.id]
        self._older = [task for task in here if task.started_by != self._primary.id]
        best = {task.instance_id: task for task in sorted(mine, key=self._worth)}
        self._fresh = sorted(best.values(), key=lambda task: task.id)
        kept = {task.id for task in self._fresh}
        self._second = [task for task in mine if task.id not in kept]
        self._healthy = {task.id for task in here if self._verdicts[task.id].is_healthy(now)}
        self._spare = len(self._healthy) - healthy_floor(service)
        """How many healthy tasks may go."""
        self._stops: list[TaskStop] = []
        self._start_on: tuple[str, ...] = ()
        self._told: list[str] = []
        self._waits: list[str] = list(waits_for_targets(snapshot.targets, active))
        self._waits_for_others = False
        self._floor_holds = False
        self._wakes = [
            at
            for seen in self._verdicts.values()
            if (at := seen.healthy_at or seen.look_at) is not None and at > now
        ]

    def _is_wanted(self, task: Task) -> bool:
        host = self._host(task)
        return host is not None and host.wanted

    def _host(self, task: Task) -> Host | None:
        return None if task.instance_id is None else self._hosts.get(task.instance_id)

    def _worth(self, task: Task) -> tuple[bool, bool, int]:
        """The last in this order is the one that stays."""
        return (self._verdicts[task.id].failed is None, task.last_status == "RUNNING", -task.id)

    @property
    def _has_failed(self) -> bool:
        return self._primary.rollout_state == "FAILED"

    @property
    def _scaling_reason(self) -> str:
        return scaling_reason(f"deployment {self._primary.id}")

    def _stop(self, task: Task, reason: str) -> None:
        self._stops.append(TaskStop(task=task, reason=reason))
        if task.id in self._healthy:
            self._spare -= 1

    def leave_instances(self) -> None:
        """Stop tasks where none is wanted: on a draining instance only after everybody else's."""
        for task in self._away:
            host = self._host(task)
            if host is None:
                self._stop(task, self._scaling_reason)
            elif host.active:
                self._stop(task, VIOLATION.format(id=self._primary.id))
                self._told.append(
                    f"(service {self._service.name}) stops its task (task {task.uid}): (container-instance "
                    f"{task.instance_uid}) {VIOLATION_TOLD}."
                )
            elif host.others and task.last_status == "RUNNING":
                self._waits_for_others = True
                self._waits.append(
                    f"task {task.uid} stays on the draining instance {host.uid} as long as {host.others} "
                    "other tasks are there"
                )
            else:
                self._stop(task, self._scaling_reason)

    def stop_second_ones(self) -> None:
        """An instance has one task of the deployment."""
        for task in self._second:
            self._stop(task, self._scaling_reason)

    def stop_older(self) -> None:
        """Make room for the primary's tasks, as far as the healthy floor lets it.

        A deployment that starts nothing any more takes nothing away, and an instance
        whose agent is not connected could not start the successor.
        """
        if self._has_failed:
            return
        hopeful = {task.id for task in self._older if self._is_hopeful(task)}
        spare = self._spare + len(hopeful)
        kept = 0
        for task in sorted(self._older, key=self._cheapest_first):
            host = self._host(task)
            if task.protection is not None and is_protected(task, self._now):
                self._wakes.append(task.protection.expires_at)
                self._waits.append(f"task {task.uid} is protected from scale-in")
            elif host is not None and not host.connected:
                self._waits.append(f"the agent of instance {host.uid} is not connected")
            elif task.id not in self._healthy and task.id not in hopeful:
                self._stop(task, self._scaling_reason)
            elif spare > 0 and (task.id in hopeful or self._spare > 0):
                spare -= 1
                self._stop(task, self._scaling_reason)
            else:
                kept += 1
        if kept:
            self._floor_holds = True
            self._waits.append(
                f"{kept} older tasks stay: {len(self._healthy)} tasks are healthy and at least "
                f"{healthy_floor(self._service)} must be (minimumHealthyPercent "
                f"{self._service.minimum_healthy_percent})"
            )

    def _cheapest_first(self, task: Task) -> tuple[bool, bool, int]:
        return (task.id in self._healthy, task.last_status == "RUNNING", task.id)

    def _is_hopeful(self, task: Task) -> bool:
        runs = task.last_status == "RUNNING" and self._verdicts[task.id].failed is None
        return runs and task.id not in self._healthy

    def stop_unhealthy(self) -> None:
        """Replace unhealthy tasks of the primary, one at a time: their successors need their places."""
        unhealthy = [task for task in self._fresh if self._verdicts[task.id].failed]
        if not unhealthy or self._has_failed:
            return
        if self._stops or self._changing():
            self._waits.append(f"{len(unhealthy)} unhealthy tasks wait for the replacement of others")
            return
        first = unhealthy[0]
        self._stop(first, self._verdicts[first.id].failed or self._scaling_reason)
        self._primary = msgspec.structs.replace(self._primary, failed_tasks=self._primary.failed_tasks + 1)

    def _changing(self) -> bool:
        """Whether a task of the service is on its way, or on its way out."""
        return any(
            task.last_status != "RUNNING" or task.desired_status != "RUNNING" for task in self._snapshot.live
        )

    def start_missing(self) -> None:
        """Start a task wherever one is wanted, none is left, and an agent listens."""
        held = {task.instance_id for task in self._snapshot.live}
        empty = [host for host in self._snapshot.hosts if host.wanted and host.id not in held]
        if not empty:
            return
        if self._has_failed:
            self._waits.append(f"deployment {self._primary.id} has failed: it starts no more tasks")
            return
        away = [host for host in empty if not host.connected]
        self._waits += [f"the agent of instance {host.uid} is not connected" for host in away]
        retry_at = self._primary.retry_at
        paused = set(self._primary.failing_on) if retry_at is not None and retry_at > self._now else set()
        late = [host for host in empty if host.connected and host.id in paused]
        if late and retry_at is not None:
            self._wakes.append(retry_at)
            self._waits.append(
                f"starts on {len(late)} instances failed, {self._primary.failed_starts} in a row: "
                f"the next is tried at {retry_at.isoformat()}"
            )
        self._start_on = tuple(
            host.uid
            for host in sorted(empty, key=lambda host: host.id)
            if host.connected and host.id not in paused
        )

    def plan(self, failed: Deployment | None, events: tuple[str, ...]) -> ServicePlan:
        """Everything decided, and the service as it stands then."""
        name = f"(service {self._service.name})"
        service = with_primary(self._service, self._primary)
        events = (*self._told, *events)
        end = closing(service, self._now, settled=self._is_settled(), **self._counts_for_success())
        events += end.events
        if self._is_stuck(end):
            events += (f"{name} {STUCK_TOLD}",)
        return ServicePlan(
            service=without_past(end.service, self._snapshot.live),
            stop=tuple(self._stops),
            start=len(self._start_on),
            start_on=self._start_on,
            failed=failed,
            events=events,
            wake_at=self._now + STEADY_TOLD_EVERY
            if end.is_settled
            else min([*self._wakes, *end.wakes], default=None),
            waits_for=() if end.is_settled else (*self._waits, *end.waits),
            waits_for_others=self._waits_for_others,
        )

    def _counts_for_success(self) -> dict[str, int]:
        """What an early success is decided by."""
        older = [task for task in (*self._older, *self._away) if task.started_by != self._primary.id]
        return {"healthy": sum(task.id in self._healthy for task in self._fresh), "sources": len(older)}

    def _is_settled(self) -> bool:
        """Whether every instance that qualifies has its task, none of them in doubt, and nothing else is."""
        if self._stops or self._start_on or self._older or self._away:
            return False
        return len(self._fresh) == self._service.desired_count and all(
            task.last_status == "RUNNING" and self._verdicts[task.id].healthy_at is not None
            for task in self._fresh
        )

    def _is_stuck(self, end: Closing) -> bool:
        """Whether the percentages alone keep a deployment from going on."""
        wakes = (*self._wakes, *end.wakes)
        idle = not self._stops and not self._start_on and not wakes and not self._changing()
        full = len(self._fresh) + len(self._older) == self._service.desired_count
        return self._floor_holds and idle and full
