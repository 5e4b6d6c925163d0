"""The control plane's side of one agent socket, as machines without I/O.

Everything that decides what a server says on ACS and TCS is here: heartbeats,
the end of silent sockets, acknowledgements of telemetry, fragments. `now` is
any clock that only goes forward, in seconds. Source: reference, sections 4 to 6.
"""

from __future__ import annotations

from collections.abc import Callable

import msgspec

from homeport.agentproto.effects import CloseSocket, Deliver, Dropped, SendFrame, ServerEffect
from homeport.agentproto.messages import (
    AckPublishHealth,
    AckPublishInstanceStatus,
    AckPublishMetric,
    AckRequest,
    Frame,
    HeartbeatAckRequest,
    HeartbeatMessage,
    IAMRoleCredentialsAckRequest,
    NackRequest,
    PublishHealthRequest,
    PublishInstanceStatusRequest,
    PublishMetricsRequest,
    TaskStopVerificationMessage,
    UndecodableFrameError,
    decode_frame,
)

HEARTBEAT_SECONDS = 20.0
"""Default. An agent gives a socket up after 60 to 120 s without data."""
HEARTBEAT_SECONDS_MAX = 45.0
MISSED_HEARTBEATS = 2
"""So many intervals without an acknowledgement end an ACS socket (our choice)."""
OPEN_GROUPS_MAX = 8
"""Unfinished fragment groups kept per socket; the oldest is forgotten first."""
GROUP_TASKS_MAX = 10_000

_FROM_AGENT = (AckRequest, NackRequest, IAMRoleCredentialsAckRequest, TaskStopVerificationMessage)
_ACKS: dict[type[Frame], Frame] = {
    PublishMetricsRequest: AckPublishMetric(message="ok"),
    PublishHealthRequest: AckPublishHealth(message="ok"),
    PublishInstanceStatusRequest: AckPublishInstanceStatus(message="ok"),
}

Publication = PublishMetricsRequest | PublishHealthRequest


def split_tcs(text: str) -> tuple[dict[str, str], str]:
    """The signed header block (names in lower case) and the JSON of a TCS frame.

    The block ends at the first empty line; a frame without one is all JSON.
    """
    block, blank, body = text.partition("\r\n\r\n")
    if not blank:
        return {}, text
    headers = {}
    for line in block.split("\r\n"):
        name, _, value = line.partition(":")
        headers[name.strip().lower()] = value.strip()
    return headers, body


class AcsServer:
    """One ACS socket. `phase` in [0, 1) spreads first heartbeats of many sockets."""

    __slots__ = (
        "_beat_at",
        "_closed",
        "_heartbeat_seconds",
        "_message_id",
        "_unanswered",
        "_wants_answers",
    )

    def __init__(
        self,
        *,
        now: float,
        message_id: Callable[[], str],
        heartbeat_seconds: float = HEARTBEAT_SECONDS,
        protocol_version: int = 2,
        phase: float = 0.0,
    ) -> None:
        check_heartbeat(heartbeat_seconds)
        self._message_id = message_id
        self._heartbeat_seconds = heartbeat_seconds
        self._beat_at = now + heartbeat_seconds * (1 - phase)
        self._wants_answers = protocol_version >= 2
        self._unanswered: tuple[tuple[str, float], ...] = ()
        self._closed = False

    @property
    def wake_at(self) -> float:
        """When `tick` has something to do."""
        return self._beat_at

    def received(self, text: str, now: float) -> tuple[ServerEffect, ...]:
        """A text frame arrived."""
        del now
        if self._closed:
            return ()
        try:
            frame = decode_frame(text)
        except UndecodableFrameError as error:
            return (Dropped(f"undecodable: {error}"),)
        if isinstance(frame, HeartbeatAckRequest):
            self._answered(frame.message_id)
            return ()
        if not isinstance(frame, _FROM_AGENT):
            return (Dropped(f"not an agent's frame: {type(frame).__name__}"),)
        return (Deliver(frame),)

    def send(self, frame: Frame) -> tuple[ServerEffect, ...]:
        """The control plane wants to send a frame."""
        return () if self._closed else (SendFrame(frame),)

    def tick(self, now: float, *, listening: bool = True) -> tuple[ServerEffect, ...]:
        """Time passed. Not `listening`: we do not read, so missing answers are our own fault."""
        if self._closed or now < self._beat_at:
            return ()
        if not listening:
            self._unanswered = tuple((message_id, now) for message_id, _ in self._unanswered)
        elif self._unanswered and now - self._unanswered[0][1] >= MISSED_HEARTBEATS * self._heartbeat_seconds:
            self._closed = True
            missed = len(self._unanswered)
            return (CloseSocket(f"{missed} heartbeats were not acknowledged", code=1011, clean=False),)
        message_id = self._message_id()
        if self._wants_answers:
            self._unanswered = (*self._unanswered, (message_id, now))[-(MISSED_HEARTBEATS + 1) :]
        self._beat_at = now + self._heartbeat_seconds
        return (SendFrame(HeartbeatMessage(healthy=True, message_id=message_id)),)

    def _answered(self, message_id: str) -> None:
        """An answer also vouches for every heartbeat before."""
        for index, (waiting, _) in enumerate(self._unanswered):
            if waiting == message_id:
                self._unanswered = self._unanswered[index + 1 :]
                return


