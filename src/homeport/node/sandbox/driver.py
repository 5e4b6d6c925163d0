"""`ports.SandboxDriver`: namespaces held by containers, wired by netlink, published by nftables.

A few are kept warm: holders under names of their own, wired with inner addresses, which take the name that
is asked for. What is known of a sandbox is read from Docker and the kernel: a restart goes on with what
it finds, and removes what belongs to nobody.
"""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from weakref import WeakValueDictionary

from homeport.core.ids import Ids
from homeport.core.log import get_logger
from homeport.node.commands import CommandError
from homeport.node.drivers import agent_errors as agent
from homeport.node.ports import Counters, DriverError, DriverUnavailableError, Sandbox, SandboxSpec
from homeport.node.sandbox import layout, wire
from homeport.node.sandbox.files import Resolver, hosts_text, resolv_text, write_in_place
from homeport.node.sandbox.ground import SandboxGround
from homeport.node.sandbox.holder import Holder, Holders, Listed
from homeport.node.sandbox.numbers import Numbers
from homeport.node.sandbox.rules import outside
from homeport.node.sandbox.wire import HolderEndedError, NoNamespaceError, Wire

log = get_logger("node.sandbox")

WARM = 3
QUIET_SECONDS = 0.5
"""Warm ones are made when nobody has asked for any so long: a start is not to wait for them."""
AGAIN_SECONDS = 1.0
_NAMESPACE_SECONDS_MAX = 5.0
_NAMESPACE_LOOK_SECONDS = 0.002


@dataclass(frozen=True, slots=True, kw_only=True)
class SandboxSettings:
    """An instance's. `index`: which block of inner addresses it has. `warm`: how many are kept."""

    index: int
    resolver: Resolver
    warm: int = WARM
    cgroup_parent: str | None = None
    quiet_seconds: float = QUIET_SECONDS


@dataclass(slots=True, kw_only=True)
class _Pool:
    """Warm holders, oldest first, and whether somebody takes some."""

    ready: list[Holder] = field(default_factory=list)
    taking: set[str] = field(default_factory=set)
    """Ids of those that are about to have other names."""
    wanted: asyncio.Event = field(default_factory=asyncio.Event)
    activity: int = 0


