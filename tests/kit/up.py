"""A real `homeport` process on a data directory of its own, that a test may kill and start again."""

from __future__ import annotations

import contextlib
import json
import os
import selectors
import socket
import subprocess
import sys
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import boto3
from botocore.config import Config

from homeport.app.connection import known_installation_id, read_connection
from homeport.app.docker.client import DockerClient, socket_path
from homeport.app.docker.setup import docker_host_of
from homeport.app.settings import INSTALLATION_LABEL, environment
from homeport.node.sandbox import layout
from tests.kit.docker import IMAGE, busybox_layer, machine

START_SECONDS = 60.0
DOWN_SECONDS = 120.0
DOCKER = docker_host_of(environment())
TASK_LABEL = "com.amazonaws.ecs.task-arn"


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def clean_environment(**extra: str) -> dict[str, str]:
    """This process's environment without what steers Homeport or AWS clients."""
    kept = {n: v for n, v in os.environ.items() if not n.startswith(("HOMEPORT_", "AWS_"))}
    return {**kept, "PYTHONPATH": os.pathsep.join(p for p in sys.path if p), **extra}


class Process:
    """`homeport <command>`; what it says on stderr is in `log`."""

    def __init__(self, folder: Path, *command: str, environment: dict[str, str] | None = None) -> None:
        self.folder = folder
        self._command = command
        self._environment = environment if environment is not None else clean_environment()
        self._process: subprocess.Popen[bytes] | None = None
        self.log = folder / "log"

    @property
    def pid(self) -> int:
        assert self._process is not None
        return self._process.pid

    def start(self, until: bytes | None = b"Ready.\n") -> None:
        """Start it; with `until`, return once it prints that line on stdout."""
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "homeport", *self._command, "--data-dir", str(self.folder / "data")],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE if until is not None else log,
                stderr=log,
                env=self._environment,
            )
        if until is None:
            return
        assert self._process.stdout is not None
        with selectors.DefaultSelector() as selector:
            selector.register(self._process.stdout, selectors.EVENT_READ)
            line = self._process.stdout.readline() if selector.select(START_SECONDS) else b"nothing"
        if line != until:
            raise AssertionError(f"{self._command} said {line!r}:\n{self.log.read_text()[-4000:]}")

    def kill(self) -> None:
        """`kill -9`."""
        self._end(lambda process: process.kill())

    def terminate(self) -> None:
        """SIGTERM."""
        self._end(lambda process: process.terminate())

    def _end(self, how: Callable[[subprocess.Popen[bytes]], None]) -> None:
        if self._process is None:
            return
        process, self._process = self._process, None
        try:
            how(process)
            process.wait(START_SECONDS)
        finally:
            if process.stdout is not None:
                process.stdout.close()


