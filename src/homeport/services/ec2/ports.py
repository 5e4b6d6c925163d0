"""What EC2 needs from others, in its own words."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Protocol


@dataclass(frozen=True, slots=True, kw_only=True)
class LocalInstance:
    """A machine that runs containers. `interface_id`: its place in a VPC; empty when it has none here.

    `is_reachable`: its agent is connected.
    """

    instance_id: str
    zone: str
    instance_type: str
    launched_at: datetime
    cpu_units: int
    memory_mib: int
    architecture: str = "x86_64"
    interface_id: str = ""
    profile_arn: str = ""
    is_reachable: bool = True
    tags: Mapping[str, str] = field(default_factory=dict)


class Instances(Protocol):
    """Where the local instances are looked up."""

    async def all(self, account_id: str, region: str) -> Sequence[LocalInstance]:
        """Every one that runs, ordered by its id."""
        ...


class Ground(Protocol):
    """Where networks may lie on this machine."""

    def home(self, account_id: str, region: str) -> str:
        """The range that is kept for the default VPC there, whether it has one or not; empty: any will do."""
        ...

    def kept(self) -> Collection[str]:
        """The ranges that are kept for somebody's default VPC."""
        ...

    async def routed(self) -> Collection[str]:
        """The ranges that this machine routes, as far as they are more than a VPC of ours."""
        ...


class OpenGround:
    """Nothing else is there."""

    def home(self, account_id: str, region: str) -> str:
        """Any."""
        del account_id, region
        return ""

    def kept(self) -> Collection[str]:
        """None."""
        return ()

    async def routed(self) -> Collection[str]:
        """None."""
        return ()


class NoInstances:
    """Nobody has any."""

    async def all(self, account_id: str, region: str) -> Sequence[LocalInstance]:
        """None."""
        del account_id, region
        return ()
