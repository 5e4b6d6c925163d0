"""Images on Docker Engine. Implements `ports.ImageDriver`."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable, Mapping
from typing import Any
from urllib.parse import urlencode

from homeport.node.drivers import agent_errors as agent
from homeport.node.drivers import docker_views as views
from homeport.node.drivers.engine_client import EngineClient, EngineError, segment
from homeport.node.drivers.known_images import KnownImages
from homeport.node.ports import DriverError, ImageInfo, PullProgress, RegistryLogin

PULL_SILENCE_SECONDS = 60.0
"""ECS_IMAGE_PULL_INACTIVITY_TIMEOUT. Source: amazon-ecs-agent README."""

_FINISHED = {"Download complete", "Verifying Checksum", "Extracting", "Pull complete", "Already exists"}


class DockerImages:
    """One daemon's images."""

    def __init__(
        self,
        client: EngineClient,
        *,
        known: KnownImages | None = None,
        silence_seconds: float = PULL_SILENCE_SECONDS,
    ) -> None:
        self._client = client
        self._known = known or KnownImages()
        self._silence_seconds = silence_seconds

    async def inspect(self, image: str) -> ImageInfo | None:
        """The image as it is here; `None`: it is not."""
        if (known := self._known.find(image)) is not None:
            return known
        generation = self._known.generation
        with agent.named(agent.INSPECT):
            try:
                body = await self._client.get(f"/images/{segment(image)}/json")
            except EngineError as error:
                if error.status == 404:
                    return None
                raise
        info = views.image_info(body, image)
        self._known.keep(image, info, generation)
        return info

    async def pull(
        self, image: str, *, login: RegistryLogin | None, progress: Callable[[PullProgress], None]
    ) -> None:
        """Bring it here. Raise `DriverError`: CannotPullContainerError, DockerTimeoutError."""
        repository, tag = views.split_reference(image)
        meter = PullMeter(image)
        try:
            with agent.named(agent.PULL):
                lines = self._client.lines(
                    "POST",
                    "/images/create",
                    params={"fromImage": repository, "tag": tag},
                    headers=_login_header(login),
                    silence_seconds=self._silence_seconds,
                )
                try:
                    async for line in lines:
                        if "error" in line:
                            raise EngineError(500, str(line["error"]))
                        if meter.take(line):
                            progress(meter.now())
                except TimeoutError as error:
                    waited = agent.go_duration(self._silence_seconds)
                    raise DriverError(
                        agent.TIMEOUT, f"Could not transition to pulled; no progress for {waited}"
                    ) from error
        except DriverError as error:
            raise _pull_error(error) from error
        finally:
            self._known.changed()  # its event may still be on its way

    async def remove(self, image: str) -> None:
        """Remove the name, and the layers that nothing else needs. Missing is fine."""
        with agent.named("CannotRemoveImageError"):
            try:
                await self._client.delete(f"/images/{segment(image)}", seconds=None)
            except EngineError as error:
                if error.status != 404:
                    raise
            finally:
                self._known.changed()

    async def images(self) -> tuple[ImageInfo, ...]:
        """Every image that has a name or a digest."""
        with agent.named(agent.INSPECT):
            found = await self._client.get("/images/json")
        return tuple(views.image_info(each) for each in found)

    async def import_tar(self, image: str, tar: bytes, *, changes: tuple[str, ...] = ()) -> str:
        """Make an image of one layer from a tar archive; its id. `changes` are Dockerfile lines."""
        repository, tag = views.split_reference(image)
        params = {"fromSrc": "-", "repo": repository, "tag": tag}
        path = "/images/create"
        if changes:
            # aiohttp takes repeated parameters only in the path's own query.
            path += "?" + urlencode([*params.items(), *(("changes", change) for change in changes)])
            params = {}
        with agent.named(agent.CREATE):
            data = await self._client.raw("POST", path, body=tar, params=params or None, seconds=None)
        self._known.changed()
        return str(json.loads(data.splitlines()[-1])["status"])


class PullMeter:
    """Adds up a pull's layers from Docker's progress lines."""

    def __init__(self, image: str) -> None:
        self._image = image
        self._layers: dict[str, tuple[int, int]] = {}

    def take(self, line: Mapping[str, Any]) -> bool:
        """Whether the line changed the sums."""
        layer, status = line.get("id"), line.get("status", "")
        if not layer:
            return False
        before = self._layers.get(layer)
        detail = line.get("progressDetail") or {}
        if status == "Downloading" and detail.get("total"):
            self._layers[layer] = (detail.get("current", 0), detail["total"])
        elif status in _FINISHED and before is not None:
            self._layers[layer] = (before[1], before[1])
        return self._layers.get(layer) != before

    def now(self) -> PullProgress:
        """The sums."""
        return PullProgress(
            image=self._image,
            done_bytes=sum(done for done, _ in self._layers.values()),
            total_bytes=sum(total for _, total in self._layers.values()),
        )


def _login_header(login: RegistryLogin | None) -> Mapping[str, str]:
    if login is None:
        return {}
    text = json.dumps({"username": login.username, "password": login.password, "serveraddress": login.server})
    return {"X-Registry-Auth": base64.urlsafe_b64encode(text.encode()).decode()}


def _pull_error(error: DriverError) -> DriverError:
    """A refused login has an error name of its own."""
    if error.name == agent.PULL and "no basic auth credentials" in error.text:
        return DriverError(agent.PULL_LOGIN, error.text)
    return error
