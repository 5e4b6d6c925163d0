"""Credentials of tasks' roles: given when a task starts, renewed while it lives, gone when it stopped.

A session lives for six hours and is renewed an hour before it ends, so an agent may be away for an hour
without a container noticing. That a stopped task's credentials are good for nothing is not decided here: who
looks a session up asks whether its task lives.
Source: ECS developer guide, "Task IAM role"; amazon-ecs-agent, IAMRoleCredentialsMessage.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

import msgspec

from homeport.agentproto.messages import IAMRoleCredentialsMessage
from homeport.core.clock import Clock
from homeport.core.log import get_logger
from homeport.runtime.retry import decide_again
from homeport.services.ecs.errors import ClientException
from homeport.services.ecs.model import Task
from homeport.services.ecs.ports import TASK_APPLICATION, TASK_EXECUTION, RoleAssumer, RoleSession
from homeport.services.ecs.repo.tasks import TaskRepo
from homeport.store.base import Store
from homeport.store.tx import Tx

log = get_logger("ecs.task_roles")
RENEWED_BEFORE_END = timedelta(hours=1)
REFUSED_AGAIN = timedelta(minutes=5)
"""When a role that cannot be assumed any more is tried again for a task that runs."""

Key = tuple[str, str]
"""A task's uid, and what the role is to it."""


class UnassumableRoleError(ClientException):
    """The role is not there, or does not trust ECS. The text is AWS's, as users were told it."""

    def __init__(self, role_arn: str) -> None:
        super().__init__(
            f"ECS was unable to assume the role '{role_arn}' that was provided for this task. Please verify "
            "that the role being passed has the proper trust relationship and permissions and that your IAM "
            "user has permissions to pass this role."
        )


class NoRoles:
    """Where nobody can take on roles: tasks that have some are refused."""

    def may_assume(self, tx: Tx, task: Task, role_arn: str) -> bool:
        """Never."""
        del tx, task, role_arn
        return False

    def held(self, tx: Tx, tasks: Iterable[Task]) -> Mapping[Key, RoleSession]:
        """Nothing."""
        del tx, tasks
        return {}

    def assume(self, tx: Tx, task: Task, role_type: str, role_arn: str) -> RoleSession | None:
        """Never."""
        del tx, task, role_type, role_arn
        return None


def roles_of(task: Task) -> Iterator[tuple[str, str]]:
    """What its roles are to a task, and their ARNs."""
    if task.task_role:
        yield TASK_APPLICATION, task.task_role
    if task.execution_role:
        yield TASK_EXECUTION, task.execution_role


def has_roles(task: Task) -> bool:
    """Whether there are credentials to give."""
    return bool(task.task_role or task.execution_role)


def refused_role(tx: Tx, roles: RoleAssumer, template: Task) -> str | None:
    """The first of its roles that ECS could not assume for a task of the template."""
    asked = (arn for _, arn in roles_of(template))
    return next((arn for arn in asked if not roles.may_assume(tx, template, arn)), None)


async def require_roles(store: Store, roles: RoleAssumer, template: Task) -> None:
    """Raise `UnassumableRoleError` when a task of the template could not have its credentials."""
    if not has_roles(template):
        return
    if (arn := await store.read(lambda tx: refused_role(tx, roles, template))) is not None:
        raise UnassumableRoleError(arn)


@dataclass(frozen=True, slots=True, kw_only=True)
class Current:
    """Tasks' sessions, and the roles that could not be assumed."""

    sessions: Mapping[Key, RoleSession]
    refused: Mapping[Key, str]

    def renew_at(self, now: datetime) -> datetime | None:
        """When to look again."""
        ends = [session.expires_at - RENEWED_BEFORE_END for session in self.sessions.values()]
        return min([*ends, *([now + REFUSED_AGAIN] if self.refused else [])], default=None)


class TaskRoles:
    """Gives and renews credentials of tasks' roles."""

    def __init__(self, store: Store, clock: Clock, roles: RoleAssumer) -> None:
        self._store = store
        self._clock = clock
        self._roles = roles

    async def current(self, tasks: Iterable[Task]) -> Current:
        """Sessions that are good for an hour at least: those that there are, and new ones."""
        asked = [task for task in tasks if has_roles(task)]
        if not asked:
            return Current(sessions={}, refused={})
        found = await self._store.read(lambda tx: dict(self._good(tx, asked)))
        if all((task.uid, kind) in found for task in asked for kind, _ in roles_of(task)):
            return Current(sessions=found, refused={})
        return await self._store.write(lambda tx: self._made(tx, asked))

    def _good(self, tx: Tx, tasks: list[Task]) -> Mapping[Key, RoleSession]:
        least = self._clock.now() + RENEWED_BEFORE_END
        held = self._roles.held(tx, tasks)
        return {key: session for key, session in held.items() if session.expires_at > least}

    def _made(self, tx: Tx, tasks: list[Task]) -> Current:
        sessions, refused = dict(self._good(tx, tasks)), dict[Key, str]()
        for task in tasks:
            for kind, arn in roles_of(task):
                if (task.uid, kind) in sessions:
                    continue
                made = self._roles.assume(tx, task, kind, arn)
                if made is None:
                    refused[task.uid, kind] = arn
                    log.warning("role.refused", task=task.arn, role=arn)
                else:
                    sessions[task.uid, kind] = made
        return Current(sessions=sessions, refused=refused)

    async def give_up(self, task: Task, role_arn: str) -> None:
        """A task whose role cannot be assumed when it is to start does not start."""
        reason = UnassumableRoleError(role_arn).message

        def work(tx: Tx) -> None:
            repo = TaskRepo(tx)
            found = repo.get(task.id)
            if found is not None and found.desired_status != "STOPPED":
                repo.save(
                    msgspec.structs.replace(
                        found,
                        desired_status="STOPPED",
                        stop_code="TaskFailedToStart",
                        stopped_reason=reason,
                        stopping_at=self._clock.now(),
                    )
                )

        await decide_again(lambda: self._store.write(work))


def credentials_message(
    task: Task, cluster_arn: str, role_type: str, session: RoleSession, message_id: str
) -> IAMRoleCredentialsMessage:
    """What a running task's agent is told."""
    return IAMRoleCredentialsMessage(
        message_id=message_id,
        task_arn=task.arn,
        task_cluster_arn=cluster_arn,
        role_type=role_type,
        role_credentials=session.credentials,
    )
