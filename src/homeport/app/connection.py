"""What a data directory holds for its clients and for the next start.

`connection.json` tells how to reach the server and with which key. It is
readable by its owner alone, for it holds the account's root key. Started
through sudo, the owner is the person who typed it, so that
`eval "$(bin/homeport env)"` works in the shell it was typed in.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

from homeport.core.ids import Ids, hex32

CONNECTION_FILE = "connection.json"
INSTALLATION_FILE = "installation"
LOCK_FILE = "up.lock"


@dataclass(frozen=True, slots=True, kw_only=True)
class Connection:
    """How a client reaches a running Homeport."""

    endpoint: str
    access_key_id: str
    secret_access_key: str
    region: str
    account_id: str


class AlreadyRunningError(Exception):
    """Another process serves this data directory; `pid` is its process id, if it said so."""

    def __init__(self, pid: int | None) -> None:
        super().__init__(f"already running as process {pid}")
        self.pid = pid


def make_data_dir(path: Path) -> None:
    """Make it, traversable: what is secret in it is protected file by file."""
    path.mkdir(parents=True, exist_ok=True, mode=0o755)


def installation_id(data_dir: Path, ids: Ids) -> str:
    """The data directory's own name, made at its first use."""
    path = data_dir / INSTALLATION_FILE
    with contextlib.suppress(FileNotFoundError):
        if text := path.read_text().strip():
            return text
    fresh = hex32(ids)
    _replace(path, f"{fresh}\n", mode=0o644, owner=None)
    return fresh


def known_installation_id(data_dir: Path) -> str | None:
    """Like `installation_id`, but `None` where Homeport never ran."""
    try:
        return (data_dir / INSTALLATION_FILE).read_text().strip() or None
    except FileNotFoundError:
        return None


def write_connection(
    data_dir: Path, connection: Connection, *, environ: Mapping[str, str] | None = None
) -> None:
    """Leave `connection` for clients, whole or not at all. `environ` tells who called sudo."""
    text = json.dumps(asdict(connection), indent=2) + "\n"
    owner = _sudo_caller(environ or {}) if os.geteuid() == 0 else None
    _replace(data_dir / CONNECTION_FILE, text, mode=0o600, owner=owner)


def read_connection(data_dir: Path) -> Connection:
    """Raise `FileNotFoundError`, `PermissionError`, or `ValueError` for a file we did not write."""
    fields = json.loads((data_dir / CONNECTION_FILE).read_text())
    try:
        return Connection(**{name: fields[name] for name in Connection.__dataclass_fields__})
    except (KeyError, TypeError) as error:
        raise ValueError(f"{data_dir / CONNECTION_FILE} lacks {error}") from error


@contextlib.contextmanager
def served(data_dir: Path) -> Iterator[None]:
    """Be the only process that serves `data_dir`. Raise `AlreadyRunningError`.

    The kernel drops the lock with the process, however it ends.
    """
    with (data_dir / LOCK_FILE).open("a+") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise AlreadyRunningError(_pid_in(data_dir)) from None
        lock.truncate(0)
        lock.write(f"{os.getpid()}\n")
        lock.flush()
        yield
        lock.truncate(0)


def serving_pid(data_dir: Path) -> int | None:
    """The process that serves `data_dir` now; `None`: nobody does."""
    try:
        lock = (data_dir / LOCK_FILE).open("r")
    except FileNotFoundError:
        return None
    with lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return _pid_in(data_dir)
    return None


def _pid_in(data_dir: Path) -> int | None:
    with contextlib.suppress(FileNotFoundError, ValueError):
        return int((data_dir / LOCK_FILE).read_text())
    return None


def _sudo_caller(environ: Mapping[str, str]) -> tuple[int, int] | None:
    try:
        return int(environ["SUDO_UID"]), int(environ["SUDO_GID"])
    except (KeyError, ValueError):
        return None


def _replace(path: Path, text: str, *, mode: int, owner: tuple[int, int] | None) -> None:
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, mode)
    with os.fdopen(descriptor, "w") as file:
        if owner is not None:
            os.fchown(descriptor, *owner)
        os.fchmod(descriptor, mode)
        file.write(text)
        file.flush()
        os.fsync(descriptor)
    temporary.replace(path)
