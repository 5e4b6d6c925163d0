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
`AttachTaskNetworkInterfacesMessage`, `AttachInstanceNetworkInterfacesMessage`, `ConfirmAttachmentMessage`,
`TaskStopVerificationAck` (stop `frame.stop_tasks`) and `HeartbeatMessage` (run the instance's health checks, then
publish `PublishInstanceStatusRequest`). When it returns, the frame is taken and the link acknowledges it: return once
the work is *noted*, do not run it. It raises `NotTakenError` to leave a frame unacknowledged: a payload with a
malformed task (which the node reports STOPPED itself), credentials for an unknown task. Any other exception is
logged, and the frame is not acknowledged either. Heartbeats are answered, manifests compared with `running_tasks`
and updates refused by the link itself; a slow handler does not delay answers to heartbeats.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass

from homeport.agentproto.messages import Frame, TaskIdentifier
from homeport.core.clock import Clock
from homeport.core.ids import Ids
from homeport.core.sigv4 import Credentials


@dataclass(frozen=True, slots=True, kw_only=True)
class Endpoints:
    """DiscoverPollEndpoint's answer: base URLs (http or https) of both sockets."""

    acs: str
    tcs: str


class NotTakenError(Exception):
    """A handler leaves a frame unacknowledged."""
