"""Making and unmaking one sandbox of an instance, in whatever state it is.

Holders are all alike, so that one can hold the next sandbox: what a task has of its own (labels, a cgroup) is
not on them.
"""

from __future__ import annotations

import asyncio
import hashlib
import os
import re
import signal
from dataclasses import dataclass

from homeport.core.ids import Ids
from homeport.core.log import get_logger
from homeport.node.commands import CommandError
from homeport.node.drivers import agent_errors as agent
from homeport.node.drivers.pause_image import LEAVE_SIGNAL, SANDBOX_PROGRAM
from homeport.node.ports import DriverError, SandboxSpec
from homeport.node.sandbox import flows, layout, wire
from homeport.node.sandbox.files import Resolver, hosts_text, resolv_text, write_in_place
from homeport.node.sandbox.ground import SandboxGround
from homeport.node.sandbox.holder import Holder, Holders, Listed
from homeport.node.sandbox.numbers import Numbers
from homeport.node.sandbox.rules import outside
from homeport.node.sandbox.wire import HolderEndedError, NoNamespaceError, Wire

log = get_logger("node.sandbox")

WARM = 3
KEPT_MAX = 50
QUIET_SECONDS = 0.5
"""Warm ones are made when nobody has asked for any so long: a start is not to wait for them."""
IDLE_SECONDS = 180.0
"""How long those stay that were used, beyond the few that are always there. Each takes about 3 MB."""
_NAMESPACE_SECONDS_MAX = 5.0
_NAMESPACE_LOOK_SECONDS = 0.002
_OWN_HOSTNAME = re.compile(r"[0-9a-f]{12}")


@dataclass(frozen=True, slots=True, kw_only=True)
class SandboxSettings:
    """An instance's. `index`: which block of inner addresses it has. `warm`: how many are always kept.

    `kept_max`: how many are kept for a while when they are not used any more.
    """

    index: int
    resolver: Resolver
    warm: int = WARM
    kept_max: int = KEPT_MAX
    cgroup_parent: str | None = None
    quiet_seconds: float = QUIET_SECONDS
    idle_seconds: float = IDLE_SECONDS


