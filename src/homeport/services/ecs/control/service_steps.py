"""What carrying out a step has in common, whatever kind of service it is a step of."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime

import msgspec

from homeport.core.ids import Ids, uuid
from homeport.services.ecs.model import Service, ServiceEvent, Task
from homeport.services.ecs.plan.account_settings import SETTINGS
from homeport.services.ecs.plan.fargate_room import UNAVAILABLE
from homeport.services.ecs.plan.placing import TROUBLESHOOTING
from homeport.services.ecs.plan.rollout import STEADY_TOLD_EVERY, TaskStop
from homeport.services.ecs.plan.rollout_health import TargetHealth
from homeport.services.ecs.plan.target_health import target_health
from homeport.services.ecs.ports import PlacementOutcome, Share
from homeport.services.ecs.repo.capacity_providers import CapacityProviderRepo
from homeport.services.ecs.repo.settings import SettingRepo
from homeport.services.ecs.repo.targets import TargetRepo
from homeport.store.tx import Tx

START_MAX = 100
"""So many tasks are placed together."""
TASKS_NAMED_MAX = 100
"""So many tasks one event names."""
SERVICE_EVENTS_MAX = 100
_STEADY = re.compile(r"steady state\.$|state to STEADY_STATE\.$")
_STATES = re.compile(rf" unable to | operations are being throttled|{_STEADY.pattern}")
"""Messages about something that lasts: it is told when it begins, not each time it is met."""


def with_events(service: Service, messages: Iterable[str], *, ids: Ids, now: datetime) -> Service:
    """The service with the messages on top, without those that only repeat what was told."""
    events = list(service.events)
    since = service.primary.created_at if service.deployments else service.created_at
    recent = [one for one in events if one.created_at >= since and one.created_at > now - STEADY_TOLD_EVERY]
    for message in messages:
        told = _STATES.search(message) and _is_told(recent, message)
        if not told:
            event = ServiceEvent(id=uuid(ids), created_at=now, message=message)
            events.insert(0, event)
            recent.insert(0, event)
    return msgspec.structs.replace(service, events=tuple(events[:SERVICE_EVENTS_MAX]))


def _is_told(events: Sequence[ServiceEvent], message: str) -> bool:
    """Whether what lasts was told and has not changed since: what is in the way ends with a steady state.

    Duplicates are left out for six hours or until their cause is gone; a new deployment is a new cause.
    A steady state is news after anything else.
    """
    subject = message.partition(")")[0]
    if _STEADY.search(message):
        events = [event for event in events if event.message.startswith(subject)][:1]
    for event in events:
        if event.message == message:
            return True
        if event.message.startswith(subject) and _STEADY.search(event.message):
            return False
    return False


def told_stops(subject: str, stops: Sequence[TaskStop]) -> Iterable[str]:
    """What is stopped, as a service's events tell it. `subject`: `(service NAME)`."""
    for zone in sorted({stop.zone for stop in stops if stop.zone is not None}):
        gone = [stop.task for stop in stops if stop.zone == zone]
        names = " ".join(f"(task {task.uid})" for task in gone)
        yield f"{subject} has stopped {len(gone)} running tasks in {zone} due to AZ rebalancing: {names}."
    stops = [stop for stop in stops if stop.zone is None]
    running = [stop.task for stop in stops if stop.task.last_status == "RUNNING"]
    pending = len(stops) - len(running)
    if pending:
        yield f"{subject} stopped {pending} pending tasks."
    for first in range(0, len(running), TASKS_NAMED_MAX):
        named = running[first : first + TASKS_NAMED_MAX]
        names = " ".join(f"(task {task.uid})" for task in named)
        yield f"{subject} has stopped {len(named)} running tasks: {names}."


