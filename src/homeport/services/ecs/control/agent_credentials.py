"""What one agent was sent of its tasks' credentials, and what it is to be sent next."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime, timedelta

from homeport.core.clock import Clock
from homeport.core.ids import Ids, uuid
from homeport.services.ecs.control.task_roles import (
    Current,
    Key,
    TaskRoles,
    credentials_message,
    has_roles,
    roles_of,
)
from homeport.services.ecs.model import Task
from homeport.services.ecs.ports import Outbox

RENEWAL_AGAIN = timedelta(seconds=30)
"""When credentials could not be renewed because the store was away."""


@dataclass(slots=True, kw_only=True)
class SentCredentials:
    """Of one work socket."""

    outbox: Outbox
    cluster_arn: str
    until: dict[Key, datetime] = field(default_factory=dict)
    """Until when those are good that went out, by task and role."""
    renew_at: datetime | None = None
    """When the first of them are to be renewed."""

    def note(self, current: Current, now: datetime) -> None:
        """Remember what goes out, and when it is to be renewed."""
        self.until |= {key: one.expires_at for key, one in current.sessions.items()}
        due = current.renew_at(now)
        if due is not None and (self.renew_at is None or due < self.renew_at):
            self.renew_at = due

    async def send(
        self, live: tuple[Task, ...], roles: TaskRoles, clock: Clock, ids: Ids, *, anew: bool
    ) -> None:
        """Those of tasks that the agent has already, as far as they were not sent on this socket.

        `anew`: all of them, for an agent that may have lost them: it keeps them in memory only.
        """
        known = [task for task in live if has_roles(task) and not (anew and _is_due(task))]
        current = await roles.current(known)
        alive = {task.uid for task in live}
        before = {} if anew else self.until
        self.until = {key: until for key, until in self.until.items() if key[0] in alive}
        self.renew_at = None
        for task in known:
            for kind, _ in roles_of(task):
                found = current.sessions.get((task.uid, kind))
                if found is not None and before.get((task.uid, kind)) != found.expires_at:
                    self.outbox.send(credentials_message(task, self.cluster_arn, kind, found, uuid(ids)))
        self.note(current, clock.now())


def _is_due(task: Task) -> bool:
    """Whether a payload of the same socket brings it, credentials included."""
    return task.desired_status == "RUNNING" and task.last_status in ("PROVISIONING", "PENDING")