class Builder:
    """One instance's. Everything may be repeated."""

    def __init__(
        self, ground: SandboxGround, holders: Holders, settings: SandboxSettings, *, ids: Ids
    ) -> None:
        self.ground = ground
        self.holders = holders
        self.settings = settings
        self._ids = ids
        self.numbers = Numbers()
        self.given: dict[str, int] = {}
        """Numbers of names that were asked for, also while nothing is there."""

    async def make(self, spec: SandboxSpec) -> Holder:
        """A holder that runs. Raise `DriverError`, after which there may be one."""
        number = self.given.get(spec.name)
        if number is None:
            number = self.given[spec.name] = self.numbers.take()
        await self.holders.create(
            spec.name,
            veth=self.veth(number),
            hostname=spec.hostname or hashlib.sha256(self._ids.token(16)).hexdigest()[:12],
            cgroup_parent=self.settings.cgroup_parent,
            leaves=not spec.holds_more,
        )
        return await self.start(spec.name)

    async def start(self, name: str) -> Holder:
        """Start it; started already is fine."""
        await self.holders.start(name)
        holder = await self.holders.inspect(name)
        if holder is None:
            raise DriverError(agent.START, f"{name} is gone")
        return holder

    async def listed(self) -> list[Listed]:
        """The instance's holders, running or not."""
        mine = layout.veth_prefix(self.ground.homeport, self.settings.index)
        return [each for each in await self.holders.all() if each.veth.startswith(mine)]

    async def furnish(self, holder: Holder, made: Wire, spec: SandboxSpec) -> None:
        """Link, addresses, routes, files: from whatever there is of them."""
        interface = spec.interface
        own = [holder.hostname] if interface is None else [interface.private_dns_name, holder.hostname]
        hosts = hosts_text(made.address, own, spec.extra_hosts)
        resolv = resolv_text(self.resolver(spec))

        def furnish() -> None:
            with wire.namespace_of(holder.pid, holder.program) as namespace:
                wire.lay(holder.veth, made, namespace)
            write_in_place(holder.hosts_path, hosts)
            write_in_place(holder.resolv_path, resolv)

        try:
            async with asyncio.timeout(_NAMESPACE_SECONDS_MAX):
                while True:
                    try:
                        return await asyncio.to_thread(furnish)
                    except HolderEndedError:
                        raise
                    except NoNamespaceError:
                        await asyncio.sleep(_NAMESPACE_LOOK_SECONDS)  # its program is about to make one
        except (TimeoutError, HolderEndedError) as error:
            await self._see_why(holder.name)
            raise DriverError(agent.START, f"{holder.name} holds no network namespace") from error
        except OSError as error:
            raise DriverError(agent.START, f"the network of {holder.name} cannot be made: {error}") from error

    async def _see_why(self, name: str) -> None:
        """A holder that may not leave the host's namespace ends: the next ones need not."""
        if self.holders.can_leave and await self.holders.failed(name):
            log.warning("sandboxes.cannot_leave", sandbox=name)
            self.holders.can_leave = False

    async def publish(self, holder: Holder, made: Wire, spec: SandboxSpec) -> None:
        """Ports lead to the inner address; an interface of the VPC has all its own."""
        inner = self.inner(self.number(holder))
        wanted = outside(self.ground.instance_address(self.settings.index), spec.published, made.address)
        try:
            await self.ground.published.publish(inner, {} if spec.interface else wanted)
        except CommandError as error:
            raise DriverError(agent.START, f"ports cannot be published: {error}") from error

    async def clear(self, name: str, number: int | None) -> None:
        """Remove whatever is there. Raise `DriverError`."""
        try:
            if number is not None:
                await self.ground.published.publish(self.inner(number), {})
                await asyncio.to_thread(_end, self.veth(number), self.inner(number))
            await self.holders.remove(name)
            if number is not None:
                self.numbers.give_back(number)
        except (CommandError, OSError) as error:
            raise DriverError(agent.REMOVE, str(error)) from error

    async def bare(self, holder: Holder) -> None:
        """Nobody reaches it any more, and it nobody. Raise `DriverError`."""
        try:
            inner = self.inner(self.number(holder))
            await self.ground.published.publish(inner, {})
            await asyncio.to_thread(_end, holder.veth, inner)
        except (CommandError, OSError) as error:
            raise DriverError(agent.REMOVE, str(error)) from error

    async def leave_again(self, holder: Holder) -> None:
        """Have its program take new namespaces. Raise `DriverError`."""
        try:
            before = await asyncio.to_thread(_signalled, holder)
            async with asyncio.timeout(_NAMESPACE_SECONDS_MAX):
                while os.stat(f"/proc/{holder.pid}/ns/net").st_ino == before:  # noqa: ASYNC110
                    await asyncio.sleep(_NAMESPACE_LOOK_SECONDS)
        except (NoNamespaceError, TimeoutError, OSError) as error:
            raise DriverError(agent.START, f"{holder.name} takes no new namespace: {error}") from error

    async def is_whole(self, holder: Holder) -> bool:
        """Whether it runs and is wired as those in stock are: with its inner address."""
        plain = self.wire_of(self.number(holder), SandboxSpec(name=holder.name))

        def look() -> bool:
            try:
                with wire.namespace_of(holder.pid, holder.program):
                    return wire.look(holder.veth) == plain
            except (NoNamespaceError, OSError):
                return False

        return holder.is_running and await asyncio.to_thread(look)

    @staticmethod
    def can_serve_again(holder: Holder) -> bool:
        """Whether nothing but its namespaces would tell the next task of the one before."""
        own = _OWN_HOSTNAME.fullmatch(holder.hostname) is not None
        return holder.is_running and holder.program == SANDBOX_PROGRAM and own

    def wire_of(self, number: int, spec: SandboxSpec) -> Wire:
        interface = spec.interface
        if interface is None:
            inner = self.inner(number)
            return Wire(address=inner, mac=wire.inner_mac(inner), gateway=self.ground.host)
        return Wire(
            address=interface.address,
            mac=interface.mac.lower(),
            gateway=interface.gateway or self.ground.host,
            prefix=int(interface.subnet.partition("/")[2] or 32),
        )

    def resolver(self, spec: SandboxSpec) -> Resolver:
        own, interface = self.settings.resolver, spec.interface
        servers, search = (interface.dns, interface.search) if interface else ((), ())
        return Resolver(
            servers=spec.dns or servers or own.servers,
            search=spec.dns_search or search or own.search,
            options=spec.dns_options or own.options,
        )

    def veth(self, number: int) -> str:
        return layout.veth_name(self.ground.homeport, self.settings.index, number)

    def inner(self, number: int) -> str:
        return layout.address_of(self.ground.network, self.settings.index, number)

    def number(self, holder: Holder) -> int:
        return self.number_of(holder.veth)

    def number_of(self, veth: str) -> int:
        number = layout.number_of(self.ground.homeport, self.settings.index, veth)
        if number is None:
            raise DriverError(agent.CREATE, f"{veth!r} is no network of this instance")
        return number


def _end(veth: str, inner: str) -> None:
    """No link any more, and no flow of its addresses. Blocks."""
    was = wire.look(veth)
    wire.cut([veth])
    flows.forget({inner, was.address} if was is not None else {inner})


def _signalled(holder: Holder) -> int:
    """Tell a holder's program, and nobody else with its number; the namespace that it had. Blocks."""
    process = os.pidfd_open(holder.pid)
    try:
        with wire.namespace_of(holder.pid, holder.program) as namespace:
            before = os.fstat(namespace).st_ino
        signal.pidfd_send_signal(process, LEAVE_SIGNAL)
    finally:
        os.close(process)
    return before
