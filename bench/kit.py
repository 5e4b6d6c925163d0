"""What the benches share: a raw keep-alive client, peers as processes, and how a figure is told."""

from __future__ import annotations

import argparse
import json
import os
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from homeport.core import log
from homeport.core.sigv4 import Credentials, sign_headers


@dataclass(frozen=True, slots=True, kw_only=True)
class Figure:
    """One line of a bench. `ratio` is ours over the peer's; `target` says what it should be."""

    name: str
    ours: float
    unit: str
    peer: str = ""
    theirs: float | None = None
    target: str = ""

    @property
    def ratio(self) -> float | None:
        return None if not self.theirs else self.ours / self.theirs


def tell(figures: Sequence[Figure], *, as_json: bool) -> None:
    """Print the figures for people or for programs."""
    if as_json:
        rows = [{**asdict(f), "ratio": f.ratio} for f in figures]
        print(json.dumps({"at": datetime.now(UTC).isoformat(), "cpus": os.cpu_count(), "figures": rows}))
        return
    for f in figures:
        line = f"{f.name}: {f.ours:,.1f} {f.unit}"
        if f.theirs is not None:
            line += f"; {f.peer}: {f.theirs:,.1f} {f.unit}; ratio {f.ratio:.2f}"
        print(line + (f" (target {f.target})" if f.target else ""))


def arguments(about: str, **options: Any) -> argparse.Namespace:
    """The bench's command line; every bench has `--json`."""
    parser = argparse.ArgumentParser(description=about)
    parser.add_argument("--json", action="store_true", help="figures for programs")
    for name, default in options.items():
        parser.add_argument(f"--{name.replace('_', '-')}", type=type(default), default=default)
    log.configure(level="warning")  # to stderr: figures are what stdout is for
    return parser.parse_args()


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        return int(listening.getsockname()[1])


