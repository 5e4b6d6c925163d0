"""A data plane with a real proxy on loopback addresses, and targets that say who they are."""

from __future__ import annotations

import asyncio
import socket
import tempfile
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from homeport.app.balancers.envoy import DataPlane
from homeport.dataplane.doors import LOOPBACK
from homeport.dataplane.health import HealthChange, HealthState
from homeport.dataplane.model import (
    Balancer,
    BalancerKind,
    BindAddress,
    HealthCheck,
    Listener,
    Protocol,
    Target,
    TargetGroup,
    Traffic,
)
from homeport.dataplane.rules import Forward, Rule, WeightedGroup
from homeport.gateway.logins.gate import Gate

FRONT = "127.0.9.1"
BACK = "127.0.9.2"
CHECK = HealthCheck(interval_seconds=1, timeout_seconds=10, healthy_threshold=2, unhealthy_threshold=2)
"""Quick, but patient: a busy machine is not a sick target."""


def free_port(address: str = FRONT) -> int:
    """A port that is free at the address, and on 127.0.0.1, where balancers have doors."""
    while True:
        with socket.create_server((address, 0)) as listening:
            port = int(listening.getsockname()[1])
            with suppress(OSError), socket.create_server((LOOPBACK, port)):
                return port


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """What a target was asked."""

    method: str
    path: str
    headers: tuple[tuple[str, str], ...]
    body: bytes = b""

    def header(self, name: str) -> str | None:
        values = [value for key, value in self.headers if key.lower() == name.lower()]
        return ", ".join(values) if values else None


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    status: int
    headers: tuple[tuple[str, str], ...]
    body: bytes

    def header(self, name: str) -> str | None:
        values = self.all(name)
        return values[0] if values else None

    def all(self, name: str) -> list[str]:
        return [value for key, value in self.headers if key.lower() == name.lower()]


