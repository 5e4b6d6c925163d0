"""Counting a deployment's failures: for the pause between starts, and for the circuit breaker. Pure.

Sources: developer guide, "Amazon ECS service throttle logic" and "How the Amazon ECS deployment
circuit breaker detects failures"; botocore's DeploymentCircuitBreaker and ThresholdConfiguration.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime, timedelta

import msgspec

from homeport.services.ecs.model import Breaker, Deployment, Task

THROTTLE_MAX_SECONDS = 1620.0
THROTTLE_TOLD_FROM = 3
"""So many starts in a row that never ran are told in an event [our choice]."""
SHORT_LIFE = timedelta(seconds=10)
SHORT_LIFE_PAUSE_MAX_SECONDS = 10.0
THRESHOLD_LEAST, THRESHOLD_MOST = 3, 200


def threshold(breaker: Breaker, desired_count: int) -> int:
    """How many failures trip the breaker; shares are rounded up."""
    if breaker.threshold_type == "COUNT":
        return breaker.threshold_value
    share = -(-desired_count * breaker.threshold_value // 100)
    if breaker.threshold_type == "UNBOUNDED_PERCENT":
        return max(share, 1)
    return min(max(share, THRESHOLD_LEAST), THRESHOLD_MOST)


def counted(deployment: Deployment, stopped: Iterable[Task], now: datetime) -> Deployment:
    """The deployment with the stops of its tasks counted, and the pause that they ask for."""
    until = deployment.counted_until
    counts = _Counts(deployment)
    for task in stopped:
        if task.started_by != deployment.id or task.stopped_at is None:
            continue
        if task.stopped_at > deployment.counted_until:
            until = max(until, task.stopped_at)
            counts.take(task)
    if until == deployment.counted_until:
        return deployment
    seconds = counts.pause_seconds()
    return msgspec.structs.replace(
        deployment,
        failed_tasks=counts.failed,
        failed_starts=counts.starts,
        short_lives=counts.short,
        counted_until=until,
        retry_at=now + timedelta(seconds=seconds) if seconds else None,
    )


class _Counts:
    """What the stops of one deployment's tasks add up to."""

    def __init__(self, deployment: Deployment) -> None:
        self._has_run = deployment.has_run
        self.failed = deployment.failed_tasks
        self.starts = deployment.failed_starts
        self.short = deployment.short_lives

    def take(self, task: Task) -> None:
        if task.started_at is None:
            if task.stop_code == "TaskFailedToStart":
                self.starts += 1
                # Stage 1 ends for good with the first task that runs.
                self.failed += not self._has_run
            return
        self.starts = 0
        lived = (task.execution_stopped_at or task.stopped_at or task.started_at) - task.started_at
        brief = lived < SHORT_LIFE and task.stop_code == "EssentialContainerExited"
        self.short = self.short + 1 if brief else 0

    def pause_seconds(self) -> float:
        """The longer the more starts failed in a row; a little for tasks that end at once [our choice]."""
        if self.starts:
            return float(min(2.0 ** min(self.starts - 1, 20), THROTTLE_MAX_SECONDS))
        if self.short > 1:
            return float(min(2.0 ** min(self.short - 2, 10), SHORT_LIFE_PAUSE_MAX_SECONDS))
        return 0.0


def noted_health(
    deployment: Deployment, breaker: Breaker, *, runs: bool, healthy_at: datetime | None
) -> Deployment:
    """The deployment once one of its tasks was seen to run; `healthy_at`: the latest to become healthy.

    The first task that runs ends stage 1 and forgets its failures; later a healthy one
    does, unless the breaker says otherwise.
    """
    if runs and not deployment.has_run:
        failed = 0 if breaker.reset_on_healthy else deployment.failed_tasks
        deployment = msgspec.structs.replace(
            deployment, has_run=True, failed_tasks=failed, failed_starts=0, retry_at=None
        )
    known = deployment.healthy_until
    if healthy_at is None or (known is not None and healthy_at <= known):
        return deployment
    failed = 0 if breaker.reset_on_healthy else deployment.failed_tasks
    return msgspec.structs.replace(deployment, healthy_until=healthy_at, failed_tasks=failed)
