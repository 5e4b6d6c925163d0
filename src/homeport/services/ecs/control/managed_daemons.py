"""Keeps daemons as they should be; one key is one daemon's row."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable
from dataclasses import dataclass

import msgspec

from homeport.core.clock import Clock
from homeport.runtime.changes import Change
from homeport.runtime.runner import Next
from homeport.services.ecs.control.service_steps import stopping
from homeport.services.ecs.model import Cluster, Daemon, DaemonRevision, Task, TaskDefinition
from homeport.services.ecs.model.daemon_snapshot import ManagedSnapshot
from homeport.services.ecs.plan.account_settings import SETTINGS
from homeport.services.ecs.plan.launch import launch_of
from homeport.services.ecs.plan.managed_daemon import ManagedPlan, plan_managed
from homeport.services.ecs.plan.managed_hosts import daemon_placement, daemon_template
from homeport.services.ecs.ports import PlacementFailure, PlacementOutcome, TaskPlacer
from homeport.services.ecs.repo.clusters import ClusterRepo
from homeport.services.ecs.repo.daemons import DaemonRepo
from homeport.services.ecs.repo.events import EventRepo
from homeport.services.ecs.repo.hosts import load_managed, managed_hosts
from homeport.services.ecs.repo.settings import SettingRepo
from homeport.services.ecs.repo.task_definitions import TaskDefinitionRepo
from homeport.services.ecs.repo.tasks import TaskRepo
from homeport.services.ecs.view.daemon_events import start_impaired_told
from homeport.store.base import Store
from homeport.store.tx import Tx


@dataclass(frozen=True, slots=True, kw_only=True)
class _Look:
    """What was seen and decided, and what starting tasks takes."""

    snapshot: ManagedSnapshot
    plan: ManagedPlan
    definition: TaskDefinition | None
    cluster: Cluster | None

    @property
    def changes_something(self) -> bool:
        """Whether there is something to write."""
        before = (self.snapshot.daemon, self.snapshot.deployment)
        return bool(self.plan.stop) or before != (self.plan.daemon, self.plan.deployment)


class DaemonController:
    """Loads, plans, applies. Daemons that wait for room, or for others to go, hear of their cluster."""

    name = "ecs.daemon"

    def __init__(self, store: Store, clock: Clock, placer: TaskPlacer) -> None:
        self._store = store
        self._clock = clock
        self._placer = placer
        self._of_cluster: dict[int, set[str]] = {}
        """A change of an instance concerns them all."""
        self._short: dict[int, set[str]] = {}
        self._told: dict[int, tuple[str, str]] = {}
        """The last refusal told of a daemon, with the revision it was about."""

    async def keys(self) -> Iterable[str]:
        """Every daemon that is not DELETED."""
        return [str(row_id) for row_id in await self._store.read(lambda tx: DaemonRepo(tx).live_ids())]

    def keys_of(self, change: Change) -> Iterable[str]:
        """The daemon that changed; those of the cluster whose instances did, or which have room again."""
        if change.kind == "ecs.daemon":
            return (change.key,)
        if change.kind == "ecs.instances":
            return tuple(sorted(self._of_cluster.get(int(change.key), ())))
        return tuple(sorted(self._short.pop(int(change.key), ())))

    async def reconcile(self, key: str) -> Next:
        """One step of one daemon: the writes in one transaction, then the starts."""
        daemon = await self._store.read(lambda tx: DaemonRepo(tx).get(int(key)))
        if daemon is None or daemon.status == "DELETED":
            if daemon is not None:
                self._forget(daemon, key)
            return Next()
        known = self._of_cluster.setdefault(daemon.cluster_id, set())
        if key not in known:
            known.add(key)
            return Next(wake_at=self._clock.now())  # an instance may have changed before anybody listened
        look = await self._store.read(lambda tx: self._look(tx, int(key)))
        if look.changes_something:
            # What was healthy when it was read may have ended since: it is decided where it is written.
            look = await self._store.write(lambda tx: self._step(tx, int(key)))
        plan, revision = look.plan, look.snapshot.revisions.get(look.plan.daemon.revision or "")
        self._placer.reserve_daemon(plan.daemon, revision, look.definition)
        is_news = plan.waits_for_others and self._listen(plan.daemon)
        is_same = plan.daemon.revision == look.snapshot.daemon.revision
        if plan.start_on and is_same and look.cluster and revision and look.definition:
            # Before looking for room: news of room that comes while somebody looks must not be lost.
            self._listen(plan.daemon)
            outcome = await self._start(look, revision, look.definition, look.cluster)
            await self._note_refusals(plan.daemon, revision, outcome)
        if is_news:
            return Next(wake_at=self._clock.now())  # the others may have left before anybody listened for it
        return Next(wake_at=plan.wake_at)

    def _forget(self, daemon: Daemon, key: str) -> None:
        self._of_cluster.get(daemon.cluster_id, set()).discard(key)
        self._told.pop(daemon.id, None)
        self._placer.reserve_daemon(daemon, None, None)

    def _listen(self, daemon: Daemon) -> bool:
        """The next news of the cluster's fleet concerns the daemon; whether that is new."""
        waiting = self._short.setdefault(daemon.cluster_id, set())
        is_new = str(daemon.id) not in waiting
        waiting.add(str(daemon.id))
        return is_new

    def _look(self, tx: Tx, daemon_id: int) -> _Look:
        daemon = DaemonRepo(tx).get(daemon_id)
        assert daemon is not None, "daemons are never removed"
        snapshot = load_managed(tx, daemon)
        plan = plan_managed(snapshot, self._clock.now())
        plan = dataclasses.replace(plan, daemon=_with_definitions(plan.daemon, snapshot))
        revision = snapshot.revisions.get(plan.daemon.revision or "")
        found = TaskDefinitionRepo(tx).by_ids([] if revision is None else [revision.task_definition_id])
        return _Look(
            snapshot=snapshot,
            plan=plan,
            definition=None if revision is None else found.get(revision.task_definition_id),
            cluster=ClusterRepo(tx).get(daemon.cluster_id),
        )

    def _step(self, tx: Tx, daemon_id: int) -> _Look:
        """Decide on what is there now, and write it."""
        look, now = self._look(tx, daemon_id), self._clock.now()
        repo, tasks, before = DaemonRepo(tx), TaskRepo(tx), look.snapshot
        for stop in look.plan.stop:
            tasks.save(stopping(stop, now))
        if look.plan.deployment != before.deployment:
            repo.save_deployment(look.plan.deployment, was=before.deployment.status, now=now)
        for task in look.plan.impaired:
            self._tell(tx, before, task)
        daemon = look.plan.daemon
        if daemon == before.daemon:
            return look
        daemon = repo.save(daemon)
        repo.settle_definitions(daemon, now)
        if daemon.status == "DELETED":
            tx.touch("ecs.fleet", str(daemon.cluster_id))  # what was held for it is for those that wait
        return dataclasses.replace(look, plan=dataclasses.replace(look.plan, daemon=daemon))

    def _tell(self, tx: Tx, snapshot: ManagedSnapshot, task: Task) -> None:
        revision = snapshot.revisions.get(task.daemon_revision or "")
        if revision is None or task.instance_arn is None:
            return
        groups = {host.uid: host.group for host in snapshot.hosts}
        told = start_impaired_told(
            snapshot.daemon,
            revision,
            instance_arn=task.instance_arn,
            group=groups.get(task.instance_uid or "", ""),
            reason=f"Task failed to reach RUNNING status: {task.stopped_reason or task.stop_code}",
            task=task,
            at=self._clock.now(),
        )
        EventRepo(tx).daemon_told(task.account_id, task.region, told)

    async def _start(
        self, look: _Look, revision: DaemonRevision, definition: TaskDefinition, cluster: Cluster
    ) -> PlacementOutcome:
        """Place the missing tasks, provider by provider: each task knows whose it is."""
        daemon, launch = look.plan.daemon, launch_of(definition, {})
        mode = await self._store.read(lambda tx: _log_mode(tx, daemon))
        groups = {host.uid: host.group for host in look.snapshot.hosts}
        tasks: list[Task] = []
        failures: list[PlacementFailure] = []
        for provider in revision.providers:
            uids = tuple(uid for uid in look.plan.start_on if groups[uid] == provider.group)
            if not uids:
                continue
            template = daemon_template(
                daemon, revision, provider, cluster, definition, launch, log_mode=mode, now=self._clock.now()
            )
            request = daemon_placement(daemon, revision, cluster, definition, launch, template, uids)
            outcome = await self._placer.place(request)
            tasks += outcome.tasks
            failures += outcome.failures
        return PlacementOutcome(tasks=tuple(tasks), failures=tuple(failures))

    async def _note_refusals(
        self, daemon: Daemon, revision: DaemonRevision, outcome: PlacementOutcome
    ) -> None:
        """Tell of instances without room for the task, once for each change of what is refused."""
        refused = (revision.uid, ",".join(f"{one.arn}{one.reason}" for one in outcome.failures))
        if self._told.get(daemon.id) == refused:
            return
        self._told[daemon.id] = refused
        if not outcome.failures:
            return
        now = self._clock.now()

        def work(tx: Tx) -> None:
            groups = {host.uid: host.group for host in managed_hosts(tx, daemon.cluster_id)}
            for one in outcome.failures:
                told = start_impaired_told(
                    daemon,
                    revision,
                    instance_arn=one.arn,
                    group=groups.get(one.arn.rpartition("/")[2], ""),
                    reason=f"{one.reason} - Unable to place daemon task on container instance: {one.detail}",
                    task=None,
                    at=now,
                )
                EventRepo(tx).daemon_told(daemon.account_id, daemon.region, told)

        await self._store.write(work)


def _with_definitions(daemon: Daemon, snapshot: ManagedSnapshot) -> Daemon:
    """The daemon with the definitions that it may still start."""
    if daemon.status == "DELETED":
        return daemon
    used = (snapshot.revisions.get(uid or "") for uid in (daemon.revision, daemon.last_good))
    ids = tuple(sorted({revision.task_definition_id for revision in used if revision is not None}))
    return daemon if ids == daemon.definition_ids else msgspec.structs.replace(daemon, definition_ids=ids)


def _log_mode(tx: Tx, daemon: Daemon) -> str:
    """The delivery mode of log drivers that is in force for a daemon's tasks."""
    root = f"arn:aws:iam::{daemon.account_id}:root"
    explicit = SettingRepo(tx, daemon.account_id, daemon.region).explicit((root,))
    return explicit.get((root, "defaultLogDriverMode")) or SETTINGS["defaultLogDriverMode"].default
