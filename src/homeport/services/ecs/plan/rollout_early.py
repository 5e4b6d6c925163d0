"""When a rolling deployment completes before the service is steady. Pure.

Source: developer guide, "Complete Amazon ECS rolling deployments early with early success criteria".
"""

from __future__ import annotations

from homeport.services.ecs.model import Service


def healthy_for_success(service: Service) -> int:
    """How many healthy tasks of its revision complete a deployment early; rounded up.

    At least one, whatever the percentage, unless none is desired.
    """
    share = -(-service.desired_count * service.early_success.healthy_percent // 100)
    return max(share, min(service.desired_count, 1))


def completes_early(service: Service, *, healthy: int, sources: int) -> bool:
    """Whether the primary has succeeded, although not all of its tasks are healthy.

    `healthy`: its healthy tasks; `sources`: tasks of earlier revisions that should still run
    or are only just being stopped.
    """
    early = service.early_success
    if not early.enable or service.primary.rollout_state != "IN_PROGRESS":
        return False
    return healthy >= healthy_for_success(service) and (early.cleanup == "DEFERRED" or not sources)


def waits_for_success(service: Service, *, healthy: int, sources: int) -> tuple[str, ...]:
    """What an early success waits for, in sentences."""
    early = service.early_success
    if not early.enable or service.primary.rollout_state != "IN_PROGRESS":
        return ()
    needed = healthy_for_success(service)
    if healthy < needed:
        return (
            f"{healthy} of the {needed} healthy tasks that complete the deployment early are there "
            f"(healthyPercent {early.healthy_percent})",
        )
    if sources and early.cleanup == "BLOCKING":
        return (f"{sources} older tasks must be gone before the deployment completes (BLOCKING)",)
    return ()
