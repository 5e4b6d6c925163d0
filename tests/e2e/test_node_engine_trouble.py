"""Docker Engine goes away, comes back, or has no room: tasks say what happened, and nothing is left behind.

Each test has a daemon of its own, in a network namespace of its own and without a bridge.
"""

from __future__ import annotations

import asyncio
import os
import tempfile
from collections.abc import Iterator
from contextlib import AsyncExitStack, contextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.kit.docker import lines, machine
from tests.kit.dockerd import PrivateDaemon, private_daemon
from tests.kit.real_node import RealNode, real_node
from tests.kit.registry import registry
from tests.kit.server import live_server

pytestmark = [pytest.mark.docker, pytest.mark.root, pytest.mark.slow]

DISK_BYTES = 48 << 20
OBEDIENT = lines("trap 'exit 5' TERM", "echo ready", "while :; do sleep 3600 & wait; done")


@contextmanager
def own_daemon(folder: Path, *, live_restore: bool) -> Iterator[PrivateDaemon]:
    stack = AsyncExitStack()
    with asyncio.Runner() as runner:
        opened = private_daemon(folder, live_restore=live_restore)
        daemon = runner.run(stack.enter_async_context(opened))
        try:
            yield daemon
        finally:
            runner.run(stack.aclose())


@contextmanager
def node_on(daemon: PrivateDaemon) -> Iterator[RealNode]:
    with live_server() as live, real_node(live, socket=daemon.socket) as node:
        yield node


@pytest.fixture
def folder() -> Iterator[Path]:
    # Not pytest's folder: a socket's path is at most 107 bytes, and containerd's are deep.
    with tempfile.TemporaryDirectory(prefix="hpd") as name:
        yield Path(name)


@pytest.fixture
def small_disk(folder: Path) -> Iterator[Path]:
    """Where the daemon keeps everything: a file system with room for little."""
    data = folder / "data"
    data.mkdir()
    machine("mount", "-t", "tmpfs", "-o", f"size={DISK_BYTES}", "tmpfs", str(data))
    yield data
    if data.is_mount():  # the daemon's end takes it along
        machine("umount", str(data))


@contextmanager
def full(data: Path) -> Iterator[None]:
    filler = data / "filler"
    with filler.open("wb") as file:
        free = os.statvfs(data)
        os.posix_fallocate(file.fileno(), 0, free.f_bavail * free.f_bsize)
    yield
    filler.unlink()


def started_at(container: Any) -> tuple[str, str]:
    return container["Id"], container["State"]["StartedAt"]


def images(node: RealNode) -> set[str]:
    return {each["Id"] for each in node.docker("GET", "/images/json", params={"all": "1"})}


def test_on_a_full_disk_nothing_starts_and_every_task_says_why(folder: Path, small_disk: Path) -> None:
    with own_daemon(folder, live_restore=False) as daemon, node_on(daemon) as node:
        local = node.register({"command": ["sleep", "600"]})
        stack = AsyncExitStack()
        published = node.live.run(stack.enter_async_context(registry()))
        remote = node.register({"image": published.image, "command": ["sleep", "600"]})
        before = images(node)
        with full(small_disk):
            made = node.stopped(node.run(local))
            pulled = node.stopped(node.run(remote))
            node.nothing_left()
        assert made["stopCode"] == pulled["stopCode"] == "TaskFailedToStart"
        assert made["stoppedReason"].startswith("CannotCreateContainerError: Error response from daemon: ")
        assert pulled["stoppedReason"].startswith("CannotPullContainerError: ")
        assert "no space left on device" in made["stoppedReason"]
        assert "no space left on device" in pulled["stoppedReason"]
        assert all("exitCode" not in task["containers"][0] for task in (made, pulled))
        assert images(node) == before
        node.running(node.run(local))
        node.live.run(stack.aclose())


def test_tasks_outlive_a_daemon_that_leaves_its_containers(folder: Path) -> None:
    with own_daemon(folder, live_restore=True) as daemon, node_on(daemon) as node:
        definition = node.register({"command": [*OBEDIENT]})
        task = node.running(node.run(definition))
        before = started_at(node.container(task))
        asyncio.run(daemon.stop())
        waiting = node.run(definition)
        node.until(waiting, lambda each: each["lastStatus"] == "PENDING")
        asyncio.run(daemon.start())
        second = node.running(waiting)
        assert started_at(node.container(task)) == before
        assert node.describe(task["taskArn"])["lastStatus"] == "RUNNING"
        stopped = node.stop(second["taskArn"])
        assert stopped["containers"][0]["exitCode"] == 5
        assert node.stop(task["taskArn"])["containers"][0]["exitCode"] == 5
        node.nothing_left()


def test_a_daemon_that_takes_its_containers_down_ends_their_tasks(folder: Path) -> None:
    with own_daemon(folder, live_restore=False) as daemon, node_on(daemon) as node:
        definition = node.register(
            {"name": "main", "command": [*OBEDIENT]},
            {"name": "side", "command": ["sleep", "600"], "essential": False},
        )
        arn = node.run(definition)
        node.running(arn)
        asyncio.run(daemon.stop())
        asyncio.run(daemon.start())
        task = node.stopped(arn)
        assert (task["stopCode"], task["stoppedReason"]) == (
            "EssentialContainerExited",
            "Essential container in task exited",
        )
        codes = {each["name"]: each["exitCode"] for each in task["containers"]}
        assert codes["main"] == 5
        assert codes["side"] == 137
        node.nothing_left()
        assert node.docker("GET", "/containers/json", params={"all": "1"}) == []
        node.running(node.run(definition))
