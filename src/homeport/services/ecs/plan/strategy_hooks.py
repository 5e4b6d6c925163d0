"""Hooks of a stage: opening them, what becomes of them in time, and what their functions are told. Pure.

Source: developer guide, "Lifecycle hooks for Amazon ECS service deployments", "Pause hooks", "Lambda hooks".
"""

from __future__ import annotations

import base64
import hashlib
from datetime import datetime, timedelta
from typing import Any

import msgspec

from homeport.services.ecs.model import Deployment, HookAnswer, HookRun, Service, Staging

WITH_WEIGHTS = ("TEST_TRAFFIC_SHIFT", "PRODUCTION_TRAFFIC_SHIFT")


def opened(staging: Staging, deployment: Deployment, now: datetime) -> Staging:
    """The staging with the hooks of its stage begun; on the way back pauses are left out."""
    runs = tuple(
        _run(staging, deployment, index, now)
        for index, hook in enumerate(staging.strategy.hooks)
        if staging.stage in hook.stages and not (staging.returns and hook.target_type == "PAUSE")
    )
    return msgspec.structs.replace(staging, hooked=True, hooks=runs)


def _run(staging: Staging, deployment: Deployment, index: int, now: datetime) -> HookRun:
    hook = staging.strategy.hooks[index]
    is_pause = hook.target_type == "PAUSE"
    subject = (
        f"{deployment.revision}/{staging.green}/{staging.stage}/{staging.step}/{index}/{staging.returns}"
    )
    name = base64.urlsafe_b64encode(hashlib.sha256(subject.encode()).digest()).decode().rstrip("=")
    return HookRun(
        id=f"ecs-{'pause' if is_pause else 'lambda'}-{name}",
        hook=hook,
        status="AWAITING_ACTION" if is_pause else "IN_PROGRESS",
        expires_at=now + timedelta(minutes=hook.timeout_minutes),
        call_at=None if is_pause else now,
        details=hook.details,
    )


def timed_out(staging: Staging, now: datetime) -> Staging:
    """The staging with the hooks TIMED_OUT whose time is over."""
    late = [run for run in staging.hooks if run.is_open and run.expires_at <= now]
    if not late:
        return staging
    return with_runs(staging, *(msgspec.structs.replace(run, status="TIMED_OUT") for run in late))


def with_runs(staging: Staging, *runs: HookRun) -> Staging:
    """The staging with another state of some hooks."""
    new = {run.id: run for run in runs}
    return msgspec.structs.replace(staging, hooks=tuple(new.get(run.id, run) for run in staging.hooks))


def broken(staging: Staging) -> HookRun | None:
    """A hook that ends the deployment."""
    for run in staging.hooks:
        if run.status == "FAILED" or (run.status == "TIMED_OUT" and run.hook.timeout_action == "ROLLBACK"):
            return run
    return None


def due(staging: Staging, now: datetime) -> tuple[HookRun, ...]:
    """The hooks whose functions are to be called now."""
    return tuple(
        run for run in staging.hooks if run.is_open and run.call_at is not None and run.call_at <= now
    )


def answered(run: HookRun, answer: HookAnswer, now: datetime) -> HookRun:
    """The hook once its function has answered; what is no answer is a failure."""
    if answer.status == "IN_PROGRESS":
        later = now + timedelta(seconds=max(answer.call_back_seconds, 1.0))
        details = run.details if answer.details is None else answer.details
        return msgspec.structs.replace(run, call_at=later, details=details)
    status = "SUCCEEDED" if answer.status == "SUCCEEDED" else "FAILED"
    return msgspec.structs.replace(run, status=status, call_at=None)


def weights(service: Service, staging: Staging, percent: float) -> dict[str, float]:
    """The shares of the revisions, by uid, when green has so many percent."""
    revisions = {deployment.id: deployment.revision for deployment in service.deployments}
    shares = {revisions[staging.green]: percent} if staging.green in revisions else {}
    if staging.blue in revisions:
        shares[revisions[staging.blue]] = round(100.0 - percent, 1)
    return shares


def hook_event(service: Service, staging: Staging, run: HookRun, deployment_arn: str) -> dict[str, Any]:
    """What a hook's function is called with. Weights are told in the two stages that shift them only."""
    head = f"{deployment_arn.replace(':service-deployment/', ':service-revision/').rpartition('/')[0]}"
    green = next((d.revision for d in service.deployments if d.id == staging.green), "")
    shifting = staging.stage in WITH_WEIGHTS

    def told(percent: float) -> dict[str, int]:
        shares = weights(service, staging, percent) if shifting else {}
        return {f"{head}/{uid}": round(share) for uid, share in shares.items()}

    event: dict[str, Any] = {
        "executionId": run.id,
        "lifecycleStage": staging.stage,
        "resourceArn": deployment_arn,
        "executionDetails": {
            "serviceArn": service.arn,
            "targetServiceRevisionArn": f"{head}/{green}",
            "testTrafficWeights": told(staging.test),
            "productionTrafficWeights": told(staging.production),
        },
    }
    if run.details:
        event["hookDetails"] = dict(run.details)
    return event
