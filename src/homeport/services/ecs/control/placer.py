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
from collections.abc import Iterator, Mapping, Sequence
from datetime import timedelta
from typing import Any

import msgspec

from homeport.core.clock import Clock
from homeport.core.errors import AwsError, StaleWriteError, UnavailableError
from homeport.core.ids import Ids, hex32
from homeport.core.log import get_logger
from homeport.services.ecs.control.placer_checks import asks_back, known_outcome, stale_of
from homeport.services.ecs.control.placer_networks import add_tasks
from homeport.services.ecs.control.placer_state import ClusterState, Plan, Waiting
from homeport.services.ecs.control.task_roles import NoRoles, require_roles
from homeport.services.ecs.errors import ClusterNotFoundException, ServerException
from homeport.services.ecs.model import (
    FLEET,
    Cluster,
    ContainerInstance,
    Daemon,
    DaemonRevision,
    Service,
    Task,
    TaskDefinition,
)
from homeport.services.ecs.plan.daemon_hosts import daemon_demand
from homeport.services.ecs.plan.fargate_room import NO_MACHINE
from homeport.services.ecs.plan.fleet import Fleet
from homeport.services.ecs.plan.managed_hosts import closing_demand, managed_demand
from homeport.services.ecs.plan.placement_scale_in import ServiceTask, pick_for_scale_in
from homeport.services.ecs.plan.placement_types import Strategy
from homeport.services.ecs.plan.placing import (
    Decision,
    Seat,
    decide,
    fleet_demand,
    fleet_key,
    hold,
    instance_state,
    no_fargate,
    placed_task,
    seat_on,
    together,
)
from homeport.services.ecs.ports import Networks, PlacementOutcome, PlacementRequest, RoleAssumer, Share
from homeport.services.ecs.repo.clusters import ClusterRepo
from homeport.services.ecs.repo.hosts import Reserved, reserved_room
from homeport.services.ecs.repo.instances import InstanceRepo
from homeport.services.ecs.repo.settings import TokenRepo
from homeport.services.ecs.repo.tasks import TaskRepo
from homeport.store.base import Store
from homeport.store.tx import Tx

log = get_logger("ecs.placer")
TRIES_MAX = 20
BULK_TASKS = 50
FEED_LAG_MAX = timedelta(seconds=10)
"""Stops as old as that have come through the feed."""


