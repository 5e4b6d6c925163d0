"""What the node writes down: an append-only journal that survives `kill -9` and power loss.

Each line is a CRC-32 and a JSON record; the latest record of a key counts. A torn last line is
ignored. `append` reaches the kernel at once (so the process may die), `sync` reaches the disk (so the
machine may). Credentials are never written. Superseded lines are dropped by rewriting the file next to
the old one and renaming it.
"""

from __future__ import annotations

import asyncio
import fcntl
import os
import zlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Protocol

import msgspec

from homeport.agentproto.messages import RoleCredentials, Task
from homeport.node.model import TaskState
from homeport.node.report import TaskReport

COMPACT_BYTES_MIN = 1 << 20
COMPACT_FACTOR = 4


class StateInUseError(Exception):
    """Another agent uses this data directory."""


class Disk(Protocol):
    """Where a journal's bytes are."""

    def read(self) -> bytes: ...

    def append(self, data: bytes) -> None:
        """Hand the bytes to the kernel: they survive the process."""
        ...

    async def sync(self) -> None:
        """Everything appended so far survives the machine when this returns."""
        ...

    def replace(self, data: bytes) -> None:
        """All bytes at once, or none."""
        ...

    def close(self) -> None: ...


class FileDisk:
    """One file, held exclusively."""

    def __init__(self, path: Path) -> None:
        self._path = path
        path.parent.mkdir(parents=True, exist_ok=True)
        self._lock = os.open(path.with_suffix(".lock"), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            os.close(self._lock)
            raise StateInUseError(str(path)) from error
        self._file = self._open()

    def read(self) -> bytes:
        return self._path.read_bytes()

    def append(self, data: bytes) -> None:
        before = os.fstat(self._file).st_size
        view = memoryview(data)
        try:
            while view:
                view = view[os.write(self._file, view) :]
        except OSError:
            os.ftruncate(self._file, before)  # half a line would spoil those that come after it
            raise

    async def sync(self) -> None:
        await asyncio.to_thread(os.fdatasync, self._file)

    def replace(self, data: bytes) -> None:
        fresh = self._path.with_suffix(".new")
        with open(fresh, "wb", opener=lambda name, flags: os.open(name, flags, 0o600)) as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        fresh.replace(self._path)
        directory = os.open(self._path.parent, os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(directory)
        finally:
            os.close(directory)
        os.close(self._file)
        self._file = self._open()

    def close(self) -> None:
        os.close(self._file)
        os.close(self._lock)

    def _open(self) -> int:
        return os.open(self._path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o600)


class VolatileDisk:
    """Memory: for nodes that need not remember, and for tests that end a process and begin it again."""

    def __init__(self) -> None:
        self.data = b""

    def read(self) -> bytes:
        return self.data

    def append(self, data: bytes) -> None:
        self.data += data

    async def sync(self) -> None:
        return

    def replace(self, data: bytes) -> None:
        self.data = data

    def close(self) -> None:
        return


class Instance(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Who this node is."""

    arn: str = ""
    cluster: str = ""
    watermark: int = 0


class SavedTask(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A task as it was accepted, without credentials."""

    task: Task


class SavedProgress(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """How far a task has come, what was reported and acknowledged, and what is still to be sent."""

    state: TaskState
    acked: TaskReport | None = None
    unsent: tuple[TaskReport, ...] = ()


class Finished(msgspec.Struct, frozen=True, kw_only=True):
    """What was said last of a task that is gone: the answer if somebody asks for it again."""

    report: TaskReport
    at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Saved:
    """Everything the last process left behind."""

    instance: Instance = field(default_factory=Instance)
    tasks: Mapping[str, tuple[Task, SavedProgress]] = field(default_factory=dict)
    finished: Mapping[str, Finished] = field(default_factory=dict)


class _Line(msgspec.Struct, frozen=True, rename={"key": "k", "value": "v"}):
    """`null` as value: the key is forgotten. (A union with None is not something msgspec reads raw.)"""

    key: str
    value: msgspec.Raw


_FORGOTTEN = b"null"


_LINES = msgspec.json.Decoder(_Line)
_ENCODER = msgspec.json.Encoder()
_INSTANCE = "instance"


class Journal:
    """The node's memory. One per data directory."""

    def __init__(self, disk: Disk) -> None:
        self._disk = disk
        self._live: dict[str, bytes] = {}
        self._live_bytes = 0
        self._file_bytes = 0
        self._appended = 0
        self._synced = 0
        self._syncing = asyncio.Lock()
        self.saved = self._load()

    def save_instance(self, instance: Instance) -> None:
        """Remember who this node is."""
        self._put(_INSTANCE, _ENCODER.encode(instance))

    def save_task(self, task: Task) -> None:
        """Remember an accepted task."""
        self._put(f"task {task.arn}", _ENCODER.encode(SavedTask(task=without_secrets(task))))

    def save_progress(self, arn: str, progress: SavedProgress) -> None:
        """Remember how far it has come."""
        self._put(f"progress {arn}", _ENCODER.encode(progress))

    def finish(self, arn: str, finished: Finished | None) -> None:
        """The task is over, reported and cleaned up; `finished` is what remains of it."""
        if finished is not None:
            self._put(f"finished {arn}", _ENCODER.encode(finished))
        self._put(f"progress {arn}", None)
        self._put(f"task {arn}", None)

    def forget(self, arn: str) -> None:
        """Nobody will ask for a finished task any more."""
        self._put(f"finished {arn}", None)

    async def sync(self) -> None:
        """Everything saved before this call is on disk when it returns. Concurrent calls share a write."""
        target = self._appended
        async with self._syncing:
            if self._synced >= target:
                return
            reached = self._appended
            await self._disk.sync()
            self._synced = max(self._synced, reached)

    def close(self) -> None:
        """Give the data directory free."""
        self._disk.close()

    def _put(self, key: str, value: bytes | None) -> None:
        line = _line(key, value)
        before = self._live.pop(key, b"")
        self._live_bytes -= len(before)
        if value is not None:
            self._live[key] = line
            self._live_bytes += len(line)
        self._disk.append(line)
        self._file_bytes += len(line)
        self._appended += 1
        if self._file_bytes > max(COMPACT_BYTES_MIN, COMPACT_FACTOR * self._live_bytes):
            self._compact()

    def _compact(self) -> None:
        self._disk.replace(b"".join(self._live.values()))
        self._file_bytes = self._live_bytes
        self._synced = self._appended

    def _load(self) -> Saved:
        instance = Instance()
        tasks: dict[str, Task] = {}
        progress: dict[str, SavedProgress] = {}
        finished: dict[str, Finished] = {}
        raw = self._disk.read()
        for line in raw.splitlines(keepends=True):
            entry = _parse(line)
            if entry is None:
                break  # torn by a crash: nothing after it was acknowledged to anyone
            self._live.pop(entry.key, None)
            if bytes(entry.value) != _FORGOTTEN:
                self._live[entry.key] = line
        for key, line in self._live.items():
            entry = _parse(line)
            if entry is None:
                continue
            kind, _, arn = key.partition(" ")
            if kind == _INSTANCE:
                instance = msgspec.json.decode(entry.value, type=Instance)
            elif kind == "finished":
                finished[arn] = msgspec.json.decode(entry.value, type=Finished)
            elif kind == "task":
                tasks[arn] = msgspec.json.decode(entry.value, type=SavedTask).task
            else:
                progress[arn] = msgspec.json.decode(entry.value, type=SavedProgress)
        self._live_bytes = self._file_bytes = sum(map(len, self._live.values()))
        if raw != b"".join(self._live.values()):
            self._disk.replace(b"".join(self._live.values()))
        return Saved(
            instance=instance,
            tasks={
                arn: (task, progress.get(arn) or SavedProgress(state=TaskState()))
                for arn, task in tasks.items()
            },
            finished=finished,
        )


def without_secrets(task: Task) -> Task:
    """The task with the names of its credentials, which its containers know, and no more."""
    return msgspec.structs.replace(
        task,
        role_credentials=_name_only(task.role_credentials),
        execution_role_credentials=_name_only(task.execution_role_credentials),
    )


def _name_only(credentials: RoleCredentials | None) -> RoleCredentials | None:
    if credentials is None:
        return None
    return RoleCredentials(credentials_id=credentials.credentials_id, role_arn=credentials.role_arn)


def _line(key: str, value: bytes | None) -> bytes:
    body = _ENCODER.encode(_Line(key, msgspec.Raw(_FORGOTTEN if value is None else value)))
    return b"%08x %s\n" % (zlib.crc32(body), body)


def _parse(line: bytes) -> _Line | None:
    crc, _, body = line.rstrip(b"\n").partition(b" ")
    if not line.endswith(b"\n") or crc != b"%08x" % zlib.crc32(body):
        return None
    try:
        return _LINES.decode(body)
    except msgspec.DecodeError:
        return None
