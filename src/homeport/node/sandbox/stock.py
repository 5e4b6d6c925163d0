"""Holders in stock, with a whole sandbox each, so that a task need not wait for one.

A few are always there. One whose task is over takes new namespaces and comes into stock again, for a while:
where tasks come and go, sandboxes are always ready. One coroutine makes them and makes them anew; new ones
only while nobody waits for a start.
"""

from __future__ import annotations

import asyncio
from dataclasses import replace

from homeport.core.log import get_logger
from homeport.node.ports import DriverError, DriverUnavailableError, SandboxSpec
from homeport.node.sandbox import layout
from homeport.node.sandbox.build import Builder
from homeport.node.sandbox.holder import Holder

log = get_logger("node.sandbox")

AGAIN_SECONDS = 1.0


class Stock:
    """One instance's."""

    def __init__(self, builder: Builder) -> None:
        self._builder = builder
        self._ready: list[Holder] = []
        self._used: list[Holder] = []
        self._taking: set[str] = set()
        """Ids of those that are about to have other names."""
        self._woken = asyncio.Event()
        self._asked = 0
        self._runs = False
        ground, index = builder.ground, builder.settings.index
        self._prefix = f"homeport-warm-{layout.short_id(ground.homeport)}-{index:x}-"

    @property
    def ready(self) -> int:
        """How many can be taken."""
        return len(self._ready)

    def has(self, name: str) -> bool:
        """Whether a holder of that name is in stock, or was meant to be."""
        return name.startswith(self._prefix)

    def asked(self) -> None:
        """Somebody waits for a sandbox."""
        self._asked += 1

    async def adopt(self, name: str) -> None:
        """Go on with one that a process before this one made, if it is whole."""
        holder = await self._builder.holders.inspect(name)
        if holder is not None and await self._builder.is_whole(holder):
            self._ready.append(holder)
        elif holder is not None:
            await self._discard(holder)

    async def take(self, spec: SandboxSpec) -> Holder | None:
        """One under the name that is asked for, furnished as asked; `None`: there is none that fits.

        The name is given while the rest is done. Until it has that name it counts as in stock: cut off in
        between, it is a stray.
        """
        while self._ready and not spec.hostname and not spec.holds_more:
            self._woken.set()
            holder = self._ready.pop(0)
            self._taking.add(holder.docker_id)
            try:
                if await self._is_taken(holder, spec):
                    self._builder.given[spec.name] = self._builder.number(holder)
                    return replace(holder, name=spec.name)
            finally:
                self._taking.discard(holder.docker_id)
            await self._discard(holder)
        return None

    async def _is_taken(self, holder: Holder, spec: SandboxSpec) -> bool:
        builder = self._builder
        made = builder.wire_of(builder.number(holder), spec)
        results = await asyncio.gather(
            builder.holders.rename(holder.docker_id, spec.name),
            builder.furnish(holder, made, spec),
            return_exceptions=True,
        )
        for each in results:
            if isinstance(each, DriverError):
                log.info("sandbox.not_taken", sandbox=holder.name, error=str(each))
                return False  # it is dead, as all are after the engine began again
            if isinstance(each, BaseException):
                raise each
        return bool(results[0])

    async def put_back(self, holder: Holder) -> bool:
        """Whether it came back, bare; no: it is to be removed. Raise `DriverError`."""
        builder = self._builder
        kept = len(self._ready) + len(self._used)
        if not self._runs or kept >= builder.settings.kept_max or not builder.can_serve_again(holder):
            return False
        await builder.bare(holder)
        name = f"{self._prefix}{builder.number(holder):x}"
        self._taking.add(holder.docker_id)
        try:
            if not await builder.holders.rename(holder.docker_id, name):
                return False
            self._used.append(replace(holder, name=name))
        finally:
            self._taking.discard(holder.docker_id)
        self._woken.set()
        return True

    async def run(self) -> None:
        """Keep it, until cancelled, which leaves it as it is."""
        self._runs = True
        try:
            while True:
                self._woken.clear()
                try:
                    await self.refill()
                except (DriverError, DriverUnavailableError) as error:
                    log.warning("sandboxes.not_warm", error=str(error))
                    await asyncio.sleep(AGAIN_SECONDS)
                    continue
                settings = self._builder.settings
                has_more = len(self._ready) > settings.warm
                if not await self._is_woken(settings.idle_seconds if has_more else None):
                    await self._discard(self._ready.pop())
        finally:
            self._runs = False

    async def refill(self) -> None:
        """Until what was used is ready, and there are enough, while nobody waits for a start."""
        settings = self._builder.settings
        while True:
            while self._used:
                await self._renew(self._used.pop(0))
            self._woken.clear()
            asked = self._asked
            if await self._is_woken(settings.quiet_seconds) or self._asked != asked:
                continue
            await self._discard_strays()
            dead = [holder for holder in self._ready if not await self._builder.is_whole(holder)]
            self._ready = [holder for holder in self._ready if holder not in dead]
            for holder in dead:
                await self._discard(holder)
            if len(self._ready) >= settings.warm:
                return
            await self._make_one()

    async def _is_woken(self, seconds: float | None) -> bool:
        """Whether something came or went within that time."""
        try:
            async with asyncio.timeout(seconds):
                await self._woken.wait()
        except TimeoutError:
            return False
        return True

    async def _make_one(self) -> None:
        builder = self._builder
        number = builder.numbers.take()
        spec = SandboxSpec(name=f"{self._prefix}{number:x}")
        builder.given[spec.name] = number
        try:
            holder = await builder.make(spec)
            await builder.furnish(holder, builder.wire_of(number, spec), spec)
        except (DriverError, DriverUnavailableError):
            await self._discard_named(spec.name, number)
            raise
        finally:
            builder.given.pop(spec.name, None)
        self._ready.append(holder)

    async def _renew(self, holder: Holder) -> None:
        builder, spec = self._builder, SandboxSpec(name=holder.name)
        try:
            await builder.leave_again(holder)
            await builder.furnish(holder, builder.wire_of(builder.number(holder), spec), spec)
        except (DriverError, DriverUnavailableError) as error:
            log.info("sandbox.not_renewed", sandbox=holder.name, error=str(error))
            await self._discard(holder)
        else:
            self._ready.append(holder)

    async def _discard_strays(self) -> None:
        """In stock by name, and nobody knows them: something was cut off, by us or by a crash."""
        for each in await self._builder.listed():
            known = {holder.docker_id for holder in (*self._ready, *self._used)} | self._taking
            if self.has(each.name) and each.docker_id not in known:
                await self._discard_named(each.docker_id, self._builder.number_of(each.veth))

    async def _discard(self, holder: Holder) -> None:
        await self._discard_named(holder.docker_id, self._builder.number(holder))

    async def _discard_named(self, name: str, number: int) -> None:
        try:
            await self._builder.clear(name, number)
        except (DriverError, DriverUnavailableError) as error:
            log.warning("sandbox.stays", sandbox=name, error=str(error))  # it is a stray, later
