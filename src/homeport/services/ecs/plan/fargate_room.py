"""What is told when Fargate has no room. Pure.

The machines are nobody's to see, so no container instance is named; how much is asked for and how much there
is may be known. Sources: developer guide, "API failure reasons" and "Service event messages" (capacity).
"""

from __future__ import annotations

from homeport.services.ecs.model import FARGATE_SPOT
from homeport.services.ecs.plan.placement_types import Reason, Refusal

UNAVAILABLE = (
    "Capacity is unavailable at this time. Please try again later or in a different availability zone."
)
SPOT_SHORT = "RESOURCE:FARGATE"
"""Spot has a word of its own for the same."""
NO_MACHINE = (
    "No machine runs Fargate tasks here: start Homeport as root without --no-fargate, or a machine with "
    "`homeport agent --fargate`."
)
_UNITS = {Reason.CPU: "CPU units", Reason.MEMORY: "MiB of memory"}


def reason_of(provider: str) -> str:
    """The reason of a failure."""
    return SPOT_SHORT if provider == FARGATE_SPOT else UNAVAILABLE.removesuffix(".")


def lacking(closest: Refusal | None) -> str:
    """Why the machine that comes closest does not take one more. `None`: there is none."""
    if closest is None:
        return NO_MACHINE
    if closest.reason in _UNITS:
        unit = _UNITS[closest.reason]
        asked = f"The task asks for {closest.asked} {unit}"
        return f"{asked}, and the machine that comes closest has {closest.free} free."
    if closest.reason is Reason.AGENT:
        return "The machine's agent is not connected."
    detail = f" ({closest.detail})" if closest.detail else ""
    return f"No machine can run the task: {closest.reason}{detail}."
