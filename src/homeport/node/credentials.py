"""Credentials of tasks' roles: in memory only, by their id."""

from __future__ import annotations

import asyncio

from homeport.agentproto.messages import RoleCredentials
from homeport.core.sigv4 import Credentials

APPLICATION = "TaskApplication"
EXECUTION = "TaskExecution"


class CredentialStore:
    """What the control plane delivered, per task and role. Never written anywhere."""

    def __init__(self) -> None:
        self._by_id: dict[str, RoleCredentials] = {}
        self._ids: dict[tuple[str, str], str] = {}
        self._arrived = asyncio.Event()

    def put(self, task_arn: str, role_type: str, credentials: RoleCredentials) -> None:
        """Store, or replace, one set."""
        self._by_id[credentials.credentials_id] = credentials
        self._ids[task_arn, role_type] = credentials.credentials_id

        self._arrived.set()
        self._arrived = asyncio.Event()

    async def wait(self, task_arn: str, role_type: str) -> RoleCredentials:
        """A task's credentials, as soon as they are there."""
        while (found := self.of(task_arn, role_type)) is None:
            await self._arrived.wait()
        return found

    def find(self, credentials_id: str) -> RoleCredentials | None:
        """By id, as containers ask for them."""
        return self._by_id.get(credentials_id)

    def of(self, task_arn: str, role_type: str) -> RoleCredentials | None:
        """A task's, as the node uses them."""
        credentials_id = self._ids.get((task_arn, role_type))
        return None if credentials_id is None else self._by_id.get(credentials_id)

    def drop(self, task_arn: str, role_type: str) -> None:
        """They are not to be served any more."""
        credentials_id = self._ids.pop((task_arn, role_type), None)
        if credentials_id is not None:
            self._by_id.pop(credentials_id, None)


def signing(credentials: RoleCredentials) -> Credentials:
    """The credentials as a signer wants them."""
    return Credentials(
        access_key_id=credentials.access_key_id,
        secret_access_key=credentials.secret_access_key,
        session_token=credentials.session_token or None,
    )