def told_starts(subject: str, outcome: PlacementOutcome, count: int, *, replaces: int) -> Iterable[str]:
    """What became of `count` starts."""
    if outcome.tasks:
        names = " ".join(f"(task {task.uid})" for task in outcome.tasks)
        started = f"{subject} has started {len(outcome.tasks)} tasks: {names}."
        if replaced := min(replaces, len(outcome.tasks)):
            started += f" Amazon ECS replaced {replaced} tasks due to an unhealthy status."
        yield started
    if outcome.empty_providers:
        yield (
            f"{subject} was unable to reach steady state. Reason: No Container Instances were found in your "
            "capacity provider."
        )
    if outcome.unassumable:
        yield f"{subject} failed to launch a task with (error {outcome.unassumable})."
    if outcome.capacity:
        yield f"{subject} was unable to place a task. Reason: {UNAVAILABLE} {TROUBLESHOOTING}"
    if len(outcome.tasks) < count and outcome.explanation:
        yield (
            f"{subject} was unable to place a task because no container instance "
            f"met all of its requirements. Reason: {outcome.explanation}"
        )


def told_moves(
    service: Service, outcome: PlacementOutcome, zones: Sequence[str], begins: str
) -> tuple[Service, tuple[str, ...]]:
    """What became of starts that rebalance: the service as it stands then, and what is told of them."""
    name, under_way = f"(service {service.name})", service.rebalancing
    if outcome.tasks:
        told = [begins] if begins else []
        for zone in sorted({task.availability_zone or "" for task in outcome.tasks}):
            here = [task for task in outcome.tasks if (task.availability_zone or "") == zone]
            names = " ".join(f"(task {task.uid})" for task in here)
            told.append(f"{name} has started {len(here)} tasks in {zone} to AZ Rebalance: {names}.")
        if under_way is not None:
            under_way = msgspec.structs.replace(under_way, blocked=False)
        return msgspec.structs.replace(service, rebalancing=under_way), tuple(told)
    if under_way is None or under_way.blocked:
        return service, ()
    blocked = msgspec.structs.replace(under_way, blocked=True)
    return msgspec.structs.replace(service, rebalancing=blocked), (
        f"{name} is unable to place a task in {zones[0]} because no container instance met all of its "
        "requirements.",
        f"{name} stopped AZ Rebalancing.",
    )


def stopping(stop: TaskStop, now: datetime) -> Task:
    """The task with the stop asked for."""
    return msgspec.structs.replace(
        stop.task,
        desired_status="STOPPED",
        stop_code="ServiceSchedulerInitiated",
        stopped_reason=stop.reason,
        stopping_at=now,
    )


def groups_of(tx: Tx, service: Service, providers: Iterable[str]) -> Mapping[str, str]:
    """The Auto Scaling groups of the capacity providers, by their names."""
    return CapacityProviderRepo(tx).groups(service.account_id, service.region, dict.fromkeys(providers))


def still_due(due: Counter[str], parts: Sequence[Share], outcome: PlacementOutcome) -> Counter[str]:
    """What is left to start in which capacity provider: nothing where there was no room for all."""
    placed = Counter(task.capacity_provider for task in outcome.tasks)
    left = Counter(due)
    for part in parts:
        left[part.provider] -= part.count
        if placed[part.provider] < part.count:
            del left[part.provider]
    return +left


def log_mode(tx: Tx, service: Service) -> str:
    """The delivery mode of log drivers that is in force for a service's tasks."""
    root = f"arn:aws:iam::{service.account_id}:root"
    explicit = SettingRepo(tx, service.account_id, service.region).explicit((root,))
    return explicit.get((root, "defaultLogDriverMode")) or SETTINGS["defaultLogDriverMode"].default


def counted_until(service: Service) -> datetime:
    """From when on stops of its tasks are still to be counted; while there are stages, of two deployments."""
    if service.primary.staging is None:
        return service.primary.counted_until
    return min(deployment.counted_until for deployment in service.deployments)


def target_facts(tx: Tx, service: Service, live: Sequence[Task]) -> Mapping[int, TargetHealth]:
    """What load balancers last said of a service's tasks."""
    return target_health(live, TargetRepo(tx).of_service(service.id)) if service.has_targets else {}
