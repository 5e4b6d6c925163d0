"""An agent's side of ACS and TCS, as machines without I/O: they behave as the real agent does.

`now` is any clock that only goes forward, in seconds; `dice` gives numbers in
[0, 1). Source: reference, sections 4.3, 5 and 6, and the recordings.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from enum import StrEnum

import msgspec

from homeport.agentproto.effects import ClientEffect, CloseSocket, Deliver, Dropped, SaveWatermark, SendFrame
from homeport.agentproto.messages import (
    AckPublishHealth,
    AckPublishInstanceStatus,
    AckPublishMetric,
    AckRequest,
    AttachInstanceNetworkInterfacesMessage,
    AttachTaskNetworkInterfacesMessage,
    ConfirmAttachmentMessage,
    Frame,
    HeartbeatAckRequest,
    HeartbeatMessage,
    IAMRoleCredentialsAckRequest,
    IAMRoleCredentialsMessage,
    NackRequest,
    PayloadMessage,
    PerformUpdateMessage,
    StageUpdateMessage,
    TaskIdentifier,
    TaskManifestMessage,
    TaskStopVerificationAck,
    TaskStopVerificationMessage,
    UndecodableFrameError,
    decode_frame,
)
from homeport.agentproto.urls import AcsQuery, TcsQuery
from homeport.core.backoff import Backoff

IDLE_SECONDS = 60.0
"""And as much again at random, from the last frame that counts."""
AGE_SECONDS = 30 * 60.0
AGE_JITTER_SECONDS = 5 * 60.0
SETTLED_SECONDS = 60.0
"""And as much again at random: an ACS connection of that age forgets earlier failures."""
INACTIVE_SECONDS = 3600.0
_CLEAN_CODES = (1000, 1001, 1006, 1011)

Attachment = (
    AttachTaskNetworkInterfacesMessage | AttachInstanceNetworkInterfacesMessage | ConfirmAttachmentMessage
)
_TCS_ALIVE = (HeartbeatMessage, AckPublishMetric, AckPublishHealth, AckPublishInstanceStatus)


@dataclass(frozen=True, slots=True, kw_only=True)
class AgentIdentity:
    """What an agent says about itself in both connect URLs."""

    cluster: str
    container_instance: str
    agent_version: str = ""
    agent_hash: str = ""
    docker_version: str = ""


class Ended(StrEnum):
    """How a connection, or an attempt at one, came to its end."""

    CLEAN = "clean"
    FAILED = "failed"
    INACTIVE = "inactive"


def ended_with(close_code: int | None) -> Ended:
    """The end of an open socket; no code: the stream just ended."""
    return Ended.CLEAN if close_code is None or close_code in _CLEAN_CODES else Ended.FAILED


def refused_with(text: str) -> Ended:
    """A refused connect, by anything that was said about it."""
    return Ended.INACTIVE if "InactiveInstanceException" in text else Ended.FAILED


ACS_BACKOFF = Backoff(first_seconds=0.25, factor=1.5, ceiling_seconds=120.0)
TCS_BACKOFF = Backoff(first_seconds=1.0, factor=2.0, ceiling_seconds=60.0)


class AcsClient:
    """ACS over all its connections: what to say, when to give one up, when to come back.

    `running_tasks` names the tasks whose desired status is RUNNING now;
    `watermark` is the last manifest timeline that was saved.
    """

    def __init__(
        self,
        identity: AgentIdentity,
        *,
        dice: Callable[[], float],
        running_tasks: Callable[[], Iterable[TaskIdentifier]],
        watermark: int = 0,
    ) -> None:
        self._identity = identity
        self._dice = dice
        self._running_tasks = running_tasks
        self._watermark = watermark
        self._verification: str | None = None
        self._never_connected = True
        self._failures = 0
        self._idle_at = self._expires_at = self._settled_at = float("inf")

    @property
    def query(self) -> AcsQuery:
        """The next connect's query: credentials are asked for until a first connect worked."""
        me = self._identity
        return AcsQuery(
            cluster=me.cluster,
            container_instance=me.container_instance,
            agent_version=me.agent_version,
            agent_hash=me.agent_hash,
            docker_version=me.docker_version,
            send_credentials=self._never_connected,
        )

    @property
    def wake_at(self) -> float:
        """When `tick` has something to do."""
        return min(self._idle_at, self._expires_at)

    def opened(self, now: float) -> None:
        """The socket is open."""
        self._never_connected = False
        self._verification = None
        self._idle_at = now + IDLE_SECONDS * (1 + self._dice())
        self._expires_at = now + AGE_SECONDS + AGE_JITTER_SECONDS * self._dice()
        self._settled_at = now + SETTLED_SECONDS * (1 + self._dice())

    def tick(self, now: float) -> tuple[ClientEffect, ...]:
        """Time passed."""
        if now >= self._expires_at:
            return (CloseSocket("ConnectionExpired: Reconnect to continue"),)
        if now >= self._idle_at:
            return (CloseSocket("nothing was received for too long", clean=False),)
        return ()

    def closed(self, ended: Ended, now: float) -> float:
        """The connection, or the attempt, is over: seconds to wait before the next."""
        if ended is Ended.CLEAN or now >= self._settled_at:
            self._failures = 0
        self._idle_at = self._expires_at = self._settled_at = float("inf")
        if ended is Ended.CLEAN:
            return 0.0
        if ended is Ended.INACTIVE:
            return INACTIVE_SECONDS
        self._failures += 1
        return ACS_BACKOFF.delay_seconds(self._failures, self._dice)

    def received(self, text: str, now: float) -> tuple[ClientEffect, ...]:
        """A text frame arrived. What it delivers is acknowledged by `taken`, attachments at once."""
        try:
            frame = decode_frame(text)
        except UndecodableFrameError as error:
            return (Dropped(f"undecodable: {error}"),)
        self._idle_at = now + IDLE_SECONDS * (1 + self._dice())
        return self._answer(frame)

    def _answer(self, frame: Frame) -> tuple[ClientEffect, ...]:
        effects: tuple[ClientEffect, ...]
        match frame:
            case HeartbeatMessage():
                effects = SendFrame(HeartbeatAckRequest(message_id=frame.message_id)), Deliver(frame)
            case PayloadMessage():
                effects = self._payload(frame)
            case TaskManifestMessage():
                effects = self._manifest(frame)
            case TaskStopVerificationAck():
                effects = self._verified(frame)
            case IAMRoleCredentialsMessage():
                lacks = _lacks_of_credentials(frame)
                effects = (Dropped(f"lacks {lacks}") if lacks else Deliver(frame),)
            case (
                AttachTaskNetworkInterfacesMessage()
                | AttachInstanceNetworkInterfacesMessage()
                | ConfirmAttachmentMessage()
            ):
                lacks = _lacks_of_attachment(frame)
                effects = (Dropped(f"lacks {lacks}"),) if lacks else (SendFrame(_ack(frame)), Deliver(frame))
            case StageUpdateMessage() | PerformUpdateMessage():
                effects = (SendFrame(_updates_are_disabled(frame)),)
            case _:
                effects = (Dropped(f"no handler: {type(frame).__name__}"),)
        return effects

    def taken(self, frame: Frame) -> tuple[ClientEffect, ...]:
        """A delivered frame's work is noted: acknowledge it, credentials before the message."""
        match frame:
            case PayloadMessage():
                sets = [
                    credentials
                    for task in frame.tasks
                    for credentials in (task.execution_role_credentials, task.role_credentials)
                    if credentials is not None
                ]
                acks = [
                    IAMRoleCredentialsAckRequest(
                        message_id=frame.message_id,
                        credentials_id=credentials.credentials_id,
                        expiration=credentials.expiration,
                    )
                    for credentials in sets
                ]
                return (*(SendFrame(ack) for ack in acks), SendFrame(_ack(frame)))
            case IAMRoleCredentialsMessage(role_credentials=credentials):
                ack = IAMRoleCredentialsAckRequest(
                    message_id=frame.message_id,
                    credentials_id=credentials.credentials_id,
                    expiration=credentials.expiration,
                )
                return (SendFrame(ack),)
            case _:
                return ()

    def _payload(self, frame: PayloadMessage) -> tuple[ClientEffect, ...]:
        """Stops come before starts; the number only raises the watermark in memory."""
        if not (frame.message_id and frame.cluster_arn and frame.container_instance_arn):
            return (Dropped("lacks messageId, clusterArn or containerInstanceArn"),)
        self._watermark = max(self._watermark, frame.seq_num)
        tasks = tuple(sorted(frame.tasks, key=lambda task: task.desired_status != "STOPPED"))
        return (Deliver(msgspec.structs.replace(frame, tasks=tasks)),)

    def _verified(self, frame: TaskStopVerificationAck) -> tuple[ClientEffect, ...]:
        """Only the first answer to the last question counts."""
        if self._verification is None or frame.message_id != self._verification:
            return (Dropped("not the answer to the last stop verification"),)
        self._verification = None
        return (Deliver(frame),)

    def _manifest(self, frame: TaskManifestMessage) -> tuple[ClientEffect, ...]:
        """Newer than everything before: acknowledge, and ask about tasks it does not list."""
        if frame.timeline <= self._watermark:
            return (Dropped(f"timeline {frame.timeline} is not above {self._watermark}"),)
        self._watermark = frame.timeline
        taken = (SaveWatermark(frame.timeline), SendFrame(_ack(frame)))
        listed = {task.task_arn for task in frame.tasks if task.desired_status == "RUNNING"}
        candidates = tuple(
            TaskIdentifier(
                task_arn=task.task_arn,
                task_cluster_arn=task.task_cluster_arn or frame.cluster_arn,
                desired_status="STOPPED",
            )
            for task in self._running_tasks()
            if task.task_arn not in listed
        )
        if not candidates:
            return taken
        self._verification = frame.message_id
        question = TaskStopVerificationMessage(message_id=frame.message_id, stop_candidates=candidates)
        return (*taken, SendFrame(question))


