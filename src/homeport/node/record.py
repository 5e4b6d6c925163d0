"""What a task's owner and its steps share: the task, its rules, and what is known about it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from datetime import datetime

from homeport.agentproto.messages import Task
from homeport.node import lifecycle
from homeport.node.model import ContainerState, Phase, TaskRules, TaskState, TaskStatus
from homeport.node.names import container_name
from homeport.node.ports import ContainerStatus
from homeport.node.progress import task_status


class TaskRecord:
    """One task. Only its owner and the owner's steps write to it.

    `statuses` holds the engine's last word on each container; `durable` is set
    once the task is on disk; `woken` wakes the owner.
    """

    def __init__(self, task: Task, rules: TaskRules, state: TaskState) -> None:
        self.task = task
        self.rules = rules
        self.state = state
        self.statuses: dict[str, ContainerStatus] = {}
        self.durable = asyncio.Event()
        self.woken = asyncio.Event()
        self.docker_names = {name: container_name(task, name) for name in rules.containers}

    @property
    def status(self) -> TaskStatus:
        """What is known of the task."""
        return task_status(self.rules, self.state)

    @property
    def alive(self) -> bool:
        """Whether any of its containers may still run."""
        return self.status is not TaskStatus.STOPPED

    @property
    def least_phase(self) -> Phase:
        """That of the container which is least far."""
        return min((self.of(name).phase for name in self.rules.containers), default=Phase.STOPPED)

    def of(self, name: str) -> ContainerState:
        """What is known of a container."""
        return lifecycle.container(self.state, name)

    def runs(self, name: str) -> bool:
        """Whether a container runs, as far as is known."""
        return self.of(name).phase is Phase.RUNNING

    def change(self, name: str, change: Callable[[ContainerState], ContainerState]) -> None:
        """Something became known of a container."""
        self.state = lifecycle.with_container(self.state, name, change(self.of(name)))

    def want_stopped(self, now: datetime, *, reason: str = "") -> None:
        """The desired status falls. There is no way back."""
        self.state = lifecycle.raised(self.rules, self.state, reason=reason, now=now)
        self.woken.set()
