"""Capacity providers: named groups of container instances that strategies share tasks among."""

from __future__ import annotations

from datetime import datetime

import msgspec

from homeport.services.ecs.model.base import Document, Noun

GROUP_ATTRIBUTE = "homeport.auto-scaling-group"
"""What a container instance says of the Auto Scaling group it belongs to."""


class CapacityProvider(Noun, frozen=True, kw_only=True):
    """A provider on an Auto Scaling group, which `group_reference` names as the caller did.

    `group` is the group's name: at most one ACTIVE provider of an account and region has
    it. `managed_scaling` is shown as it is stored. A deleted provider stays as INACTIVE.
    """

    id: int = 0
    version: int = 1
    account_id: str
    region: str
    name: str
    status: str = "ACTIVE"
    group: str
    group_reference: str
    managed_scaling: Document = msgspec.field(default_factory=dict)
    managed_termination_protection: str = "DISABLED"
    managed_draining: str = "DISABLED"
    update_status: str | None = None
    update_status_reason: str | None = None
    tags: tuple[Document, ...] = ()
    created_at: datetime

    @property
    def arn(self) -> str:
        """Its ARN."""
        return f"arn:aws:ecs:{self.region}:{self.account_id}:capacity-provider/{self.name}"
