"""Threads beside a busy event loop.

CPython hands its interpreter lock to a waiting thread only if the holder keeps
it for a whole switch interval (5 ms). An event loop under load lets go of the
lock every few hundred microseconds, at each poll and each send, and has it back
before the woken thread gets there: the thread can starve for seconds (measured:
5 commits a second, p99 4 s). So while work of ours is in a thread, the loop
naps now and then, long enough for the thread to get in.
"""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable
from queue import SimpleQueue

NAP_SECONDS = 0.000_2
NAP_EVERY_SECONDS = 0.002
PATIENCE_SECONDS = 0.001
"""How long the loop waits for the disk before it goes on with other things."""


class Courtesy:
    """Naps on the loop while there is work in threads: at most a tenth of its time."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._inside = 0
        self._scheduled = False

    def enter(self) -> None:
        """Some work begins in a thread. Called on the loop."""
        self._inside += 1
        if not self._scheduled:
            self._scheduled = True
            self._loop.call_later(NAP_EVERY_SECONDS, self._nap)

    def leave(self) -> None:
        """That work has ended. Called on the loop."""
        self._inside -= 1

    def _nap(self) -> None:
        if self._inside:
            time.sleep(NAP_SECONDS)
            self._loop.call_later(NAP_EVERY_SECONDS, self._nap)
        else:
            self._scheduled = False


class Worker:
    """One thread that does one thing at a time, handed over by the loop and collected on it."""

    def __init__(self, loop: asyncio.AbstractEventLoop, courtesy: Courtesy, name: str) -> None:
        self._loop = loop
        self._courtesy = courtesy
        self._jobs: SimpleQueue[Callable[[], Callable[[], None]] | None] = SimpleQueue()
        self._busy = threading.Lock()
        self._finish: Callable[[], None] | None = None
        self._patience_seconds = PATIENCE_SECONDS
        self._thread = threading.Thread(target=self._work, name=name, daemon=True)
        self._thread.start()

    def start(self, job: Callable[[], Callable[[], None]], *, short: bool) -> None:
        """Run `job` in the thread, then what it returns on the loop; the one before must have finished.

        A `short` job is waited for a moment on the spot, unless the last one
        took longer: with a fast disk that saves the way through the loop.
        """
        self._busy.acquire()
        self._courtesy.enter()
        self._jobs.put(job)
        if short:
            if self._busy.acquire(timeout=self._patience_seconds):
                self._busy.release()
                self._patience_seconds = PATIENCE_SECONDS
                self._collect()
            else:
                self._patience_seconds = NAP_SECONDS

    def stop(self) -> None:
        """End the thread once it has done what it was handed."""
        self._jobs.put(None)
        self._thread.join()

    def _work(self) -> None:
        while (job := self._jobs.get()) is not None:
            self._finish = job()
            self._busy.release()
            self._loop.call_soon_threadsafe(self._collect)

    def _collect(self) -> None:
        """Called once by each job's end and perhaps once before; the first finds something."""
        finish, self._finish = self._finish, None
        if finish is not None:
            self._courtesy.leave()
            finish()