class Placer:
    """Places tasks; `run` must be running."""

    def __init__(
        self,
        store: Store,
        clock: Clock,
        ids: Ids,
        roles: RoleAssumer | None = None,
        networks: Networks | None = None,
    ) -> None:
        """Without `roles` nobody can take on any: tasks that have one are refused.

        Requests with a network need `networks`.
        """
        self._store = store
        self._networks = networks
        self._roles = roles or NoRoles()
        self._clock = clock
        self._ids = ids
        self._clusters: dict[int, ClusterState] = {}
        self._fleets: dict[int, int] = {}
        """Fargate's fleet of each cluster that has, or had, tasks there."""
        self._wake = asyncio.Event()
        self._ready: list[int] = []

    async def place(self, request: PlacementRequest) -> PlacementOutcome:
        """Queue the request; answers after the commit. Raise `UnassumableRoleError` among others."""
        await require_roles(self._store, self._roles, request.template)
        where = await self._where(request)
        if where is None:
            return PlacementOutcome(tasks=(), failures=no_fargate(request), capacity=NO_MACHINE)
        state = self._clusters.setdefault(where, ClusterState())
        waiting = Waiting(request, asyncio.get_running_loop().create_future())
        state.queue.append(waiting)
        if not state.busy:
            state.busy = True
            self._ready.append(where)
            self._wake.set()
        return await waiting.answer

    async def _where(self, request: PlacementRequest) -> int | None:
        """The row of the cluster whose instances take the tasks; `None`: of Fargate there are none."""
        if not request.is_fargate:
            return request.cluster.id
        if request.cluster.id not in self._fleets:
            home = (request.cluster.account_id, request.cluster.region)
            fleet = await self._store.read(lambda tx: ClusterRepo(tx).fleet(*home))
            if fleet is None:
                return None
            self._fleets[request.cluster.id] = fleet.id
        return self._fleets[request.cluster.id]

    def knows(self, cluster_id: int) -> bool:
        """Whether the cluster's fleet is in memory, or Fargate's with tasks of it."""
        return any(state.cluster is not None for state in self._states(cluster_id))

    def _states(self, cluster_id: int) -> list[ClusterState]:
        rows = (cluster_id, self._fleets.get(cluster_id))
        return [self._clusters[row] for row in rows if row is not None and row in self._clusters]

    def mark(self, cluster_id: int, uid: str, *, desired_status: str, last_status: str) -> bool:
        """A task was written: take in where it stands; False if the whole task must be shown."""
        states, key = self._states(cluster_id), fleet_key(uid)
        known = [s.fleet.mark(key, desired_status=desired_status, last_status=last_status) for s in states]
        return any(known) or not states

    def observe(self, task: Task) -> None:
        """A task was written: take in what it holds now. Repeats change nothing."""
        if task.fleet_id is not None:
            self._fleets[task.cluster_id] = task.fleet_id
        state = self._clusters.get(task.placed_in)
        if state is not None:
            hold(state.fleet, task)

    def pick_for_scale_in(
        self,
        cluster_id: int,
        tasks: Sequence[Task],
        strategy: Sequence[Mapping[str, Any]],
        count: int,
    ) -> Sequence[Task]:
        """So many of the tasks, in the order in which they should go, as far as the fleet is known."""
        where = tasks[0].placed_in if tasks else cluster_id
        state = self._clusters.setdefault(where, ClusterState())
        rules = [Strategy(rule.get("type") or "", rule.get("field") or "") for rule in strategy]
        dice = int.from_bytes(self._ids.token(4), "big")
        by_key = {fleet_key(task.uid): task for task in tasks}
        seats = [ServiceTask(id=key, instance_id=task.instance_id) for key, task in by_key.items()]
        return [by_key[key] for key in pick_for_scale_in(state.fleet, seats, rules, count, dice=dice)]

    def reserve(self, service: Service, definition: TaskDefinition | None) -> None:
        """Hold room for a DAEMON service's tasks wherever one is wanted and missing; `None`: no more."""
        state = self._clusters.setdefault(service.cluster_id, ClusterState())
        demand = None if definition is None else daemon_demand(service, definition)
        state.reservations.set(state.fleet, service.id, demand)

    def reserve_daemon(
        self, daemon: Daemon, revision: DaemonRevision | None, definition: TaskDefinition | None
    ) -> None:
        """The same for a daemon; where a critical one does not run yet, nobody else's tasks are placed."""
        state = self._clusters.setdefault(daemon.cluster_id, ClusterState())
        demand = closes = None
        if revision is not None and definition is not None:
            demand = managed_demand(daemon, revision, definition)
            closes = closing_demand(daemon, revision)
        state.reservations.set(state.fleet, -daemon.id, demand, closes=closes)

    def forget(self) -> None:
        """News may have been missed: read every fleet anew before its next placement."""
        for state in self._clusters.values():
            state.forget()

    async def run(self) -> None:
        """Serve for ever; one task per cluster that has something waiting."""
        for cluster_id, state in self._clusters.items():  # what an interrupted run left waiting
            if state.queue and cluster_id not in self._ready:
                state.busy = True
                self._ready.append(cluster_id)
                self._wake.set()
        async with asyncio.TaskGroup() as group:
            while True:
                await self._wake.wait()
                self._wake.clear()
                ready, self._ready = self._ready, []
                for cluster_id in ready:
                    group.create_task(self._serve(cluster_id), name=f"placer-{cluster_id}")

    async def _serve(self, cluster_id: int) -> None:
        state = self._clusters[cluster_id]
        try:
            while state.queue:
                await self._take_batch(cluster_id, state)
        finally:
            state.busy = False

    async def _take_batch(self, cluster_id: int, state: ClusterState) -> None:
        batch = state.take_batch()
        try:
            await self._settle(cluster_id, state, batch)
        except AwsError as error:
            _fail(batch, error)
        except UnavailableError as error:
            state.forget()  # what became of the commit is not always known
            _fail(batch, error)
        except asyncio.CancelledError:
            state.forget()
            _fail(batch, ServerException("The placement was interrupted; try again."))
            raise
        except Exception:
            log.exception("placement.failed", cluster_id=cluster_id)
            state.forget()
            _fail(batch, ServerException("The placement failed; the server's log says why."))

    async def _settle(self, cluster_id: int, state: ClusterState, batch: list[Waiting]) -> None:
        """Decide and commit a batch; again, when the world moved meanwhile."""
        # What was known is tried first: the commit's guard says when it is not so any more. Only a
        # refusal has no commit to be guarded by, so it is told from fresh news alone.
        cluster, fresh = state.cluster, False
        for _ in range(TRIES_MAX):
            if cluster is None or fresh or any(asks_back(waiting.request) for waiting in batch):
                cluster, fresh = await self._catch_up(cluster_id, state, batch), True
            open_ = [waiting for waiting in batch if not waiting.answer.done()]
            if not open_:
                return
            plans = [self._plan(state, waiting, cluster_id) for waiting in open_]
            if not fresh and any(plan.is_short for plan in plans):
                self._take_back(state, plans)
                fresh = True
                continue
            try:
                await self._store.write(
                    lambda tx, cluster=cluster, plans=plans: self._commit(tx, cluster, plans),  # type: ignore[misc]
                    bulk=sum(len(plan.tasks) for plan in plans) > BULK_TASKS,
                )
            except StaleWriteError:
                self._take_back(state, plans)
                fresh = True
                continue
            except BaseException:
                self._take_back(state, plans)
                raise
            state.cluster = msgspec.structs.replace(cluster, placement_epoch=cluster.placement_epoch + 1)
            for plan in plans:
                plan.tell()
            return
        raise ServerException("The cluster changes faster than tasks can be placed; try again.")

    async def _catch_up(self, cluster_id: int, state: ClusterState, batch: list[Waiting]) -> Cluster:
        """Bring the fleet up to date; answer requests that are repeats or were decided on old news."""
        known = state.cluster

        closes = state.reservations.closes

        def look(
            tx: Tx,
        ) -> tuple[Cluster, tuple[ContainerInstance, ...], tuple[Task, ...], Reserved]:
            cluster = ClusterRepo(tx).get(cluster_id)
            if cluster is None or cluster.status != "ACTIVE":
                raise ClusterNotFoundException("Cluster not found.")
            changed: tuple[ContainerInstance, ...] = ()
            placed: tuple[Task, ...] = ()
            if known is None or cluster.fleet_epoch != known.fleet_epoch:
                changed = InstanceRepo(tx).changed_since(cluster_id, known.fleet_epoch if known else -1)
            tasks = TaskRepo(tx)
            is_fargate = cluster.name == FLEET
            placed_after = tasks.placed_in_fleet if is_fargate else tasks.placed_after
            stopped_in = tasks.stopped_in_fleet if is_fargate else tasks.stopped_in_cluster
            if known is None or cluster.placement_epoch != known.placement_epoch:
                placed = placed_after(cluster_id, state.newest_task)
            if known is not None:
                placed += stopped_in(cluster_id, after=self._clock.now() - FEED_LAG_MAX)
            if known is not None and closes:
                placed += tasks.live_of_daemons(cluster_id)  # which instances are closed depends on them
            reserved = reserved_room(tx, cluster_id) if known is None else Reserved()
            return cluster, changed, placed, reserved

        cluster, changed, placed, reserved = await self._store.read(look, bulk=known is None)
        for instance in changed:
            if instance.status == "INACTIVE":
                state.fleet.remove_instance(instance.id)
            else:
                state.fleet.upsert_instance(instance_state(instance))
        for task in placed:
            self.observe(task)
            if task.stopped_at is None:
                state.newest_task = max(state.newest_task, task.id)
        state.reservations.learn(reserved.demands, reserved.closing)
        state.cluster = cluster
        if any(asks_back(waiting.request) for waiting in batch):
            await self._settle_known(batch)
        return cluster

    async def _settle_known(self, batch: list[Waiting]) -> None:
        """Answer repeats under a client token, and refuse services that were written meanwhile."""

        def look(tx: Tx) -> list[PlacementOutcome | Exception | None]:
            return [known_outcome(tx, waiting.request) for waiting in batch]

        for waiting, known in zip(batch, await self._store.read(look), strict=True):
            if isinstance(known, Exception):
                _fail([waiting], known)
            elif known is not None and not waiting.answer.done():
                waiting.answer.set_result(known)

    def _plan(self, state: ClusterState, waiting: Waiting, where: int) -> Plan:
        """Decide one request and let its tasks hold their places at once, for the next decision."""
        request = waiting.request
        dice = int.from_bytes(self._ids.token(4), "big")
        state.reservations.hold(state.fleet, but=request.owner)
        decisions: list[Decision] = []
        tasks: list[Task] = []
        for share in request.shares or (None,):
            decisions.append(decide(state.fleet, request, dice=dice, share=share))
            tasks += self._seated(state.fleet, request, share, decisions[-1].chosen, where)
        return Plan(waiting, together(decisions), tuple(tasks))

    def _seated(
        self,
        fleet: Fleet,
        request: PlacementRequest,
        share: Share | None,
        chosen: Sequence[int],
        where: int,
    ) -> Iterator[Task]:
        """A task on each of the chosen instances, where it holds its place from now on."""
        uids = [hex32(self._ids) for _ in chosen]
        keys = [fleet_key(uid) for uid in uids]
        fleet.assign_many(keys, chosen, fleet_demand(request, share))
        seats = {instance_id: _seat(fleet, instance_id) for instance_id in set(chosen)}
        template = request.template
        if share is not None:
            template = msgspec.structs.replace(template, capacity_provider=share.provider)
        if request.is_fargate:
            template = msgspec.structs.replace(template, fleet_id=where)
        for uid, key, instance_id in zip(uids, keys, chosen, strict=True):
            gpu_ids = fleet.gpu_ids(key) if request.demand.gpus else ()
            yield placed_task(template, uid, seats[instance_id], gpu_ids, self._ids)

    def _take_back(self, state: ClusterState, plans: list[Plan]) -> None:
        for plan in plans:
            for task in plan.tasks:
                state.fleet.release(fleet_key(task.uid))

    def _commit(self, tx: Tx, cluster: Cluster, plans: list[Plan]) -> None:
        """All tasks of a batch in one transaction, guarded by the cluster's epochs."""
        ClusterRepo(tx).guard_placement(cluster)
        for plan in plans:
            request = plan.waiting.request
            if (stale := stale_of(tx, request)) is not None:
                raise stale
            if request.is_fargate and not ClusterRepo(tx).hold_active(request.cluster.id):
                raise StaleWriteError(request.cluster.arn)
        for plan in plans:
            plan.added = add_tasks(tx, plan, self._networks, self._clock.now())
            token = plan.waiting.request.client_token
            if token is not None and plan.tasks:
                TokenRepo(tx).add(
                    token.scope,
                    token.token,
                    digest=token.digest,
                    result=",".join(task.uid for task in plan.tasks),
                    created_at=self._clock.now().timestamp(),
                )


def _seat(fleet: Fleet, instance_id: int) -> Seat:
    row = fleet.row(instance_id)
    assert row is not None, "a decision chooses among the fleet's instances"
    return seat_on(fleet.view(row))


def _fail(batch: list[Waiting], error: Exception) -> None:
    for waiting in batch:
        if not waiting.answer.done():
            waiting.answer.set_exception(error)
