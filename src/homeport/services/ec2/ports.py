"""What EC2 needs from others, in its own words."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Protocol


@dataclass(frozen=True, slots=True, kw_only=True)
class LocalInstance:
    """A machine that runs containers. `address` is its own in the VPC, empty when nobody knows.

    `is_reachable`: its agent is connected.
    """

    instance_id: str
    zone: str
    instance_type: str
    launched_at: datetime
    cpu_units: int
    memory_mib: int
    architecture: str = "x86_64"
    address: str = ""
    subnet_id: str = ""
    groups: tuple[str, ...] = ()
    profile_arn: str = ""
    is_reachable: bool = True
    tags: Mapping[str, str] = field(default_factory=dict)


class Instances(Protocol):
    """Where the local instances are looked up."""

    async def all(self, account_id: str, region: str) -> Sequence[LocalInstance]:
        """Every one that runs, ordered by its id."""
        ...


class NoInstances:
    """Nobody has any."""

    async def all(self, account_id: str, region: str) -> Sequence[LocalInstance]:
        """None."""
        del account_id, region
        return ()
