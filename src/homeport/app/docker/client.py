"""Docker Engine's HTTP API for set-up and for people: synchronous, and cheap to import.

The node's engine has its own asynchronous driver; this one asks a handful of
questions before and beside it. Source: Docker Engine API v1.41.
"""

from __future__ import annotations

import http.client
import json
import socket
import struct
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, cast
from urllib.parse import quote, urlencode, urlsplit

from homeport.core.redact import without_values

DEFAULT_DOCKER_HOST = "unix:///var/run/docker.sock"
_HEADER = struct.Struct(">BxxxL")


class DockerError(Exception):
    """Docker Engine refused; `status` is the HTTP status."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status


class DockerAwayError(Exception):
    """Nothing that speaks Docker's API answers at this address, or not in time."""

    remedy = "Is it running, and not overloaded? Look with: docker info"

    @property
    def message(self) -> str:
        """What happened."""
        return str(self)


@dataclass(frozen=True, slots=True, kw_only=True)
class LogChunk:
    """Bytes that a container wrote, at once, to one stream (`stdout`, `stderr`)."""

    stream: str
    data: bytes


class _UnixConnection(http.client.HTTPConnection):
    def __init__(self, path: str, timeout: float | None) -> None:
        super().__init__("docker", timeout=timeout)
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(self.timeout)
        self.sock.connect(self._path)


