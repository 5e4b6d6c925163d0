"""What the gateway needs from the services, in its own words; `app` adapts them."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Protocol

from homeport.agentproto.messages import Frame
from homeport.core.access import Access
from homeport.core.call import Call, Principal
from homeport.policy.decision import Policies
from homeport.policy.resource import ResourcePolicy


@dataclass(frozen=True, slots=True, kw_only=True)
class CallerPolicies:
    """A caller's policies, compiled. `reads_resource_tags`: one of them depends on the resource's tags."""

    policies: Policies = field(default_factory=Policies)
    reads_resource_tags: bool = False


class ResourceFacts(Protocol):
    """What a service knows of its resources that policies may depend on; `context` is its handlers'."""

    async def tags(self, call: Call, context: Any, arn: str) -> dict[str, str]:
        """A resource's tags; none when there is no such resource."""
        ...

    async def policy(self, call: Call, context: Any, arn: str) -> ResourcePolicy | None:
        """A resource's own policy."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class KeyRecord:
    """An access key that exists: whose it is, what proves it, and what its owner may do.

    `session_token` must accompany the key when it is set.
    """

    secret_access_key: str
    principal: Principal
    policies: CallerPolicies = field(default_factory=CallerPolicies)
    session_token: str | None = None
    expires_at: datetime | None = None
    active: bool = True


class KeyRing(Protocol):
    """Where access keys are looked up, on every request."""

    async def find(self, access_key_id: str) -> KeyRecord | None: ...

    def used(self, call: Call) -> None:
        """A request was proven by a key."""
        ...


class DenialSeal(Protocol):
    """Encodes why somebody was denied, so that only an account's own may read it."""

    def seal(self, account_id: str, explanation: Mapping[str, Any]) -> str:
        """The encoded message."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class OwnPage:
    """A page of Homeport's own, for signed callers that may do `action`.

    `read` is given the query's values and makes the answer's JSON document; it raises `AwsError`.
    """

    action: str
    read: Callable[[Call, Mapping[str, str]], Awaitable[bytes]]


class Outbox(Protocol):
    """The server's side of one open agent socket."""

    def send(self, frame: Frame) -> None:
        """Queue a frame. After `close` it is dropped."""
        ...

    def close(self) -> None:
        """Close the socket once what is queued has been sent."""
        ...

    def replaced(self) -> None:
        """Close the socket because its agent opened another: who still listens here comes back slowly."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class AgentConnection:
    """Who opened a socket: the connect URL's values. `cluster` is a name or an ARN."""

    call: Call
    cluster: str
    container_instance: str
    agent_version: str = ""
    agent_hash: str = ""
    docker_version: str = ""
    send_credentials: bool = False
    seq_num: int = 0
    protocol_version: int = 0


class SocketAccess(Protocol):
    """What an agent that opens a socket must be allowed."""

    def __call__(self, call: Call, action: str, query: Mapping[str, str]) -> Access:
        """`action` on what the connect URL's values name."""
        ...


class AgentRefusedError(Exception):
    """A connect that is refused; `kind` is the agent's word (InactiveInstanceException, ...)."""

    def __init__(self, kind: str, text: str, *, status: int = 400) -> None:
        super().__init__(f"{kind}: {text}")
        self.kind = kind
        self.text = text
        self.status = status


class AgentSession(Protocol):
    """The services' side of one open agent socket."""

    async def received(self, frame: Frame) -> None:
        """A frame from the agent, heartbeat acknowledgements excepted."""
        ...

    async def closed(self) -> None:
        """The socket is gone."""
        ...


class AgentBackend(Protocol):
    """Takes agents' sockets. Both raise `AgentRefusedError`."""

    async def open_acs(self, connection: AgentConnection, outbox: Outbox) -> AgentSession: ...

    async def open_tcs(self, connection: AgentConnection, outbox: Outbox) -> AgentSession: ...
