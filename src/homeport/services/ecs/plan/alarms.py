"""What alarms do to a deployment: they fail it, and it bakes under them before it completes. Pure.

Source: developer guide, "How CloudWatch alarms detect Amazon ECS deployment failures". ECS computes the bake
time from the alarms; here it is the longest that one of them takes to change, a minute at least [our choice].
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta

import msgspec

from homeport.services.ecs.model import AlarmWatch, Service
from homeport.services.ecs.plan.rollout_endings import FailureTexts, with_primary
from homeport.services.ecs.ports import AlarmState

BAKE_LEAST_SECONDS = 60.0
ALARM = FailureTexts(
    reason="ECS deployment alarm detected.",
    event="alarm detected.",
    rolling_back="ECS deployment alarm detected: rolling back to deploymentId {id}.",
)


def is_watched(service: Service) -> bool:
    """Whether alarms have a say in what goes on."""
    return (
        service.alarms.enable
        and service.status == "ACTIVE"
        and bool(service.deployments)
        and service.primary.rollout_state == "IN_PROGRESS"
    )


def next_watch(watch: AlarmWatch | None, states: Mapping[str, AlarmState]) -> AlarmWatch:
    """The watch after a look; the first one finds those that have no say, being in ALARM already."""
    ringing = {name for name, state in states.items() if state.in_alarm}
    window = max((state.window_seconds for state in states.values()), default=0.0)
    seconds = max(window, BAKE_LEAST_SECONDS)
    if watch is None or not watch.has_looked:
        return AlarmWatch(ignored=tuple(sorted(ringing)), bake_seconds=seconds, has_looked=True)
    triggered = {*watch.triggered, *(ringing - set(watch.ignored))}
    return msgspec.structs.replace(
        watch, triggered=tuple(sorted(triggered)), bake_seconds=seconds, problem=""
    )


def unanswered(watch: AlarmWatch | None, problem: str) -> AlarmWatch:
    """The watch after a look that failed."""
    return msgspec.structs.replace(watch or AlarmWatch(), problem=problem)


def is_alarmed(service: Service) -> bool:
    """Whether an alarm has failed the primary deployment."""
    watch = service.primary.alarm_watch
    return is_watched(service) and watch is not None and bool(watch.triggered)


def baked(service: Service, now: datetime) -> tuple[Service, bool, datetime | None, tuple[str, ...]]:
    """The service whose deployment has nothing left to do but to bake, and whether that is over.

    With it when it will be, and what is waited for until then.
    """
    if not is_watched(service):
        return service, True, None, ()
    primary = service.primary
    watch = primary.alarm_watch
    if watch is None or not watch.has_looked or watch.problem:
        why = f": {watch.problem}" if watch is not None and watch.problem else ""
        return service, False, None, (f"the states of its alarms are not known{why}",)
    if primary.baking_since is None:
        primary = msgspec.structs.replace(primary, baking_since=now)
    ends = (primary.baking_since or now) + timedelta(seconds=watch.bake_seconds)
    names = ", ".join(service.alarms.names)
    told = f"it bakes until {ends.isoformat()} under the alarms {names}"
    return with_primary(service, primary), ends <= now, ends, (told,)
