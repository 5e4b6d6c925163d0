"""One step of a daemon: which tasks to stop, on which instances to start one, what becomes of its deployment.

One task per ACTIVE instance of the daemon's capacity providers, never two. Sources: developer guide, "Daemon
deployments", "Daemon auto repair" and "Creating and managing daemons"; botocore's CreateDaemon. AWS replaces
the instances themselves, a batch at a time; these here are somebody's machines: they stay, and the daemon's
tasks on them are replaced, a batch at a time [our choice]. Pure.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta

import msgspec

from homeport.services.ecs.model import Breaker, Daemon, DaemonDeployment, Task
from homeport.services.ecs.model.daemon_snapshot import DaemonHost, ManagedSnapshot
from homeport.services.ecs.plan.daemon import ENDED_BADLY
from homeport.services.ecs.plan.daemon_endings import completed, stopped_by_breaker
from homeport.services.ecs.plan.failures import scaling_reason
from homeport.services.ecs.plan.rollout import TaskStop
from homeport.services.ecs.plan.rollout_failures import THROTTLE_MAX_SECONDS, threshold

SETTLED = timedelta(seconds=10)
"""So long a task without health checks must have run to count as healthy [our choice]."""
UNHEALTHY = "Task failed container health checks"


@dataclass(frozen=True, slots=True, kw_only=True)
class ManagedPlan:
    """The step: save `daemon` and `deployment` (where they differ), stop `stop`, start on `start_on`.

    `impaired`: tasks that did not come to run, seen with this step. `waits_for`: why the daemon is not
    where it should be although there is nothing to do, in sentences.
    """

    daemon: Daemon
    deployment: DaemonDeployment
    stop: tuple[TaskStop, ...] = ()
    start_on: tuple[str, ...] = ()
    impaired: tuple[Task, ...] = ()
    wake_at: datetime | None = None
    waits_for: tuple[str, ...] = ()
    waits_for_others: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """How a task does. `healthy_at`: from when on it counts as healthy if nothing changes."""

    healthy_at: datetime | None = None
    failed: bool = False

    def is_healthy(self, now: datetime) -> bool:
        """Whether the task does what it is there for."""
        return not self.failed and self.healthy_at is not None and self.healthy_at <= now


def standing(task: Task) -> Standing:
    """Health checks decide; without any, that the task runs and goes on running."""
    if task.last_status != "RUNNING" or task.started_at is None or task.desired_status != "RUNNING":
        return Standing()
    states = [c.health_status for c in task.containers if c.essential and c.has_health_check]
    if "UNHEALTHY" in states:
        return Standing(failed=True)
    if states:
        is_up = all(state == "HEALTHY" for state in states)
        return Standing(healthy_at=task.started_at if is_up else None)
    return Standing(healthy_at=task.started_at + SETTLED)


def batch_size(instances: int, drain_percent: float) -> int:
    """How many instances may be without their daemon at once because of a deployment; at least one."""
    return max(int(instances * drain_percent // 100), 1)


def plan_managed(snapshot: ManagedSnapshot, now: datetime) -> ManagedPlan:
    """Decide the next step towards one healthy task of the daemon's revision per instance."""
    if snapshot.daemon.status != "ACTIVE":
        return _plan_end(snapshot, now)
    deployment = _moved_on(snapshot.deployment, now)
    daemon, deployment, impaired = _counted(snapshot, deployment, now)
    if deployment.is_open and deployment.failures >= deployment.threshold > 0:
        daemon, deployment = stopped_by_breaker(daemon, deployment, snapshot.revisions, now)
        # What the earlier revision asks for is seen with the next look.
        return ManagedPlan(daemon=daemon, deployment=deployment, impaired=impaired, wake_at=now)
    step = _Step(snapshot, daemon, deployment, now)
    step.leave_instances()
    step.stop_second_ones()
    step.stop_older()
    step.stop_unhealthy()
    step.start_missing()
    return step.plan(impaired)


def _plan_end(snapshot: ManagedSnapshot, now: datetime) -> ManagedPlan:
    """A deleted daemon: stop everything; it is gone once nothing of it is left."""
    deployment = _moved_on(snapshot.deployment, now)
    daemon = snapshot.daemon
    if not snapshot.live and daemon.status == "DELETE_IN_PROGRESS":
        daemon = msgspec.structs.replace(daemon, status="DELETED", updated_at=now, definition_ids=())
        deployment = completed(deployment, now) if deployment.is_open else deployment
    reason = _scaling_reason(deployment)
    running = (task for task in snapshot.live if task.desired_status == "RUNNING")
    stops = tuple(TaskStop(task=task, reason=reason) for task in running)
    return ManagedPlan(daemon=daemon, deployment=deployment, stop=stops)