class DockerClient:
    """One call, one connection: nothing to keep open, nothing to close."""

    def __init__(self, docker_host: str = DEFAULT_DOCKER_HOST) -> None:
        self.docker_host = docker_host

    def version(self) -> Mapping[str, Any]:
        """Engine and API version. Raise `DockerAwayError` when nothing answers."""
        return cast(Mapping[str, Any], self._json("GET", "/version", timeout_seconds=5))

    def info(self) -> Mapping[str, Any]:
        """What `docker info` shows."""
        return cast(Mapping[str, Any], self._json("GET", "/info", timeout_seconds=30))

    def containers(self, *, labels: Mapping[str, str], running_only: bool = False) -> list[Mapping[str, Any]]:
        """Containers that carry every one of `labels` (all of them, for none)."""
        filters = {"label": [f"{k}={v}" if v else k for k, v in labels.items()]}
        query = {"filters": json.dumps(filters), "all": "0" if running_only else "1"}
        return cast(list[Mapping[str, Any]], self._json("GET", "/containers/json", query=query))

    def stop(self, container_id: str, *, grace_seconds: int) -> None:
        """Ask, wait, kill. One that is gone or stopped already is stopped."""
        self._forgiving("POST", f"/containers/{container_id}/stop", {"t": str(grace_seconds)}, {304, 404})

    def remove(self, container_id: str) -> None:
        """Remove it and its anonymous volumes, running or not."""
        self._forgiving("DELETE", f"/containers/{container_id}", {"force": "1", "v": "1"}, {404, 409})

    def volumes(self, *, label: str) -> list[str]:
        """Names of the volumes that carry `label` (`name=value`)."""
        query = {"filters": json.dumps({"label": [label]})}
        found = cast(Mapping[str, Any], self._json("GET", "/volumes", query=query))
        return [volume["Name"] for volume in found["Volumes"] or ()]

    def remove_volume(self, name: str) -> None:
        """Remove a volume; one that is gone or in use stays as it is."""
        self._forgiving("DELETE", f"/volumes/{quote(name)}", {}, {404, 409})

    def has_image(self, name: str) -> bool:
        """Whether this image is on the machine."""
        try:
            self._json("GET", f"/images/{quote(name)}/json")
        except DockerError as error:
            if error.status == 404:
                return False
            raise
        return True

    def import_image(self, archive: bytes, *, repository: str, tag: str, changes: list[str]) -> None:
        """Make an image of a root file system in a tar archive; `changes` are Dockerfile lines."""
        query = [("fromSrc", "-"), ("repo", repository), ("tag", tag)]
        query += [("changes", change) for change in changes]
        response = self._send(
            "POST", f"/images/create?{urlencode(query)}", body=archive, kind="application/x-tar"
        )
        with response:
            for line in response.read().splitlines():
                if line.strip() and (failure := json.loads(line).get("error")):
                    raise DockerError(500, failure)

    def image_names(self, repository: str) -> list[str]:
        """`repository:tag` of every image of a repository."""
        query = {"filters": json.dumps({"reference": [repository]})}
        found = cast(list[Mapping[str, Any]], self._json("GET", "/images/json", query=query))
        return [name for image in found for name in image["RepoTags"] or ()]

    def remove_image(self, name: str) -> None:
        """Remove an image; one that is gone or in use stays as it is."""
        self._forgiving("DELETE", f"/images/{quote(name)}", {}, {404, 409})

    def logs(
        self, container_id: str, *, follow: bool, tail: str = "all", timestamps: bool = False
    ) -> Iterator[LogChunk]:
        """What the container wrote; with `follow` until it ends."""
        inspected = cast(Mapping[str, Any], self._json("GET", f"/containers/{container_id}/json"))
        query = {
            "stdout": "1", "stderr": "1", "tail": tail,
            "follow": "1" if follow else "0", "timestamps": "1" if timestamps else "0",
        }  # fmt: skip
        try:
            response = self._send(
                "GET", f"/containers/{container_id}/logs?{urlencode(query)}", timeout_seconds=None
            )
        except DockerError as error:  # about a log driver's option it says the value, which may be a secret
            options = inspected["HostConfig"]["LogConfig"].get("Config") or {}
            raise DockerError(error.status, without_values(str(error), options.values())) from None
        with response:
            if inspected["Config"]["Tty"]:
                while data := response.read1(65536):
                    yield LogChunk(stream="stdout", data=data)
            else:
                yield from split_streams(response)

    def _json(
        self,
        method: str,
        path: str,
        *,
        query: Mapping[str, str] | None = None,
        timeout_seconds: float | None = 60,
    ) -> Any:
        target = f"{path}?{urlencode(query)}" if query else path
        with self._send(method, target, timeout_seconds=timeout_seconds) as response:
            body = response.read()
        return json.loads(body) if body else None

    def _forgiving(self, method: str, path: str, query: Mapping[str, str], fine: set[int]) -> None:
        try:
            self._json(method, path, query=query, timeout_seconds=None)
        except DockerError as error:
            if error.status not in fine:
                raise

    def _send(
        self,
        method: str,
        target: str,
        *,
        body: bytes | None = None,
        kind: str = "application/json",
        timeout_seconds: float | None = 60,
    ) -> http.client.HTTPResponse:
        connection = self._connect(timeout_seconds)
        headers = {"Content-Type": kind, "Connection": "close"}
        try:
            connection.request(method, target, body=body, headers=headers)
            response = connection.getresponse()
        except (OSError, http.client.HTTPException) as error:
            connection.close()
            raise DockerAwayError(f"no Docker Engine answers at {self.docker_host}: {error}") from error
        if response.status >= 400:
            with response:
                raise DockerError(response.status, _message(response.read()))
        return response

    def _connect(self, timeout_seconds: float | None) -> http.client.HTTPConnection:
        parts = urlsplit(self.docker_host)
        if parts.scheme == "unix":
            return _UnixConnection(parts.path, timeout_seconds)
        if parts.scheme in ("tcp", "http"):
            return http.client.HTTPConnection(
                parts.hostname or "127.0.0.1", parts.port or 2375, timeout=timeout_seconds
            )
        raise DockerAwayError(f"{self.docker_host} is not an address we can use: unix:// or tcp://")


def socket_path(docker_host: str) -> Path | None:
    """The unix socket of a Docker address; `None`: it is a TCP address."""
    parts = urlsplit(docker_host)
    return Path(parts.path) if parts.scheme == "unix" else None


def split_streams(stream: BinaryIO | http.client.HTTPResponse) -> Iterator[LogChunk]:
    """Undo Docker's multiplexing: 8 bytes of header (stream, size), then the bytes.

    Source: Docker Engine API v1.41, ContainerAttach, "Stream format".
    """
    while len(header := _exactly(stream, _HEADER.size)) == _HEADER.size:
        kind, size = _HEADER.unpack(header)
        yield LogChunk(stream="stderr" if kind == 2 else "stdout", data=_exactly(stream, size))


def _exactly(stream: BinaryIO | http.client.HTTPResponse, size: int) -> bytes:
    parts = []
    while size and (part := stream.read(size)):
        parts.append(part)
        size -= len(part)
    return b"".join(parts)


def _message(body: bytes) -> str:
    try:
        return str(json.loads(body)["message"])
    except (ValueError, KeyError, TypeError):
        return body.decode(errors="replace").strip()
