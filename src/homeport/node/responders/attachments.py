"""Network interfaces and volumes to wait for.

The sockets acknowledge these at once, as the protocol wants. A task's interface is in its payload, too, and
is made when the task is: then the task's report says ATTACHED, and never of what is not there. This node
registers no capability that needs any other kind, and waits for none.
Source: amazon-ecs-agent, whose tasks do not wait for these messages either (reference, recordings).
"""

from __future__ import annotations

from homeport.agentproto.messages import (
    AttachInstanceNetworkInterfacesMessage,
    AttachTaskNetworkInterfacesMessage,
    ConfirmAttachmentMessage,
)
from homeport.core.log import get_logger

log = get_logger("node.attachments")

Attachment = (
    AttachTaskNetworkInterfacesMessage | AttachInstanceNetworkInterfacesMessage | ConfirmAttachmentMessage
)


async def respond(message: Attachment) -> None:
    """Note what will not come."""
    if isinstance(message, AttachTaskNetworkInterfacesMessage):
        log.debug("attachment.announced", task=message.task_arn)
        return
    log.warning("attachment.not_supported", frame=type(message).__name__, message_id=message.message_id)
