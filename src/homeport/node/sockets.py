"""The node's ends of ACS and TCS: two sockets that stay open, or come back.

How the engine uses it (nothing else here is needed by it)::

    link = AgentLink(
        identity=AgentIdentity(cluster=..., container_instance=..., agent_version=..., docker_version=...),
        region="us-east-1",
        discover=discover,              # async () -> Endpoints(acs=..., tcs=...): DiscoverPollEndpoint
        credentials=credentials,        # async () -> core.sigv4.Credentials
        handler=handler,                # async (Frame) -> None
        running_tasks=running_tasks,    # () -> Iterable[TaskIdentifier]: desired RUNNING, now
        watermark=0,                    # last manifest timeline that was saved
        save_watermark=save_watermark,  # async (int) -> None, durable when it returns
        clock=clock, ids=ids,
    )
    group.create_task(link.run())       # for ever; cancel it to close both sockets
    link.send(PublishHealthRequest(...))  # never blocks; dropped while TCS is not connected
    await link.tcs_connected.wait()     # asyncio.Event; also `acs_connected`, and `link.connected` (both)

The handler is called for one frame after the other, in order, and gets:
`PayloadMessage` (tasks with desired status STOPPED first), `IAMRoleCredentialsMessage`,
`AttachTaskNetworkInterfacesMessage`, `AttachInstanceNetworkInterfacesMessage`,
`ConfirmAttachmentMessage`, `TaskStopVerificationAck` (stop `frame.stop_tasks`) and `HeartbeatMessage`
(run the instance's health checks, then publish `PublishInstanceStatusRequest`). When it returns, the
frame is taken and the link acknowledges it: return once the work is *noted*, do not run it. It raises
`NotTakenError` to leave a frame unacknowledged: a payload with a malformed task (which the node reports
STOPPED itself), credentials for an unknown task. Any other exception is logged, and the frame is not
acknowledged either. Heartbeats are answered, manifests compared with `running_tasks` and updates refused
by the link itself; a slow handler does not delay answers to heartbeats.

What is inside: one loop per socket (discover, dial, read until the end, wait as the machine of
`agentproto.client` says), one task that calls the handler. `dial` is a parameter, so that a test may
join a link to a server without a network.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass
from ssl import SSLContext

import aiohttp

from homeport.agentproto.client import (
    AcsClient,
    AgentIdentity,
    Ended,
    TcsClient,
    ended_with,
    refused_with,
)
from homeport.agentproto.effects import (
    ClientEffect,
    CloseSocket,
    Deliver,
    Dropped,
    SaveWatermark,
    SendFrame,
)
from homeport.agentproto.messages import (
    Frame,
    PublishHealthRequest,
    PublishInstanceStatusRequest,
    PublishMetricsRequest,
    TaskIdentifier,
    encode_frame,
)
from homeport.agentproto.telemetry import (
    health_fragments,
    metric_fragments,
    sign_tcs_frame,
    upgrade_headers,
)
from homeport.agentproto.urls import connect_url
from homeport.core.clock import Clock
from homeport.core.ids import Ids
from homeport.core.log import get_logger
from homeport.core.sigv4 import Credentials
from homeport.node.websocket import Dial, UpgradeRefusedError, Wire, dial_with, refusal_is_an_error

log = get_logger("node.sockets")

ENDPOINTS_SECONDS = 12 * 3600.0
"""How long DiscoverPollEndpoint's answer is used. Source: reference, section 2.3."""
UNSENT_FRAMES_MAX = 1024
UNHANDLED_FRAMES_MAX = 256

