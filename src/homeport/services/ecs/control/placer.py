"""The one place where tasks come to be.

One worker per cluster takes every request that waits, decides them against the
cluster's fleet in memory and commits them in one transaction: concurrent
callers share a commit, and nobody decides on a fleet that another decision has
changed. The commit is guarded by two epochs of the cluster's row: `fleet` (an
instance changed) and `placement` (another replica placed). Stale: catch up
with what changed, decide again.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field

import msgspec

from homeport.core.clock import Clock
from homeport.core.errors import AwsError, StaleWriteError
from homeport.core.ids import Ids
from homeport.core.log import get_logger
from homeport.services.ecs.errors import ClusterNotFoundException, ServerException
from homeport.services.ecs.model import Cluster, Task
from homeport.services.ecs.plan.fleet import Fleet
from homeport.services.ecs.plan.launch import with_identity
from homeport.services.ecs.plan.placing import decide, instance_state
from homeport.services.ecs.ports import PlacementOutcome, PlacementRequest
from homeport.services.ecs.repo.clusters import ClusterRepo
from homeport.services.ecs.repo.instances import InstanceRepo
from homeport.services.ecs.repo.settings import TokenRepo
from homeport.services.ecs.repo.tasks import TaskRepo
from homeport.store.base import Store
from homeport.store.tx import Tx

log = get_logger("ecs.placer")
TRIES_MAX = 20
BATCH_MAX = 256


@dataclass(slots=True)
class _Waiting:
    request: PlacementRequest
    answer: asyncio.Future[PlacementOutcome]


@dataclass(slots=True)
class _ClusterState:
    """A cluster's fleet in memory: `newest_task` is the newest row it has seen placed."""

    fleet: Fleet
    fleet_epoch: int = -1
    placement_epoch: int = -1
    newest_task: int = 0
    queue: list[_Waiting] = field(default_factory=list)
    busy: bool = False


class Placer:
    """Places tasks; `run` must be running."""

    def __init__(self, store: Store, clock: Clock, ids: Ids) -> None:
        self._store = store
        self._clock = clock
        self._ids = ids
        self._clusters: dict[int, _ClusterState] = {}
        self._wake = asyncio.Event()
        self._ready: list[int] = []

    async def place(self, request: PlacementRequest) -> PlacementOutcome:
        """Queue the request; answers after the commit."""
        state = self._clusters.setdefault(request.cluster.id, _ClusterState(Fleet()))
        waiting = _Waiting(request, asyncio.get_running_loop().create_future())
        state.queue.append(waiting)
        if not state.busy:
            state.busy = True
            self._ready.append(request.cluster.id)
            self._wake.set()
        return await waiting.answer

    def released(self, cluster_id: int, task_id: int) -> None:
        """A task stopped: what it held is free."""
        state = self._clusters.get(cluster_id)
        if state is not None:
            state.fleet.release(task_id)

    def forget(self) -> None:
        """The change feed was cut: read every fleet again before the next placement."""
        for state in self._clusters.values():
            state.fleet = Fleet()
            state.fleet_epoch = state.placement_epoch = -1
            state.newest_task = 0

    async def run(self) -> None:
        """Serve for ever; one task per cluster that has something waiting."""
        async with asyncio.TaskGroup() as group:
            while True:
                await self._wake.wait()
                self._wake.clear()
                ready, self._ready = self._ready, []
                for cluster_id in ready:
                    group.create_task(self._serve(cluster_id), name=f"placer-{cluster_id}")

    async def _serve(self, cluster_id: int) -> None:
        state = self._clusters[cluster_id]
        while state.queue:
            batch, state.queue = state.queue[:BATCH_MAX], state.queue[BATCH_MAX:]
            try:
                outcomes = await self._settle(cluster_id, state, [waiting.request for waiting in batch])
            except AwsError as error:
                for waiting in batch:
                    _fail(waiting, error)
            except Exception:
                log.exception("placement.failed", cluster_id=cluster_id)
                state.fleet_epoch = -1
                for waiting in batch:
                    _fail(waiting, ServerException("The placement failed; see the server's log."))
            else:
                for waiting, outcome in zip(batch, outcomes, strict=True):
                    if not waiting.answer.done():
                        waiting.answer.set_result(outcome)
        state.busy = False

    async def _settle(
        self, cluster_id: int, state: _ClusterState, requests: Sequence[PlacementRequest]
    ) -> list[PlacementOutcome]:
        """Decide and commit a batch; again, when the world moved meanwhile."""
        for _ in range(TRIES_MAX):
            cluster = await self._catch_up(cluster_id, state)
            outcomes, plans = self._decide(state, requests)
            try:
                placed = await self._commit(cluster, requests, plans)
            except StaleWriteError:
                for _, tentative in plans:
                    for task in tentative:
                        state.fleet.release(-int(task.uid[:15], 16))
                continue
            return self._assign(state, requests, outcomes, plans, placed)
        raise ServerException("The cluster changes faster than tasks can be placed; try again.")
