"""Roles of IAM that tasks take on."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from homeport.agentproto.messages import RoleCredentials
from homeport.services.ecs.model import (
    Task,
)
from homeport.store.tx import Tx

TASK_APPLICATION, TASK_EXECUTION = "TaskApplication", "TaskExecution"
"""What a role is to a task: its containers', or its agent's for it. The agent protocol's words."""


ROLES_CHANGED = "iam.policies"
"""The change feed's kind for news of an account's roles and policies; the key is the account."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RoleSession:
    """A task's credentials of one of its roles, and until when they are good."""

    credentials: RoleCredentials
    expires_at: datetime


class RoleAssumer(Protocol):
    """A task's roles, taken on for it. Every method works in its caller's transaction.

    A task's credentials of one role have one id for its whole life, whatever credentials it stands for:
    containers know it by then. Nobody can guess it.
    """

    def may_assume(self, tx: Tx, task: Task, role_arn: str) -> bool:
        """Whether the role is one of the task's account and lets ECS tasks in."""
        ...

    def held(self, tx: Tx, tasks: Iterable[Task]) -> Mapping[tuple[str, str], RoleSession]:
        """The newest sessions of the tasks' roles, by a task's uid and what the role is to it."""
        ...

    def assume(self, tx: Tx, task: Task, role_type: str, role_arn: str) -> RoleSession | None:
        """A new session; `None`: the role is gone, or does not let ECS in any more."""
        ...