class TcsClient:
    """TCS over all its connections. Only heartbeats and acknowledgements keep one alive."""

    def __init__(self, identity: AgentIdentity, *, dice: Callable[[], float]) -> None:
        self._identity = identity
        self._dice = dice
        self._failures = 0
        self._idle_at = self._expires_at = float("inf")

    @property
    def query(self) -> TcsQuery:
        """The connect's query."""
        me = self._identity
        return TcsQuery(
            cluster=me.cluster,
            container_instance=me.container_instance,
            agent_version=me.agent_version,
            agent_hash=me.agent_hash,
            docker_version=me.docker_version,
        )

    @property
    def wake_at(self) -> float:
        """When `tick` has something to do."""
        return min(self._idle_at, self._expires_at)

    def opened(self, now: float) -> None:
        """The socket is open."""
        self._idle_at = now + IDLE_SECONDS * (1 + self._dice())
        self._expires_at = now + AGE_SECONDS + AGE_JITTER_SECONDS * self._dice()

    def received(self, text: str, now: float) -> tuple[ClientEffect, ...]:
        """A text frame arrived; none is answered and none is anyone's business."""
        try:
            frame = decode_frame(text)
        except UndecodableFrameError as error:
            return (Dropped(f"undecodable: {error}"),)
        if not isinstance(frame, _TCS_ALIVE):
            return (Dropped(f"no handler: {type(frame).__name__}"),)
        self._idle_at = now + IDLE_SECONDS * (1 + self._dice())
        return ()

    def tick(self, now: float) -> tuple[ClientEffect, ...]:
        """Time passed."""
        if now >= self._expires_at:
            return (CloseSocket("ConnectionExpired: Reconnect to continue"),)
        return (CloseSocket("nothing was received for too long"),) if now >= self._idle_at else ()

    def closed(self, ended: Ended, now: float) -> float:
        """The connection, or the attempt, is over: seconds to wait before the next."""
        del now
        self._idle_at = self._expires_at = float("inf")
        if ended is Ended.CLEAN:
            self._failures = 0
            return 0.0
        self._failures += 1
        return TCS_BACKOFF.delay_seconds(self._failures, self._dice)


