"""What the instance metadata service knows of an instance."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from homeport.agentproto.messages import RoleCredentials


@dataclass(frozen=True, slots=True, kw_only=True)
class ProfileCredentials:
    """The credentials of the role in an instance's profile."""

    profile_arn: str
    profile_id: str
    role_name: str
    credentials: RoleCredentials
    updated_at: datetime


class InstanceProfiles(Protocol):
    """Where an instance's credentials come from, and what EC2 knows of its networks."""

    async def credentials(self, instance_id: str) -> ProfileCredentials | None:
        """Good for minutes at least; `None`: no profile, or no role in it that EC2 can assume."""
        ...

    async def vpc_of(self, task_arn: str, *, interface_id: str, instance_id: str) -> str:
        """The VPC of a task's interface; without one, of its instance. Empty: unknown."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class InstanceFacts:
    """A local instance. Empty values are those that it has not."""

    instance_id: str
    instance_type: str
    region: str
    availability_zone: str
    local_ipv4: str
    account_id: str
    architecture: str
    started_at: datetime
