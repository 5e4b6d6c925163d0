"""What happened, from what a noun was and what it is. Pure; `view.events` makes documents of it.

Sources: developer guide, "Amazon ECS service action events" and "Amazon ECS service deployment state change
events" (names and types). A service's own event log is what its actions are read from, so the bus and
DescribeServices tell the same.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import replace
from datetime import datetime
from typing import Any

import msgspec

from homeport.services.ecs.model import Deployment, Service, ServiceEvent, Task
from homeport.services.ecs.model.events import Happening
from homeport.services.ecs.plan.daemon import VIOLATION_TOLD
from homeport.services.ecs.plan.placement_types import Reason, clause_reason
from homeport.services.ecs.plan.strategy_events import hook_happenings

SERVICE_ACTION = "ECS Service Action"
DEPLOYMENT_STATE = "ECS Deployment State Change"
PROTECTED = "TASKSET_SCALE_IN_FAILURE_BY_TASK_PROTECTION"

_UNLAUNCHED = re.compile(r"failed to launch a task with \(error (.*)\)\.$")
_ACTIONS = (
    (re.compile(r"updated state to STEADY_STATE\.$"), "INFO", "TASKSET_STEADY_STATE"),
    (re.compile(r"has reached a steady state\.$"), "INFO", "SERVICE_STEADY_STATE"),
    (re.compile(r" is not AZ balanced with "), "INFO", "SERVICE_REBALANCING_STARTED"),
    (re.compile(r" is AZ balanced with "), "INFO", "SERVICE_REBALANCING_COMPLETED"),
    (re.compile(r" stopped AZ Rebalancing\.$"), "INFO", "SERVICE_REBALANCING_STOPPED"),
    (re.compile(r"has started \d+ tasks(: | in \S+ to AZ Rebalance: )"), "INFO", "TASKS_STARTED"),
    (
        re.compile(r"has stopped \d+ running tasks(: | in \S+ due to AZ)| stopped \d+ pending tasks\.$"),
        "INFO",
        "TASKS_STOPPED",
    ),
    (re.compile(r"is unable to consistently start tasks"), "WARN", "SERVICE_TASK_START_IMPAIRED"),
    (re.compile(r" unable to scale in due to \(reason \d+ tasks under protection\)"), "INFO", PROTECTED),
    (
        re.compile(r"(was|is) unable to place a task|was unable to reach steady state\. Reason: "),
        "ERROR",
        "SERVICE_TASK_PLACEMENT_FAILURE",
    ),
    (_UNLAUNCHED, "ERROR", "SERVICE_TASK_CONFIGURATION_FAILURE"),
    (re.compile(VIOLATION_TOLD), "ERROR", "SERVICE_DAEMON_PLACEMENT_CONSTRAINT_VIOLATED"),
    (re.compile(r"operations are being throttled"), "ERROR", "ECS_OPERATION_THROTTLED"),
)
_FAILED = re.compile(r"\(deployment (\S+)\) deployment failed: (.*)$")
_CLOSEST = re.compile(r"\(container-instance ([0-9a-f]{32})\) (.*?)\. For more")
_INSTANCE = re.compile(r"\(container-instance ([0-9a-f]{32})\)")
_STATES = {
    "IN_PROGRESS": ("INFO", "SERVICE_DEPLOYMENT_IN_PROGRESS"),
    "COMPLETED": ("INFO", "SERVICE_DEPLOYMENT_COMPLETED"),
    "FAILED": ("ERROR", "SERVICE_DEPLOYMENT_FAILED"),
}


def service_happenings(before: Service | None, after: Service) -> tuple[Happening, ...]:
    """What happened between two versions of a service, in order."""
    known = {event.id for event in before.events} if before is not None else set()
    news = [event for event in reversed(after.events) if event.id not in known]
    failed, others = [], []
    for event in news:
        found = _FAILED.search(event.message)
        if found is not None:
            failed.append(_failure(found[1], found[2], event, after))
        elif (told := _action(event, after)) is not None:
            others += [told, *_steady_providers(told, after)]
    return (*failed, *_moved(before, after), *others, *hook_happenings(before, after))


def _failure(deployment_id: str, why: str, event: ServiceEvent, after: Service) -> Happening:
    """A deployment that failed: the service may have forgotten it already."""
    standing = [d for d in after.deployments if d.id == deployment_id and d.rollout_state == "FAILED"]
    reason = standing[0].rollout_state_reason if standing else f"deployment failed: {why}"
    return _deployment(deployment_id, "FAILED", reason, event.created_at)


def _deployment(deployment_id: str, state: str, reason: str, at: datetime) -> Happening:
    kind, name = _STATES[state]
    return Happening(
        detail_type=DEPLOYMENT_STATE,
        event_type=kind,
        event_name=name,
        at=at,
        members={"deploymentId": deployment_id, "reason": reason},
    )


def _moved(before: Service | None, after: Service) -> Iterator[Happening]:
    """Deployments that began, began again (a rollback), or completed."""
    was: dict[str, Deployment] = {d.id: d for d in before.deployments} if before is not None else {}
    for one in reversed(after.deployments):
        old = was.get(one.id)
        if one.rollout_state in ("IN_PROGRESS", "COMPLETED") and (
            old is None or old.rollout_state != one.rollout_state
        ):
            yield _deployment(one.id, one.rollout_state, one.rollout_state_reason, one.updated_at)


def _action(event: ServiceEvent, service: Service) -> Happening | None:
    for pattern, kind, name in _ACTIONS:
        if pattern.search(event.message):
            return Happening(
                detail_type=SERVICE_ACTION,
                event_type=kind,
                event_name=name,
                at=event.created_at,
                members=_members(name, event, service),
            )
    return None


def _steady_providers(told: Happening, service: Service) -> Iterator[Happening]:
    """When a service is steady, so is what it uses of each of its capacity providers."""
    if told.event_name != "SERVICE_STEADY_STATE" or not service.deployments:
        return
    head = f"arn:aws:ecs:{service.region}:{service.account_id}:capacity-provider"
    for item in service.primary.strategy:
        yield replace(
            told,
            event_name="CAPACITY_PROVIDER_STEADY_STATE",
            members={"capacityProviderArns": [f"{head}/{item['capacityProvider']}"]},
        )


def _members(name: str, event: ServiceEvent, service: Service) -> dict[str, Any]:
    """A refused placement names its closest instance and the resource that was short.

    A daemon's task that had to go names the instance that it left; a launch that failed its error.
    """
    if (unlaunched := _UNLAUNCHED.search(event.message)) is not None:
        return {"reason": unlaunched[1]}
    head = f"arn:aws:ecs:{service.region}:{service.account_id}:container-instance/{service.cluster_name}"
    if name == "SERVICE_DAEMON_PLACEMENT_CONSTRAINT_VIOLATED":
        return {"containerInstanceArns": [f"{head}/{uid}" for uid in _INSTANCE.findall(event.message)]}
    if name != "SERVICE_TASK_PLACEMENT_FAILURE":
        return {}
    closest = _CLOSEST.search(event.message)
    if closest is None:
        return {"reason": event.message.partition("Reason: ")[2] or event.message}
    reason: Reason | None = clause_reason(closest[2])
    return {
        "containerInstanceArns": [f"{head}/{closest[1]}"],
        "reason": closest[2] if reason is None else str(reason),
    }


def as_born(task: Task) -> Task:
    """A task as it was when it was placed: what its life has changed since is taken back."""
    return msgspec.structs.replace(
        task,
        version=1,
        desired_status="RUNNING",
        last_status="PENDING" if task.interface is None else "PROVISIONING",
        interface=None
        if task.interface is None
        else msgspec.structs.replace(task.interface, status="ATTACHING"),
        containers=tuple(
            msgspec.structs.replace(
                container,
                last_status="PENDING",
                runtime_id=None,
                image_digest=None,
                exit_code=None,
                reason=None,
                network_bindings=(),
                health_status="UNKNOWN",
                was_running=False,
            )
            for container in task.containers
        ),
        connectivity_at=None,
        pull_started_at=None,
        pull_stopped_at=None,
        started_at=None,
        stopping_at=None,
        execution_stopped_at=None,
        stopped_at=None,
        stop_code=None,
        stopped_reason=None,
        protection=None,
    )