class Up(Process):
    """`homeport up` on a free port."""

    def __init__(self, folder: Path, *options: str, environment: dict[str, str] | None = None) -> None:
        self.port = free_port()
        super().__init__(folder, "up", "--port", str(self.port), *options, environment=environment)
        self.docker = DockerClient(DOCKER)

    @property
    def data_dir(self) -> Path:
        return self.folder / "data"

    @property
    def installation(self) -> str:
        found = known_installation_id(self.data_dir)
        assert found is not None
        return found

    def client(self, service: str = "ecs", **config: Any) -> Any:
        """A stock boto3 client without retries of its own."""
        connection = read_connection(self.data_dir)
        return boto3.client(
            service,
            endpoint_url=connection.endpoint,
            region_name=connection.region,
            aws_access_key_id=connection.access_key_id,
            aws_secret_access_key=connection.secret_access_key,
            config=Config(retries={"max_attempts": 0}, **config),
        )

    def containers(self) -> list[Any]:
        """Every container that carries the installation's label, as `docker ps -a` lists it."""
        return list(self.docker.containers(labels={INSTALLATION_LABEL: self.installation}))

    def down(self) -> None:
        """`homeport down`: nothing of it is left."""
        self.kill()
        if known_installation_id(self.data_dir) is None:
            return
        command = ("down", "--grace-seconds", "0", "--data-dir", str(self.data_dir))
        done = subprocess.run(
            [sys.executable, "-m", "homeport", *command],
            env=clean_environment(),
            capture_output=True,
            text=True,
            timeout=DOWN_SECONDS,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        assert self.containers() == []
        if os.geteuid() == 0:
            assert kernel_traces(self.installation) == []


def kernel_traces(installation: str) -> list[str]:
    """Links, routes, addresses and rules of an installation: all that it names after itself."""
    commands = (
        ("ip", "-o", "address"),
        ("ip", "-o", "link"),
        ("ip", "-4", "route", "show", "table", "all"),
        ("nft", "list", "tables"),
        ("iptables", "-w", "-S"),
    )
    own = (layout.short_id(installation), layout.veth_prefix(installation))
    said = [line for command in commands for line in machine(*command).splitlines()]
    return [line for line in said if any(name in line for name in own)]


@contextmanager
def homeport_up(folder: Path, *options: str, environment: dict[str, str] | None = None) -> Iterator[Up]:
    """A Homeport that serves, with the test image at hand; taken down whatever happens."""
    ensure_test_image()
    up = Up(folder, *options, environment=environment)
    try:
        up.start()
        yield up
    finally:
        up.down()


def explained(up: Up, *what: str) -> dict[str, Any]:
    """What `homeport explain` says of something."""
    done = subprocess.run(
        [sys.executable, "-m", "homeport", "explain", *what, "--json", "--data-dir", str(up.data_dir)],
        env=clean_environment(), capture_output=True, text=True, check=False, timeout=60,
    )  # fmt: skip
    assert done.stdout, done.stderr
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def ensure_test_image() -> None:
    docker = DockerClient(DOCKER)
    if not docker.has_image(IMAGE):
        repository, _, tag = IMAGE.partition(":")
        docker.import_image(
            busybox_layer(), repository=repository, tag=tag, changes=["ENV PATH=/bin", "ENV FROM_IMAGE=yes"]
        )


class DockerEvents:
    """What the engine says happens to an installation's containers, from now on.

    Asking for the past does not do: the engine keeps its last 256 events only, of everybody.
    """

    def __init__(self, installation: str) -> None:
        self._changed = threading.Condition()
        self._seen: list[tuple[str, str, str]] = []
        filters = {"type": ["container"], "label": [f"{INSTALLATION_LABEL}={installation}"]}
        self._socket = socket.socket(socket.AF_UNIX)
        self._socket.connect(str(socket_path(DOCKER)))
        query = urlencode({"filters": json.dumps(filters)})
        self._socket.sendall(f"GET /events?{query} HTTP/1.0\r\n\r\n".encode())
        self._lines = self._socket.makefile("rb")
        while self._lines.readline().strip():  # the headers: from here on nothing is missed
            pass
        self._thread = threading.Thread(target=self._read, daemon=True)
        self._thread.start()

    def close(self) -> None:
        with contextlib.suppress(OSError):
            self._socket.shutdown(socket.SHUT_RDWR)
        self._thread.join(START_SECONDS)
        self._lines.close()
        self._socket.close()

    def of(self, action: str) -> Counter[str]:
        """How often it befell each container, by container id."""
        with self._changed:
            return Counter(container for what, container, _ in self._seen if what == action)

    def of_tasks(self, action: str) -> Counter[str]:
        """How often it befell a container of each task, by task ARN; what holds networks is of none."""
        with self._changed:
            return Counter(task for what, _, task in self._seen if what == action and task)

    def wait(self, check: Callable[[], bool], seconds: float) -> None:
        """Return once `check` holds; it is asked at every event."""
        with self._changed:
            assert self._changed.wait_for(check, seconds), self._seen[-20:]

    def _read(self) -> None:
        for line in self._lines:
            event = json.loads(line)
            attributes = event["Actor"]["Attributes"]
            with self._changed:
                self._seen.append((event["Action"], event["Actor"]["ID"], attributes.get(TASK_LABEL, "")))
                self._changed.notify_all()
