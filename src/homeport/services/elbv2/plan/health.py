"""What a target's health is, from all that is known of it. Pure.

Source: Application Load Balancer guide, "Target health status" and "Reason codes".
"""

from __future__ import annotations

from collections.abc import Collection
from datetime import datetime

from homeport.services.elbv2.model.groups import ANY_ZONE, Target, TargetHealth

REGISTERING = TargetHealth(
    state="initial",
    reason="Elb.RegistrationInProgress",
    description="Target registration is in progress",
)
DRAINING = TargetHealth(
    state="draining",
    reason="Target.DeregistrationInProgress",
    description="Target deregistration is in progress",
)
NOT_REGISTERED = TargetHealth(
    state="unused",
    reason="Target.NotRegistered",
    description="Target is not registered to the target group",
)
NOT_IN_USE = TargetHealth(
    state="unused",
    reason="Target.NotInUse",
    description="Target group is not configured to receive traffic from the load balancer",
)
OTHER_ZONE = TargetHealth(
    state="unused",
    reason="Target.NotInUse",
    description="Target is in an Availability Zone that is not enabled for the load balancer",
)
STOPPED = TargetHealth(
    state="unused",
    reason="Target.InvalidState",
    description="Target is in the stopped state",
)


def health_of(
    target: Target,
    now: datetime,
    *,
    in_use: bool,
    zones: Collection[str],
    stopped: Collection[str],
    seen: TargetHealth | None,
) -> TargetHealth:
    """A target's health.

    `in_use`: a rule forwards to its group; `zones`: the balancer's; `stopped`: instances that do not run;
    `seen`: what its health checks found. A target that none was made of yet is being registered.
    """
    if target.is_gone(now):
        return NOT_REGISTERED
    if target.drained_at is not None:
        return DRAINING
    if not in_use:
        return NOT_IN_USE
    if target.target_id in stopped:
        return STOPPED
    if target.zone not in {"", ANY_ZONE, *zones}:
        return OTHER_ZONE
    return seen or REGISTERING
