"""Placing tasks: what is asked, and what came of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from homeport.services.ecs.model import (
    FARGATE,
    Cluster,
    Daemon,
    DaemonRevision,
    Demand,
    Service,
    Task,
    TaskDefinition,
    TaskNetwork,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class ClientToken:
    """A request under a token: a repeat must have the same digest, and gets the same tasks."""

    scope: str
    token: str
    digest: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Share:
    """So many of a request's tasks are for the instances of a capacity provider's Auto Scaling group."""

    provider: str
    group: str
    count: int


@dataclass(frozen=True, slots=True, kw_only=True)
class PlacementRequest:
    """Identical tasks to place and start.

    `instance_uids` names the instances, for one task each: StartTask bypasses constraints
    and strategies, a DAEMON service only strategies;
    otherwise `count` tasks are placed. `template` is a task without id, uid and
    instance; `required_attributes` are names that an instance must carry. `zones`: the
    Availability Zones to choose from; none: all.
    A `service`, or a `daemon`, must be as it was read when the tasks are committed. With `shares`,
    which make up the `count`, each task goes to the instances of its share's group, and to no others.
    """

    cluster: Cluster
    definition: TaskDefinition
    template: Task
    demand: Demand
    count: int = 1
    instance_uids: tuple[str, ...] | None = None
    required_attributes: frozenset[str] = frozenset()
    constraints: tuple[Mapping[str, Any], ...] = ()
    strategy: tuple[Mapping[str, Any], ...] = ()
    zones: tuple[str, ...] = ()
    client_token: ClientToken | None = None
    service: Service | None = None
    daemon: Daemon | None = None
    shares: tuple[Share, ...] = ()
    network: TaskNetwork | None = None
    """Where in a VPC the tasks get interfaces, which are made when they are."""
    standing: Mapping[str, int] = field(default_factory=dict)
    """How many of its tasks the service has in each zone: Fargate's are spread by that."""

    @property
    def is_fargate(self) -> bool:
        """Whether its tasks are for the machines that nobody sees."""
        return self.template.launch_type == FARGATE

    @property
    def owner(self) -> int | None:
        """Whose room it may take: a service's row, or a daemon's below zero."""
        if self.daemon is not None:
            return -self.daemon.id
        return None if self.service is None else self.service.id


@dataclass(frozen=True, slots=True, kw_only=True)
class PlacementFailure:
    """Why an instance could not take a task; `detail` has the numbers."""

    arn: str
    reason: str
    detail: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class PlacementOutcome:
    """What was started, and why the rest was not.

    `explanation` is the sentence for a service's event, about the closest match;
    `empty_providers` are the capacity providers that have no instance at all.
    """

    tasks: tuple[Task, ...]
    failures: tuple[PlacementFailure, ...] = ()
    no_instances: bool = False
    explanation: str = ""
    empty_providers: tuple[str, ...] = ()
    capacity: str = ""
    """Why Fargate had not room for all, with the numbers."""
    unassumable: str = ""
    """Why none was started wherever there is room: a role that ECS cannot assume."""


class TaskPlacer(Protocol):
    """Places tasks and commits them: the only way to make one."""

    async def place(self, request: PlacementRequest) -> PlacementOutcome:
        """Answers after the commit.

        Raise `AwsError`, or `StaleWriteError` when the request's service was written meanwhile.
        """
        ...

    def pick_for_scale_in(
        self,
        cluster_id: int,
        tasks: Sequence[Task],
        strategy: Sequence[Mapping[str, Any]],
        count: int,
    ) -> Sequence[Task]:
        """So many of a service's tasks, in the order in which they should go."""
        ...

    def reserve(self, service: Service, definition: TaskDefinition | None) -> None:
        """Hold room for a DAEMON service's tasks wherever one is wanted and missing; `None`: no more."""
        ...

    def reserve_daemon(
        self, daemon: Daemon, revision: DaemonRevision | None, definition: TaskDefinition | None
    ) -> None:
        """The same for a daemon; where a critical one does not run yet, nobody else's tasks are placed."""
        ...
