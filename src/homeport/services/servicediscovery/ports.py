"""What Cloud Map needs from others, in its own words."""

from __future__ import annotations

from typing import Protocol

from homeport.core.call import Call


class Vpcs(Protocol):
    """The networks that private namespaces are for."""

    async def exists(self, call: Call, vpc_id: str) -> bool:
        """Whether the caller's account has that VPC here."""
        ...
