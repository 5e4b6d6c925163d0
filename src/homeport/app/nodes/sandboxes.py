"""Network sandboxes of this machine's instances, where they can be made."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Collection, Mapping, Sequence
from contextlib import asynccontextmanager
from ipaddress import ip_address
from pathlib import Path
from typing import Any

from homeport.app.settings import INSTALLATION_LABEL
from homeport.core.ids import Ids
from homeport.core.log import get_logger
from homeport.node.commands import CommandError, run_command
from homeport.node.drivers.docker_networks import DockerNetworks
from homeport.node.drivers.engine_client import EngineClient, EngineError
from homeport.node.instance_net import bridge_name
from homeport.node.nft import nft_of
from homeport.node.ports import EngineInfo
from homeport.node.sandbox import layout, wire
from homeport.node.sandbox.driver import DockerSandboxes, SandboxSettings
from homeport.node.sandbox.files import Resolver, machine_resolver
from homeport.node.sandbox.ground import AGAIN_SECONDS, SandboxGround
from homeport.node.sandbox.holder import Holders

log = get_logger("app.sandboxes")

Report = Callable[[str, Mapping[str, Any]], None]
_RESOLVERS = (Path("/etc/resolv.conf"), Path("/run/systemd/resolve/resolv.conf"))
USER_NAMESPACES = "name=userns"
"""Docker's word for containers in user namespaces, which do not own the networks that we make."""


class LocalSandboxes:
    """What the instances of one installation share, once it is up."""

    def __init__(
        self,
        ground: SandboxGround,
        client: EngineClient,
        *,
        ids: Ids,
        dns: Sequence[str] = (),
    ) -> None:
        self.ground = ground
        self._client = client
        self._ids = ids
        self._dns = tuple(dns)
        self._holders: Holders | None = None

    async def keep(self) -> None:
        """Rules that somebody else takes away come back, and networks of Docker's stay apart; for ever."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self.ground.watch())
            group.create_task(self._part())

    async def _part(self) -> None:
        async for links in DockerNetworks(self._client).changes():
            while not await self._parted(links):  # noqa: ASYNC110 - it is tried again
                await asyncio.sleep(AGAIN_SECONDS)

    async def _parted(self, links: Collection[str]) -> bool:
        try:
            await self.ground.part(links)
        except CommandError as error:
            log.warning("networks.not_parted", error=str(error))
            return False
        return True

    async def holds(self, address: str) -> str | None:
        """The link of the sandbox that has an address of its own."""
        prefix = layout.veth_prefix(self.ground.homeport)
        return await asyncio.to_thread(wire.name_at, prefix, address)

    def made_of(self, image: str, info: EngineInfo) -> None:
        """By what namespaces are held."""
        self._holders = Holders(
            self._client,
            image=image,
            labels={INSTALLATION_LABEL: self.ground.homeport},
            can_leave=not any(USER_NAMESPACES in option for option in info.security_options),
        )

    async def driver(self, index: int) -> DockerSandboxes | None:
        """An instance's; `None`: nothing can hold namespaces, or there is no room for so many instances."""
        if self._holders is None or not 0 <= index < layout.BLOCKS:
            return None
        resolver = await asyncio.to_thread(_machines)
        if self._dns:
            resolver = Resolver(servers=self._dns, search=resolver.search, options=resolver.options)
        settings = SandboxSettings(index=index, resolver=resolver)
        return DockerSandboxes(self.ground, self._holders, settings, ids=self._ids)


async def open_sandboxes(
    client: EngineClient,
    *,
    installation_id: str,
    instances: Mapping[int, str],
    ids: Ids,
    report: Report,
    dns: Sequence[str] = (),
    deaf: Collection[int] = (),
) -> LocalSandboxes | None:
    """For instances, by number, at addresses of their own. `None`, with a report: this machine lets nobody.

    `dns`: servers instead of the machine's own. `deaf`: instances without an instance metadata service.
    """
    if any(ip_address(address).is_loopback for address in instances.values()):
        return None  # without addresses there were no means either, which was reported
    ground = SandboxGround(
        run_command, nft_of(run_command), installation_id, links=[bridge_name(installation_id)]
    )
    try:
        await ground.up(instances, deaf=deaf, others=await DockerNetworks(client).links())
    except (CommandError, EngineError, OSError, layout.NoFreeRangeError) as error:
        report("sandboxes.unavailable", {"error": str(error)})
        return None
    return LocalSandboxes(ground, client, ids=ids, dns=dns)


def _machines() -> Resolver:
    return machine_resolver(path.read_text() for path in _RESOLVERS if path.exists())


@asynccontextmanager
async def kept_warm(sandboxes: DockerSandboxes | None) -> AsyncIterator[None]:
    """While the block runs, a few are ready to be taken."""
    async with asyncio.TaskGroup() as group:
        keeping = group.create_task(sandboxes.run()) if sandboxes is not None else None
        yield
        if keeping is not None:
            keeping.cancel()


@asynccontextmanager
async def kept_whole(sandboxes: LocalSandboxes | None) -> AsyncIterator[None]:
    """While the block runs, what they stand on stays as it is meant to be."""
    async with asyncio.TaskGroup() as group:
        keeping = group.create_task(sandboxes.keep()) if sandboxes is not None else None
        yield
        if keeping is not None:
            keeping.cancel()
