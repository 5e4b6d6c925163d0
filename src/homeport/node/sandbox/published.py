"""Which ports of an installation's sandboxes are reached at their instances' addresses: a map of nftables."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Mapping

from homeport.core.log import get_logger
from homeport.node.commands import CommandError, Run
from homeport.node.nft import Nft
from homeport.node.sandbox.rules import Inside, Outside, element_changes, elements

log = get_logger("node.sandbox")


class PublishedPorts:
    """The map's elements. Only this process changes them; what it knows is read again on doubt."""

    def __init__(self, run: Run, nft: Nft, table: str) -> None:
        self._run = run
        self._nft = nft
        self._table = table
        self._lock = asyncio.Lock()
        self._known: dict[Outside, Inside] | None = None
        self._meant: dict[Outside, Inside] = {}
        """What is to be there, should somebody else take it away."""

    async def publish(self, inner: str, wanted: Mapping[Outside, Inside]) -> None:
        """These ports lead to an inner address, and no others do. Raise `CommandError`."""
        async with self._lock:
            try:
                await self._change(inner, wanted)
            except CommandError as error:
                log.info("published.read_again", error=str(error))
                self._known = None
                await self._change(inner, wanted)

    async def keep(self, is_stray: Callable[[str], bool]) -> tuple[Outside, ...]:
        """Remove what leads to stray inner addresses. Raise `CommandError`."""
        async with self._lock:
            known = await self._load()
            strays = [key for key, (inner, _) in known.items() if is_stray(inner)]
            await self._apply(strays, {})
            self._meant = dict(self._known or {})
            return tuple(strays)

    async def restore(self) -> None:
        """Somebody else touched the map: what was published is published. Raise `CommandError`."""
        async with self._lock:
            known = await self._load()
            gone = [key for key, value in known.items() if self._meant.get(key) != value]
            await self._apply(gone, {k: v for k, v in self._meant.items() if known.get(k) != v})

    async def _change(self, inner: str, wanted: Mapping[Outside, Inside]) -> None:
        known = self._known if self._known is not None else await self._load()
        new = {key: value for key, value in wanted.items() if known.get(key) != value}
        # A port that still leads elsewhere was left by somebody who is gone: the node gives no port twice.
        gone = [key for key in new if key in known]
        gone += [key for key, value in known.items() if value[0] == inner and key not in wanted]
        await self._apply(gone, new)

    async def _apply(self, gone: list[Outside], new: Mapping[Outside, Inside]) -> None:
        commands = element_changes(self._table, remove=gone, add=new)
        if not commands:
            return
        known, self._known = await self._load() if self._known is None else self._known, None
        await self._nft(commands)  # should this be cut off, what is there is read again
        self._known = {key: value for key, value in known.items() if key not in gone} | dict(new)
        self._meant = dict(self._known)

    async def _load(self) -> dict[Outside, Inside]:
        listed = await self._run("nft", "-j", "list", "map", "inet", self._table, "published")
        self._known = elements(json.loads(listed)["nftables"])
        return self._known
