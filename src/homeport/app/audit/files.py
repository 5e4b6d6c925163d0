"""The audit log on disk: JSON lines in numbered files that are only ever appended to.

Each line is one write to a file opened with O_APPEND, made before the request's answer is sent: a process
that is killed loses none that somebody heard of. It is not forced to the disk (a machine that loses power may
lose the last seconds): that would cost every request as much as a commit.

A full disk does not stop the API: what cannot be written is counted, told by the health page and the log, and
once it can be written again a line `EntriesLost` says how many are missing, and since when.
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import os
from collections.abc import Iterator
from pathlib import Path

import msgspec

from homeport.core.clock import Clock
from homeport.core.log import get_logger
from homeport.gateway.audit import OWN_SOURCE, Entry

log = get_logger("audit")

DIRECTORY = "audit"
FILE_BYTES = 32 << 20
FILES_KEPT = 8
LOST_EVENT = "EntriesLost"
_NAME = "audit-{:08d}.jsonl"


def numbers(directory: Path) -> list[int]:
    """The files' numbers, the oldest first."""
    found = []
    with contextlib.suppress(FileNotFoundError):
        for name in os.listdir(directory):
            digits = name.removeprefix("audit-").removesuffix(".jsonl")
            if digits.isdecimal() and name == _NAME.format(int(digits)):
                found.append(int(digits))
    return sorted(found)


def path_of(directory: Path, number: int) -> Path:
    """Where a file is."""
    return directory / _NAME.format(number)


class AuditFiles:
    """The trail's only writer; all of its methods belong to one thread."""

    def __init__(
        self,
        directory: Path,
        clock: Clock,
        *,
        file_bytes: int = FILE_BYTES,
        files_kept: int = FILES_KEPT,
    ) -> None:
        """Begins where an earlier process ended. Does not raise: what is wrong is told by `failing`."""
        self.directory = directory
        self._clock = clock
        self._file_bytes = file_bytes
        self._files_kept = files_kept
        self._encode = msgspec.json.Encoder().encode
        self._fd: int | None = None
        self._number = 0
        self._size = 0
        self._torn = False
        self._lost = 0
        self._lost_since = ""
        self._reason = ""
        self._news = asyncio.Event()
        self.count = 0
        """How many entries this process wrote."""
        try:
            self._open(max(numbers(directory), default=1))
        except OSError as error:
            self._fail(error, lost=0)

    def write(self, entry: Entry) -> None:
        """Append an entry: one line, one write."""
        line = self._encode(entry) + b"\n"
        try:
            if self._reason:
                self._resume()
            self._append(line)
        except OSError as error:
            self._fail(error, lost=1)
            return
        self.count += 1
        self._news.set()

    async def wait(self, seen: int, seconds: float) -> None:
        """Return when there are more entries than `seen`, or after so many seconds."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                while self.count == seen:
                    self._news.clear()
                    await self._news.wait()

    def failing(self) -> Iterator[str]:
        """What is wrong, for the health page."""
        if self._reason:
            yield f"audit log: {self._reason}; {self._lost} entries lost"

    def close(self) -> None:
        """No more is written."""
        if self._fd is not None:
            os.close(self._fd)
            self._fd = None

    def _append(self, line: bytes) -> None:
        if self._size and self._size + len(line) > self._file_bytes:
            self._open(self._number + 1)
        if self._fd is None:
            self._open(max(numbers(self.directory), default=1))
        assert self._fd is not None
        data = b"\n" + line if self._torn else line
        written = os.write(self._fd, data)
        if written < len(data):
            self._cut_off_half_a_line()
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))  # the rest did not go in
        self._torn = False
        self._size += written

    def _cut_off_half_a_line(self) -> None:
        assert self._fd is not None
        try:
            os.ftruncate(self._fd, self._size)
        except OSError:
            self._torn = True

    def _open(self, number: int) -> None:
        """Go on with that file, and forget those that are too old."""
        self.directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        path = path_of(self.directory, number)
        fd = os.open(path, os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            size = os.fstat(fd).st_size
            torn = size > 0 and os.pread(fd, 1, size - 1) != b"\n"
        except OSError:
            os.close(fd)
            raise
        self.close()
        self._fd, self._number, self._size, self._torn = fd, number, size, torn
        for old in numbers(self.directory):
            if old <= number - self._files_kept:
                path_of(self.directory, old).unlink(missing_ok=True)

    def _fail(self, error: OSError, *, lost: int) -> None:
        reason = os.strerror(error.errno) if error.errno else str(error)
        if not self._reason:
            self._lost_since = self._clock.now().isoformat()
            log.error("audit.failed", directory=str(self.directory), reason=reason)
        self._reason = reason
        self._lost += lost

    def _resume(self) -> None:
        """Say what is missing. Raises `OSError` while nothing can be written."""
        gap: Entry = {
            "eventTime": f"{self._clock.now().isoformat(timespec='microseconds')[:26]}Z",
            "eventSource": OWN_SOURCE,
            "eventName": LOST_EVENT,
            "outcome": "lost",
            "lost": self._lost,
            "since": self._lost_since,
            "errorMessage": self._reason,
        }
        self._append(self._encode(gap) + b"\n")
        self.count += 1
        log.warning("audit.resumed", lost=self._lost, since=self._lost_since)
        self._lost, self._lost_since, self._reason = 0, "", ""