Handler = Callable[[Frame], Awaitable[None]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Endpoints:
    """DiscoverPollEndpoint's answer: base URLs (http or https) of both sockets."""

    acs: str
    tcs: str


class NotTakenError(Exception):
    """A handler leaves a frame unacknowledged."""


class AgentLink:
    """Both sockets of one container instance. See the module's text."""

    def __init__(  # noqa: PLR0913 - ports, by keyword
        self,
        *,
        identity: AgentIdentity,
        region: str,
        discover: Callable[[], Awaitable[Endpoints]],
        credentials: Callable[[], Awaitable[Credentials]],
        handler: Handler,
        running_tasks: Callable[[], Iterable[TaskIdentifier]],
        save_watermark: Callable[[int], Awaitable[None]],
        clock: Clock,
        ids: Ids,
        watermark: int = 0,
        ssl: SSLContext | None = None,
        dial: Dial | None = None,
    ) -> None:
        def dice() -> float:
            return int.from_bytes(ids.token(4), "big") / 2**32

        self.handler = handler
        self._region = region
        self._discover = discover
        self._credentials = credentials
        self._save_watermark = save_watermark
        self._clock = clock
        self._ssl = ssl
        self._dial = dial
        self._endpoints: Endpoints | None = None
        self._endpoints_until = 0.0
        self._discovering = asyncio.Lock()
        self._inbox: asyncio.Queue[tuple[Frame, int]] = asyncio.Queue(UNHANDLED_FRAMES_MAX)
        self._acs_client = AcsClient(identity, dice=dice, running_tasks=running_tasks, watermark=watermark)
        self._acs = _Channel("acs", self._acs_client)
        self._tcs = _Channel("tcs", TcsClient(identity, dice=dice))

    @property
    def acs_connected(self) -> asyncio.Event:
        """Set while ACS is open."""
        return self._acs.connected

    @property
    def tcs_connected(self) -> asyncio.Event:
        """Set while TCS is open."""
        return self._tcs.connected

    @property
    def connected(self) -> bool:
        """Both sockets are open."""
        return self._acs.connected.is_set() and self._tcs.connected.is_set()

    async def run(self) -> None:
        """Keep both sockets open, for ever; cancel it to close them."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self._handle())
            if self._dial is not None:
                await self._run_both(self._dial)
            async with aiohttp.ClientSession(middlewares=(refusal_is_an_error,)) as session:
                await self._run_both(dial_with(session, self._ssl))

    def send(self, frame: Frame) -> None:
        """Send a frame on its socket, soon. Dropped while that socket is not open."""
        match frame:
            case PublishMetricsRequest():
                self._tcs.put(*metric_fragments(frame))
            case PublishHealthRequest():
                self._tcs.put(*health_fragments(frame))
            case PublishInstanceStatusRequest():
                self._tcs.put(frame)
            case _:
                self._acs.put(frame)

    async def _run_both(self, dial: Dial) -> None:
        async with asyncio.TaskGroup() as group:
            group.create_task(self._run(self._acs, dial))
            group.create_task(self._run(self._tcs, dial))

    async def _run(self, channel: _Channel, dial: Dial) -> None:
        loop = asyncio.get_running_loop()
        while True:
            ended = await self._connection(channel, dial)
            delay_seconds = channel.client.closed(ended, loop.time())
            log.info("socket.ended", which=channel.which, ended=ended, retry_in_seconds=delay_seconds)
            if ended is Ended.INACTIVE and channel is self._acs:
                self._tcs.drop()
            if ended is Ended.FAILED:
                self._endpoints_until = 0.0
            await asyncio.sleep(delay_seconds)

    async def _connection(self, channel: _Channel, dial: Dial) -> Ended:
        """One connection from the dialling to its end."""
        try:
            endpoints = await self._current_endpoints()
            url = connect_url(endpoints.acs if channel is self._acs else endpoints.tcs, channel.client.query)
            headers = upgrade_headers(
                url, credentials=await self._credentials(), region=self._region, now=self._clock.now()
            )
            async with dial(url, headers) as wire:
                return await self._conversation(channel, wire, url)
        except UpgradeRefusedError as refusal:
            log.warning("socket.refused", which=channel.which, text=str(refusal))
            return refused_with(str(refusal))
        except Exception as error:  # noqa: BLE001 - whatever it was, the cure is to try again later
            log.warning("socket.failed", which=channel.which, error=repr(error))
            return Ended.FAILED

    async def _conversation(self, channel: _Channel, wire: Wire, url: str) -> Ended:
        async with asyncio.TaskGroup() as group:
            channel.open(asyncio.get_running_loop().time())
            log.info("socket.opened", which=channel.which)
            writer = group.create_task(self._write(channel, wire, url))
            try:
                return await self._read(channel, wire)
            finally:
                channel.shut()
                writer.cancel()

    async def _read(self, channel: _Channel, wire: Wire) -> Ended:
        loop = asyncio.get_running_loop()
        while not channel.dropped:
            try:
                async with asyncio.timeout_at(channel.client.wake_at) as channel.patience:
                    text = await wire.receive()
            except TimeoutError:
                effects = channel.client.tick(loop.time())
            else:
                if text is None:
                    return ended_with(wire.close_code)
                effects = channel.client.received(text, loop.time())
            finally:
                channel.patience = None
            close = await self._apply(channel, effects)
            if close is not None:
                await wire.close(close.code, close.reason)
                return Ended.CLEAN if close.clean else Ended.FAILED
        await wire.close(1000, "")
        return Ended.FAILED

    async def _apply(self, channel: _Channel, effects: tuple[ClientEffect, ...]) -> CloseSocket | None:
        for effect in effects:
            match effect:
                case SendFrame(frame):
                    channel.put(frame)
                case Deliver(frame):
                    await self._inbox.put((frame, channel.generation))
                case SaveWatermark(timeline):
                    await self._save_watermark(timeline)
                case Dropped(reason):
                    log.debug("socket.frame_dropped", which=channel.which, reason=reason)
                case CloseSocket():
                    return effect
        return None

    async def _write(self, channel: _Channel, wire: Wire, url: str) -> None:
        try:
            while True:
                text = encode_frame(await channel.next())
                if channel is self._tcs:
                    text = sign_tcs_frame(
                        text,
                        url=url,
                        credentials=await self._credentials(),
                        region=self._region,
                        now=self._clock.now(),
                    )
                await wire.send(text)
        except OSError as error:  # the reader learns of it, too
            log.info("socket.write_failed", which=channel.which, error=repr(error))

    async def _handle(self) -> None:
        """Call the handler, and acknowledge on the connection that the frame came from."""
        while True:
            frame, generation = await self._inbox.get()
            try:
                await self.handler(frame)
            except NotTakenError as reason:
                log.info("frame.not_taken", frame=type(frame).__name__, reason=str(reason))
                continue
            except Exception:  # the edge: what could not be taken comes again on the next connection
                log.exception("frame.failed", frame=type(frame).__name__)
                if generation == self._acs.generation:
                    self._acs.drop()
                continue
            if generation == self._acs.generation:
                await self._apply(self._acs, self._acs_client.taken(frame))

    async def _current_endpoints(self) -> Endpoints:
        """Asked once for both sockets; the last answer stands in when the question fails."""
        async with self._discovering:
            now = asyncio.get_running_loop().time()
            if self._endpoints is not None and now < self._endpoints_until:
                return self._endpoints
            try:
                self._endpoints = await self._discover()
            except Exception as error:
                if self._endpoints is None:
                    raise
                log.warning("endpoints.stale", error=repr(error))
            self._endpoints_until = now + ENDPOINTS_SECONDS
            return self._endpoints


class _Channel:
    """One of the two sockets, over all its connections."""

    def __init__(self, which: str, client: AcsClient | TcsClient) -> None:
        self.which = which
        self.client = client
        self.connected = asyncio.Event()
        self.generation = 0
        self.dropped = False
        self.patience: asyncio.Timeout | None = None
        self._unsent: deque[Frame] = deque(maxlen=UNSENT_FRAMES_MAX)
        self._something = asyncio.Event()

    def open(self, now: float) -> None:
        """A connection begins."""
        self.generation += 1
        self.dropped = False
        self._unsent.clear()
        self._something.clear()
        self.client.opened(now)
        self.connected.set()

    def shut(self) -> None:
        """The connection is over."""
        self.connected.clear()

    def drop(self) -> None:
        """Give the current connection up, if there is one."""
        if self.connected.is_set():
            self.dropped = True
            if self.patience is not None:
                self.patience.reschedule(0)

    def put(self, *frames: Frame) -> None:
        """Queue frames for the current connection; the oldest give way when it is stuck."""
        if self.connected.is_set():
            self._unsent.extend(frames)
            self._something.set()

    async def next(self) -> Frame:
        """The next frame to send."""
        while not self._unsent:
            self._something.clear()
            await self._something.wait()
        return self._unsent.popleft()
