"""How a deployment ends, well or badly: in words, and in what the service does then. Pure.

Source: developer guide, "Amazon ECS deployment circuit breaker", "Stopping Amazon ECS service deployments".
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

import msgspec

from homeport.services.ecs.model import Deployment, Service, Task
from homeport.services.ecs.plan.strategy_begin import turned_back


@dataclass(frozen=True, slots=True, kw_only=True)
class FailureTexts:
    """How a way of failing is told: in the deployment's reason, in the event, in the rollback's reason."""

    reason: str
    event: str
    rolling_back: str


BREAKER = FailureTexts(
    reason="ECS deployment circuit breaker: task failed to start.",
    event="tasks failed to start.",
    rolling_back="ECS deployment circuit breaker: rolling back to deploymentId {id}.",
)


STOPPED_ROLLING_BACK = FailureTexts(
    reason="Service deployment was stopped by the user.",
    event="stopped by the user.",
    rolling_back="Service deployment stopped by the user: rolling back to deploymentId {id}.",
)
CONTINUED_BACK = FailureTexts(
    reason="Service deployment was rolled back by the user at a lifecycle hook.",
    event="rolled back by the user.",
    rolling_back="Service deployment rolled back by the user: rolling back to deploymentId {id}.",
)
STOPPED_FOR_GOOD = FailureTexts(
    reason="Service deployment was stopped by the user.",
    event="stopped by the user.",
    rolling_back="",
)


def fail_deployment(
    service: Service, now: datetime, *, texts: FailureTexts, roll_back: bool
) -> tuple[Service, Deployment, tuple[str, ...]]:
    """The service with its primary FAILED; if it rolls back, with the last completed one in its place.

    With it the failed deployment, and the events.
    """
    failed = msgspec.structs.replace(
        service.primary, rollout_state="FAILED", rollout_state_reason=texts.reason, updated_at=now
    )
    events = (f"(service {service.name}) (deployment {failed.id}) deployment failed: {texts.event}",)
    target = service.last_completed
    if not roll_back or target is None or target.id == failed.id:
        return with_primary(service, failed), failed, events
    again = msgspec.structs.replace(
        target,
        status="PRIMARY",
        rollout_state="IN_PROGRESS",
        rollout_state_reason=texts.rolling_back.format(id=target.id),
        updated_at=now,
        failed_tasks=0,
        failed_starts=0,
        short_lives=0,
        counted_until=now,
        retry_at=None,
        alarm_watch=None,
        baking_since=None,
    )
    if failed.staging is not None:
        again = msgspec.structs.replace(again, staging=turned_back(failed.staging, now))
    others = tuple(old for old in service.deployments[1:] if old.id != target.id)
    failed = msgspec.structs.replace(failed, status="ACTIVE", staging=None)
    service = msgspec.structs.replace(service, deployments=(again, failed, *others))
    return service, failed, (*events, f"(service {service.name}) rolling back to deployment {target.id}.")


def with_primary(service: Service, primary: Deployment) -> Service:
    """The service with another state of its newest deployment."""
    if primary == service.primary:
        return service
    return msgspec.structs.replace(service, deployments=(primary, *service.deployments[1:]))


def complete_deployment(service: Service, now: datetime) -> Service:
    """The service with its primary COMPLETED: what a failed one rolls back to from now on."""
    primary = msgspec.structs.replace(
        service.primary,
        rollout_state="COMPLETED",
        rollout_state_reason=f"ECS deployment {service.primary.id} completed.",
        updated_at=now,
    )
    return msgspec.structs.replace(with_primary(service, primary), last_completed=primary)


def without_past(service: Service, live: Iterable[Task]) -> Service:
    """The service without deployments that have neither tasks nor a say any more."""
    kept = {task.started_by for task in live}
    if (staging := service.primary.staging) is not None:
        kept |= {staging.blue, staging.green}
    older = tuple(old for old in service.deployments[1:] if old.id in kept)
    return msgspec.structs.replace(service, deployments=(service.primary, *older))
