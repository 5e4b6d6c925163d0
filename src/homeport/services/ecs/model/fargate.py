"""Fargate: capacity that nobody manages, and that nobody sees.

The machines that run Fargate tasks are container instances of a fleet of their own, one in an account and
region. It is kept as a cluster whose name no caller can spell: nothing that takes a cluster's name or ARN
finds it, and only agents with a permission of its own register there. A task of Fargate is of its caller's
cluster, and says besides which fleet its machine is in.
"""

from __future__ import annotations

FARGATE, FARGATE_SPOT = "FARGATE", "FARGATE_SPOT"
FARGATE_PROVIDERS = (FARGATE, FARGATE_SPOT)
"""Predefined in every account; nobody creates, changes or deletes them."""
FLEET = ".fargate"
"""The name of the fleet's row: no cluster's name has a dot."""


def names_fleet(reference: str | None) -> bool:
    """Whether a name, or an ARN of a cluster or of something in one, is of the fleet."""
    if not reference:
        return False
    resource = reference.rpartition(":")[2]
    return resource == FLEET or FLEET in resource.split("/")[1:2]
