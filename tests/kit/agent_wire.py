"""Recordings of the real agent, and both ends of an agent socket joined in memory."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Iterable, Iterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from hypothesis import strategies as st

from homeport.agentproto.messages import Frame, decode_frame
from homeport.core.call import Call, Principal
from homeport.gateway.agent_sockets import AgentSockets
from homeport.gateway.ports import AgentConnection, AgentRefusedError, Outbox
from homeport.node.websocket import UpgradeRefusedError, Wire

RECORDINGS = tuple(sorted((Path(__file__).parent.parent / "data" / "agent-wire").glob("*.jsonl")))

CALL = Call(
    request_id="r-1",
    service="ecs",
    operation="Connect",
    account_id="123456789012",
    region="us-east-1",
    principal=Principal(
        arn="arn:aws:iam::123456789012:root", account_id="123456789012", user_id="123456789012"
    ),
)


def recorded(path: Path) -> Iterator[dict[str, Any]]:
    """The lines of a recording; frames are objects, header blocks are in `signed_prefix`."""
    for line in path.read_text().splitlines():
        row = json.loads(line)
        if isinstance(row.get("frame"), str):
            row["signed_prefix"], _, body = row["frame"].partition("\r\n\r\n")
            row["frame"] = json.loads(body)
        yield row


def recorded_frames(kind: str, which: str | None = None) -> list[tuple[str, dict[str, Any]]]:
    """All frames of one direction (`ws-in`: from the agent), each with the recording's name."""
    return [
        (path.stem, row["frame"])
        for path in RECORDINGS
        for row in recorded(path)
        if row["kind"] == kind and which in (None, row["which"])
    ]


ANY_TEXT = st.one_of(
    st.text(max_size=40),
    st.sampled_from([json.dumps(f) for _, f in recorded_frames("ws-in") + recorded_frames("ws-out")]),
    st.builds(
        lambda kind, message: json.dumps({"type": kind, "message": message}),
        st.sampled_from(["HeartbeatAckRequest", "AckRequest", "PublishMetricsRequest", "Nonsense"]),
        st.recursive(
            st.none() | st.integers() | st.text(max_size=5),
            lambda inner: (
                st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["messageId", "tasks"]), inner)
            ),
            max_leaves=6,
        ),
    ),
)
"""What an agent, or someone else, may say: frames of both directions, nearly frames, noise."""


@dataclass
class FakeSession:
    """The services' side of a socket: remembers, and can be made slow or broken."""

    connection: AgentConnection
    outbox: Outbox
    frames: list[Frame] = field(default_factory=list)
    ended: asyncio.Event = field(default_factory=asyncio.Event)
    arrived: asyncio.Event = field(default_factory=asyncio.Event)
    may_work: asyncio.Event = field(default_factory=asyncio.Event)
    error: Exception | None = None

    def __post_init__(self) -> None:
        self.may_work.set()

    async def received(self, frame: Frame) -> None:
        self.arrived.set()
        await self.may_work.wait()
        if self.error is not None:
            raise self.error
        self.frames.append(frame)

    async def closed(self) -> None:
        self.ended.set()


class FakeBackend:
    """Takes every socket, unless `refusal` is set; `exclusive`: each work socket ends the ones before."""

    def __init__(self) -> None:
        self.acs: list[FakeSession] = []
        self.tcs: list[FakeSession] = []
        self.refusal: Exception | None = None
        self.exclusive = False
        self.first: Iterable[Frame] = ()

    async def open_acs(self, connection: AgentConnection, outbox: Outbox) -> FakeSession:
        return self._opened(self.acs, connection, outbox)

    async def open_tcs(self, connection: AgentConnection, outbox: Outbox) -> FakeSession:
        if isinstance(self.refusal, AgentRefusedError) and self.refusal.kind == "InactiveInstanceException":
            return self._made(self.tcs, connection, outbox)
        return self._opened(self.tcs, connection, outbox)

    def _opened(
        self, sessions: list[FakeSession], connection: AgentConnection, outbox: Outbox
    ) -> FakeSession:
        if self.refusal is not None:
            raise self.refusal
        for frame in self.first:
            outbox.send(frame)
        return self._made(sessions, connection, outbox)

    def _made(self, sessions: list[FakeSession], connection: AgentConnection, outbox: Outbox) -> FakeSession:
        session = FakeSession(connection, outbox)
        if self.exclusive and sessions is self.acs:
            for older in sessions:
                older.outbox.replaced()
        sessions.append(session)
        return session


