"""Which container asks: what decides whose credentials it is given.

A container on Docker's bridge is known by its address there, which Docker gave it and tells; one in the
host's network namespace by the process that holds the other end of the connection, whose cgroup names the
container. Docker is asked each time: addresses are given again as soon as they are free.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from homeport.core.log import get_logger
from homeport.node.drivers.engine_client import EngineClient, EngineError
from homeport.node.ports import DriverError, DriverUnavailableError
from homeport.node.steps.cleanup import INSTANCE_LABEL

log = get_logger("node.callers")
TASK_LABEL = "com.amazonaws.ecs.task-arn"
_CONTAINER_ID = re.compile(r"[0-9a-f]{64}")
_LISTED = "/containers/json"


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
        self._labels = [f"{name}={value}" for name, value in labels.items()]
        self._proc = proc

    async def of(self, address: str, port: int) -> Caller | None:
        """The container at an address, or behind a port of this machine's own addresses."""
        listed = await self._listed()
        for container in listed:
            if address in _addresses(container):
                return _caller(container)
        found = await asyncio.to_thread(_container_of, self._proc, address, port)
        return next((_caller(one) for one in listed if one.get("Id") == found), None)

    async def _listed(self) -> list[dict[str, Any]]:
        try:
            found = await self._client.get(
                _LISTED, params={"filters": json.dumps({"label": self._labels, "status": ["running"]})}
            )
        except (EngineError, DriverError, DriverUnavailableError) as error:
            log.warning("callers.unknown", error=str(error))
            return []
        return list(found or ())


def _addresses(container: Mapping[str, Any]) -> Iterator[str]:
    networks = (container.get("NetworkSettings") or {}).get("Networks") or {}
    return (network["IPAddress"] for network in networks.values() if network.get("IPAddress"))


def _caller(container: Mapping[str, Any]) -> Caller | None:
    labels = container.get("Labels") or {}
    instance, task = labels.get(INSTANCE_LABEL), labels.get(TASK_LABEL)
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
