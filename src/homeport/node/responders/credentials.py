"""IAMRoleCredentialsMessage: fresh credentials of a task's role."""

from __future__ import annotations

from homeport.agentproto.messages import IAMRoleCredentialsMessage
from homeport.node.credentials import CredentialStore
from homeport.node.engine import Engine
from homeport.node.sockets import NotTakenError


async def respond(message: IAMRoleCredentialsMessage, engine: Engine, store: CredentialStore) -> None:
    """Store them. Raise `NotTakenError` for a task that is not here: nobody would ever drop them."""
    if engine.find(message.task_arn) is None:
        raise NotTakenError(f"credentials for the unknown task {message.task_arn}")
    store.put(message.task_arn, message.role_type, message.role_credentials)
