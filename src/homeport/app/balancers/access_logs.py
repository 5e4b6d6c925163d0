"""Keeps balancers' access logs: what the proxy wrote of requests becomes objects, each five minutes.

Level-triggered: each round looks at what lies on the disk, whoever left it there. Nothing runs per request,
and nothing at all while no balancer is logged.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
from collections.abc import Awaitable, Callable, Collection, Iterable
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import Any, Protocol

import aiohttp

from homeport.app.balancers.access_log_files import LogFiles, folder_of
from homeport.app.balancers.envoy_admin import EnvoyAdmin
from homeport.app.balancers.envoy_process import Files, find_running
from homeport.core.clock import Clock, SystemClock
from homeport.core.ids import Ids, SystemIds, token
from homeport.core.log import get_logger
from homeport.dataplane.access_lines import Source
from homeport.dataplane.access_logs import LIVE
from homeport.dataplane.access_objects import period_end
from homeport.dataplane.model import AccessLog, Balancer

log = get_logger(__name__)

RETRY_SECONDS = 60.0
"""How long after something could not be written it is tried again."""
MOMENT_SECONDS = 0.05
MOMENTS = 40
"""How long the proxy is waited for when it is to begin a new file: it does so when it next writes."""
_TOKEN_LETTERS = 8
_REMEDY = "make room, or let this user write there; what was logged is kept and written then"

Offload = Callable[..., Awaitable[Any]]


class Proxy(Protocol):
    """What writes records."""

    async def holds(self, paths: Collection[Path]) -> frozenset[Path]:
        """Those of the files that it has open."""
        ...

    async def reopen(self) -> None:
        """Ask it to begin its files anew, by their names."""
        ...


class LocalProxy:
    """The proxy of this machine, if it runs."""

    def __init__(self, folder: Path) -> None:
        self._files = Files(folder=folder)

    async def holds(self, paths: Collection[Path]) -> frozenset[Path]:
        """Those of the files that it has open."""
        return await asyncio.to_thread(self._holds, paths)

    def _holds(self, paths: Collection[Path]) -> frozenset[Path]:
        running = find_running(self._files)
        if running is None:
            return frozenset()
        opened = set()
        with contextlib.suppress(FileNotFoundError, ProcessLookupError):
            for entry in os.scandir(f"/proc/{running.pid}/fd"):
                with contextlib.suppress(OSError):
                    found = entry.stat()
                    opened.add((found.st_dev, found.st_ino))
        return frozenset(path for path in paths if _identity(path) in opened)

    async def reopen(self) -> None:
        """Ask it to begin its files anew, by their names. One that is not there has none."""
        with contextlib.suppress(aiohttp.ClientError, OSError, TimeoutError):
            async with EnvoyAdmin(self._files.admin) as admin:
                await admin.reopen_logs()


def _identity(path: Path) -> tuple[int, int] | None:
    try:
        found = path.stat()
    except FileNotFoundError:
        return None
    return found.st_dev, found.st_ino


class AccessLogKeeper:
    """`ready` says where balancers' records go; `run` makes objects of them until it is cancelled."""

    def __init__(
        self,
        files: LogFiles,
        proxy: Proxy,
        *,
        clock: Clock | None = None,
        ids: Ids | None = None,
        offload: Offload = asyncio.to_thread,
    ) -> None:
        self._files, self._proxy, self._offload = files, proxy, offload
        self._clock, self._ids = clock or SystemClock(), ids or SystemIds()
        self._wanted: dict[str, Source] | None = None
        """By their folders' names; `None`: nobody said yet which balancers there are."""
        self._unready: dict[str, str] = {}
        self._said: dict[Path, str] = {}
        self._changed = asyncio.Event()

    def ready(self, balancers: Iterable[Balancer]) -> tuple[Balancer, ...]:
        """The balancers with where their records go. One that cannot have records is served without."""
        before, self._wanted = self._wanted or {}, {}
        unready: dict[str, str] = {}
        found = tuple(self._ready(one, before, unready) for one in balancers)
        for balancer_id, why in unready.items():
            if self._unready.get(balancer_id) != why:
                log.warning("access_log.off", balancer=balancer_id, error=why, remedy=_REMEDY)
        self._unready = unready
        if before != self._wanted:
            self._changed.set()
        return found

    def _ready(self, one: Balancer, before: dict[str, Source], unready: dict[str, str]) -> Balancer:
        sources = [*_sources(one, one.access_log), *_sources(one, one.connection_log, connections=True)]
        if not sources or self._wanted is None:
            return one
        made = {folder_of(source): source for source in sources}
        try:
            for name, source in made.items():
                if before.get(name) != source or one.id in self._unready:
                    self._files.prepare(source)
        except OSError as error:
            unready[one.id] = str(error)
            return replace(one, access_log=None, connection_log=None)
        self._wanted |= made
        return replace(
            one, access_log=self._placed(one.access_log), connection_log=self._placed(one.connection_log)
        )

    def _placed(self, log: AccessLog | None) -> AccessLog | None:
        return None if log is None else replace(log, folder=str(self._files.records))

    async def run(self, again: Callable[[], None] = lambda: None) -> None:
        """Keep the logs. `again` is called when a balancer that could not be logged perhaps can."""
        while True:
            self._changed.clear()
            pause = await self.round()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(pause):
                    await self._changed.wait()
            if self._unready:
                again()

    async def round(self) -> float | None:
        """Do what is due; how many seconds until something is, `None`: nothing will be."""
        now = self._clock.now()
        troubled = await self._close(now)
        troubled |= await self._deliver()
        for raw, size in await self._offload(lambda: list(self._files.trim())):
            log.warning("access_log.lost", records=str(raw), bytes=size, remedy=_REMEDY)
        await self._forget()
        if troubled:
            return RETRY_SECONDS
        # What is written a moment late waits for the next time, so that it needs no object of its own.
        known = [self._files.about(one) for one in self._files.folders()]
        ends = [period_end(now, one.minutes) for one in known if one is not None]
        pause = max(0.0, (min(ends) - self._clock.now()).total_seconds()) if ends else None
        return pause if not self._unready else min(RETRY_SECONDS, pause or RETRY_SECONDS)

    async def _close(self, now: datetime) -> bool:
        troubled = False
        for folder in self._files.folders():
            try:
                await self._offload(self._files.close, folder, now, token(self._ids, _TOKEN_LETTERS).lower())
            except OSError as error:
                self._complain(folder, str(folder), error)
                troubled = True
        return troubled

    async def _deliver(self) -> bool:
        waiting = await self._offload(self._files.waiting)
        held = await self._let_go(waiting)
        troubled = bool(held)
        for raw in (one for one in waiting if one not in held):
            try:
                done = await self._offload(self._files.deliver, raw)
            except OSError as error:
                self._complain(raw.parent, self._where(raw), error)
                troubled = True
                continue
            self._said.pop(raw.parent, None)
            log.info("access_log.delivered", object=str(done.path), lines=done.lines)
            if done.unreadable:
                log.warning("access_log.torn", object=str(done.path), records=done.unreadable)
        return troubled

    def _where(self, raw: Path) -> str:
        with contextlib.suppress(OSError):
            return str(self._files.place(raw))
        return str(raw)

    async def _let_go(self, waiting: Collection[Path]) -> frozenset[Path]:
        """Those that the proxy still writes to, although it was asked to begin anew."""
        held = await self._proxy.holds(waiting) if waiting else frozenset()
        if held:
            await self._proxy.reopen()
        for _ in range(MOMENTS):
            if not held:
                break
            await asyncio.sleep(MOMENT_SECONDS)
            held = await self._proxy.holds(held)
        return held

    async def _forget(self) -> None:
        """Folders of balancers that are gone, or are logged no more, once nobody writes there."""
        if self._wanted is None:
            return
        waiting = {raw.parent for raw in await self._offload(self._files.waiting)}
        found = [one for one in self._files.folders() if one.name not in self._wanted and one not in waiting]
        held = await self._proxy.holds([one / LIVE for one in found]) if found else frozenset()
        for folder in found:
            # Not offloaded: a balancer must not get its folder between the question and the deed.
            if folder / LIVE not in held and folder.name not in self._wanted:
                with contextlib.suppress(OSError):
                    self._files.forget(folder)

    def _complain(self, folder: Path, what: str, error: OSError) -> None:
        if self._said.get(folder) != error.strerror:
            self._said[folder] = error.strerror or str(error)
            log.warning("access_log.undelivered", object=what, error=str(error), remedy=_REMEDY)


def _sources(balancer: Balancer, given: AccessLog | None, *, connections: bool = False) -> list[Source]:
    if given is None:
        return []
    return [
        Source(
            balancer_id=balancer.id,
            address=address.address,
            account_id=given.account_id,
            region=given.region,
            dns_name=given.dns_name,
            bucket=given.bucket,
            prefix=given.prefix,
            minutes=given.minutes,
            connections=connections,
        )
        for address in balancer.addresses
    ]
