"""PayloadMessage: tasks to start or to stop.

Every task is on disk when this returns, so the acknowledgement is true. A malformed task is reported
STOPPED with its reason and does not keep the message from being acknowledged; the real agent never does.
"""

from __future__ import annotations

from homeport.agentproto.messages import PayloadMessage
from homeport.node.engine import Engine


async def respond(message: PayloadMessage, engine: Engine) -> None:
    """Take the tasks, stops first."""
    await engine.take(message.tasks)
