"""Which responder answers which message: one visible list."""

from __future__ import annotations

from dataclasses import dataclass

from homeport.agentproto.messages import (
    AttachInstanceNetworkInterfacesMessage,
    AttachTaskNetworkInterfacesMessage,
    ConfirmAttachmentMessage,
    Frame,
    HeartbeatMessage,
    IAMRoleCredentialsMessage,
    PayloadMessage,
    TaskStopVerificationAck,
)
from homeport.node.credentials import CredentialStore
from homeport.node.engine import Engine
from homeport.node.reporter import Reporter
from homeport.node.responders import attachments, credentials, heartbeat, payload, stop_verification
from homeport.node.sockets import NotTakenError
from homeport.node.telemetry import Telemetry


@dataclass(frozen=True, slots=True, kw_only=True)
class Responders:
    """Answers the control plane's messages."""

    engine: Engine
    credentials: CredentialStore
    telemetry: Telemetry
    reporter: Reporter

    async def __call__(self, frame: Frame) -> None:
        """Note a frame's work. Raise `NotTakenError` when it is not taken."""
        match frame:
            case PayloadMessage():
                await payload.respond(frame, self.engine)
            case IAMRoleCredentialsMessage():
                await credentials.respond(frame, self.engine, self.credentials)
            case TaskStopVerificationAck():
                await stop_verification.respond(frame, self.engine)
            case HeartbeatMessage():
                await heartbeat.respond(self.telemetry, self.reporter)
            case (
                AttachTaskNetworkInterfacesMessage()
                | AttachInstanceNetworkInterfacesMessage()
                | ConfirmAttachmentMessage()
            ):
                await attachments.respond(frame)
            case _:
                raise NotTakenError(f"no responder for {type(frame).__name__}")
