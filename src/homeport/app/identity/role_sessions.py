"""Roles that this Homeport's own services take on, over STS: tasks' and instances'."""

from __future__ import annotations

import hmac
from collections.abc import Iterable, Mapping
from datetime import timedelta
from uuid import UUID

from homeport.agentproto.messages import RoleCredentials
from homeport.services.ecs import manifest as ecs
from homeport.services.sts import manifest as sts
from homeport.store.tx import Tx

TASKS = "ecs-tasks.amazonaws.com"
TASK_HOLDER = "ecs-task/"
SESSION_LIFE = timedelta(hours=6)
"""Source: ECS developer guide: credentials of tasks are good for six hours [R]."""


def task_of(session: sts.Session) -> str | None:
    """The id of the task that a session was made for; `None`: it was made for something else."""
    head, _, rest = session.holder.partition("/")
    return rest.partition("/")[0] if f"{head}/" == TASK_HOLDER else None


def role_credentials(session: sts.Session, role_arn: str, credentials_id: str) -> RoleCredentials:
    """A session as agents are told it."""
    return RoleCredentials(
        credentials_id=credentials_id,
        role_arn=role_arn,
        access_key_id=session.access_key_id,
        secret_access_key=session.secret_access_key,
        session_token=session.session_token,
        expiration=session.expires_at.strftime("%Y-%m-%dT%H:%M:%SZ"),
    )


class TaskRoleSessions:
    """ECS's `RoleAssumer`. `key` is the installation's secret that credentials' ids are made with."""

    def __init__(self, roles: sts.ServiceRoles, key: bytes) -> None:
        self._roles = roles
        self._key = key

    def may_assume(self, tx: Tx, task: ecs.Task, role_arn: str) -> bool:
        """Whether the role lets ECS tasks in."""
        return self._roles.may_assume(tx, _caller(task), role_arn, task.uid or "0" * 32)

    def held(self, tx: Tx, tasks: Iterable[ecs.Task]) -> Mapping[tuple[str, str], ecs.RoleSession]:
        """The newest sessions of tasks."""
        arns = {
            _holder(task, kind): (task.uid, kind, arn) for task in tasks for kind, arn in ecs.roles_of(task)
        }
        found = self._roles.held(tx, arns)
        return {
            arns[holder][:2]: self._session(session, holder, arns[holder][2])
            for holder, session in found.items()
        }

    def assume(self, tx: Tx, task: ecs.Task, role_type: str, role_arn: str) -> ecs.RoleSession | None:
        """A new session, named after the task."""
        holder = _holder(task, role_type)
        try:
            session = self._roles.assume(
                tx, _caller(task), role_arn, name=task.uid, holder=holder, life=SESSION_LIFE
            )
        except sts.AccessDenied:
            return None
        return self._session(session, holder, role_arn)

    def _session(self, session: sts.Session, holder: str, role_arn: str) -> ecs.RoleSession:
        return ecs.RoleSession(
            credentials=role_credentials(session, role_arn, self._credentials_id(holder)),
            expires_at=session.expires_at,
        )

    def _credentials_id(self, holder: str) -> str:
        """The same in every process of the installation, and nobody else can make it."""
        digest = hmac.digest(self._key, f"credentials-id/{holder}".encode(), "sha256")
        return str(UUID(bytes=digest[:16], version=4))


def _holder(task: ecs.Task, role_type: str) -> str:
    return f"{TASK_HOLDER}{task.uid}/{role_type}"


def _caller(task: ecs.Task) -> sts.ServiceCaller:
    """Source: ECS developer guide, "Task IAM role": conditions cannot name one cluster."""
    return sts.ServiceCaller(
        principal=TASKS,
        account_id=task.account_id,
        source_arn=f"arn:aws:ecs:{task.region}:{task.account_id}:*",
    )
