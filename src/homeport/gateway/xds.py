"""Where proxies get their configuration: aggregated discovery (ADS, incremental) over gRPC.

The conversation itself is `dataplane.session`; here are its streams. Proxies connect by themselves, also
after this process died and came back, and say what they have: only what differs is sent.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Any, Self

import grpc.aio
from envoy.service.auth.v3 import external_auth_pb2_grpc
from envoy.service.discovery.v3 import ads_pb2_grpc, discovery_pb2

from homeport.core.log import get_logger
from homeport.dataplane.doors import port_of
from homeport.dataplane.session import Rejection, Session, Update
from homeport.dataplane.translate import Kind, Snapshot
from homeport.gateway.logins.check import GateServicer
from homeport.gateway.logins.gate import Gate
from homeport.gateway.xds_codec import load_types, pack

log = get_logger(__name__)

_PREFIX = "type.googleapis.com/"
_MESSAGE_BYTES_MAX = 64 * 1024 * 1024
_GRACE_SECONDS = 0.2


class _Stream:
    """One proxy's connection: what it says is read and what is to be sent is written as it comes."""

    def __init__(self, context: Any, changed: Callable[[], None]) -> None:
        self.session = Session()
        self._context = context
        self._wake = asyncio.Event()
        self._changed = changed
        self._told: frozenset[Rejection] = frozenset()

    def want(self, snapshot: Snapshot) -> None:
        self.session.want(snapshot)
        self._wake.set()

    def retry(self) -> None:
        self.session.retry()
        self._wake.set()

    async def run(self) -> None:
        async with asyncio.TaskGroup() as group:
            writer = group.create_task(self._write())
            await self._read()
            writer.cancel()

    async def _read(self) -> None:
        while (request := await self._context.read()) is not grpc.aio.EOF:
            kind = _kind(request.type_url)
            if kind is None:
                continue
            self.session.ask(
                kind,
                nonce=request.response_nonce,
                error=request.error_detail.message,
                subscribe=request.resource_names_subscribe,
                unsubscribe=request.resource_names_unsubscribe,
                has=request.initial_resource_versions,
            )
            self._tell()
            self._wake.set()

    def _tell(self) -> None:
        now = frozenset(self.session.rejections)
        for one in now - self._told:
            # A port of loopback that is another program's hurts nobody.
            tell = log.warning if port_of(one.name) is None else log.info
            tell(
                "proxy.rejected",
                kind=one.kind.rpartition(".")[2],
                resource=one.name,
                balancer=one.balancer_id,
                message=one.message,
            )
        self._told |= now  # the same refusal again, after another attempt, is no news
        self._changed()

    async def _write(self) -> None:
        while True:
            for update in self.session.updates():
                await self._context.write(_response(update))
            await self._wake.wait()
            self._wake.clear()


def _kind(type_url: str) -> Kind | None:
    try:
        return Kind(type_url.removeprefix(_PREFIX))
    except ValueError:
        return None


def _response(update: Update) -> discovery_pb2.DeltaDiscoveryResponse:
    return discovery_pb2.DeltaDiscoveryResponse(
        type_url=_PREFIX + update.kind.value,
        nonce=update.nonce,
        resources=[
            discovery_pb2.Resource(
                name=one.name, version=one.version, resource=pack(update.kind.value, one.body)
            )
            for one in update.resources
        ],
        removed_resources=list(update.removed),
    )


class _Servicer(ads_pb2_grpc.AggregatedDiscoveryServiceServicer):  # type: ignore[misc]
    def __init__(self, server: XdsServer) -> None:
        self._server = server

    async def DeltaAggregatedResources(self, _: Any, context: Any) -> None:  # noqa: N802 - gRPC's name
        await self._server.serve(context)


class XdsServer:
    """`async with XdsServer(path) as server: server.want(snapshot)`. Proxies find it at a Unix socket.

    There they ask `gate` about requests of rules that let clients log in, too.
    """

    def __init__(self, path: Path, gate: Gate | None = None) -> None:
        self._path, self._gate = path, gate
        self._streams: set[_Stream] = set()
        self._wanted: Snapshot | None = None
        self._moved = asyncio.Event()
        self._server: Any = None

    async def __aenter__(self) -> Self:
        load_types()
        self._server = grpc.aio.server(options=(("grpc.max_receive_message_length", _MESSAGE_BYTES_MAX),))
        ads_pb2_grpc.add_AggregatedDiscoveryServiceServicer_to_server(_Servicer(self), self._server)
        if self._gate is not None:
            answers = GateServicer(self._gate)
            external_auth_pb2_grpc.add_AuthorizationServicer_to_server(answers, self._server)
        self._path.unlink(missing_ok=True)
        self._server.add_insecure_port(f"unix:{self._path}")
        await self._server.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._server.stop(_GRACE_SECONDS)

    def want(self, snapshot: Snapshot) -> None:
        """What every proxy shall have from now on. Until this is said first, they are told nothing."""
        self._wanted = snapshot
        for stream in self._streams:
            stream.want(snapshot)
        self._changed()

    def retry(self) -> None:
        """Send again what was refused."""
        for stream in self._streams:
            stream.retry()

    @property
    def connected(self) -> bool:
        """Whether a proxy is there."""
        return bool(self._streams)

    @property
    def rejections(self) -> tuple[Rejection, ...]:
        """What proxies refuse now, each once."""
        found = {one for stream in self._streams for one in stream.session.rejections}
        return tuple(sorted(found, key=lambda one: (one.balancer_id, one.kind, one.name)))

    @property
    def settled(self) -> bool:
        """Whether a proxy is there and all that are have what they are to have, but for what they refuse."""
        return self.connected and all(stream.session.settled for stream in self._streams)

    async def until_settled(self) -> None:
        """Wait for `settled`."""
        await self._until(lambda: self.settled)

    async def until_rejected(self) -> None:
        """Wait until a proxy refuses something."""
        await self._until(lambda: bool(self.rejections))

    async def until_gone(self) -> None:
        """Wait until no proxy is there."""
        await self._until(lambda: not self.connected)

    async def _until(self, holds: Callable[[], bool]) -> None:
        while not holds():
            await self._moved.wait()

    async def serve(self, context: Any) -> None:
        """A proxy's stream, as long as it lasts."""
        stream = _Stream(context, self._changed)
        if self._wanted is not None:
            stream.want(self._wanted)
        self._streams.add(stream)
        log.info("proxy.connected")
        try:
            await stream.run()
        finally:
            self._streams.discard(stream)
            log.info("proxy.disconnected")
            self._changed()

    def _changed(self) -> None:
        """Wake who waits, and let the next ones wait for something new."""
        self._moved.set()
        self._moved = asyncio.Event()
