"""What the placer holds of each cluster, and of what waits to be placed in it."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field

from homeport.services.ecs.model import Cluster, Task
from homeport.services.ecs.plan.fleet import Fleet
from homeport.services.ecs.plan.placing import Decision, failures
from homeport.services.ecs.plan.reservations import Reservations
from homeport.services.ecs.ports import PlacementOutcome, PlacementRequest

BATCH_MAX = 256


@dataclass(slots=True)
class Waiting:
    """A request, and who is to hear what came of it."""

    request: PlacementRequest
    answer: asyncio.Future[PlacementOutcome]


@dataclass(slots=True)
class Plan:
    """A request decided; `added` is filled in by the commit."""

    waiting: Waiting
    decision: Decision
    tasks: tuple[Task, ...]
    added: tuple[Task, ...] = ()

    @property
    def is_short(self) -> bool:
        """Whether some of what was asked for found no place."""
        return bool(self.decision.refusals) or len(self.tasks) < self.waiting.request.count

    def tell(self) -> None:
        """Answer who waits, unless that was done."""
        if self.waiting.answer.done():
            return
        self.waiting.answer.set_result(
            PlacementOutcome(
                tasks=self.added,
                failures=failures(self.decision, self.waiting.request),
                no_instances=self.decision.no_instances,
                explanation=self.decision.explanation,
                empty_providers=self.decision.empty_providers,
                capacity=self.decision.capacity,
            )
        )


@dataclass(slots=True)
class ClusterState:
    """A cluster's fleet in memory, current at its two epochs and up to its newest task's row."""

    fleet: Fleet = field(default_factory=Fleet)
    cluster: Cluster | None = None
    """Its row when the fleet was brought up to date; `None`: nothing was read yet."""
    newest_task: int = 0
    reservations: Reservations = field(default_factory=Reservations)
    queue: list[Waiting] = field(default_factory=list)
    busy: bool = False

    def forget(self) -> None:
        """Start from nothing: everything is read again before the next placement."""
        self.fleet = Fleet()
        self.cluster = None
        self.newest_task = 0
        self.reservations.forget()

    def take_batch(self) -> list[Waiting]:
        """What waits, up to the batch's size; of a client token's requests only the first."""
        batch: list[Waiting] = []
        rest: list[Waiting] = []
        tokens = set()
        for waiting in self.queue:
            token = waiting.request.client_token
            if len(batch) == BATCH_MAX or (token is not None and token in tokens):
                rest.append(waiting)
                continue
            tokens.add(token)
            batch.append(waiting)
        self.queue = rest
        return batch
