"""Containers on Docker Engine, by name. Implements `ports.ContainerDriver`."""

from __future__ import annotations

import asyncio
import math
from collections.abc import AsyncIterator
from datetime import datetime, timedelta
from typing import Any

from homeport.core.clock import Clock
from homeport.core.log import get_logger
from homeport.node.drivers import agent_errors as agent
from homeport.node.drivers import docker_views as views
from homeport.node.drivers.engine_client import EngineClient, EngineError, documents, segment
from homeport.node.drivers.known_images import KnownImages
from homeport.node.ports import (
    ContainerSpec,
    ContainerStatus,
    DriverError,
    DriverUnavailableError,
    EngineInfo,
    Sample,
)

log = get_logger("node.docker")

CREATE_SECONDS = 240.0
START_SECONDS = 180.0
STOP_EXTRA_SECONDS = 120.0
"""Limits of Docker's calls. Source: amazon-ecs-agent README (create 4m, start 3m, stop + 2m)."""

_EVENTS = ["start", "die", "oom", "health_status", "destroy"]
_IMAGE_EVENTS = ["delete", "import", "load", "pull", "tag", "untag"]
_HALF_GONE = {"removing", "dead"}
_AGAIN_SECONDS = (0.1, 0.2, 0.5, 1.0, 2.0)
_CREATE_ATTEMPTS = 3


