"""The words of a rollout: what it decides on, and what it decides."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from homeport.services.ecs.model import Deployment, HookRun, Service, Task
from homeport.services.ecs.plan.rollout_health import TargetHealth

STEADY_TOLD_EVERY = timedelta(hours=6)
STEADY_TOLD = "has reached a steady state."

ScaleIn = Callable[[Sequence[Task], int], Sequence[Task]]
"""So many of the tasks, the ones whose going keeps the placement strategy's result best."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ServiceSnapshot:
    """A service as one transaction saw it. `stopped`: its tasks that stopped since the last count.

    `zones`: the Availability Zones of the instances that qualify, of a service that is rebalanced.
    """

    service: Service
    live: tuple[Task, ...]
    stopped: tuple[Task, ...] = ()
    draining_instances: frozenset[int] = frozenset()
    targets: Mapping[int, TargetHealth] = field(default_factory=dict)
    has_target_groups: bool = False
    """Whether there is traffic to shift between revisions."""
    zones: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True, kw_only=True)
class TaskStop:
    """A task to stop, and its stoppedReason. `zone`: where it goes for one that was started elsewhere."""

    task: Task
    reason: str
    zone: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ServicePlan:
    """The step: save `service` (when it differs), stop `stop`, then start `start` tasks of the primary.

    `start_on`: the instances to start them on, one each, for a DAEMON service; `start_in`: the
    capacity providers to start them in, one each, for a service with a strategy.
    `start_of`: the deployment to start them of, when it is not the primary. `shift`: the weights of
    its staging are to be put in force; `calls`: hooks whose functions are to be called.
    `replaces`: how many of the starts stand in for unhealthy tasks. `failed`: the
    deployment that failed with this step. `waits_for`: why the
    service is not where it should be although there is nothing to do, in sentences.
    """

    service: Service
    stop: tuple[TaskStop, ...] = ()
    start: int = 0
    start_on: tuple[str, ...] = ()
    start_in: tuple[str, ...] = ()
    start_of: str = ""
    replaces: int = 0
    shift: bool = False
    calls: tuple[HookRun, ...] = ()
    failed: Deployment | None = None
    events: tuple[str, ...] = ()
    wake_at: datetime | None = None
    waits_for: tuple[str, ...] = ()
    waits_for_others: bool = False
    """Whether it waits for tasks of others to leave their instances."""
    zones: tuple[str, ...] = ()
    """The Availability Zones to start in, to rebalance; none: anywhere."""
    begins: str = ""
    """What to tell before the starts, if there are any."""


def healthy_floor(service: Service) -> int:
    """Fewest healthy tasks a step may leave, in tasks; rounded up."""
    return -(-service.desired_count * service.minimum_healthy_percent // 100)


def count_ceiling(service: Service) -> int:
    """Most tasks, running or on their way, that a step may reach; rounded down."""
    return service.desired_count * service.maximum_percent // 100


def newest_first(tasks: Sequence[Task], count: int) -> Sequence[Task]:
    """Scale-in without a fleet to look at."""
    return sorted(tasks, key=lambda task: -task.id)[:count]
