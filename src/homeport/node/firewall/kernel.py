"""The table in the kernel: made whole, or changed by the difference. One transaction each, all or nothing."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from hashlib import sha256

from homeport.node.commands import CommandError
from homeport.node.firewall.table import Table, change, whole
from homeport.node.firewall.watch import watch
from homeport.node.nft import Nft, NftLibrary

TABLE = "homeport-firewall-"
"""Behind it comes what stands behind `hp-` in the name of the installation's link."""


def table_name(homeport: str) -> str:
    """Of one installation."""
    return f"{TABLE}{sha256(homeport.encode()).hexdigest()[:10]}"


class Firewall:
    """One installation's table. It stays when the process ends, as what it protects does."""

    def __init__(self, nft: Nft, homeport: str) -> None:
        self.name = table_name(homeport)
        self._nft = nft
        self._lock = asyncio.Lock()
        self._there: Table | None = None
        self._doubts = 0

    async def apply(self, table: Table) -> None:
        """Make packets obey this table, and no other from one packet to the next. Raise `CommandError`."""
        async with self._lock:
            doubts = self._doubts
            old, self._there = self._there, None  # until it is known what came of it
            if old is None or not await self._changed(old, table):
                await self._nft(whole(self.name, table))
            if doubts == self._doubts:
                self._there = table

    async def is_there(self) -> bool:
        """Whether the kernel has a table of that name, of whichever process."""
        try:
            await self._nft(f"list table ip {self.name}\n")
        except CommandError:
            return False
        return True

    def doubt(self) -> None:
        """Somebody else changed it: the next time it is made whole."""
        self._there = None
        self._doubts += 1

    @property
    def can_watch(self) -> bool:
        """Whether the kernel's news tell this process's own changes from others'."""
        return isinstance(self._nft, NftLibrary)

    async def watch(self, strange: Callable[[], None]) -> None:
        """Call `strange` whenever somebody else changed the table; until cancelled."""
        await watch(self.name, strange)

    async def remove(self) -> None:
        """Nothing is left of it. Nothing there is fine, also where nobody may look. Raise `CommandError`."""
        async with self._lock:
            self._there = None
            if await self.is_there():
                await self._nft(f"delete table ip {self.name}\n")

    async def _changed(self, old: Table, new: Table) -> bool:
        """Whether the difference could be made: not when the table is not what it was."""
        commands = change(self.name, old, new)
        try:
            if commands:
                await self._nft(commands)
        except CommandError:
            return False
        return True
