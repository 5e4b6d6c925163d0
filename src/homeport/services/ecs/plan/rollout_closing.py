"""What a step ends with, for REPLICA and DAEMON services alike: completed, steady, or on its way. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

import msgspec

from homeport.services.ecs.model import Service
from homeport.services.ecs.plan.alarms import baked
from homeport.services.ecs.plan.rollout_early import completes_early, waits_for_success
from homeport.services.ecs.plan.rollout_endings import complete_deployment
from homeport.services.ecs.plan.rollout_types import STEADY_TOLD, STEADY_TOLD_EVERY

STUCK_TOLD = (
    "was unable to stop or start tasks during a deployment because of the service deployment configuration. "
    "Update the minimumHealthyPercent or maximumPercent value and try again."
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Closing:
    """The service as the step leaves it. `is_settled`: there is nothing to do, and nothing to wait for."""

    service: Service
    is_settled: bool
    events: tuple[str, ...] = ()
    wakes: tuple[datetime, ...] = ()
    waits: tuple[str, ...] = ()


def closing(service: Service, now: datetime, *, settled: bool, healthy: int, sources: int) -> Closing:
    """Complete the deployment when it has settled, or early, and has baked; tell of a steady state.

    `settled`: exactly what should run does. `healthy` and `sources` as for `completes_early`.
    """
    name, primary = f"(service {service.name})", service.primary
    events: tuple[str, ...] = ()
    wakes: tuple[datetime, ...] = ()
    waits: tuple[str, ...] = ()
    is_complete = settled and primary.rollout_state == "IN_PROGRESS"
    if is_complete or completes_early(service, healthy=healthy, sources=sources):
        service, is_baked, wake_at, waits = baked(service, now)
        wakes = (wake_at,) if wake_at is not None else ()
        if is_baked:
            service, waits, wakes = complete_deployment(service, now), (), ()
            events = (f"{name} (deployment {primary.id}) deployment completed.",)
        else:
            settled = False
    if settled and primary.rollout_state != "FAILED":
        told = service.steady_at
        if told is None or told + STEADY_TOLD_EVERY <= now:
            service = msgspec.structs.replace(service, steady_at=now)
            events += (f"{name} {STEADY_TOLD}",)
    elif service.steady_at is not None:
        service = msgspec.structs.replace(service, steady_at=None)
    waits += waits_for_success(service, healthy=healthy, sources=sources)
    return Closing(service=service, is_settled=settled, events=events, wakes=wakes, waits=waits)