def _scaling_reason(deployment: DaemonDeployment) -> str:
    return scaling_reason(f"daemon-deployment {deployment.uid}")


def _moved_on(deployment: DaemonDeployment, now: datetime) -> DaemonDeployment:
    """What was only asked for begins."""
    if deployment.status == "PENDING":
        return msgspec.structs.replace(deployment, status="IN_PROGRESS", started_at=now)
    if deployment.status == "STOP_REQUESTED":
        return msgspec.structs.replace(deployment, status="ROLLBACK_IN_PROGRESS")
    return deployment


def _counted(
    snapshot: ManagedSnapshot, deployment: DaemonDeployment, now: datetime
) -> tuple[Daemon, DaemonDeployment, tuple[Task, ...]]:
    """The failures since the last count, for the pause between starts and for the circuit breaker."""
    daemon = snapshot.daemon
    mine = [task for task in snapshot.live if task.daemon_revision == daemon.revision]
    if any(standing(task).is_healthy(now) for task in mine) and daemon.failed_starts:
        daemon = msgspec.structs.replace(daemon, failed_starts=0, retry_at=None, failing_on=())
    news = [task for task in snapshot.stopped if task.stopped_at and task.stopped_at > daemon.counted_until]
    bad = [t for t in news if t.daemon_revision == daemon.revision and t.stop_code in ENDED_BADLY]
    if news:
        until = max(task.stopped_at for task in news if task.stopped_at is not None)
        daemon = msgspec.structs.replace(daemon, counted_until=until)
    if bad:
        starts = daemon.failed_starts + len(bad)
        pause = min(2.0 ** min(starts - 1, 20), THROTTLE_MAX_SECONDS)
        blamed = {*daemon.failing_on, *(t.instance_id for t in bad if t.instance_id is not None)}
        daemon = msgspec.structs.replace(
            daemon,
            failed_starts=starts,
            retry_at=now + timedelta(seconds=pause),
            failing_on=tuple(sorted(blamed & snapshot.wanted.keys())),
        )
    if deployment.is_open:
        deployment = msgspec.structs.replace(
            deployment,
            failures=deployment.failures + len(bad),
            threshold=threshold(Breaker(), len(snapshot.wanted)),
        )
    return daemon, deployment, tuple(task for task in bad if task.started_at is None)


