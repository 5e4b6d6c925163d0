"""A world of instances for tests of the planner of daemons."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec

from homeport.services.ecs.model import (
    Container,
    Daemon,
    DaemonDeployment,
    DaemonRevision,
    Provider,
    Task,
    daemon_group,
)
from homeport.services.ecs.model.daemon_snapshot import DaemonHost, ManagedSnapshot
from homeport.services.ecs.plan.daemon_endings import superseded
from homeport.services.ecs.plan.managed_daemon import ManagedPlan, plan_managed, standing

NOON = datetime(2030, 1, 1, 12, tzinfo=UTC)
IN_CLUSTER: dict[str, Any] = {"cluster_name": "default", "account_id": "000000000000", "region": "us-east-1"}
GOOD, FAILS, SICK = "good", "fails", "sick"


def provider(group: str) -> Provider:
    return Provider(arn=f"arn:aws:ecs:us-east-1:000000000000:capacity-provider/{group}", group=group)


def revision(number: int, *groups: str, **members: Any) -> DaemonRevision:
    given = {
        "task_definition_id": number,
        "task_definition": f"agent:{number}",
        "providers": tuple(map(provider, groups or ("edge",))),
        "created_at": NOON,
        **members,
    }
    return DaemonRevision(**IN_CLUSTER, daemon_id=1, daemon_name="agent", uid=str(number), **given)


def host(number: int, **members: Any) -> DaemonHost:
    return DaemonHost(**{"id": number, "uid": f"{number:032x}", "group": "edge", **members})


@dataclass
class ManagedWorld:
    """One daemon, its instances, and what becomes of its tasks: `behaviour` by revision."""

    hosts: dict[int, DaemonHost] = field(default_factory=dict)
    behaviour: dict[str, str] = field(default_factory=dict)
    now: datetime = NOON
    tasks: dict[int, Task] = field(default_factory=dict)
    revisions: dict[str, DaemonRevision] = field(default_factory=dict)
    steps: list[tuple[ManagedSnapshot, ManagedPlan]] = field(default_factory=list)
    closed: list[DaemonDeployment] = field(default_factory=list)
    impaired: int = 0

    def __post_init__(self) -> None:
        self.daemon = Daemon(
            **IN_CLUSTER,
            id=1,
            cluster_id=1,
            name="agent",
            deployment="0",
            created_at=NOON,
            updated_at=NOON,
            counted_until=NOON,
            created_by="me",
        )
        self.deployment = self._deployment(None)

    def _deployment(self, target: str | None, **members: Any) -> DaemonDeployment:
        number = str(len(self.closed) + 1)
        given = {"daemon_id": 1, "daemon_name": "agent", "uid": number, "target": target, **members}
        return DaemonDeployment(**IN_CLUSTER, created_at=self.now, **given)

    def deploy(self, behaviour: str, *groups: str, **members: Any) -> DaemonRevision:
        """What CreateDaemon and UpdateDaemon do."""
        made = revision(len(self.revisions) + 1, *groups)
        self.revisions[made.uid], self.behaviour[made.uid] = made, behaviour
        self._end()
        self.deployment = self._deployment(made.uid, **members)
        self.daemon = msgspec.structs.replace(
            self.daemon,
            revision=made.uid,
            deployment=self.deployment.uid,
            failed_starts=0,
            retry_at=None,
            failing_on=(),
            counted_until=self.now,
        )
        return made

    def delete(self) -> None:
        """What DeleteDaemon does."""
        self._end()
        self.deployment = self._deployment(None)
        self.daemon = msgspec.structs.replace(self.daemon, status="DELETE_IN_PROGRESS", revision=None)

    def _end(self) -> None:
        ended = superseded(self.deployment, self.now) if self.deployment.is_open else self.deployment
        self.closed.append(ended)

    def change(self, number: int, **members: Any) -> None:
        """Something happens to an instance."""
        self.hosts[number] = replace(self.hosts[number], **members)

    @property
    def live(self) -> tuple[Task, ...]:
        return tuple(task for task in self.tasks.values() if task.stopped_at is None)

    @property
    def running(self) -> dict[int, str]:
        """The revision that runs, by instance."""
        return {
            task.instance_id or 0: task.daemon_revision or ""
            for task in self.live
            if task.last_status == "RUNNING" and task.desired_status == "RUNNING"
        }

    def snapshot(self) -> ManagedSnapshot:
        since = self.daemon.counted_until
        stopped = [t for t in self.tasks.values() if t.stopped_at is not None and t.stopped_at > since]
        return ManagedSnapshot(
            daemon=self.daemon,
            deployment=self.deployment,
            revisions=self.revisions,
            hosts=tuple(self.hosts.values()),
            live=self.live,
            stopped=tuple(sorted(stopped, key=lambda task: (task.stopped_at or since, task.id))),
        )

    def healthy(self) -> set[int]:
        """The instances with a healthy task."""
        return {task.instance_id or 0 for task in self.live if standing(task).is_healthy(self.now)}

    def step(self) -> ManagedPlan:
        snapshot = self.snapshot()
        plan = plan_managed(snapshot, self.now)
        self.steps.append((snapshot, plan))
        self.daemon, self.deployment = plan.daemon, plan.deployment
        self.impaired += len(plan.impaired)
        for stop in plan.stop:
            self.tasks[stop.task.id] = msgspec.structs.replace(
                stop.task, desired_status="STOPPED", stop_code="ServiceSchedulerInitiated"
            )
        ids = {one.uid: one.id for one in self.hosts.values()}
        for uid in plan.start_on:
            self._start(ids[uid])
        return plan

    def _start(self, instance_id: int) -> None:
        wanted = self.daemon.revision or ""
        checked = self.behaviour[wanted] == SICK
        number = len(self.tasks) + 1
        self.tasks[number] = Task(
            **IN_CLUSTER,
            id=number,
            cluster_id=1,
            uid=f"{number:032x}",
            task_definition_id=int(wanted),
            family="agent",
            revision=int(wanted),
            group=daemon_group("agent"),
            daemon_id=1,
            daemon_name="agent",
            daemon_revision=wanted,
            instance_id=instance_id,
            instance_uid=f"{instance_id:032x}",
            containers=(Container(name="agent", uid="c", image="app:1", has_health_check=checked),),
            created_at=self.now,
        )

    def stop(self, task: Task, code: str) -> None:
        """A task ends."""
        self.tasks[task.id] = msgspec.structs.replace(
            task, desired_status="STOPPED", last_status="STOPPED", stopped_at=self.now, stop_code=code
        )

    def live_on(self, seconds: float) -> None:
        """Time passes: tasks that stop are gone, those that start run, or do not."""
        self.now += timedelta(seconds=seconds)
        for task in self.live:
            told = self.hosts.get(task.instance_id or 0)
            if told is None or not told.connected:
                continue
            behaviour = self.behaviour[task.daemon_revision or ""]
            if task.desired_status == "STOPPED":
                self.stop(task, task.stop_code or "ServiceSchedulerInitiated")
            elif task.last_status == "PENDING" and behaviour == FAILS:
                self.stop(task, "TaskFailedToStart")
            elif task.last_status == "PENDING":
                sick = behaviour == SICK
                containers = tuple(
                    msgspec.structs.replace(c, health_status="UNHEALTHY" if sick else "UNKNOWN")
                    for c in task.containers
                )
                self.tasks[task.id] = msgspec.structs.replace(
                    task, last_status="RUNNING", started_at=self.now, containers=containers
                )

    def settle(self, rounds: int = 400) -> None:
        """Steps and time, until nothing changes any more."""
        for _ in range(rounds):
            plan, seen = self.step(), dict(self.tasks)
            self.live_on(max(((plan.wake_at or self.now) - self.now).total_seconds(), 1))
            acted = plan.stop or plan.start_on or self.tasks != seen  # and nobody has looked at that yet
            quiet = not acted and not self.deployment.is_open
            if quiet and plan.wake_at is None and all(t.last_status == "RUNNING" for t in self.live):
                return
