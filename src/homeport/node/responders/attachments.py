"""Network interfaces and volumes to wait for.

The sockets acknowledge these at once, as the protocol wants. This node registers no capability that needs
them and refuses tasks that do, so there is nothing to wait for: it never says ATTACHED of what it has not.
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
    """Note that it will not come."""
    log.warning("attachment.not_supported", frame=type(message).__name__, message_id=message.message_id)
