"""What the bus is told of lifecycle hooks. Pure.

Source: developer guide, "Pause hooks for Amazon ECS service deployments" (the detail type and the event's
name; the detail's members are ours).
"""

from __future__ import annotations

from collections.abc import Iterator

from homeport.services.ecs.model import Service
from homeport.services.ecs.model.events import Happening

HOOK_STATE = "ECS Hook State Change"


def hook_happenings(before: Service | None, after: Service) -> Iterator[Happening]:
    """Hooks that somebody must decide since this version."""
    known = _awaiting(before) if before is not None else {}
    for hook_id, happening in _awaiting(after).items():
        if hook_id not in known:
            yield happening


def _awaiting(service: Service) -> dict[str, Happening]:
    staging = service.primary.staging if service.deployments else None
    if staging is None:
        return {}
    return {
        run.id: Happening(
            detail_type=HOOK_STATE,
            event_type="INFO",
            event_name="HOOK_AWAITING_ACTION",
            at=staging.since,
            members={
                "deploymentId": staging.green,
                "hookId": run.id,
                "lifecycleStage": staging.stage,
                "timeoutAction": run.hook.timeout_action,
            },
        )
        for run in staging.hooks
        if run.status == "AWAITING_ACTION"
    }
