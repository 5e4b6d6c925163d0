"""The data plane of one machine: balancers in, traffic and news of targets' health out."""

from __future__ import annotations

import asyncio
import contextlib
import os
from collections.abc import Callable, Iterable, Mapping
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Self

import aiohttp
import msgspec

from homeport.app.balancers.envoy_admin import EnvoyAdmin
from homeport.app.balancers.envoy_memory import HealthMemory
from homeport.app.balancers.envoy_probe import Probe
from homeport.app.balancers.envoy_process import EnvoyProcess, Files
from homeport.app.balancers.leaving import Leaving
from homeport.app.balancers.roots import trusted_roots
from homeport.core.clock import Clock, SystemClock
from homeport.core.log import get_logger
from homeport.dataplane.clusters import NO_STANDING, Standing, source_address
from homeport.dataplane.counters import Counter, Ledger, read_counters
from homeport.dataplane.health import (
    MISMATCH,
    HealthChange,
    TargetHealth,
    read_event,
    read_healthy,
)
from homeport.dataplane.health_book import HealthBook
from homeport.dataplane.model import Balancer, TargetGroup, TlsMaterial
from homeport.dataplane.session import Rejection
from homeport.dataplane.translate import EMPTY, Snapshot, translate
from homeport.gateway.logins.gate import Gate
from homeport.gateway.xds import XdsServer
from homeport.runtime.supervisor import Supervisor

log = get_logger(__name__)

RETRY_SECONDS = 5.0
"""How long after a refusal it is tried again: an address may have come, a port may be free."""
RETRY_SECONDS_MAX = 60.0
"""The pause grows while the same is refused again: a port of loopback may be another program's for good."""
ASK_AGAIN_SECONDS = 1.0
READ_BYTES = 1 << 16


Told = Callable[[HealthChange], None]