def _ack(frame: PayloadMessage | TaskManifestMessage | Attachment) -> AckRequest:
    return AckRequest(
        message_id=frame.message_id,
        cluster=frame.cluster_arn,
        container_instance=frame.container_instance_arn,
    )


def _updates_are_disabled(frame: StageUpdateMessage | PerformUpdateMessage) -> NackRequest:
    """This node's software is not updated over ACS. Source of the text: recording 08."""
    return NackRequest(
        message_id=frame.message_id,
        cluster=frame.cluster_arn,
        container_instance=frame.container_instance_arn,
        reason="Updates are disabled",
    )


def _lacks_of_credentials(frame: IAMRoleCredentialsMessage) -> str:
    """The first required member that is missing; empty: none."""
    return _first_missing(
        ("messageId", bool(frame.message_id)),
        ("taskArn", bool(frame.task_arn)),
        ("roleType", frame.role_type in ("TaskApplication", "TaskExecution")),
        ("roleCredentials", bool(frame.role_credentials.credentials_id)),
    )


def _lacks_of_attachment(frame: Attachment) -> str:
    """The first required member that is missing; empty: none."""
    common = (
        ("messageId", bool(frame.message_id)),
        ("clusterArn", bool(frame.cluster_arn)),
        ("containerInstanceArn", bool(frame.container_instance_arn)),
    )
    if isinstance(frame, ConfirmAttachmentMessage):
        return _first_missing(
            *common,
            ("clusterArn", _is_arn(frame.cluster_arn)),
            ("containerInstanceArn", _is_arn(frame.container_instance_arn)),
            ("attachmentArn", _is_arn(frame.attachment.get("attachmentArn"))),
        )
    return _first_missing(
        *common,
        ("taskArn", isinstance(frame, AttachInstanceNetworkInterfacesMessage) or bool(frame.task_arn)),
        ("waitTimeoutMs", frame.wait_timeout_ms > 0),
        ("elasticNetworkInterfaces", bool(frame.elastic_network_interfaces)),
    )


def _first_missing(*members: tuple[str, bool]) -> str:
    return next((name for name, present in members if not present), "")


def _is_arn(text: object) -> bool:
    return isinstance(text, str) and text.startswith("arn:") and text.count(":") >= 5