@dataclass(slots=True, kw_only=True)
class Upstream:
    """A target: answers its name to every request, and remembers what it was asked."""

    name: str
    address: str = BACK
    port: int = 0
    status: int = 200
    healthy: bool = True
    headers: tuple[str, ...] = ()
    pause: Callable[[Request], Awaitable[None]] | None = None
    asked: list[Request] = field(default_factory=list)
    checks: list[Request] = field(default_factory=list)
    anew: asyncio.Event = field(default_factory=asyncio.Event)
    """Set by every request."""

    @property
    def target(self) -> Target:
        return Target(address=self.address, port=self.port)

    @asynccontextmanager
    async def serving(self) -> AsyncIterator[Upstream]:
        writers: set[asyncio.StreamWriter] = set()

        async def client(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            writers.add(writer)
            try:
                while (request := await _read_request(reader)) is not None:
                    await self._answer(request, writer)
            except (ConnectionError, asyncio.IncompleteReadError):
                pass
            finally:
                writers.discard(writer)
                writer.close()

        server = await asyncio.start_server(client, self.address, self.port)
        self.port = server.sockets[0].getsockname()[1]
        try:
            yield self
        finally:
            server.close()
            for writer in list(writers):
                writer.close()
            await server.wait_closed()

    async def _answer(self, request: Request, writer: asyncio.StreamWriter) -> None:
        check = request.header("user-agent") == "ELB-HealthChecker/2.0"
        (self.checks if check else self.asked).append(request)
        if not check:
            self.anew.set()
        status, body, extra = self.status, self.name.encode(), self.headers
        if check:
            status, extra = (200 if self.healthy else 500), ()
        elif self.pause is not None:
            await self.pause(request)
        lines = [f"HTTP/1.1 {status} X", f"Content-Length: {len(body)}", *extra]
        writer.write("\r\n".join(lines).encode() + b"\r\n\r\n" + body)
        await writer.drain()


async def _read_request(reader: asyncio.StreamReader) -> Request | None:
    try:
        head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
    except asyncio.IncompleteReadError:
        return None
    first, *lines = head.rstrip().split("\r\n")
    method, path, _ = first.split(" ")
    headers = tuple((k, v.strip()) for k, _, v in (line.partition(":") for line in lines))
    length = next((int(v) for k, v in headers if k.lower() == "content-length"), 0)
    return Request(method=method, path=path, headers=headers, body=await reader.readexactly(length))


class Client:
    """A raw HTTP/1.1 client: what is written is sent, byte for byte."""

    def __init__(self, port: int, address: str = FRONT, source: str = "127.0.0.1") -> None:
        self._port, self._address, self._source = port, address, source
        self._streams: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None

    async def raw(self, data: bytes) -> Answer:
        """Send and read one answer, over the connection of before if there is one."""
        if self._streams is None:
            self._streams = await asyncio.open_connection(
                self._address, self._port, local_addr=(self._source, 0)
            )
        reader, writer = self._streams
        writer.write(data)
        await writer.drain()
        answer = await read_answer(reader, head=data.startswith(b"HEAD"))
        if (answer.header("connection") or "").lower() == "close":
            self.close()
        return answer

    async def ask(
        self,
        path: str = "/",
        *,
        method: str = "GET",
        host: str = "example.com",
        headers: tuple[str, ...] = (),
    ) -> Answer:
        lines = [f"{method} {path} HTTP/1.1", f"Host: {host}", *headers]
        return await self.raw("\r\n".join(lines).encode("latin-1") + b"\r\n\r\n")

    def close(self) -> None:
        if self._streams is not None:
            self._streams[1].close()
            self._streams = None


async def read_answer(reader: asyncio.StreamReader, *, head: bool = False) -> Answer:
    lines = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").rstrip().split("\r\n")
    status = int(lines[0].split(" ")[1])
    headers = tuple((k, v.strip()) for k, _, v in (line.partition(":") for line in lines[1:]))
    found = Answer(status=status, headers=headers, body=b"")
    if head or status in (101, 204, 304):
        return found
    if (found.header("transfer-encoding") or "") == "chunked":
        body = b""
        while size := int(await reader.readline(), 16):
            body += await reader.readexactly(size)
            await reader.readexactly(2)
        await reader.readline()
    elif (length := found.header("content-length")) is not None:
        body = await reader.readexactly(int(length))
    else:
        body = await reader.read()
    return Answer(status=status, headers=headers, body=body)


@dataclass(slots=True, kw_only=True)
class News:
    """What the data plane told of targets' health."""

    changes: list[HealthChange] = field(default_factory=list)
    _moved: asyncio.Event = field(default_factory=asyncio.Event)

    def told(self, change: HealthChange) -> None:
        self.changes.append(change)
        self._moved.set()

    async def until(self, group_id: str, key: str, state: HealthState) -> HealthChange:
        """The newest change of this target, once it is to this state."""
        return await self._until(group_id, key, lambda change: change.health.state is state)

    async def until_described(self, group_id: str, key: str, part: str) -> HealthChange:
        """The newest change of this target, once its description has this in it."""
        return await self._until(group_id, key, lambda change: part in change.health.description)

    async def _until(self, group_id: str, key: str, holds: Callable[[HealthChange], bool]) -> HealthChange:
        async with asyncio.timeout(20):
            while True:
                mine = [one for one in self.changes if (one.group_id, one.key) == (group_id, key)]
                if mine and holds(mine[-1]):
                    return mine[-1]
                self._moved.clear()
                await self._moved.wait()


@asynccontextmanager
async def data_plane(
    *,
    folder: Path | None = None,
    news: News | None = None,
    outlives: bool = False,
    roots: str = "",
    gate: Gate | None = None,
) -> AsyncIterator[DataPlane]:
    """A data plane with one worker. Sockets' paths are short, so its folder is not pytest's."""
    with tempfile.TemporaryDirectory(prefix="hp-") as made:
        place = folder or Path(made)
        heard = news or News()
        async with DataPlane(
            place, told=heard.told, workers=1, outlives=outlives, roots=roots, gate=gate
        ) as plane:
            yield plane


def group(name: str, *upstreams: Upstream, **settings: object) -> TargetGroup:
    targets = tuple(upstream.target for upstream in upstreams)
    known = {"health_check": CHECK, "targets": targets} | settings
    return TargetGroup(id=f"targetgroup/{name}/1", **known)  # type: ignore[arg-type]


def balancer(
    port: int,
    *groups: TargetGroup,
    rules: tuple[Rule, ...] = (),
    default: Rule | None = None,
    traffic: Traffic | None = None,
    name: str = "web",
) -> Balancer:
    """An application balancer with one HTTP listener, whose default is its first group."""
    if default is None:
        default = Rule(id="default", action=Forward(groups=(WeightedGroup(group_id=groups[0].id),)))
    return Balancer(
        id=f"app/{name}/1",
        kind=BalancerKind.APPLICATION,
        addresses=(BindAddress(address=FRONT),),
        listeners=(
            Listener(id=f"{name}-{port}", protocol=Protocol.HTTP, port=port, rules=(*rules, default)),
        ),
        groups=groups,
        traffic=traffic or Traffic(),
    )


def network_balancer(port: int, one: TargetGroup, protocol: Protocol = Protocol.TCP) -> Balancer:
    """A network balancer with one listener, whose rule is the group."""
    rule = Rule(id="d", action=Forward(groups=(WeightedGroup(group_id=one.id),)))
    return Balancer(
        id="net/n/1",
        kind=BalancerKind.NETWORK,
        addresses=(BindAddress(address=FRONT),),
        listeners=(Listener(id="l", protocol=protocol, port=port, rules=(rule,)),),
        groups=(one,),
    )


class LoopbackAddress:
    """The addresses of a balancer that listens on one of loopback, in its first subnet."""

    async def of(self, balancer: Any) -> Mapping[str, str]:
        return {balancer.zones[0].subnet_id: FRONT}

    async def release(self, balancer_arn: str) -> None:
        """Loopback stays."""
        del balancer_arn

    async def holders(self) -> tuple[str, ...]:
        """Nobody that is gone."""
        return ()