class Peer:
    """An ASGI websocket from uvicorn's side, and the agent behind it."""

    def __init__(self, query: str, *, extensions: Mapping[str, Any] | None = None) -> None:
        self.scope: dict[str, Any] = {
            "type": "websocket",
            "query_string": query.encode(),
            "extensions": {"websocket.http.response": {}} if extensions is None else dict(extensions),
        }
        self.to_server: asyncio.Queue[dict[str, Any]] = asyncio.Queue()
        self.to_agent: asyncio.Queue[dict[str, Any]] = asyncio.Queue()
        self.reads = asyncio.Event()
        self.reads.set()
        self.to_server.put_nowait({"type": "websocket.connect"})

    async def receive(self) -> dict[str, Any]:
        return await self.to_server.get()

    async def send(self, message: Any) -> None:
        await self.reads.wait()
        self.to_agent.put_nowait(message)
        if message["type"] == "websocket.close":
            self.to_server.put_nowait({"type": "websocket.disconnect", "code": message["code"]})

    def says(self, text: str) -> None:
        self.to_server.put_nowait({"type": "websocket.receive", "text": text})

    def leaves(self, code: int = 1006) -> None:
        self.to_server.put_nowait({"type": "websocket.disconnect", "code": code})

    def heard(self) -> list[dict[str, Any]]:
        """Everything the server sent since the last call."""
        messages = []
        while not self.to_agent.empty():
            messages.append(self.to_agent.get_nowait())
        return messages

    def heard_frames(self) -> list[Frame]:
        return [decode_frame(m["text"]) for m in self.heard() if m["type"] == "websocket.send"]


class MemoryWire:
    """A node's end of a `Peer`."""

    def __init__(self, peer: Peer) -> None:
        self._peer = peer
        self._code: int | None = None
        self._closed = False

    @property
    def close_code(self) -> int | None:
        return self._code

    async def receive(self) -> str | None:
        message = await self._peer.to_agent.get()
        if message["type"] == "websocket.close":
            self._code, self._closed = message["code"], True
            return None
        return str(message["text"])

    async def send(self, text: str) -> None:
        if self._closed:
            raise ConnectionResetError
        self._peer.says(text)

    async def close(self, code: int, reason: str) -> None:
        if not self._closed:
            self._closed = True
            self._peer.leaves(code)


class Network:
    """Dials `AgentSockets` without a network; `dials` remembers every URL."""

    def __init__(self, sockets: AgentSockets, group: asyncio.TaskGroup) -> None:
        self.sockets = sockets
        self.dials: list[tuple[float, str]] = []
        self.down = False
        self._group = group

    @asynccontextmanager
    async def dial(self, url: str, headers: Mapping[str, str]) -> AsyncIterator[Wire]:
        self.dials.append((asyncio.get_running_loop().time(), url))
        if self.down:
            raise ConnectionRefusedError
        parts = urlsplit(url)
        peer = Peer(parts.query)
        serve = self.sockets.serve_acs if parts.path == "/acs/ws" else self.sockets.serve_tcs
        self._group.create_task(serve(peer.scope, peer.receive, peer.send, CALL))
        answer = await peer.to_agent.get()
        if answer["type"] != "websocket.accept":
            body = await peer.to_agent.get()
            raise UpgradeRefusedError(f"{answer['status']} {body['body'].decode()}")
        wire = MemoryWire(peer)
        try:
            yield wire
        finally:
            await wire.close(1006, "")
