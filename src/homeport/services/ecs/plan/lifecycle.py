"""A task's life as reports move it. Pure; everything that decides a task's state is here.

States only move forward. `desired` is the control plane's word, `last` the
agent's. Source: ECS developer guide, task lifecycle; the agent's reports come
late, twice, with one container twice in a list, and a RUNNING entry may
already carry an exit code.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any

import msgspec

from homeport.services.ecs.model import Container, Task
from homeport.services.ecs.plan.failures import ContainerReport, Stop, StopCode, stop_of
from homeport.services.ecs.plan.networks import attached, moved

ORDER = (
    "PROVISIONING",
    "PENDING",
    "ACTIVATING",
    "RUNNING",
    "DEACTIVATING",
    "STOPPING",
    "DEPROVISIONING",
    "STOPPED",
)
_RANK = {status: rank for rank, status in enumerate(ORDER)}
_CONTAINER_RANK = {"PENDING": 0, "RUNNING": 1, "STOPPED": 2}
REASON_MAX = 1024
LOST_REASON = "The machine that ran the task has begun anew."
SPOT_REASON = "Your Spot Task was interrupted."
SPOT_CODES = (StopCode.TERMINATION_NOTICE, StopCode.SPOT_INTERRUPTION)


def is_later(new: str, old: str) -> bool:
    """Whether `new` lies behind `old` in a task's life."""
    return _RANK.get(new, -1) > _RANK.get(old, -1)


def _applied(container: Container, entry: Mapping[str, Any]) -> Container:
    status = str(entry.get("status") or container.last_status)
    if _CONTAINER_RANK.get(status, 0) < _CONTAINER_RANK.get(container.last_status, 0):
        status = container.last_status
    changed: dict[str, Any] = {"last_status": status}
    if entry.get("status") == "RUNNING":
        changed["was_running"] = True
    for member, wire in (("runtime_id", "runtimeId"), ("image_digest", "imageDigest")):
        if entry.get(wire):
            changed[member] = entry[wire]
    if entry.get("exitCode") is not None and status == "STOPPED":
        changed["exit_code"] = entry["exitCode"]
    if entry.get("reason") and container.reason is None:
        changed["reason"] = str(entry["reason"])[:REASON_MAX]
    if entry.get("networkBindings"):
        changed["network_bindings"] = tuple(entry["networkBindings"])
    return msgspec.structs.replace(container, **changed)


def _containers(
    containers: tuple[Container, ...], entries: Iterable[Mapping[str, Any]]
) -> tuple[Container, ...]:
    by_name = {container.name: container for container in containers}
    for entry in entries:
        name = entry.get("containerName")
        if name in by_name:
            by_name[name] = _applied(by_name[name], entry)
    return tuple(by_name.values())


def apply_report(task: Task, report: Mapping[str, Any], now: datetime) -> Task:
    """The task after a SubmitTaskStateChange; equal to `task` when it says nothing new."""
    if task.last_status == "STOPPED":
        return task
    task = attached(task, report)
    changed: dict[str, Any] = {"containers": _containers(task.containers, report.get("containers") or ())}
    if task.connectivity_at is None:
        changed["connectivity_at"] = now
    for member, wire in (
        ("pull_started_at", "pullStartedAt"),
        ("pull_stopped_at", "pullStoppedAt"),
        ("execution_stopped_at", "executionStoppedAt"),
    ):
        if getattr(task, member) is None and report.get(wire) is not None:
            changed[member] = report[wire]
    status = report.get("status") or ("PENDING" if report.get("attachments") else None)
    if status and is_later(status, task.last_status):
        changed["last_status"] = status
        if status == "RUNNING":
            changed["started_at"] = now
    after = msgspec.structs.replace(task, **changed)
    if after.last_status == "STOPPED":
        after = _stopped(after, reason=str(report.get("reason") or ""), now=now)
    elif after.last_status == "RUNNING" and _essential_stopped(after):
        after = _doomed(after, now)
    return after


def noticed(task: Task, now: datetime) -> Task | None:
    """A task on Spot that is given notice; `None`: it ends already, for another reason.

    Source of code and reason: developer guide, "Stopped tasks error codes", and its Spot notices.
    """
    if task.desired_status == "STOPPED":
        return task if task.stop_code in SPOT_CODES else None
    return msgspec.structs.replace(
        task,
        desired_status="STOPPED",
        stop_code=StopCode.TERMINATION_NOTICE.value,
        stopped_reason=SPOT_REASON,
        stopping_at=now,
    )