class _Step:
    """Who is where, and what was decided so far."""

    def __init__(
        self, snapshot: ManagedSnapshot, daemon: Daemon, deployment: DaemonDeployment, now: datetime
    ) -> None:
        self._daemon = daemon
        self._deployment = deployment
        self._now = now
        self._live = snapshot.live
        self._hosts = {host.id: host for host in snapshot.hosts}
        self._wanted = snapshot.wanted
        active = [task for task in snapshot.live if task.desired_status == "RUNNING"]
        self._standings = {task.id: standing(task) for task in active}
        self._away = [task for task in active if task.instance_id not in self._wanted]
        here = [task for task in active if task.instance_id in self._wanted]
        mine = [task for task in here if task.daemon_revision == daemon.revision]
        self._older = [task for task in here if task.daemon_revision != daemon.revision]
        best = {task.instance_id: task for task in sorted(mine, key=self._worth)}
        self._fresh = sorted(best.values(), key=lambda task: task.id)
        kept = {task.id for task in self._fresh}
        self._second = [task for task in mine if task.id not in kept]
        self._batch = batch_size(len(self._wanted), deployment.drain_percent)
        self._served = {task.instance_id for task in here if self._is_healthy(task)}
        """The instances whose daemon does what it is there for."""
        self._stops: list[TaskStop] = []
        self._start_on: tuple[str, ...] = ()
        self._waits: list[str] = []
        self._waits_for_others = False
        self._wakes = [
            at
            for seen in self._standings.values()
            if not seen.failed and (at := seen.healthy_at) is not None and at > now
        ]

    @property
    def _has_failed(self) -> bool:
        """Whether the newest deployment failed and there was nothing to go back to."""
        return self._deployment.tripped and self._deployment.status == "STOPPED"

    def _is_healthy(self, task: Task) -> bool:
        return self._standings[task.id].is_healthy(self._now)

    def _worth(self, task: Task) -> tuple[bool, bool, int]:
        """The last in this order is the one that stays."""
        return (not self._standings[task.id].failed, task.last_status == "RUNNING", -task.id)

    def _stop(self, task: Task, reason: str | None = None) -> None:
        self._stops.append(TaskStop(task=task, reason=reason or _scaling_reason(self._deployment)))

    def leave_instances(self) -> None:
        """Stop tasks where none is wanted: on a draining instance only after everybody else's."""
        for task in self._away:
            host = self._hosts.get(task.instance_id or 0)
            if host is not None and not host.active and host.others and task.last_status == "RUNNING":
                self._waits_for_others = True
                self._waits.append(
                    f"task {task.uid} stays on the draining instance {host.uid} as long as {host.others} "
                    "other tasks are there"
                )
            else:
                self._stop(task)

    def stop_second_ones(self) -> None:
        """An instance has one task of the daemon."""
        for task in self._second:
            self._stop(task)

    def stop_older(self) -> None:
        """Make room for the revision's tasks, on a batch of instances at a time.

        An instance whose agent is not connected could not start the successor; where the
        older task does not do its work, nothing is lost.
        """
        if self._has_failed:
            return
        without = len(self._wanted) - len(self._served)
        for task in sorted(self._older, key=lambda task: (self._is_healthy(task), task.id)):
            host = self._wanted[task.instance_id or 0]
            if not host.connected:
                self._waits.append(f"the agent of instance {host.uid} is not connected")
            elif not self._is_healthy(task):
                self._stop(task)
            elif without < self._batch:
                without += 1
                self._stop(task)
            else:
                self._waits.append(
                    f"task {task.uid} waits for its turn: {without} of {len(self._wanted)} instances are "
                    f"without a healthy daemon, and {self._batch} may be at a time"
                )

    def stop_unhealthy(self) -> None:
        """Replace what its own health checks call unhealthy, no more of it at a time than a batch."""
        if self._has_failed:
            return
        changing = {t.instance_id for t in self._live if t.desired_status != "RUNNING"}
        going = len(changing & self._wanted.keys())
        for task in self._fresh:
            if self._standings[task.id].failed and going < self._batch:
                going += 1
                self._stop(task, UNHEALTHY)
                if self._deployment.is_open:
                    self._deployment = msgspec.structs.replace(
                        self._deployment, failures=self._deployment.failures + 1
                    )

    def start_missing(self) -> None:
        """Start a task wherever one is wanted, none is left, and an agent listens."""
        held = {task.instance_id for task in self._live}
        empty = [host for host in self._wanted.values() if host.id not in held]
        if empty and self._has_failed:
            self._waits.append(f"deployment {self._deployment.uid} has failed: it starts no more tasks")
            return
        self._waits += _unconnected(empty)
        retry_at = self._daemon.retry_at
        paused = set(self._daemon.failing_on) if retry_at is not None and retry_at > self._now else set()
        late = [host for host in empty if host.connected and host.id in paused]
        if late and retry_at is not None:
            self._wakes.append(retry_at)
            self._waits.append(
                f"starts on {len(late)} instances failed, {self._daemon.failed_starts} in a row: the next is "
                f"tried at {retry_at.isoformat()}"
            )
        ready = [host for host in empty if host.connected and host.id not in paused]
        self._start_on = tuple(host.uid for host in sorted(ready, key=lambda host: host.id))

    def plan(self, impaired: tuple[Task, ...]) -> ManagedPlan:
        """Everything decided, and the daemon as it stands then."""
        daemon, deployment = self._daemon, self._deployment
        is_there = self._is_there()
        if deployment.is_open:
            begun = (deployment.baked_from or self._now) if is_there else None
            deployment = msgspec.structs.replace(deployment, baked_from=begun)
            minutes = 0 if deployment.rollback is not None else deployment.bake_minutes
            over = None if begun is None else begun + timedelta(minutes=minutes)
            if over is not None and over <= self._now:
                deployment = completed(deployment, self._now)
                daemon = msgspec.structs.replace(daemon, last_good=daemon.revision)
            elif over is not None:
                self._wakes.append(over)
                self._waits.append(f"the deployment bakes until {over.isoformat()}")
        return ManagedPlan(
            daemon=daemon,
            deployment=deployment,
            stop=tuple(self._stops),
            start_on=self._start_on,
            impaired=impaired,
            wake_at=min(self._wakes, default=None),
            waits_for=tuple(self._waits),
            waits_for_others=self._waits_for_others,
        )

    def _is_there(self) -> bool:
        """Whether every instance runs what it should, and there is nothing to do."""
        if self._stops or self._start_on:
            return False
        return len(self._fresh) == len(self._wanted) and all(map(self._is_healthy, self._fresh))


def _unconnected(hosts: Iterable[DaemonHost]) -> list[str]:
    return [f"the agent of instance {host.uid} is not connected" for host in hosts if not host.connected]
