"""One open agent socket: the work between uvicorn, a machine of `agentproto` and the services.

Reading is the server's own task; a writer and a deliverer exist only while there is
something to write or to deliver, in a task group that ends with the socket.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, MutableMapping
from dataclasses import dataclass
from typing import Any, Protocol

from homeport.agentproto.effects import CloseSocket, Deliver, Dropped, SendFrame, ServerEffect
from homeport.agentproto.messages import Frame, encode_frame
from homeport.core.log import get_logger
from homeport.gateway.ports import AgentSession

log = get_logger("gateway.agent_socket")

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]


@dataclass(frozen=True, slots=True, kw_only=True)
class SocketLimits:
    """What one socket may cost."""

    outbox_bytes_max: int
    inbox_frames_max: int
    close_seconds: float


class Machine(Protocol):
    """`AcsServer` or `TcsServer`."""

    @property
    def wake_at(self) -> float: ...

    def received(self, text: str, now: float) -> tuple[ServerEffect, ...]: ...

    def send(self, frame: Frame) -> tuple[ServerEffect, ...]: ...

    def tick(self, now: float, *, listening: bool = True) -> tuple[ServerEffect, ...]: ...


class AgentSocket:
    """One open socket; the `Outbox` that the services write to."""

    __slots__ = (
        "_deadline",
        "_deliverer",
        "_end",
        "_facts",
        "_group",
        "_inbox",
        "_limits",
        "_loop",
        "_machine",
        "_outbox",
        "_outbox_bytes",
        "_receive",
        "_room",
        "_send",
        "_session",
        "_timer",
        "_writer",
    )

    def __init__(
        self,
        machine: Machine,
        receive: Receive,
        send: Send,
        *,
        facts: dict[str, str],
        limits: SocketLimits,
    ) -> None:
        self._loop = asyncio.get_running_loop()
        self._machine = machine
        self._receive = receive
        self._send = send
        self._facts = facts
        self._outbox: deque[str] | None = None
        self._outbox_bytes = 0
        self._inbox: deque[Frame] | None = None
        self._limits = limits
        self._room: asyncio.Event | None = None
        self._end: tuple[int, str] | None = None
        self._group: asyncio.TaskGroup | None = None
        self._session: AgentSession | None = None
        self._writer: asyncio.Task[None] | None = None
        self._deliverer: asyncio.Task[None] | None = None
        self._deadline: asyncio.Timeout | None = None
        self._timer: asyncio.TimerHandle | None = None

    # ---- what the services call ---------------------------------------------------------------

    def send(self, frame: Frame) -> None:
        """Queue a frame. After `close` it is dropped."""
        if self._end is None:
            self._apply(self._machine.send(frame))

    def close(self) -> None:
        """Close the socket once what is queued has been sent."""
        self.end("closed by the control plane", flush=True)

    def replaced(self) -> None:
        """Close the socket with a code after which agents wait: two with one identity would race else."""
        self.end("a newer socket took its place", code=1008)

    # ---- the socket's life --------------------------------------------------------------------

    def end(self, reason: str, *, code: int = 1000, flush: bool = False) -> None:
        """Close the socket; without `flush` what is queued is dropped. The first end counts."""
        if self._end is not None:
            return
        self._end = (code, reason)
        if not flush:
            self._outbox, self._outbox_bytes = None, 0
        if self._room is not None:
            self._room.set()
        if self._deadline is not None:
            self._deadline.reschedule(self._loop.time() + self._limits.close_seconds)
        self._write_on()

    async def serve(self, session: AgentSession) -> None:
        """Accept the connection and work until its end. `session.closed` is called in any case."""
        self._session = session
        try:
            message = await self._receive()  # websocket.connect
            if message["type"] == "websocket.connect":
                await self._send({"type": "websocket.accept"})
                await self._work()
        except OSError as error:  # the peer left while we were answering
            log.debug("agent_socket.lost", error=str(error), **self._facts)
        finally:
            self._end = self._end or (1006, "the agent went away")
            self._outbox = self._inbox = None
            if self._timer is not None:
                self._timer.cancel()
            await self._tell_closed(session)

    async def _work(self) -> None:
        log.info("agent_socket.opened", **self._facts)
        async with asyncio.TaskGroup() as group:
            self._group = group
            self._arm()
            try:
                async with asyncio.timeout(None) as self._deadline:
                    if self._end is not None:
                        self._deadline.reschedule(self._loop.time() + self._limits.close_seconds)
                    self._write_on()
                    await self._read()
            except TimeoutError:
                log.warning("agent_socket.abandoned", **self._facts)
            finally:
                self._end = self._end or (1006, "the agent went away")
                self._group = None
                if self._writer is not None:
                    self._writer.cancel()

    async def _read(self) -> None:
        while True:
            message = await self._receive()
            if message["type"] == "websocket.disconnect":
                code, reason = self._end or (message.get("code"), message.get("reason") or "by the agent")
                log.info("agent_socket.closed", code=code, reason=reason, **self._facts)
                return
            if self._end is not None:
                continue
            text = message.get("text")
            if text is None:
                text = (message.get("bytes") or b"").decode("utf-8", "replace")
            self._apply(self._machine.received(text, self._loop.time()))
            while self._is_full() and self._end is None:
                self._room = asyncio.Event()
                await self._room.wait()
            self._room = None

    async def _write(self) -> None:
        """Send what is queued, then the close frame if there is to be one."""
        try:
            while self._outbox:
                text = self._outbox.popleft()
                self._outbox_bytes -= len(text)
                await self._send({"type": "websocket.send", "text": text})
            self._outbox = None
            if self._end is not None:
                code, reason = self._end
                await self._send({"type": "websocket.close", "code": code, "reason": reason[:120]})
        except (OSError, RuntimeError):  # gone, or closed by uvicorn itself: the reader learns of it, too
            self._outbox = None
        finally:
            self._writer = None

    async def _deliver(self, session: AgentSession) -> None:
        """Hand over what was received, in order. A failure ends the socket: the agent resyncs."""
        try:
            while self._inbox:
                frame = self._inbox.popleft()
                if self._room is not None:
                    self._room.set()
                await session.received(frame)
            self._inbox = None
        except Exception:  # the edge: logged once, and the agent comes back with everything
            log.exception("agent_socket.delivery_failed", **self._facts)
            self._inbox = None
            self.end("internal error", code=1011)
        finally:
            self._deliverer = None

    async def _tell_closed(self, session: AgentSession) -> None:
        try:
            await session.closed()
        except Exception:  # the edge: there is nobody left to tell
            log.exception("agent_socket.close_failed", **self._facts)

    # ---- effects ------------------------------------------------------------------------------

    def _apply(self, effects: tuple[ServerEffect, ...]) -> None:
        for effect in effects:
            match effect:
                case SendFrame(frame):
                    self._enqueue(encode_frame(frame))
                case Deliver(frame):
                    self._inbox = self._inbox or deque()
                    self._inbox.append(frame)
                    if self._deliverer is None and self._group is not None and self._session is not None:
                        self._deliverer = self._group.create_task(self._deliver(self._session))
                case CloseSocket(reason, code):
                    log.warning("agent_socket.given_up", reason=reason, **self._facts)
                    self.end(reason, code=code)
                case Dropped(reason):
                    log.debug("agent_socket.frame_dropped", reason=reason, **self._facts)

    def _enqueue(self, text: str) -> None:
        if self._end is not None:
            return
        if self._outbox_bytes + len(text) > self._limits.outbox_bytes_max:
            log.warning("agent_socket.stuck", unsent_bytes=self._outbox_bytes, **self._facts)
            self.end("too much was not read", code=1011)
            return
        self._outbox = self._outbox or deque()
        self._outbox.append(text)
        self._outbox_bytes += len(text)
        self._write_on()

    def _write_on(self) -> None:
        if self._writer is None and self._group is not None and (self._outbox or self._end is not None):
            self._writer = self._group.create_task(self._write())

    def _is_full(self) -> bool:
        return self._inbox is not None and len(self._inbox) >= self._limits.inbox_frames_max

    def _arm(self) -> None:
        self._timer = self._loop.call_at(self._machine.wake_at, self._on_time)

    def _on_time(self) -> None:
        if self._end is not None:
            return
        self._apply(self._machine.tick(self._loop.time(), listening=not self._is_full()))
        self._arm()
