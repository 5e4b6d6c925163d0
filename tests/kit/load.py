"""A client that asks at a constant rate, on connections that it keeps and on new ones, and misses nothing.

Every request that was begun is counted: answered as it should be, or failed, and how. A server may close a
connection that nothing was asked on; a request that was sent and not answered has failed.
"""

from __future__ import annotations

import asyncio
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

PATIENCE_SECONDS = 10.0


@dataclass(slots=True)
class Told:
    """What became of the requests. `bodies`: how often each was answered; `failures`: when, and how."""

    bodies: Counter[str] = field(default_factory=Counter)
    failures: list[tuple[float, str]] = field(default_factory=list)
    begun: int = 0
    slowest_seconds: float = 0.0
    late: int = 0
    """Requests that began more than 50 ms after their time: the client itself could not keep up."""
    recent: list[tuple[float, str]] = field(default_factory=list)
    """When each answer came, and its body."""

    @property
    def answered(self) -> int:
        """How many got what they should."""
        return self.bodies.total()

    def since(self, start: float) -> Counter[str]:
        """The answers from then on."""
        return Counter(body for at, body in self.recent if at >= start)


class Load:
    """`rate` requests a second, every other one on a connection of its own."""

    def __init__(self, address: str, port: int, *, rate: float, path: str = "/") -> None:
        self._address, self._port, self._rate = address, port, rate
        self._host = f"{address}:{port}"
        self._path = path
        self._idle: list[tuple[asyncio.StreamReader, asyncio.StreamWriter]] = []
        self.told = Told()

    async def run(self, stop: asyncio.Event) -> None:
        """Until it is told to stop and all that was begun has ended."""
        loop = asyncio.get_running_loop()
        begin, number = loop.time(), 0
        async with asyncio.TaskGroup() as group:
            while not stop.is_set():
                due = begin + number / self._rate
                now = loop.time()
                if due > now:
                    await asyncio.sleep(due - now)
                elif now - due > 0.05:
                    self.told.late += 1
                group.create_task(self._ask(keep=number % 2 == 0))
                number += 1
        for _, writer in self._idle:
            writer.close()

    async def _ask(self, *, keep: bool) -> None:
        loop, told = asyncio.get_running_loop(), self.told
        told.begun += 1
        start = loop.time()
        try:
            async with asyncio.timeout(PATIENCE_SECONDS):
                body = await self._answer(keep=keep)
        except TimeoutError:
            told.failures.append((time.time(), "no answer in time"))
        except (OSError, EOFError, ValueError) as error:
            told.failures.append((time.time(), f"{type(error).__name__}: {error}"))
        else:
            told.bodies[body] += 1
            told.recent.append((time.time(), body))
        told.slowest_seconds = max(told.slowest_seconds, loop.time() - start)

    def _kept(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter] | None:
        while self._idle:
            reader, writer = self._idle.pop()
            if not reader.at_eof() and not writer.is_closing():
                return reader, writer
            writer.close()
        return None

    async def _answer(self, *, keep: bool) -> str:
        held = self._kept() if keep else None
        reader, writer = held or await asyncio.open_connection(self._address, self._port)
        is_kept = False
        try:
            close = "" if keep else "Connection: close\r\n"
            writer.write(f"GET {self._path} HTTP/1.1\r\nHost: {self._host}\r\n{close}\r\n".encode())
            head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").lower()
            length = next(int(line[15:]) for line in head.split("\r\n") if line.startswith("content-length:"))
            body = (await reader.readexactly(length)).decode()
            if " 200 " not in head.partition("\r\n")[0]:
                raise ValueError(f"{head.partition(chr(13))[0]}: {body[:80]}")
            is_kept = keep and "connection: close" not in head
            return body
        finally:
            if is_kept:
                self._idle.append((reader, writer))
            else:
                writer.close()


@contextmanager
def constant_load(address: str, port: int, *, rate: float, path: str = "/") -> Iterator[Told]:
    """Ask in a thread while the block runs; when it ends, all is counted."""
    load, stop, held = Load(address, port, rate=rate, path=path), asyncio.Event(), []
    started = threading.Event()

    async def main() -> None:
        held.append(asyncio.get_running_loop())
        started.set()
        await load.run(stop)

    thread = threading.Thread(target=lambda: asyncio.run(main()), name="load")
    thread.start()
    started.wait()
    try:
        yield load.told
    finally:
        held[0].call_soon_threadsafe(stop.set)
        thread.join(PATIENCE_SECONDS * 3)
