"""ACS and TCS, the server's ends: ASGI websockets around the machines of `agentproto.server`.

Rules of this module. An idle socket has one task (the server's own, waiting in
`receive`) and one timer of the event loop; writing and delivering tasks exist
only while there is something to write or deliver. What an agent does not read
is bounded by its outbox, after which the socket is closed; what the services
do not take is bounded by its inbox, after which we stop reading. Heartbeats
depend on neither. Run the server with protocol-level pings off: agents do not
count them, heartbeats do their work.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

from homeport.agentproto.server import HEARTBEAT_SECONDS, AcsServer, TcsServer, check_heartbeat
from homeport.agentproto.urls import BadConnectQueryError, parse_acs_query, parse_tcs_query
from homeport.core.call import Call
from homeport.core.ids import Ids, uuid
from homeport.core.log import get_logger
from homeport.gateway.agent_socket import AgentSocket, Machine, Receive, Send, SocketLimits
from homeport.gateway.ports import (
    AgentBackend,
    AgentConnection,
    AgentRefusedError,
    AgentSession,
    Outbox,
)

log = get_logger("gateway.agent_sockets")

Scope = MutableMapping[str, Any]

OUTBOX_BYTES_MAX = 16 << 20
"""Unsent bytes after which an agent is stuck. Payloads for a full instance are well below."""
INBOX_FRAMES_MAX = 64
CLOSE_SECONDS = 5.0
"""How long a closing socket may take before it is abandoned."""


class AgentSockets:
    """All agent sockets of this process.

    `serve_acs` and `serve_tcs` take an upgrade request whose signature was
    verified already; `close` ends all sockets with code 1001 before the server stops.
    """

    def __init__(
        self,
        backend: AgentBackend,
        *,
        ids: Ids,
        heartbeat_seconds: float = HEARTBEAT_SECONDS,
        outbox_bytes_max: int = OUTBOX_BYTES_MAX,
        inbox_frames_max: int = INBOX_FRAMES_MAX,
        close_seconds: float = CLOSE_SECONDS,
    ) -> None:
        check_heartbeat(heartbeat_seconds)
        self._backend = backend
        self._ids = ids
        self._heartbeat_seconds = heartbeat_seconds
        self._limits = SocketLimits(
            outbox_bytes_max=outbox_bytes_max,
            inbox_frames_max=inbox_frames_max,
            close_seconds=close_seconds,
        )
        self._open: set[AgentSocket] = set()
        self._none_open = asyncio.Event()
        self._none_open.set()
        self._closing = False

    @property
    def open_count(self) -> int:
        """Open sockets of both kinds, refused and closed ones excepted."""
        return len(self._open)

    async def serve_acs(self, scope: Scope, receive: Receive, send: Send, call: Call) -> None:
        """Serve one ACS connection from its upgrade request to its end."""
        try:
            query = parse_acs_query(scope["query_string"].decode("latin-1"))
        except BadConnectQueryError as error:
            await refuse(scope, receive, send, AgentRefusedError("BadRequestException", str(error)))
            return
        connection = AgentConnection(
            call=call,
            cluster=query.cluster,
            container_instance=query.container_instance,
            agent_version=query.agent_version,
            agent_hash=query.agent_hash,
            docker_version=query.docker_version,
            send_credentials=query.send_credentials,
            seq_num=query.seq_num,
            protocol_version=query.protocol_version,
        )
        machine = AcsServer(
            now=asyncio.get_running_loop().time(),
            message_id=lambda: uuid(self._ids),
            heartbeat_seconds=self._heartbeat_seconds,
            protocol_version=query.protocol_version,
            phase=self._phase(),
        )
        await self._serve("acs", machine, connection, self._backend.open_acs, (scope, receive, send))

    async def serve_tcs(self, scope: Scope, receive: Receive, send: Send, call: Call) -> None:
        """Serve one TCS connection from its upgrade request to its end."""
        try:
            query = parse_tcs_query(scope["query_string"].decode("latin-1"))
        except BadConnectQueryError as error:
            await refuse(scope, receive, send, AgentRefusedError("InvalidParameterException", str(error)))
            return
        connection = AgentConnection(
            call=call,
            cluster=query.cluster,
            container_instance=query.container_instance,
            agent_version=query.agent_version,
            agent_hash=query.agent_hash,
            docker_version=query.docker_version,
        )
        machine = TcsServer(
            now=asyncio.get_running_loop().time(),
            heartbeat_seconds=self._heartbeat_seconds,
            phase=self._phase(),
        )
        await self._serve("tcs", machine, connection, self._backend.open_tcs, (scope, receive, send))

    async def close(self, *, grace_seconds: float = 2 * CLOSE_SECONDS) -> None:
        """Refuse new sockets, close all open ones (1001), wait until they are gone."""
        self._closing = True
        for socket in tuple(self._open):
            socket.end("the server is going away", code=1001)
        try:
            async with asyncio.timeout(grace_seconds):
                await self._none_open.wait()
        except TimeoutError:
            log.warning("agent_sockets.abandoned", sockets=len(self._open))

    async def _serve(
        self,
        which: str,
        machine: Machine,
        connection: AgentConnection,
        opener: Callable[[AgentConnection, Outbox], Awaitable[AgentSession]],
        asgi: tuple[Scope, Receive, Send],
    ) -> None:
        scope, receive, send = asgi
        facts = {"which": which, "container_instance": connection.container_instance}
        socket = AgentSocket(machine, receive, send, facts=facts, limits=self._limits)
        if self._closing:
            refusal = AgentRefusedError("ServerException", "the server is going away", status=503)
            await refuse(scope, receive, send, refusal)
            return
        try:
            session = await opener(connection, socket)
        except AgentRefusedError as refusal:
            log.info("agent_socket.refused", kind=refusal.kind, text=refusal.text, **facts)
            await refuse(scope, receive, send, refusal)
            return
        except Exception:  # the edge: an agent gets its own word for it, and comes back later
            log.exception("agent_socket.open_failed", **facts)
            await refuse(
                scope, receive, send, AgentRefusedError("ServerException", "internal error", status=500)
            )
            return
        self._open.add(socket)
        self._none_open.clear()
        if self._closing:
            socket.end("the server is going away", code=1001)
        try:
            await socket.serve(session)
        finally:
            self._open.discard(socket)
            if not self._open:
                self._none_open.set()

    def _phase(self) -> float:
        """Spreads the heartbeats of agents that connected at the same moment."""
        return int.from_bytes(self._ids.token(4), "big") / 2**32


async def refuse(scope: Scope, receive: Receive, send: Send, refusal: AgentRefusedError) -> None:
    """Answer an upgrade request with the agent's word for the error instead of a socket."""
    await receive()  # websocket.connect
    if "websocket.http.response" not in (scope.get("extensions") or {}):
        await send({"type": "websocket.close", "code": 1008, "reason": refusal.kind})
        return
    body = json.dumps({refusal.kind: refusal.text}, separators=(",", ":")).encode()
    await send(
        {
            "type": "websocket.http.response.start",
            "status": refusal.status,
            "headers": [
                (b"content-type", b"application/json"),
                (b"content-length", str(len(body)).encode()),
            ],
        }
    )
    await send({"type": "websocket.http.response.body", "body": body})