def lost(task: Task, now: datetime) -> Task:
    """A task whose machine has forgotten it."""
    return msgspec.structs.replace(
        task,
        desired_status="STOPPED",
        last_status="STOPPED",
        stop_code=task.stop_code or StopCode.TERMINATION_NOTICE.value,
        stopped_reason=task.stopped_reason or LOST_REASON,
        stopping_at=task.stopping_at or now,
        stopped_at=now,
        containers=tuple(msgspec.structs.replace(c, last_status="STOPPED") for c in task.containers),
    )


def never_began(task: Task, reason: str, now: datetime) -> Task:
    """A task that was placed, and for which there was nothing to begin with."""
    return msgspec.structs.replace(
        task,
        desired_status="STOPPED",
        last_status="STOPPED",
        stop_code=StopCode.TASK_FAILED_TO_START.value,
        stopped_reason=reason[:REASON_MAX],
        stopping_at=now,
        stopped_at=now,
        containers=tuple(msgspec.structs.replace(c, last_status="STOPPED") for c in task.containers),
    )


def deprovisioned(task: Task) -> tuple[Task, Task]:
    """A task that has stopped, while its interface goes, and when it is gone."""
    going = msgspec.structs.replace(moved(task, "DETACHING"), last_status="DEPROVISIONING", stopped_at=None)
    return going, moved(task, "DELETED")


def _essential_stopped(task: Task) -> bool:
    return any(c.essential and c.last_status == "STOPPED" for c in task.containers)


def _doomed(task: Task, now: datetime) -> Task:
    """An essential container stopped: the rest will be stopped by the agent."""
    if task.desired_status == "STOPPED":
        return task
    stop = _stop_of(task, reason="")
    return msgspec.structs.replace(
        task,
        desired_status="STOPPED",
        stop_code=stop.code.value,
        stopped_reason=stop.reason,
        stopping_at=now,
        execution_stopped_at=task.execution_stopped_at or now,
    )


def _stop_of(task: Task, *, reason: str) -> Stop:
    """Why a task that nobody asked to stop has stopped."""
    return stop_of(
        initiated=None,
        task_reason=reason,
        containers=[
            ContainerReport(
                name=c.name,
                essential=c.essential,
                was_running=c.was_running,
                exit_code=c.exit_code,
                reason=c.reason or "",
                runtime_id=c.runtime_id,
            )
            for c in task.containers
        ],
    )


def _stopped(task: Task, *, reason: str, now: datetime) -> Task:
    changed: dict[str, Any] = {
        "desired_status": "STOPPED",
        "stopped_at": now,
        "stopping_at": task.stopping_at or now,
        "containers": tuple(msgspec.structs.replace(c, last_status="STOPPED") for c in task.containers),
    }
    if task.started_at is not None and task.execution_stopped_at is None:
        changed["execution_stopped_at"] = now
    if task.stop_code == StopCode.TERMINATION_NOTICE:
        changed["stop_code"] = StopCode.SPOT_INTERRUPTION.value
    if task.stop_code is None:
        stop = _stop_of(task, reason=reason)
        changed["stop_code"], changed["stopped_reason"] = stop.code.value, stop.reason
    return msgspec.structs.replace(task, **changed)


def apply_container_report(task: Task, report: Mapping[str, Any], now: datetime) -> Task:
    """The task after a SubmitContainerStateChange, which no agent of today sends."""
    if task.last_status == "STOPPED":
        return task
    after = msgspec.structs.replace(task, containers=_containers(task.containers, (report,)))
    return _doomed(after, now) if _essential_stopped(after) else after


def apply_health(task: Task, health: Mapping[str, str]) -> Task:
    """The task with its containers' health, by container name; it comes over telemetry only."""
    if task.last_status == "STOPPED":
        return task
    containers = tuple(
        msgspec.structs.replace(c, health_status=health.get(c.name, c.health_status)) for c in task.containers
    )
    return task if containers == task.containers else msgspec.structs.replace(task, containers=containers)
