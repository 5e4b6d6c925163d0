"""Agents as their sockets bring them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from homeport.agentproto.messages import Frame


class Outbox(Protocol):
    """The control plane's side of one open agent socket."""

    def send(self, frame: Frame) -> None:
        """Queue a frame; dropped once the socket is closed."""
        ...

    def close(self) -> None:
        """Close the socket after what is queued."""
        ...

    def replaced(self) -> None:
        """Close the socket because its agent opened another: who still listens here comes back slowly."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class AgentHello:
    """What an agent says of itself when it connects. `cluster` is a name or an ARN."""

    account_id: str
    region: str
    cluster: str
    container_instance: str
    agent_version: str = ""
    agent_hash: str = ""
    docker_version: str = ""
    send_credentials: bool = False


class RefusedAgentError(Exception):
    """A connect that is refused; `kind` is the agent's own word for it."""

    def __init__(self, kind: str, text: str) -> None:
        super().__init__(f"{kind}: {text}")
        self.kind = kind
        self.text = text
