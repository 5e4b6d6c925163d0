"""A link that only makes addresses this machine's own: nothing is attached to it, no range routed over it.

Load balancers listen on such addresses, and connect from them. They outlive the process that made them, as
what listens does; the next one finds them here.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Collection
from hashlib import sha256

from homeport.node.commands import Run


def balancer_link(homeport: str) -> str:
    """The name of the link of an installation's balancers, at most 15 characters."""
    return f"hpb-{sha256(homeport.encode()).hexdigest()[:10]}"


def connect_link(homeport: str) -> str:
    """The name of the link of Service Connect's addresses, at most 15 characters."""
    return f"hpc-{sha256(homeport.encode()).hexdigest()[:10]}"


class AddressLink:
    """Every call may be repeated. Raise `CommandError`."""

    def __init__(self, run: Run, name: str) -> None:
        self._run = run
        self.name = name
        self._lock = asyncio.Lock()
        self._present: frozenset[str] | None = None
        """What is there. Nobody else changes it: it is read once."""

    async def hold(self, addresses: Collection[str]) -> None:
        """These addresses, each alone, and no others."""
        wanted = frozenset(addresses)
        async with self._lock:
            if self._present is None:
                self._present = await self._made() if wanted or await self._exists() else frozenset()
            elif wanted and not self._present:
                self._present = await self._made()
            if wanted == self._present:
                return
            changes = [f"address del {ip}/32 dev {self.name}" for ip in sorted(self._present - wanted)]
            changes += [f"address add {ip}/32 dev {self.name}" for ip in sorted(wanted - self._present)]
            self._present = None  # until it is known what came of it
            await self._run("ip", "-batch", "-", stdin="\n".join(changes) + "\n")
            self._present = wanted

    async def remove(self) -> None:
        """Remove the link with all addresses. A missing one is fine."""
        async with self._lock:
            if await self._exists():
                await self._run("ip", "link", "delete", self.name)
            self._present = None

    async def _made(self) -> frozenset[str]:
        """The addresses on the link, which is made when it is not there."""
        commands = [] if await self._exists() else [f"link add {self.name} type bridge"]
        commands.append(f"link set {self.name} up")
        await self._run("ip", "-batch", "-", stdin="\n".join(commands) + "\n")
        found = json.loads(await self._run("ip", "-j", "-4", "address", "show", "dev", self.name) or "[]")
        return frozenset(
            info["local"]
            for link in found
            for info in link.get("addr_info", ())
            if info.get("family") == "inet"
        )

    async def _exists(self) -> bool:
        links = json.loads(await self._run("ip", "-j", "link", "show", "type", "bridge") or "[]")
        return any(link.get("ifname") == self.name for link in links)