@contextmanager
def process(
    *command: str, port: int, env: dict[str, str] | None = None, seconds: float = 60
) -> Iterator[Any]:
    """A server that answers on `port`, ended with the block."""
    running = subprocess.Popen(
        command, env={**os.environ, **(env or {})}, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    try:
        deadline = time.monotonic() + seconds
        while True:
            try:
                socket.create_connection(("127.0.0.1", port), timeout=1).close()
                break
            except OSError:
                if running.poll() is not None or time.monotonic() > deadline:
                    raise RuntimeError(f"{command[0]} does not answer on port {port}") from None
                time.sleep(0.05)
        yield running
    finally:
        running.terminate()
        try:
            running.wait(20)
        except subprocess.TimeoutExpired:
            running.kill()


class RawClient:
    """One keep-alive connection; requests are signed as an SDK would, once per second of their age."""

    def __init__(self, port: int, credentials: Credentials, *, host: str = "127.0.0.1") -> None:
        self._address = (host, port)
        self._credentials = credentials
        self._socket = socket.create_connection(self._address)
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._held = b""

    def prepared(self, operation: str, members: dict[str, Any]) -> bytes:
        """The bytes of a signed ECS request."""
        headers = {
            "content-type": "application/x-amz-json-1.1",
            "x-amz-target": f"AmazonEC2ContainerServiceV20141113.{operation}",
        }
        return self._prepared("ecs", headers, json.dumps(members).encode())

    def prepared_form(self, service: str, form: str) -> bytes:
        """The bytes of a signed request of a query service."""
        headers = {"content-type": "application/x-www-form-urlencoded"}
        return self._prepared(service, headers, form.encode())

    def _prepared(self, service: str, headers: dict[str, str], body: bytes) -> bytes:
        signed = sign_headers(
            self._credentials,
            method="POST",
            path="/",
            query=(),
            headers={"host": f"{self._address[0]}:{self._address[1]}", **headers},
            body=body,
            region="us-east-1",
            service=service,
            now=datetime.now(UTC),
        )
        lines = [b"POST / HTTP/1.1", *(f"{k}: {v}".encode() for k, v in signed.items())]
        lines.append(f"content-length: {len(body)}".encode())
        return b"\r\n".join(lines) + b"\r\n\r\n" + body

    def send(self, request: bytes) -> tuple[int, bytes]:
        """Send, and read the whole answer: status and body."""
        self._socket.sendall(request)
        while b"\r\n\r\n" not in self._held:
            self._more()
        head, _, rest = self._held.partition(b"\r\n\r\n")
        lowered = head.lower()
        status = int(head.split(b" ", 2)[1])
        if b"transfer-encoding: chunked" in lowered:
            while not rest.endswith(b"0\r\n\r\n"):
                rest += self._read()
            self._held = b""
            return status, rest
        length = int(lowered.split(b"content-length:")[1].split(b"\r\n")[0])
        while len(rest) < length:
            rest += self._read()
        self._held = rest[length:]
        if b"connection: close" in lowered:
            self._socket.close()
            self._socket = socket.create_connection(self._address)
        return status, rest[:length]

    def call(self, operation: str, **members: Any) -> dict[str, Any]:
        status, body = self.send(self.prepared(operation, members))
        if status != 200:
            raise RuntimeError(f"{operation}: {status} {body[:300]!r}")
        return json.loads(body)

    def close(self) -> None:
        self._socket.close()

    def _more(self) -> None:
        self._held += self._read()

    def _read(self) -> bytes:
        data = self._socket.recv(1 << 18)
        if not data:
            raise RuntimeError("the server closed the connection")
        return data


@contextmanager
def control_plane(port: int, *options: str) -> Iterator[Path]:
    """`homeport up` without instances of its own, on a fresh data directory; the directory."""
    with tempfile.TemporaryDirectory() as folder:
        command = (python(), "-m", "homeport", "up", "--port", str(port), "--data-dir", folder)
        with process(*command, "--instances", "0", *options, port=port):
            while not (Path(folder) / "connection.json").exists():
                time.sleep(0.01)
            yield Path(folder)


@contextmanager
def whole_homeport(port: int, *options: str, env: dict[str, str] | None = None) -> Iterator[tuple[Path, int]]:
    """`homeport up` with Docker, until it says `Ready.`: its data directory and process id.

    Everything it made is removed at the end.
    """
    with tempfile.TemporaryDirectory() as folder:
        command = (python(), "-m", "homeport")
        running = subprocess.Popen(
            (*command, "up", "--port", str(port), "--data-dir", folder, *options),
            stdout=subprocess.PIPE,
            text=True,
            env={**os.environ, **(env or {})},
        )
        try:
            assert running.stdout is not None
            if running.stdout.readline() != "Ready.\n":
                raise RuntimeError("homeport up did not become ready")
            yield Path(folder), running.pid
        finally:
            subprocess.run((*command, "down", "--data-dir", folder, "--grace-seconds", "0"), check=False)
            running.wait(30)


@contextmanager
def hollow_nodes(data_dir: Path, instances: int) -> Iterator[None]:
    """Real agents on machines in memory, in a process of their own."""
    command = (python(), "-m", "bench.hollow", "--data-dir", str(data_dir), "--instances", str(instances))
    running = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    try:
        assert running.stdout is not None
        if running.stdout.readline() != "Ready.\n":
            raise RuntimeError("the hollow nodes did not come up")
        yield
    finally:
        running.terminate()
        running.wait(20)


def client_of(data_dir: Path) -> RawClient:
    """A client with the root key of the Homeport on that data directory."""
    connection = json.loads((data_dir / "connection.json").read_text())
    credentials = Credentials(
        access_key_id=connection["access_key_id"], secret_access_key=connection["secret_access_key"]
    )
    return RawClient(int(connection["endpoint"].rpartition(":")[2]), credentials)


def rate(client: RawClient, make: Callable[[int], tuple[str, dict[str, Any]]], *, seconds: float) -> float:
    """Requests per second that one connection gets answered; signing is not in the measured time."""
    spent, count = 0.0, 0
    while spent < seconds:
        batch = [client.prepared(*make(count + i)) for i in range(50)]
        started = time.perf_counter()
        for request in batch:
            status, body = client.send(request)
            if status != 200:
                raise RuntimeError(f"{status} {body[:300]!r}")
        spent += time.perf_counter() - started
        count += len(batch)
    return count / spent


def median(values: Sequence[float]) -> float:
    return statistics.median(values)


def python() -> str:
    return sys.executable
