"""A client that asks at a constant rate, on connections that it keeps and on new ones, and misses nothing.

Every request that was begun is counted: answered as it should be, or failed, and how. A server may close a
connection that nothing was asked on; a request that was sent and not answered has failed. It is a process of
its own, with precedence where it may have it: a client that gets no time to read answers says nothing about
who gave them. `python -m tests.kit.load ADDRESS PORT RATE PATH` tells what happened until its input ends.
"""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

PATIENCE_SECONDS = 10.0
TOLD_EVERY_SECONDS = 0.1
BEHIND_SECONDS = 0.25
"""Who is later than this leaves requests out instead of asking many at once: that would be another rate."""
PRECEDENCE = -10


@dataclass(slots=True)
class Told:
    """What became of the requests. `bodies`: how often each was answered; `failures`: when, and how."""

    bodies: Counter[str] = field(default_factory=Counter)
    failures: list[tuple[float, str]] = field(default_factory=list)
    recent: list[tuple[float, str]] = field(default_factory=list)
    """When each answer came, and its body."""
    begun: int = 0
    skipped: int = 0
    """Requests that were left out, because the client itself could not keep up."""
    slowest_seconds: float = 0.0

    @property
    def answered(self) -> int:
        """How many got what they should."""
        return self.bodies.total()

    def since(self, start: float) -> Counter[str]:
        """The answers from then on."""
        return Counter(body for at, body in self.recent if at >= start)

    def listen(self, lines: Iterable[str]) -> None:
        """Take down what the process tells, until it ends."""
        for line in lines:
            said = json.loads(line)
            self.recent += [(at, body) for at, body in said["answers"]]
            self.bodies.update(body for _, body in said["answers"])
            self.failures += [(at, how) for at, how in said["failures"]]
            self.begun, self.skipped = said["begun"], said["skipped"]
            self.slowest_seconds = said["slowest"]


class Load:
    """`rate` requests a second, every other one on a connection of its own."""

    def __init__(self, address: str, port: int, *, rate: float, path: str = "/") -> None:
        self._address, self._port, self._rate, self._path = address, port, rate, path
        self._idle: list[tuple[asyncio.StreamReader, asyncio.StreamWriter]] = []
        self._answers: list[tuple[float, str]] = []
        self._failures: list[tuple[float, str]] = []
        self._begun = self._skipped = 0
        self._slowest = 0.0

    async def run(self, stop: asyncio.Event) -> None:
        """Until it is told to stop and all that was begun has ended."""
        loop = asyncio.get_running_loop()
        due = loop.time()
        telling = loop.create_task(self._tell_on())
        async with asyncio.TaskGroup() as group:
            while not stop.is_set():
                late = loop.time() - due
                if late > BEHIND_SECONDS:
                    self._skipped += int(late * self._rate)
                    due = loop.time()
                await asyncio.sleep(max(due - loop.time(), 0))
                due += 1 / self._rate
                group.create_task(self._ask(keep=self._begun % 2 == 0))
                self._begun += 1
        telling.cancel()
        self._tell()

    async def _tell_on(self) -> None:
        while True:
            await asyncio.sleep(TOLD_EVERY_SECONDS)
            self._tell()

    def _tell(self) -> None:
        said = {
            "answers": self._answers,
            "failures": self._failures,
            "begun": self._begun,
            "skipped": self._skipped,
            "slowest": self._slowest,
        }
        print(json.dumps(said), flush=True)
        self._answers, self._failures = [], []

    async def _ask(self, *, keep: bool) -> None:
        start = time.monotonic()
        try:
            async with asyncio.timeout(PATIENCE_SECONDS):
                body = await self._answer(keep=keep)
        except TimeoutError:
            self._failures.append((time.time(), "no answer in time"))
        except (OSError, EOFError, ValueError) as error:
            self._failures.append((time.time(), f"{type(error).__name__}: {error}"))
        else:
            self._answers.append((time.time(), body))
        self._slowest = max(self._slowest, time.monotonic() - start)

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
            host = f"{self._address}:{self._port}"
            writer.write(f"GET {self._path} HTTP/1.1\r\nHost: {host}\r\n{close}\r\n".encode())
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
def constant_load(
    address: str, port: int, *, rate: float, path: str = "/", inside: tuple[str, ...] = ()
) -> Iterator[Told]:
    """Ask while the block runs; when it ends, all is counted. `inside`: the command of a Python elsewhere."""
    told = Told()
    runs = (*inside, "-c", Path(__file__).read_text()) if inside else (sys.executable, "-m", "tests.kit.load")
    command = [*runs, address, str(port), str(rate), path]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(part for part in sys.path if part)}
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=environment, text=True
    ) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        heard = threading.Thread(target=told.listen, args=(process.stdout,))
        heard.start()
        try:
            yield told
        finally:
            process.stdin.close()
            heard.join(PATIENCE_SECONDS * 3)
            process.wait(PATIENCE_SECONDS)


async def main() -> None:
    """Ask until the standard input ends."""
    address, port, rate, path = sys.argv[1:]
    with suppress(PermissionError):
        os.nice(PRECEDENCE)
    stop, loop = asyncio.Event(), asyncio.get_running_loop()
    loop.add_reader(sys.stdin, stop.set)
    await Load(address, int(port), rate=float(rate), path=path).run(stop)


if __name__ == "__main__":
    asyncio.run(main())