class DockerSandboxes:
    """One instance's sandboxes. `run` keeps the warm ones; without it each is made when it is asked for."""

    def __init__(
        self, ground: SandboxGround, holders: Holders, settings: SandboxSettings, *, ids: Ids
    ) -> None:
        self._ground = ground
        self._holders = holders
        self._settings = settings
        self._ids = ids
        self._numbers = Numbers()
        self._given: dict[str, int] = {}
        """Numbers of names that were asked for, also while nothing is there."""
        self._pool = _Pool()
        self._locks: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()
        self._adopting = asyncio.Lock()
        self._adopted = False
        self._warm_prefix = f"homeport-warm-{layout.short_id(ground.homeport)}-{settings.index:x}-"

    # ---- what the node asks -------------------------------------------------------------------

    async def ensure(self, spec: SandboxSpec) -> Sandbox:
        """As the protocol says."""
        await self.adopt()
        self._pool.activity += 1
        async with self._alone(spec.name):
            holder = await self._holders.inspect(spec.name) or await self._take(spec)
            if holder is None:
                holder = await self._make(spec)
            elif not holder.is_running:
                await self._holders.start(spec.name)
                holder = await self._inspected(spec.name)
            made = self._wire(self._number(holder), spec)
            await self._furnish(holder, made, spec)
            await self._publish(holder, made, spec)
        self._pool.activity += 1
        return Sandbox(name=spec.name, docker_id=holder.docker_id, address=made.address, mac=made.mac)

    async def find(self, name: str) -> Sandbox | None:
        """As the protocol says."""
        holder = await self._holders.inspect(name)
        if holder is None or not holder.is_running or not holder.veth:
            return None
        found = await asyncio.to_thread(wire.look, holder.veth)
        if found is None:
            return None
        return Sandbox(name=name, docker_id=holder.docker_id, address=found.address, mac=found.mac)

    async def remove(self, name: str) -> None:
        """As the protocol says."""
        await self.adopt()
        async with self._alone(name):
            holder = await self._holders.inspect(name)
            number = self._given.get(name) if holder is None else self._number(holder)
            await self._clear(name, number)
            self._given.pop(name, None)

    async def names(self) -> tuple[str, ...]:
        """As the protocol says."""
        await self.adopt()
        listed = await self._listed()
        return tuple(sorted(each.name for each in listed if not each.name.startswith(self._warm_prefix)))

    async def counters(self, name: str) -> Counters | None:
        """As the protocol says."""
        number = self._given.get(name)
        if number is None:
            holder = await self._holders.inspect(name)
            if holder is None or not holder.veth:
                return None
            number = self._given[name] = self._number(holder)
        return await asyncio.to_thread(wire.traffic, self._veth(number))

    # ---- the warm ones ------------------------------------------------------------------------

    async def run(self) -> None:
        """Keep some warm, until cancelled, which leaves them as they are."""
        while True:
            self._pool.wanted.clear()
            try:
                await self.adopt()
                await self.refill()
            except (DriverError, DriverUnavailableError) as error:
                log.warning("sandboxes.not_warm", error=str(error))
                await asyncio.sleep(AGAIN_SECONDS)
                continue
            await self._pool.wanted.wait()

    async def adopt(self) -> None:
        """Go on with what is there, once; remove what belongs to nobody."""
        if self._adopted:
            return
        async with self._adopting:
            if not self._adopted:
                await self._adopt()
                self._adopted = True

    async def _adopt(self) -> None:
        mine = layout.veth_prefix(self._ground.homeport, self._settings.index)
        listed = await self._listed()
        numbers = {each.name: self._number_of(each.veth) for each in listed}
        self._numbers.hold(numbers.values())
        taken = {name: number for name, number in numbers.items() if not name.startswith(self._warm_prefix)}
        self._given |= taken
        held = {each.veth for each in listed}
        strays = [name for name in await asyncio.to_thread(wire.names, mine) if name not in held]
        inner = {self._inner(number) for number in taken.values()}
        block = layout.block_of(self._ground.network, self._settings.index)
        try:
            await asyncio.to_thread(wire.cut, strays)
            ports = await self._ground.published.keep(
                lambda address: layout.is_in(address, block) and address not in inner
            )
        except (OSError, CommandError) as error:
            raise DriverError(agent.CREATE, str(error)) from error
        if strays or ports:
            log.info("sandboxes.strays_removed", links=strays, ports=[str(port) for port in ports])
        for each in listed:
            if each.name in taken:
                continue
            holder = await self._holders.inspect(each.name)
            if holder is not None and await self._is_ready(holder):
                self._pool.ready.append(holder)
            else:
                await self._discard(each.name, numbers[each.name])

    async def _listed(self) -> list[Listed]:
        mine = layout.veth_prefix(self._ground.homeport, self._settings.index)
        return [each for each in await self._holders.all() if each.veth.startswith(mine)]

    async def refill(self) -> None:
        """Until there are enough, while nobody waits for a start."""
        pool = self._pool
        while True:
            seen = pool.activity
            await asyncio.sleep(self._settings.quiet_seconds)
            if pool.activity != seen:
                continue
            await self._discard_strays()
            dead = [holder for holder in pool.ready if not await self._is_ready(holder)]
            pool.ready = [holder for holder in pool.ready if holder not in dead]
            for holder in dead:
                await self._discard(holder.name, self._number(holder))
            if len(pool.ready) >= self._settings.warm:
                return
            await self._warm_one()

    async def _warm_one(self) -> None:
        number = self._numbers.take()
        spec = SandboxSpec(name=f"{self._warm_prefix}{number:x}", cgroup_parent=self._settings.cgroup_parent)
        self._given[spec.name] = number
        try:
            holder = await self._make(spec)
            await self._furnish(holder, self._wire(number, spec), spec)
        except (DriverError, DriverUnavailableError):
            await self._discard(spec.name, number)
            raise
        finally:
            self._given.pop(spec.name, None)
        self._pool.ready.append(holder)

    async def _take(self, spec: SandboxSpec) -> Holder | None:
        """A warm one under the name that is asked for; `None`: there is none that fits."""
        while self._pool.ready and not spec.hostname:
            self._pool.wanted.set()
            holder = self._pool.ready.pop(0)
            number = self._number(holder)
            self._pool.taking.add(holder.docker_id)
            try:
                if await self._is_ready(holder) and await self._holders.rename(holder.docker_id, spec.name):
                    self._given[spec.name] = number
                    return holder
            finally:
                self._pool.taking.discard(holder.docker_id)
            await self._discard(holder.docker_id, number)
        return None

    async def _discard_strays(self) -> None:
        """Warm ones by name that nobody knows: a rename or a creation was cut off, by us or by a crash."""
        known = {holder.docker_id for holder in self._pool.ready} | self._pool.taking
        for each in await self._listed():
            if each.name.startswith(self._warm_prefix) and each.docker_id not in known | self._pool.taking:
                await self._discard(each.docker_id, self._number_of(each.veth))

    async def _is_ready(self, holder: Holder) -> bool:
        def look() -> bool:
            try:
                with wire.namespace_of(holder.pid, holder.program):
                    return wire.look(holder.veth) is not None
            except (NoNamespaceError, OSError):
                return False

        return holder.is_running and await asyncio.to_thread(look)

    async def _discard(self, name: str, number: int) -> None:
        """What is warm no more."""
        try:
            await self._clear(name, number)
        except (DriverError, DriverUnavailableError) as error:
            log.warning("sandbox.stays", sandbox=name, error=str(error))  # the next process finds it

    # ---- making and removing ------------------------------------------------------------------

    async def _make(self, spec: SandboxSpec) -> Holder:
        number = self._given.get(spec.name)
        if number is None:
            number = self._given[spec.name] = self._numbers.take()
        hostname = spec.hostname or hashlib.sha256(self._ids.token(16)).hexdigest()[:12]
        await self._holders.create(
            spec.name,
            veth=self._veth(number),
            hostname=hostname,
            labels=spec.labels,
            cgroup_parent=spec.cgroup_parent,
        )
        await self._holders.start(spec.name)
        return await self._inspected(spec.name)

    async def _inspected(self, name: str) -> Holder:
        holder = await self._holders.inspect(name)
        if holder is None:
            raise DriverError(agent.START, f"{name} is gone")
        return holder

    async def _furnish(self, holder: Holder, made: Wire, spec: SandboxSpec) -> None:
        """Link, addresses, routes, files: from whatever there is of them."""
        interface = spec.interface
        own = [holder.hostname] if interface is None else [interface.private_dns_name, holder.hostname]
        hosts = hosts_text(made.address, own, spec.extra_hosts)
        resolv = resolv_text(self._resolver(spec))

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
        if self._holders.can_leave and await self._holders.failed(name):
            log.warning("sandboxes.cannot_leave", sandbox=name)
            self._holders.can_leave = False

    async def _publish(self, holder: Holder, made: Wire, spec: SandboxSpec) -> None:
        """Ports lead to the inner address; an interface of the VPC has all its own."""
        inner = self._inner(self._number(holder))
        wanted = outside(self._ground.instance_address(self._settings.index), spec.published, made.address)
        try:
            await self._ground.published.publish(inner, {} if spec.interface else wanted)
        except CommandError as error:
            raise DriverError(agent.START, f"ports cannot be published: {error}") from error

    async def _clear(self, name: str, number: int | None) -> None:
        try:
            if number is not None:
                await self._ground.published.publish(self._inner(number), {})
            await self._holders.remove(name)
            if number is not None:
                await asyncio.to_thread(wire.cut, [self._veth(number)])
                self._numbers.give_back(number)
        except (CommandError, OSError) as error:
            raise DriverError(agent.REMOVE, str(error)) from error

    # ---- what follows from what ---------------------------------------------------------------

    def _wire(self, number: int, spec: SandboxSpec) -> Wire:
        interface = spec.interface
        if interface is None:
            inner = self._inner(number)
            return Wire(address=inner, mac=wire.inner_mac(inner), gateway=self._ground.host)
        return Wire(
            address=interface.address,
            mac=interface.mac.lower(),
            gateway=interface.gateway or self._ground.host,
            prefix=int(interface.subnet.partition("/")[2] or 32),
        )

    def _resolver(self, spec: SandboxSpec) -> Resolver:
        own, interface = self._settings.resolver, spec.interface
        servers, search = (interface.dns, interface.search) if interface else ((), ())
        return Resolver(
            servers=spec.dns or servers or own.servers,
            search=spec.dns_search or search or own.search,
            options=spec.dns_options or own.options,
        )

    def _veth(self, number: int) -> str:
        return layout.veth_name(self._ground.homeport, self._settings.index, number)

    def _inner(self, number: int) -> str:
        return layout.address_of(self._ground.network, self._settings.index, number)

    def _number(self, holder: Holder) -> int:
        return self._number_of(holder.veth)

    def _number_of(self, veth: str) -> int:
        number = layout.number_of(self._ground.homeport, self._settings.index, veth)
        if number is None:
            raise DriverError(agent.CREATE, f"{veth!r} is no network of this instance")
        return number

    @asynccontextmanager
    async def _alone(self, name: str) -> AsyncIterator[None]:
        lock = self._locks.setdefault(name, asyncio.Lock())
        async with lock:
            yield
