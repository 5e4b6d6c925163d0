"""`ports.SandboxDriver`: namespaces held by containers, wired by netlink, published by nftables.

What is known of a sandbox is read from Docker and the kernel: a restart goes on with what it finds, and
removes what belongs to nobody.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from weakref import WeakValueDictionary

from homeport.core.ids import Ids
from homeport.core.log import get_logger
from homeport.node.commands import CommandError
from homeport.node.drivers import agent_errors as agent
from homeport.node.ports import Counters, DriverError, DriverUnavailableError, Sandbox, SandboxSpec
from homeport.node.sandbox import layout, wire
from homeport.node.sandbox.build import Builder, SandboxSettings
from homeport.node.sandbox.ground import SandboxGround
from homeport.node.sandbox.holder import Holder, Holders
from homeport.node.sandbox.stock import AGAIN_SECONDS, Stock

__all__ = ["DockerSandboxes", "SandboxSettings"]

log = get_logger("node.sandbox")


class DockerSandboxes:
    """One instance's sandboxes. `run` keeps some in stock; without it each is made when it is asked for.

    Labels and cgroup of a spec are not its holder's: holders serve one task after the other.
    """

    def __init__(
        self, ground: SandboxGround, holders: Holders, settings: SandboxSettings, *, ids: Ids
    ) -> None:
        self._ground = ground
        self._holders = holders
        self._builder = Builder(ground, holders, settings, ids=ids)
        self._stock = Stock(self._builder)
        self._index = settings.index
        self._locks: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()
        self._adopting = asyncio.Lock()
        self._adopted = False

    @property
    def in_stock(self) -> int:
        """How many are ready for tasks to come."""
        return self._stock.ready

    async def ensure(self, spec: SandboxSpec) -> Sandbox:
        """As the protocol says."""
        await self.adopt()
        builder = self._builder
        self._stock.asked()
        async with self._alone(spec.name):
            holder = None if spec.name in builder.given else await self._stock.take(spec)
            if holder is None:
                holder = await self._found_or_made(spec)
                await builder.furnish(holder, builder.wire_of(builder.number(holder), spec), spec)
            made = builder.wire_of(builder.number(holder), spec)
            await builder.publish(holder, made, spec)
        self._stock.asked()
        return Sandbox(name=spec.name, docker_id=holder.docker_id, address=made.address, mac=made.mac)

    async def _found_or_made(self, spec: SandboxSpec) -> Holder:
        holder = await self._holders.inspect(spec.name)
        if holder is None:
            return await self._builder.make(spec)
        return holder if holder.is_running else await self._builder.start(spec.name)

    async def find(self, name: str) -> Sandbox | None:
        """As the protocol says."""
        holder = await self._holders.inspect(name)
        if holder is None or not holder.is_running or not holder.veth:
            return None
        found = await asyncio.to_thread(wire.look, holder.veth)
        if found is None:
            return None
        return Sandbox(name=name, docker_id=holder.docker_id, address=found.address, mac=found.mac)

    async def publish(self, spec: SandboxSpec) -> None:
        """As the protocol says."""
        await self.adopt()
        builder = self._builder
        async with self._alone(spec.name):
            holder = await self._holders.inspect(spec.name)
            if holder is not None and holder.is_running:
                await builder.publish(holder, builder.wire_of(builder.number(holder), spec), spec)

    async def remove(self, name: str) -> None:
        """As the protocol says."""
        await self.adopt()
        builder = self._builder
        async with self._alone(name):
            holder = await self._holders.inspect(name)
            if holder is None:
                await builder.clear(name, builder.given.get(name))
            elif not await self._stock.put_back(holder):
                await builder.clear(name, builder.number(holder))
            builder.given.pop(name, None)

    async def names(self) -> tuple[str, ...]:
        """As the protocol says."""
        await self.adopt()
        listed = await self._builder.listed()
        return tuple(sorted(each.name for each in listed if not self._stock.has(each.name)))

    async def counters(self, name: str) -> Counters | None:
        """As the protocol says."""
        number = self._builder.given.get(name)
        if number is None:
            holder = await self._holders.inspect(name)
            if holder is None or not holder.veth:
                return None
            number = self._builder.given[name] = self._builder.number(holder)
        return await asyncio.to_thread(wire.traffic, self._builder.veth(number))

    async def run(self) -> None:
        """Keep some in stock, until cancelled, which leaves them as they are."""
        while not self._adopted:
            try:
                await self.adopt()
            except (DriverError, DriverUnavailableError) as error:
                log.warning("sandboxes.not_adopted", error=str(error))
                await asyncio.sleep(AGAIN_SECONDS)
        await self._stock.run()

    async def refill(self) -> None:
        """The stock is as it should be when this returns. Raise `DriverError`."""
        await self.adopt()
        await self._stock.refill()

    async def adopt(self) -> None:
        """Go on with what is there, once; remove what belongs to nobody."""
        if self._adopted:
            return
        async with self._adopting:
            if not self._adopted:
                await self._adopt()
                self._adopted = True

    async def _adopt(self) -> None:
        builder, stock = self._builder, self._stock
        listed = await builder.listed()
        numbers = {each.name: builder.number_of(each.veth) for each in listed}
        builder.numbers.hold(numbers.values())
        taken = {name: number for name, number in numbers.items() if not stock.has(name)}
        builder.given |= taken
        await self._remove_strays({each.veth for each in listed}, {builder.inner(n) for n in taken.values()})
        for name in numbers.keys() - taken.keys():
            await stock.adopt(name)

    async def _remove_strays(self, held: set[str], inner: set[str]) -> None:
        """Links without a holder, and ports that lead to inner addresses of nobody."""
        mine = layout.veth_prefix(self._ground.homeport, self._index)
        block = layout.block_of(self._ground.network, self._index)
        try:
            links = [name for name in await asyncio.to_thread(wire.names, mine) if name not in held]
            await asyncio.to_thread(wire.cut, links)
            ports = await self._ground.published.keep(
                lambda address: layout.is_in(address, block) and address not in inner
            )
        except (OSError, CommandError) as error:
            raise DriverError(agent.CREATE, str(error)) from error
        if links or ports:
            log.info("sandboxes.strays_removed", links=links, ports=[str(port) for port in ports])

    @asynccontextmanager
    async def _alone(self, name: str) -> AsyncIterator[None]:
        lock = self._locks.setdefault(name, asyncio.Lock())
        async with lock:
            yield
