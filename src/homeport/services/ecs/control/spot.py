"""Spot interruptions, as an operator asks for them: Homeport's own capacity is never taken away.

Two minutes before it is taken, everybody is told and the containers are asked to end; a task has ended when
its containers have, at the latest after their stop timeouts, which are two minutes at most on Fargate.
Source: developer guide, "Amazon ECS clusters for Fargate", "Handling Fargate Spot termination notices".
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from homeport.core.clock import Clock
from homeport.core.log import get_logger
from homeport.runtime.retry import decide_again
from homeport.services.ecs.errors import InvalidParameterException
from homeport.services.ecs.model import FARGATE_SPOT, Task
from homeport.services.ecs.plan.identifiers import Home
from homeport.services.ecs.plan.lifecycle import noticed
from homeport.services.ecs.repo.clusters import ClusterRepo
from homeport.services.ecs.repo.fleets import task_named
from homeport.services.ecs.repo.tasks import TaskRepo
from homeport.store.base import Store
from homeport.store.tx import Tx

log = get_logger("ecs.spot")
NOTICE = timedelta(seconds=120)


@dataclass(frozen=True, slots=True, kw_only=True)
class Interruption:
    """A task that was given notice, and when it has ended at the latest."""

    task_arn: str
    noticed_at: datetime
    ends_by: datetime


class SpotInterruptions:
    """Gives tasks notice. Repeating it changes nothing."""

    def __init__(self, store: Store, clock: Clock) -> None:
        self._store = store
        self._clock = clock

    async def interrupt(self, account_id: str, region: str, reference: str) -> Interruption:
        """Raise `InvalidParameterException` for what is no task on Spot, or ends for another reason."""
        home, now = Home(account_id, region), self._clock.now()

        def work(tx: Tx) -> Task:
            task = task_named(tx, home, reference)
            if task is None or ClusterRepo(tx).get(task.cluster_id) is None:
                raise InvalidParameterException(f"There is no task {reference}.")
            if task.capacity_provider != FARGATE_SPOT:
                raise InvalidParameterException(
                    f"The task {task.uid} is not on {FARGATE_SPOT}: only its tasks are interrupted."
                )
            after = noticed(task, now)
            if after is None:
                raise InvalidParameterException(f"The task {task.uid} ends already: {task.stopped_reason}")
            return task if after is task else TaskRepo(tx).save(after)

        task = await decide_again(lambda: self._store.write(work))
        begun = task.stopping_at or now
        log.info("spot.interrupted", task=task.arn)
        return Interruption(task_arn=task.arn, noticed_at=begun, ends_by=begun + NOTICE)
