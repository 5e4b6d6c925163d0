"""Why a task is where it is, in sentences and numbers. Pure; the words for services are in `explain_service`.

What is told comes from the values that the planners decide with, never from a second opinion.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from homeport.services.ecs.model import Container, ContainerInstance, Task
from homeport.services.ecs.plan.explain_room import InstanceVerdict, Say
from homeport.services.ecs.plan.remedies import container_remedy, stop_remedy

PULL_SLOW_SECONDS = 60


class ContainerWord(Say, frozen=True, kw_only=True):
    """A container of a task, as far as it explains something."""

    name: str
    essential: bool
    last_status: str
    health_status: str = "UNKNOWN"
    exit_code: int | None = None
    reason: str = ""
    remedy: str = ""


class Explanation(Say, frozen=True, kw_only=True):
    """Why. `verdict` in one sentence, `because` what it rests on, `remedies` what to do.

    `numbers` are those that were decided with; `instances` how placement sees each one.
    """

    arn: str
    kind: str
    status: str
    verdict: str
    because: tuple[str, ...] = ()
    remedies: tuple[str, ...] = ()
    numbers: Mapping[str, Any] = {}
    containers: tuple[ContainerWord, ...] = ()
    instances: tuple[InstanceVerdict, ...] = ()


def seconds_since(at: datetime, now: datetime) -> int:
    """Whole seconds, never negative."""
    return max(int((now - at).total_seconds()), 0)


def explain_task(task: Task, instance: ContainerInstance | None, now: datetime) -> Explanation:
    """Why a task is not running, has stopped, or is unhealthy."""
    if task.last_status == "STOPPED":
        verdict, because, remedies = _stopped(task)
    elif task.desired_status == "STOPPED":
        verdict, because, remedies = _stopping(task, instance, now)
    elif task.last_status == "RUNNING":
        verdict, because, remedies = _running(task, instance, now)
    else:
        verdict, because, remedies = _pending(task, instance, now)
    return Explanation(
        arn=task.arn,
        kind="task",
        status=task.last_status,
        verdict=verdict,
        because=tuple(because),
        remedies=tuple(dict.fromkeys(filter(None, remedies))),
        numbers={"version": task.version, "cpu": task.demand.cpu, "memoryMiB": task.demand.memory},
        containers=tuple(_word(container) for container in task.containers),
    )


def _word(container: Container) -> ContainerWord:
    return ContainerWord(
        name=container.name,
        essential=container.essential,
        last_status=container.last_status,
        health_status=container.health_status,
        exit_code=container.exit_code,
        reason=container.reason or "",
        remedy=container_remedy(container.exit_code, container.reason or "", container.health_status),
    )


Told = tuple[str, Sequence[str], Sequence[str]]


def culprit(task: Task) -> Container | None:
    """The container that a stopped task ended by: one with an error, an essential one first."""
    guilty = [c for c in task.containers if c.reason or c.exit_code]
    return min(guilty, key=lambda c: (not c.essential, c.reason is None), default=None)


def _stopped(task: Task) -> Told:
    guilty = culprit(task)
    because = [f"stopCode {task.stop_code}: {task.stopped_reason}"]
    if guilty is not None:
        code = "" if guilty.exit_code is None else f" exited with code {guilty.exit_code}"
        because.append(f"container {guilty.name}{code}" + (f": {guilty.reason}" if guilty.reason else ""))
    if task.started_at is None:
        because.append("it never reached RUNNING")
    elif task.stopped_at is not None:
        because.append(f"it ran for {seconds_since(task.started_at, task.stopped_at)} s")
    remedies = [stop_remedy(task.stop_code or "", task.stopped_reason or "")]
    remedies += [
        container_remedy(c.exit_code, c.reason or "", c.health_status)
        for c in ((guilty,) if guilty is not None else ())
        if task.stop_code in ("TaskFailedToStart", "EssentialContainerExited")
    ]
    verdict = f"It has stopped: {task.stopped_reason or task.stop_code}"
    return verdict, because, remedies


def _stopping(task: Task, instance: ContainerInstance | None, now: datetime) -> Told:
    because = [f"stopCode {task.stop_code}: {task.stopped_reason}"]
    if task.stopping_at is not None:
        because.append(f"asked to stop {seconds_since(task.stopping_at, now)} s ago")
    if task.is_held:
        places = {place.target_group for place in task.target_places} | {one.arn for one in task.registries}
        told = (
            "What is registered where it listens, for it or for a task before it, is deregistered from its "
            "load balancers and service registries first: its agent stops it once that has drained."
        )
        return told, [*because, f"it belongs to {', '.join(sorted(places))}"], ()
    away = _away(instance)
    if away:
        return "It should stop, but its agent cannot be told.", [*because, away], [_AGENT_REMEDY]
    return "It is being stopped: its containers have their stopTimeout to end.", because, ()


_AGENT_REMEDY = "Start the agent of that instance again; it takes up what is due by itself."


def _away(instance: ContainerInstance | None) -> str:
    if instance is None:
        return ""
    if instance.status == "INACTIVE":
        return f"container instance {instance.uid} is not registered any more"
    return "" if instance.agent_connected else f"the agent of container instance {instance.uid} is away"


def _running(task: Task, instance: ContainerInstance | None, now: datetime) -> Told:
    away = _away(instance)
    because = [] if task.started_at is None else [f"running for {seconds_since(task.started_at, now)} s"]
    checked = [c for c in task.containers if c.essential and c.has_health_check]
    sick = [c for c in checked if c.health_status == "UNHEALTHY"]
    unknown = [c for c in checked if c.health_status == "UNKNOWN"]
    because += [f"container {c.name} is {c.health_status}" for c in checked]
    if away:
        return "It runs, as far as is known: its agent is away.", [*because, away], [_AGENT_REMEDY]
    if sick:
        names = ", ".join(c.name for c in sick)
        remedies = [container_remedy(None, "", "UNHEALTHY")]
        return f"It runs but is unhealthy: the health check of {names} fails.", because, remedies
    if unknown:
        return "It runs; its health check has not answered yet.", because, ()
    return "It runs.", because, ()


def _pending(task: Task, instance: ContainerInstance | None, now: datetime) -> Told:
    waited = seconds_since(task.created_at, now)
    because = [f"created {waited} s ago"]
    if instance is None:
        return "It has no container instance yet.", because, ()
    because.append(f"placed on container instance {instance.uid} ({instance.status})")
    if away := _away(instance):
        return "It waits for the agent of its instance.", [*because, away], [_AGENT_REMEDY]
    if task.pull_started_at is not None and task.pull_stopped_at is None:
        pulling = seconds_since(task.pull_started_at, now)
        slow = "Look at the instance's network and registry: `docker pull IMAGE` there shows the speed."
        images = ", ".join(sorted({c.image for c in task.containers}))
        because.append(f"images: {images}")
        remedies = [slow] if pulling >= PULL_SLOW_SECONDS else []
        return f"It pulls its images, for {pulling} s now.", because, remedies
    if task.pull_stopped_at is not None:
        waiting = [c.name for c in task.containers if c.last_status != "RUNNING"]
        because.append(f"the images are there; not running yet: {', '.join(waiting)}")
        return "Its containers are being started.", because, ()
    because.append("the agent is connected and has not reported about it yet")
    return "Its agent has been told to start it.", because, ()