class DataPlane:
    """`async with DataPlane(folder, told=...) as plane: plane.serve(balancers, materials)`.

    `roots` is a file of the authorities that are trusted (by default the machine's own).
    `told` hears every change of a target's health. Leaving the block ends the proxy, unless
    `outlives` says that traffic goes on without a control plane. `gate` lets clients log in.
    """

    def __init__(
        self,
        folder: Path,
        *,
        told: Told,
        node_id: str = "homeport",
        workers: int | None = None,
        outlives: bool = False,
        roots: str = "",
        clock: Clock | None = None,
        gate: Gate | None = None,
    ) -> None:
        self._files = Files(folder=folder)
        self._told = told
        self._outlives = outlives
        self._roots = roots or trusted_roots()
        self._clock = clock or SystemClock()
        self._gate = gate
        self._book = HealthBook()
        self._memory = HealthMemory(self._files)
        self._moved = asyncio.Event()
        """Something was learned about targets."""
        self._standing: Standing = NO_STANDING
        self._balancers: tuple[Balancer, ...] = ()
        self._materials: tuple[TlsMaterial, ...] = ()
        self._ledger = Ledger()
        self._snapshot: Snapshot = EMPTY
        self._stack = AsyncExitStack()
        self._groups: Mapping[str, tuple[TargetGroup, str]] = {}
        """With where its targets are asked from."""
        self._unexplained: asyncio.Queue[HealthChange] = asyncio.Queue()
        self._probe = Probe()
        self._xds = XdsServer(self._files.xds, gate)
        self._leaving = Leaving(self._files.leaving, self._xds.until_settled)
        self.process = EnvoyProcess(
            self._files, node_id=node_id, workers=workers or os.cpu_count() or 1, outlives=outlives
        )
        self.admin = EnvoyAdmin(self._files.admin)

    async def __aenter__(self) -> Self:
        self._files.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        async with AsyncExitStack() as begun:
            self._book = HealthBook(self._memory.read(self.process.adoptable()))
            self._leaving.remember()
            if not self._files.health.exists():
                os.mkfifo(self._files.health, 0o600)
            news = os.open(self._files.health, os.O_RDWR | os.O_NONBLOCK)
            begun.callback(os.close, news)
            await begun.enter_async_context(self._xds)
            await begun.enter_async_context(self.admin)
            if self._outlives:
                begun.callback(self.process.leave)
            else:
                begun.push_async_callback(self.process.end)
            loops = await begun.enter_async_context(Supervisor())
            loops.start("proxy.process", self.process.run)
            loops.start("proxy.health", lambda: self._listen(news))
            loops.start("proxy.reasons", self._explain)
            loops.start("proxy.probation", self._follow)
            loops.start("proxy.resync", self._resync)
            loops.start("proxy.retry", self._retry)
            loops.start("proxy.leaving", self._leaving.run)
            self._stack = begun.pop_all()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._stack.aclose()

    def serve(self, balancers: Iterable[Balancer], materials: Iterable[TlsMaterial] = ()) -> Snapshot:
        """These balancers from now on, and no others. What cannot be served is in the result's `refused`."""
        self._balancers, self._materials = tuple(balancers), tuple(materials)
        self._groups = {
            group.id: (group, source_address(one, "")) for one in self._balancers for group in one.groups
        }
        if self._gate is not None:
            self._gate.serve(self._balancers)
        snapshot = self._translate()
        for change in self._book.expect(b for b in self._balancers if b.id not in snapshot.refused):
            self._told(change)
        if (standing := self._book.standing()) != self._standing:
            self._standing = standing
            snapshot = self._translate()
        self._snapshot = snapshot
        self._xds.want(self._snapshot)
        self._leaving.serve(b for b in self._balancers if b.id not in snapshot.refused)
        self._moved.set()
        return self._snapshot

    def _translate(self) -> Snapshot:
        return translate(
            self._balancers,
            self._materials,
            health_events_path=str(self._files.health),
            roots=self._roots,
            standing=self._standing,
        )

    async def until_live(self) -> tuple[Rejection, ...]:
        """Wait until the proxy has everything that it does not refuse; what it refuses."""
        await self._xds.until_settled()
        return self._xds.rejections

    @property
    def rejections(self) -> tuple[Rejection, ...]:
        """What the proxy refuses now, in its own words."""
        return self._xds.rejections

    @property
    def is_connected(self) -> bool:
        """Whether a proxy is there and asks."""
        return self._xds.connected

    @property
    def is_settled(self) -> bool:
        """Whether it has everything that it does not refuse."""
        return self._xds.settled

    @property
    def trouble(self) -> str:
        """Why no proxy stays; empty when nothing is known against it."""
        return self.process.trouble

    def retry(self) -> None:
        """Try again what was refused, now."""
        self._xds.retry()

    async def until_away(self) -> None:
        """Wait until no proxy is there."""
        await self._xds.until_gone()

    def health(self, group_id: str) -> dict[str, TargetHealth]:
        """A group's targets (`address:port`) and their health."""
        return self._book.of(group_id)

    async def counters(self) -> dict[Counter, float]:
        """What was counted under CloudWatch's names, since this control plane began at the latest."""
        return self._ledger.read(self.process.running, read_counters(await self.admin.stats()))

    async def _retry(self) -> None:
        pause, before = RETRY_SECONDS, self.rejections
        while True:
            await self._xds.until_rejected()
            refused = self.rejections
            pause = min(2 * pause, RETRY_SECONDS_MAX) if refused == before else RETRY_SECONDS
            await asyncio.sleep(pause)
            before = refused
            self._xds.retry()

    async def _resync(self) -> None:
        """Who is healthy after a proxy came (back): its news of before may be lost."""
        while True:
            await self._xds.until_settled()
            self._book.doubt()
            for change in self._book.confirm(await self._ask_healthy()):
                self._heard(change)
            self._moved.set()
            await self._xds.until_gone()

    async def _ask_healthy(self) -> frozenset[tuple[str, str]]:
        while True:
            try:
                return read_healthy(await self.admin.clusters())
            except (aiohttp.ClientError, OSError, TimeoutError) as error:
                log.warning("proxy.unasked", error=str(error))
            await asyncio.sleep(ASK_AGAIN_SECONDS)

    async def _follow(self) -> None:
        """Tell the proxy what targets' checks led to, as it comes and when it is due."""
        while True:
            self._moved.clear()
            self._book.renew(self._clock.now().timestamp())
            if (standing := self._book.standing()) != self._standing:
                self._standing = standing
                self._snapshot = self._translate()
                self._xds.want(self._snapshot)
            self._keep()
            at = self._book.next_round_at()
            pause = None if at is None else max(0.0, at - self._clock.now().timestamp())
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(pause):
                    await self._moved.wait()

    def _keep(self) -> None:
        self._memory.keep(self.process.running, self._book.remembered())

    async def _listen(self, news: int) -> None:
        """The proxy's health log, line by line as it comes."""
        loop, readable, rest = asyncio.get_running_loop(), asyncio.Event(), b""
        loop.add_reader(news, readable.set)
        try:
            while True:
                await readable.wait()
                readable.clear()
                *lines, rest = (rest + _read(news)).split(b"\n")
                for line in filter(None, lines):
                    self._hear(line)
                self._keep()  # what was read from the pipe is nowhere else
        finally:
            loop.remove_reader(news)

    def _hear(self, line: bytes) -> None:
        try:
            checked = read_event(msgspec.json.decode(line, type=dict))
        except msgspec.DecodeError:
            log.warning("proxy.unreadable", line=line[:200].decode(errors="replace"))
            return
        if checked is not None:
            self._heard(self._book.observe(checked))
            self._moved.set()

    def _heard(self, change: HealthChange | None) -> None:
        if change is None:
            return
        self._told(change)
        if change.health.reason == MISMATCH:
            self._unexplained.put_nowait(change)

    async def _explain(self) -> None:
        """Ask targets whose answers do not match: the proxy tells that they do not, but not what they are."""
        while True:
            change = await self._unexplained.get()
            known = self._groups.get(change.group_id)
            status = (
                None if known is None else await self._probe.status(known[0], change.key, source=known[1])
            )
            if status is not None:
                explained = self._book.explain(change.group_id, change.key, status)
                if explained is not None:
                    self._told(explained)


def _read(descriptor: int) -> bytes:
    try:
        return os.read(descriptor, READ_BYTES)
    except BlockingIOError:
        return b""
