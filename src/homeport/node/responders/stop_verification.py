"""TaskStopVerificationAck: tasks that the control plane knows nothing of, confirmed."""

from __future__ import annotations

from homeport.agentproto.messages import TaskStopVerificationAck
from homeport.core.log import get_logger
from homeport.node.engine import Engine

log = get_logger("node.manifest")


async def respond(message: TaskStopVerificationAck, engine: Engine) -> None:
    """Stop them."""
    for task in message.stop_tasks:
        log.info("task.unwanted", task=task.task_arn)
        engine.stop_task(task.task_arn)
