"""A private PostgreSQL for tests: Debian's server in a temporary folder, on a free loopback port."""

from __future__ import annotations

import os
import pwd
import shutil
import signal
import socket
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import asyncpg

SUPERUSER = "homeport"


def server_programs() -> Path | None:
    """Where `initdb` and `postgres` are; `None` where the server is not installed."""
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"), key=lambda p: int(p.parts[-3]))
    return found[-1].parent if found else None


class Server:
    """A cluster that can be stopped and started again, on one port."""

    def __init__(self, folder: Path, programs: Path, settings: tuple[str, ...]) -> None:
        self._folder = folder
        self._programs = programs
        self._settings = settings
        self._port = _free_port()
        self._process: subprocess.Popen[bytes] | None = None
        # The server refuses to run as root.
        self._account: dict[str, object] = {}
        if os.geteuid() == 0:
            who = pwd.getpwnam("postgres")
            os.chown(folder, who.pw_uid, who.pw_gid)
            self._account = {"user": who.pw_uid, "group": who.pw_gid, "extra_groups": ()}

    @property
    def url(self) -> str:
        """`postgresql://user@127.0.0.1:port`, to which a database's name is added."""
        return f"postgresql://{SUPERUSER}@127.0.0.1:{self._port}"

    def make(self) -> None:
        subprocess.run(
            [
                *(self._programs / "initdb", "-D", self._folder / "data", "-U", SUPERUSER, "-A", "trust"),
                *("-E", "UTF8", "--locale=C.UTF-8", "--no-sync"),
            ],
            check=True,
            capture_output=True,
            cwd=self._folder,
            **self._account,  # type: ignore[call-overload]
        )

    def start(self) -> None:
        options = [
            f"port={self._port}",
            "listen_addresses=127.0.0.1",
            "unix_socket_directories=",
            *self._settings,
        ]
        with (self._folder / "log").open("ab") as log:
            self._process = subprocess.Popen(
                [
                    *(self._programs / "postgres", "-D", self._folder / "data"),
                    *(part for option in options for part in ("-c", option)),
                ],
                stdout=log,
                stderr=subprocess.STDOUT,
                cwd=self._folder,
                **self._account,  # type: ignore[call-overload]
            )
        _wait_until_ready(self._programs, self._port, self._process, self._folder / "log")

    def stop(self) -> None:
        """At once, as after a crash: every connection is cut."""
        if self._process is not None:
            process, self._process = self._process, None
            process.send_signal(signal.SIGQUIT)
            process.wait(30)


@contextmanager
def stoppable(*, settings: tuple[str, ...] = ("fsync=off", "full_page_writes=off")) -> Iterator[Server]:
    """A server that runs."""
    programs = server_programs()
    if programs is None:
        raise FileNotFoundError("PostgreSQL's server is not installed (Debian: postgresql)")
    folder = Path(tempfile.mkdtemp(prefix="homeport-pg-", dir=_memory_folder()))
    try:
        server = Server(folder, programs, settings)
        server.make()
        try:
            server.start()
            yield server
        finally:
            server.stop()
    finally:
        shutil.rmtree(folder)


@contextmanager
def cluster(*, settings: tuple[str, ...] = ("fsync=off", "full_page_writes=off")) -> Iterator[str]:
    """Run a server; yields its URL."""
    with stoppable(settings=settings) as server:
        yield server.url


async def create_database(base: str, name: str, *, template: str = "template1") -> str:
    """Make a database and return its URL."""
    admin = await asyncpg.connect(f"{base}/postgres")
    try:
        await admin.execute(f'CREATE DATABASE "{name}" TEMPLATE "{template}"')
    finally:
        await admin.close()
    return f"{base}/{name}"


async def drop_database(base: str, name: str) -> None:
    """Remove a database, whoever is still connected."""
    admin = await asyncpg.connect(f"{base}/postgres")
    try:
        await admin.execute(f'DROP DATABASE "{name}" WITH (FORCE)')
    finally:
        await admin.close()


def _memory_folder() -> str | None:
    """A file system in memory that is large enough: a database is a thousand files."""
    shared = Path("/dev/shm")
    return str(shared) if shared.is_dir() and shutil.disk_usage(shared).free > 600 * 2**20 else None


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _wait_until_ready(programs: Path, port: int, server: subprocess.Popen[bytes], log: Path) -> None:
    for _ in range(200):
        # pg_isready waits for an answer; with a refused connection it returns at once.
        ready = subprocess.run(
            [programs / "pg_isready", "-q", "-h", "127.0.0.1", "-p", str(port), "-d", "postgres"], check=False
        )
        if ready.returncode == 0:
            return
        try:
            server.wait(0.05)
        except subprocess.TimeoutExpired:
            continue
        raise RuntimeError(f"postgres ended: {log.read_text()}")
    raise TimeoutError(f"postgres is not ready: {log.read_text()}")
