"""How a deployment with stages begins, and how it turns back. Pure."""

from __future__ import annotations

from datetime import datetime

import msgspec

from homeport.services.ecs.model import Deployment, Service, Staging
from homeport.services.ecs.plan.traffic import has_traffic


def begun(service: Service, now: datetime) -> Service:
    """The service with its new primary deployment staged as its strategy has it.

    Blue is the last deployment that completed: where an earlier rollout has replaced
    its tasks already, they come back first. A service that has none has no blue: what runs
    is left alone until green has taken over. What was in the middle of its stages is not any more.
    """
    primary, *older = service.deployments
    older = [msgspec.structs.replace(one, staging=None) for one in older]
    if not service.deployment_strategy.is_staged:
        return msgspec.structs.replace(service, deployments=(primary, *older))
    last = service.last_completed
    if last is not None and all(one.id != last.id for one in older):
        older.append(msgspec.structs.replace(last, status="ACTIVE", updated_at=now))
    blue = last.id if last is not None else ""
    mixed, shifts = len(older) > 1, has_traffic(primary)
    staging = Staging(
        strategy=service.deployment_strategy,
        blue=blue,
        green=primary.id,
        began=now,
        stage="RECONCILE_SERVICE" if mixed else "PRE_SCALE_UP",
        since=now,
        live=not shifts and not (mixed and blue),
        shifts=shifts,
    )
    fresh = [_uncounted(one, now) if one.id == blue else one for one in older]
    primary = msgspec.structs.replace(primary, staging=staging)
    return msgspec.structs.replace(service, deployments=(primary, *fresh))


def _uncounted(deployment: Deployment, now: datetime) -> Deployment:
    """Without the failures of its past."""
    return msgspec.structs.replace(
        deployment, counted_until=now, failed_tasks=0, failed_starts=0, short_lives=0, retry_at=None
    )


def turned_back(staging: Staging, now: datetime) -> Staging:
    """Everything goes back to blue: first the traffic that green has, then green goes."""
    stage, production, test = "CLEAN_UP", staging.production, staging.test
    if production or staging.holds or not staging.live:
        stage, production = "PRODUCTION_TRAFFIC_SHIFT", 0.0
    elif test:
        stage, test = "TEST_TRAFFIC_SHIFT", 0.0
    return msgspec.structs.replace(
        staging,
        stage=stage,
        since=now,
        step=0,
        production=production,
        test=test,
        live=stage == "CLEAN_UP" or not staging.shifts,
        hooked=False,
        hooks=(),
        rests_until=None,
        holds=False,
        returns=True,
    )
