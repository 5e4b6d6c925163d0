"""Which container asks: what decides whose credentials it is given.

A container on Docker's bridge is known by its address there, which Docker gave it and tells; one in a sandbox
by the sandbox's, from which nobody else can send; one in the host's network namespace by the process that
holds the other end of the connection, whose cgroup names the container. Docker is asked each time: addresses
are given again as soon as they are free.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import re
from collections.abc import Awaitable, Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from homeport.core.log import get_logger
from homeport.node.drivers.engine_client import EngineClient, EngineError
from homeport.node.ports import DriverError, DriverUnavailableError
from homeport.node.sandbox.holder import SANDBOX_LABEL
from homeport.node.steps.cleanup import INSTANCE_LABEL

log = get_logger("node.callers")
TASK_LABEL = "com.amazonaws.ecs.task-arn"
SandboxAt = Callable[[str], Awaitable[str | None]]
_CONTAINER_ID = re.compile(r"[0-9a-f]{64}")
BEGINNING = frozenset({"created", "exited", "restarting"})
"""What a container may be, by Docker's list, while it is being started."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Caller:
    """A container of a task, on one of this Homeport's instances; both are ARNs."""

    instance: str
    task: str


class UnknowableCallerError(Exception):
    """A process of this machine that we are not allowed to look at."""


class Callers(Protocol):
    """Who is at the other end of a connection."""

    async def of(self, address: str, port: int) -> Caller | None:
        """`None`: no container of ours. Raise `UnknowableCallerError` when nobody can tell."""
        ...


class DockerCallers:
    """As Docker and this machine's processes tell. `labels` are those of our containers."""

    def __init__(
        self, client: EngineClient, labels: Mapping[str, str], *, proc: Path = Path("/proc")
    ) -> None:
        self._client = client
        self._labels = labels
        self._proc = proc
        self.sandbox_at: SandboxAt | None = None
        """The link of the sandbox with an address, where there are sandboxes."""

    async def of(self, address: str, port: int) -> Caller | None:
        """The container at an address, or behind a port of this machine's own addresses."""
        try:
            sandbox = await self.sandbox_at(address) if self.sandbox_at is not None else None
            listed = await self._listed()
            if sandbox is not None:
                return _in_sandbox(listed, sandbox)
            for container in listed:
                if address in _addresses(container):
                    return _caller(container.get("Labels"))
            # Docker says of a container that it runs only after its program has begun, which may ask at once.
            # While one is being started, to look at it is to wait for that.
            for container in listed:
                shown = await self._shown(container["Id"]) if container["State"] in BEGINNING else {}
                if address in _addresses(shown):
                    return _caller((shown.get("Config") or {}).get("Labels"))
            name = await asyncio.to_thread(_container_of, self._proc, address, port)
            return self._ours(await self._shown(name)) if name else None
        except (EngineError, DriverError, DriverUnavailableError) as error:
            log.warning("callers.unknown", error=str(error))
            return None

    async def _listed(self) -> list[dict[str, Any]]:
        """All at one moment: what is not running yet will not be missed for running since."""
        labels = [f"{name}={value}" for name, value in self._labels.items()]
        params = {"all": "1", "filters": json.dumps({"label": labels})}
        return list(await self._client.get("/containers/json", params=params) or ())

    async def _shown(self, name: str) -> dict[str, Any]:
        """A container as it is now; empty: it is gone."""
        try:
            return dict(await self._client.get(f"/containers/{name}/json"))
        except EngineError as error:
            if error.status == 404:
                return {}
            raise

    def _ours(self, shown: Mapping[str, Any]) -> Caller | None:
        labels = (shown.get("Config") or {}).get("Labels") or {}
        return _caller(labels) if self._labels.items() <= labels.items() else None


def _in_sandbox(listed: list[dict[str, Any]], sandbox: str) -> Caller | None:
    """The newest container in that sandbox's network: all that are in one at a time are of one task.

    Older ones have ended, in a sandbox that the same container held before.
    """
    holders = [each["Id"] for each in listed if (each.get("Labels") or {}).get(SANDBOX_LABEL) == sandbox]
    joined = {f"container:{holder}" for holder in holders}
    inside = [each for each in listed if (each.get("HostConfig") or {}).get("NetworkMode") in joined]
    newest = max(inside, key=lambda each: int(each.get("Created") or 0), default=None)
    return None if newest is None else _caller(newest.get("Labels"))


def _addresses(container: Mapping[str, Any]) -> Iterator[str]:
    networks = (container.get("NetworkSettings") or {}).get("Networks") or {}
    return (network["IPAddress"] for network in networks.values() if network.get("IPAddress"))


def _caller(labels: Mapping[str, str] | None) -> Caller | None:
    instance, task = ((labels or {}).get(name) for name in (INSTANCE_LABEL, TASK_LABEL))
    return Caller(instance=instance, task=task) if instance and task else None


def _container_of(proc: Path, address: str, port: int) -> str | None:
    """The container of the process that holds a local TCP socket with that address and port."""
    inode = _inode_of(proc, address, port)
    if inode is None:
        return None
    hidden = False
    for process in proc.iterdir():
        if not process.name.isdigit():
            continue
        try:
            if not _holds(process, inode):
                continue
            found = _CONTAINER_ID.search((process / "cgroup").read_text())
        except PermissionError:
            hidden = True
        except OSError:
            continue  # it has ended meanwhile
        else:
            return found.group() if found else ""
    if hidden:
        raise UnknowableCallerError(f"{address}:{port}")
    return None


def _holds(process: Path, inode: str) -> bool:
    wanted = f"socket:[{inode}]"
    with os.scandir(process / "fd") as descriptors:
        for descriptor in descriptors:
            with contextlib.suppress(FileNotFoundError):
                if os.readlink(descriptor.path) == wanted:
                    return True
    return False


def _inode_of(proc: Path, address: str, port: int) -> str | None:
    """The socket's inode. The kernel writes an address as the bytes of a little-endian word, in hex."""
    try:
        word = bytes(int(part) for part in reversed(address.split("."))).hex().upper()
    except ValueError:
        return None
    wanted = f"{word}:{port:04X}"
    for line in (proc / "self/net/tcp").read_text().splitlines()[1:]:
        fields = line.split()
        if fields[1] == wanted and fields[9] != "0":
            return fields[9]
    return None