class TcsServer:
    """One TCS socket: every publish is acknowledged at once, fragments are delivered as one.

    An agent's idle timer is reset by heartbeats and acknowledgements alike, so
    a heartbeat is sent only when no acknowledgement went out for an interval.
    """

    __slots__ = ("_beat_at", "_groups", "_heartbeat_seconds")

    def __init__(
        self, *, now: float, heartbeat_seconds: float = HEARTBEAT_SECONDS, phase: float = 0.0
    ) -> None:
        check_heartbeat(heartbeat_seconds)
        self._heartbeat_seconds = heartbeat_seconds
        self._beat_at = now + heartbeat_seconds * (1 - phase)
        self._groups: dict[tuple[str, str], tuple[Publication, ...]] | None = None

    @property
    def wake_at(self) -> float:
        """When `tick` has something to do."""
        return self._beat_at

    def received(self, text: str, now: float) -> tuple[ServerEffect, ...]:
        """A text frame arrived, with its header block."""
        try:
            frame = decode_frame(split_tcs(text)[1])
        except UndecodableFrameError as error:
            return (Dropped(f"undecodable: {error}"),)
        ack = _ACKS.get(type(frame))
        if ack is None:
            return (Dropped(f"not an agent's frame: {type(frame).__name__}"),)
        self._beat_at = now + self._heartbeat_seconds
        whole = self._collected(frame)
        return (SendFrame(ack),) if whole is None else (SendFrame(ack), Deliver(whole))

    def send(self, frame: Frame) -> tuple[ServerEffect, ...]:
        """The control plane wants to send a frame."""
        return (SendFrame(frame),)

    def tick(self, now: float, *, listening: bool = True) -> tuple[ServerEffect, ...]:
        """Time passed. Telemetry may rightly be silent, so silence never ends the socket."""
        del listening
        if now < self._beat_at:
            return ()
        self._beat_at = now + self._heartbeat_seconds
        return (SendFrame(HeartbeatMessage(healthy=True)),)

    def _collected(self, frame: Frame) -> Frame | None:
        """The whole publication once its last fragment is here."""
        if not isinstance(frame, Publication):
            return frame
        key = (type(frame).__name__, frame.metadata.message_id)
        groups = self._groups or {}
        parts = (*groups.pop(key, ()), frame)
        if frame.metadata.fin is not False:
            self._groups = groups or None
            return _joined(parts) if len(parts) > 1 else frame
        if sum(_size(part) for part in parts) <= GROUP_TASKS_MAX:
            groups[key] = parts
        while len(groups) > OPEN_GROUPS_MAX:
            del groups[next(iter(groups))]
        self._groups = groups or None
        return None


def check_heartbeat(heartbeat_seconds: float) -> None:
    """Refuse an interval that agents would not survive."""
    if not 0 < heartbeat_seconds <= HEARTBEAT_SECONDS_MAX:
        raise ValueError(f"heartbeat_seconds must be above 0 and at most {HEARTBEAT_SECONDS_MAX:g}")


def _size(part: Publication) -> int:
    """Never 0: empty fragments without end are bounded as well."""
    return 1 + len(part.task_metrics if isinstance(part, PublishMetricsRequest) else part.tasks)


def _joined(parts: tuple[Publication, ...]) -> Publication:
    last = parts[-1]
    if isinstance(last, PublishMetricsRequest):
        metrics = [m for p in parts if isinstance(p, PublishMetricsRequest) for m in p.task_metrics]
        return msgspec.structs.replace(last, task_metrics=tuple(metrics))
    tasks = [t for p in parts if isinstance(p, PublishHealthRequest) for t in p.tasks]
    return msgspec.structs.replace(last, tasks=tuple(tasks))