class DockerContainers:
    """One daemon's containers; several local instances may share it."""

    def __init__(
        self,
        client: EngineClient,
        clock: Clock,
        *,
        images: KnownImages | None = None,
        start_seconds: float = START_SECONDS,
        create_seconds: float = CREATE_SECONDS,
    ) -> None:
        self._client = client
        self._clock = clock
        self._images = images or KnownImages()
        self._start_seconds = start_seconds
        self._create_seconds = create_seconds

    async def info(self) -> EngineInfo:
        """The engine and the machine."""
        version = await self._client.version()
        with agent.named(agent.CONFIG):
            body = await self._client.get("/info")
        return views.engine_info(body, f"{version.major}.{version.minor}")

    async def create(self, spec: ContainerSpec) -> str:
        """Create the container, or adopt the one of that name; its Docker id."""
        body = {**spec.config, "Image": spec.image, "HostConfig": spec.host_config}
        if spec.networking_config:
            body["NetworkingConfig"] = spec.networking_config
        with agent.transition(agent.CREATE, "created", self._create_seconds):
            for _ in range(_CREATE_ATTEMPTS):
                try:
                    made = await self._client.post(
                        "/containers/create", body, params={"name": spec.name}, seconds=self._create_seconds
                    )
                    return str(made["Id"])
                except EngineError as error:
                    if error.status != 409:
                        raise
                    if (found := await self._adopt(spec.name)) is not None:
                        return found
        raise DriverError(agent.CREATE, f"the name {spec.name} is taken by a container that will not go away")

    async def _adopt(self, name: str) -> str | None:
        """The id of an existing container; `None` once a half-removed one is gone."""
        body = await self._inspect(name)
        if body is None:
            return None
        if body["State"]["Status"] not in _HALF_GONE:
            return str(body["Id"])
        await self.remove(name)
        return None

    async def start(self, name: str) -> None:
        """Start it; started already is fine."""
        with agent.transition(agent.START, "started", self._start_seconds):
            await self._client.post(f"/containers/{segment(name)}/start", seconds=self._start_seconds)

    async def stop(self, name: str, *, grace_seconds: float) -> None:
        """Ask, wait up to `grace_seconds` (rounded up to whole ones), then kill."""
        seconds = math.ceil(grace_seconds)
        limit = seconds + STOP_EXTRA_SECONDS
        with agent.transition(agent.STOP, "stopped", limit):
            await self._tolerating(
                {404}, "POST", f"/containers/{segment(name)}/stop", seconds=limit, params={"t": str(seconds)}
            )

    async def kill(self, name: str) -> None:
        """Kill it at once; a container that does not run is fine."""
        with agent.named(agent.STOP):
            await self._tolerating({404, 409}, "POST", f"/containers/{segment(name)}/kill")

    async def remove(self, name: str) -> None:
        """Remove it and its anonymous volumes, running or not."""
        path = f"/containers/{segment(name)}"
        with agent.named(agent.REMOVE):
            try:
                await self._client.delete(path, params={"force": "1", "v": "1"}, seconds=None)
            except EngineError as error:
                if error.status == 404:
                    return
                if error.status != 409:
                    raise
                # Somebody's removal is under way: it is done when the daemon says so.
                await self._tolerating(
                    {404}, "POST", f"{path}/wait", seconds=None, params={"condition": "removed"}
                )

    async def status(self, name: str) -> ContainerStatus | None:
        """What it is now; `None`: it does not exist."""
        with agent.named(agent.INSPECT):
            body = await self._inspect(name)
        return None if body is None else views.container_status(body)

    async def names(self, *, label: str, value: str) -> tuple[str, ...]:
        """Names of all containers, running or not, that carry `label=value`."""
        with agent.named(agent.INSPECT):
            found = await self._client.get(
                "/containers/json",
                params={"all": "1", "filters": views.filters(label=[f"{label}={value}"])},
            )
        # A linked container also has names like /other/alias: its own has one slash.
        own = (name for each in found for name in each["Names"] if name.count("/") == 1)
        return tuple(sorted(name.removeprefix("/") for name in own))

    async def events(self) -> AsyncIterator[str]:
        """Names of containers that changed; `""` first, and after every gap.

        From the first `""` on nothing is missed while the daemon lives: the
        subscription reaches back to a moment before it was made.
        """
        since = self._clock.now() - timedelta(seconds=1)
        failures = 0
        while True:
            try:
                async with self._client.stream("GET", "/events", params=_event_params(since)) as answer:
                    with self._images.watched():
                        yield ""
                        failures = 0
                        async for event in documents(answer):
                            since = max(since, _event_time(event, since))
                            if event.get("Type") == "image":
                                self._images.changed()
                            else:
                                yield event["Actor"]["Attributes"].get("name", "")
                log.info("docker_events.ended")
            except (DriverUnavailableError, EngineError) as error:
                log.warning("docker_events.lost", error=str(error), failures=failures)
            await asyncio.sleep(_AGAIN_SECONDS[min(failures, len(_AGAIN_SECONDS) - 1)])
            failures += 1

    async def sample(self, name: str) -> Sample | None:
        """Usage now; `None` when it does not run."""
        version = await self._client.version()
        params = {"stream": "0", **({"one-shot": "1"} if version.at_least(1, 41) else {})}
        with agent.named(agent.INSPECT):
            try:
                body = await self._client.get(f"/containers/{segment(name)}/stats", params=params)
            except EngineError as error:
                if error.status in {404, 409}:
                    return None
                raise
        return None if body is None else views.sample(body)  # nothing at all: it ended while it was asked

    async def logs(self, name: str, *, tail: int) -> tuple[str, ...]:
        """The last `tail` lines of both streams, oldest first; none for a missing container."""
        with agent.named(agent.INSPECT):
            body = await self._inspect(name)
            if body is None:
                return ()
            data = await self._client.raw(
                "GET",
                f"/containers/{segment(name)}/logs",
                params={"stdout": "1", "stderr": "1", "tail": str(tail)},
            )
        return views.log_lines(data, terminal=bool(body["Config"].get("Tty")))

    async def written(self, name: str) -> int:
        """Bytes in its own layer; Docker walks through it."""
        with agent.named(agent.INSPECT):
            try:
                body = await self._client.get(f"/containers/{segment(name)}/json", params={"size": "1"})
            except EngineError as error:
                if error.status == 404:
                    return 0
                raise
        return int(body.get("SizeRw") or 0)

    async def _inspect(self, name: str) -> dict[str, Any] | None:
        try:
            body: dict[str, Any] = await self._client.get(f"/containers/{segment(name)}/json")
        except EngineError as error:
            if error.status == 404:
                return None
            raise
        return body

    async def _tolerating(
        self,
        statuses: set[int],
        method: str,
        path: str,
        *,
        seconds: float | None = 60.0,
        params: dict[str, str] | None = None,
    ) -> None:
        try:
            await self._client.call(method, path, seconds=seconds, params=params)
        except EngineError as error:
            if error.status not in statuses:
                raise


def _event_params(since: datetime) -> dict[str, str]:
    micros = int(since.timestamp() * 1_000_000)
    return {
        "since": f"{micros // 1_000_000}.{micros % 1_000_000:06d}000",
        "filters": views.filters(type=["container", "image"], event=[*_EVENTS, *_IMAGE_EVENTS]),
    }


def _event_time(event: dict[str, Any], fallback: datetime) -> datetime:
    nanos = event.get("timeNano")
    if not nanos:
        return fallback
    return datetime.fromtimestamp(nanos // 1_000_000_000, fallback.tzinfo) + timedelta(
        microseconds=nanos % 1_000_000_000 // 1000
    )
