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


@contextmanager
def cluster(*, settings: tuple[str, ...] = ("fsync=off", "full_page_writes=off")) -> Iterator[str]:
    """Run a cluster; yields `postgresql://user@127.0.0.1:port`, to which a database name is added."""
    programs = server_programs()
    if programs is None:
        raise FileNotFoundError("PostgreSQL's server is not installed (Debian: postgresql)")
    folder = Path(tempfile.mkdtemp(prefix="homeport-pg-", dir=_memory_folder()))
    # The server refuses to run as root.
    account: dict[str, object] = {}
    if os.geteuid() == 0:
        who = pwd.getpwnam("postgres")
        os.chown(folder, who.pw_uid, who.pw_gid)
        account = {"user": who.pw_uid, "group": who.pw_gid, "extra_groups": ()}
    data = folder / "data"
    try:
        subprocess.run(
            [
                *(programs / "initdb", "-D", data, "-U", SUPERUSER, "-A", "trust"),
                *("-E", "UTF8", "--locale=C.UTF-8", "--no-sync"),
            ],
            check=True,
            capture_output=True,
            cwd=folder,
            **account,  # type: ignore[call-overload]
        )
        port = _free_port()
        options = [f"port={port}", "listen_addresses=127.0.0.1", "unix_socket_directories=", *settings]
        with (folder / "log").open("wb") as log:
            server = subprocess.Popen(
                [programs / "postgres", "-D", data, *(part for o in options for part in ("-c", o))],
                stdout=log,
                stderr=subprocess.STDOUT,
                cwd=folder,
                **account,  # type: ignore[call-overload]
            )
        try:
            _wait_until_ready(programs, port, server, folder / "log")
            yield f"postgresql://{SUPERUSER}@127.0.0.1:{port}"
        finally:
            server.send_signal(signal.SIGQUIT)  # at once: nobody wants its data
            server.wait(30)
    finally:
        shutil.rmtree(folder)


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
