"""When a service's task counts as healthy, and when it must be replaced. Pure.

Sources: botocore's DeploymentConfiguration (the 40 seconds of tasks without checks); developer guide,
"Amazon ECS task health" and "service definition parameters" (grace period).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

from homeport.services.ecs.model import Service, Task

SETTLING = timedelta(seconds=40)
CONTAINER_REASON = "Task failed container health checks"


@dataclass(frozen=True, slots=True, kw_only=True)
class TargetHealth:
    """What the service's load balancers say of a task: `healthy` in every target group, or why not."""

    healthy: bool
    failed: str | None = None
    """Why the task must go, in the words of its stoppedReason; `None`: not decided yet."""
    waits: tuple[str, ...] = ()
    """What is amiss, as `2 targets are ...` goes on."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """A task's health. `healthy_at`: when it counts as healthy if nothing changes; `None`: not by waiting."""

    healthy_at: datetime | None = None
    failed: str | None = None
    """Why it must be replaced."""
    look_at: datetime | None = None
    """When a failure that the grace period hides counts."""

    def is_healthy(self, now: datetime) -> bool:
        """Whether it counts toward the healthy floor."""
        return self.failed is None and self.healthy_at is not None and self.healthy_at <= now


def verdict(task: Task, service: Service, targets: Mapping[int, TargetHealth], now: datetime) -> Verdict:
    """A task's health. `targets`: by task row, for services behind a load balancer."""
    if task.last_status != "RUNNING" or task.started_at is None:
        return Verdict()
    target = targets.get(task.id)
    failed = _container_failure(task) or (target.failed if target is not None else None)
    if failed is not None:
        grace_ends = task.started_at + timedelta(seconds=service.health_check_grace_seconds)
        return Verdict(failed=failed) if grace_ends <= now else Verdict(look_at=grace_ends)
    if target is not None and not target.healthy:
        return Verdict()
    checks = [c for c in task.containers if c.essential and c.has_health_check]
    if checks:
        passed = all(container.health_status == "HEALTHY" for container in checks)
        return Verdict(healthy_at=task.started_at if passed else None)
    return Verdict(healthy_at=task.started_at + (timedelta() if target is not None else SETTLING))


def _container_failure(task: Task) -> str | None:
    failing = any(
        container.essential and container.has_health_check and container.health_status == "UNHEALTHY"
        for container in task.containers
    )
    return CONTAINER_REASON if failing else None


def protection_told(service: Service, held: Mapping[str, int]) -> tuple[str, ...]:
    """What is told of tasks that should go and may not, by the deployment or task set that they are of."""
    return tuple(
        f"(service {service.name}) was unable to reach steady state because (taskSet {uid}) was unable to "
        f"scale in due to (reason {count} tasks under protection)"
        for uid, count in held.items()
        if count
    )


def is_protected(task: Task, now: datetime) -> bool:
    """Whether scale-in and deployments must leave the task alone."""
    return task.protection is not None and task.protection.expires_at > now
