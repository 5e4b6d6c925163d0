"""Containers that hold sandboxes' namespaces, on Docker Engine, by name.

A holder starts in the host's network namespace and leaves it for a new one at once. When Docker makes a
namespace, a hook of its own takes as long as all the rest of the start. Where a holder cannot leave (user
namespaces, a security module), Docker makes it one nevertheless.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from homeport.node.drivers import agent_errors as agent
from homeport.node.drivers.docker_views import filters
from homeport.node.drivers.engine_client import EngineClient, EngineError, segment
from homeport.node.drivers.pause_image import SANDBOX_PROGRAM

SANDBOX_LABEL = "com.amazonaws.ecs.homeport.sandbox"
"""The name of the host's end of the sandbox's link, which follows from its instance and number."""
_CREATE_SECONDS, _START_SECONDS = 240.0, 180.0
_END_SECONDS = 5.0
_CONFLICT, _MISSING = 409, 404


@dataclass(frozen=True, slots=True, kw_only=True)
class Holder:
    """A holder as it is now. The paths are of its hosts and resolv.conf on this machine."""

    docker_id: str
    name: str
    veth: str
    pid: int
    is_running: bool
    hostname: str
    hosts_path: str
    resolv_path: str
    program: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Listed:
    """A holder in Docker's list."""

    docker_id: str
    name: str
    veth: str
    is_running: bool


class Holders:
    """Those of one installation. `labels` tell them from others'."""

    def __init__(
        self, client: EngineClient, *, image: str, labels: Mapping[str, str], can_leave: bool = True
    ) -> None:
        self._client = client
        self._image = image
        self._labels = dict(labels)
        self.can_leave = can_leave

    async def create(
        self,
        name: str,
        *,
        veth: str,
        hostname: str,
        cgroup_parent: str | None = None,
        leaves: bool = True,
    ) -> None:
        """Create it; a container of that name is left as it is. Raise `DriverError`.

        `leaves`: it may make its namespaces itself, for which it has a privilege.
        """
        host: dict[str, Any] = {"NetworkMode": "none", "IpcMode": "shareable", "CpuShares": 2}
        program = "/pause"
        if self.can_leave and leaves:
            program = SANDBOX_PROGRAM
            host |= {"NetworkMode": "host", "CapDrop": ["ALL"], "CapAdd": ["SYS_ADMIN"]}
        if cgroup_parent is not None:
            host["CgroupParent"] = cgroup_parent
        host["LogConfig"] = {"Type": "none"}
        body = {
            "Image": self._image,
            "Entrypoint": [program],
            "Hostname": hostname,
            "StopSignal": "SIGKILL",
            "Labels": {**self._labels, SANDBOX_LABEL: veth},
            "HostConfig": host,
        }
        with agent.transition(agent.CREATE, "created", _CREATE_SECONDS):
            await self._tolerating(
                _CONFLICT, "/containers/create", body=body, params={"name": name}, seconds=_CREATE_SECONDS
            )

    async def start(self, name: str) -> None:
        """Start it; started already is fine. Raise `DriverError`."""
        with agent.transition(agent.START, "started", _START_SECONDS):
            await self._client.post(f"/containers/{segment(name)}/start", seconds=_START_SECONDS)

    async def inspect(self, name: str) -> Holder | None:
        """What it is now. Raise `DriverError`, also for a container of that name that holds nothing."""
        with agent.named(agent.INSPECT):
            try:
                body = await self._client.get(f"/containers/{segment(name)}/json")
            except EngineError as error:
                if error.status == _MISSING:
                    return None
                raise
        return _holder(body)

    async def failed(self, name: str) -> bool:
        """Whether its program ended with a failure of its own, which Docker notices in a moment."""
        try:
            ended = await self._client.post(f"/containers/{segment(name)}/wait", seconds=_END_SECONDS)
        except (EngineError, TimeoutError):
            return False
        return bool(ended["StatusCode"] == 1)

    async def rename(self, docker_id: str, name: str) -> bool:
        """Whether it has that name now; no: one of them is not there, or the name is taken."""
        try:
            await self._client.post(f"/containers/{docker_id}/rename", params={"name": name})
        except EngineError as error:
            if error.status in {_CONFLICT, _MISSING}:
                return False
            raise agent.refusal(agent.CREATE, error) from error
        return True

    async def remove(self, name: str) -> None:
        """Remove it, running or not. Missing is fine. Raise `DriverError`."""
        path = f"/containers/{segment(name)}"
        with agent.named(agent.REMOVE):
            try:
                await self._client.delete(path, params={"force": "1", "v": "1"}, seconds=None)
            except EngineError as error:
                if error.status == _MISSING:
                    return
                if error.status != _CONFLICT:
                    raise
                # Somebody's removal is under way: it is done when the daemon says so.
                await self._tolerating(
                    _MISSING, f"{path}/wait", params={"condition": "removed"}, seconds=None
                )

    async def all(self) -> list[Listed]:
        """Every one, running or not. Raise `DriverError`."""
        labels = [SANDBOX_LABEL, *(f"{key}={value}" for key, value in self._labels.items())]
        with agent.named(agent.INSPECT):
            params = {"all": "1", "filters": filters(label=labels)}
            found = await self._client.get("/containers/json", params=params)
        return [
            Listed(
                docker_id=each["Id"],
                name=next((n[1:] for n in each["Names"] if n.count("/") == 1), each["Id"]),
                veth=each["Labels"][SANDBOX_LABEL],
                is_running=each["State"] == "running",
            )
            for each in found or ()
        ]

    async def _tolerating(
        self,
        status: int,
        path: str,
        *,
        seconds: float | None,
        body: Any = None,
        params: Mapping[str, str] | None = None,
    ) -> None:
        try:
            await self._client.post(path, body, params=params, seconds=seconds)
        except EngineError as error:
            if error.status != status:
                raise


def _holder(body: Mapping[str, Any]) -> Holder:
    state, config = body["State"], body["Config"]
    veth = (config.get("Labels") or {}).get(SANDBOX_LABEL, "")
    docker_id = str(body["Id"])
    paths = str(body.get("HostsPath") or ""), str(body.get("ResolvConfPath") or "")
    # Files of this container alone: never those that others have, too.
    hosts, resolv = (path if docker_id in path else "" for path in paths)
    return Holder(
        docker_id=docker_id,
        name=str(body["Name"]).removeprefix("/"),
        veth=veth,
        pid=int(state.get("Pid") or 0),
        is_running=bool(state.get("Running")) and not state.get("Paused"),
        hostname=str(config.get("Hostname") or ""),
        hosts_path=hosts,
        resolv_path=resolv,
        program=str(body.get("Path") or ""),
    )
