"""Daemons, their revisions and their deployments."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime

import msgspec
from sqlalchemy import bindparam, delete, select

from homeport.services.ecs.model import (
    DAEMON_TASK_DEFINITION,
    OPEN_DAEMON_DEPLOYMENTS,
    Daemon,
    DaemonDeployment,
    DaemonRevision,
    TaskDefinition,
)
from homeport.services.ecs.repo.daemon_tables import daemon_deployments, daemon_revisions, daemons
from homeport.services.ecs.repo.events import EventRepo
from homeport.services.ecs.repo.tables import task_definitions
from homeport.services.ecs.repo.task_definitions import TaskDefinitionRepo
from homeport.services.ecs.view.daemon_events import daemon_deployment_told
from homeport.store.prepared import Prepared, PreparedList
from homeport.store.prepared_rows import PreparedRows
from homeport.store.tx import Tx

_D, _R, _P = daemons.c, daemon_revisions.c, daemon_deployments.c
_ROWS: PreparedRows[Daemon] = PreparedRows(daemons, first=("cluster_id", "name"), always=("status",))
_DEPLOYMENT_ROWS: PreparedRows[DaemonDeployment] = PreparedRows(
    daemon_deployments, first=("daemon_id", "uid", "created_at"), always=("status",)
)
_SEEN = _D.status != "DELETED"

_FIND = Prepared(
    select(*_ROWS.columns).where(
        _D.cluster_id == bindparam("cluster_id"), _D.name == bindparam("name"), _SEEN
    )
)
_VERSION = Prepared(select(_D.version).where(_D.id == bindparam("row_id")))
_REVISIONS = PreparedList(_R.uid, lambda uids: select(_R.id, _R.body).where(_R.uid.in_(uids)))
_INSERT_REVISION = Prepared(
    daemon_revisions.insert().returning(_R.id), column_keys=("daemon_id", "uid", "created_at", "body")
)
_DEPLOYMENTS = PreparedList(_P.uid, lambda uids: select(*_DEPLOYMENT_ROWS.columns).where(_P.uid.in_(uids)))


class DaemonRepo:
    """Daemons of all clusters; of one name a cluster has at most one that is not DELETED."""

    def __init__(self, tx: Tx) -> None:
        self._tx = tx

    def find(self, cluster_id: int, name: str) -> Daemon | None:
        """The daemon of that name; DELETED ones are not found."""
        return _ROWS.first(self._tx, _FIND, {"cluster_id": cluster_id, "name": name})

    def get(self, daemon_id: int) -> Daemon | None:
        """The daemon of that row, DELETED or not."""
        return _ROWS.get(self._tx, daemon_id)

    def get_many(self, ids: Iterable[int]) -> dict[int, Daemon]:
        """Those rows, by id."""
        return _ROWS.get_many(self._tx, ids)

    def add(self, daemon: Daemon) -> Daemon:
        """Insert; the row's id is filled in."""
        added = _ROWS.insert(
            self._tx, daemon, cluster_id=daemon.cluster_id, name=daemon.name, status=daemon.status
        )
        self._tx.touch("ecs.daemon", str(added.id))
        return added

    def save(self, daemon: Daemon) -> Daemon:
        """Raise `StaleWriteError` when someone else wrote first."""
        saved = _ROWS.save(self._tx, daemon, daemon.arn, status=daemon.status)
        self._tx.touch("ecs.daemon", str(daemon.id))
        return saved

    def is_current(self, daemon: Daemon) -> bool:
        """Whether nobody wrote the daemon since it was read."""
        return self._tx.first(_VERSION, {"row_id": daemon.id}) == (daemon.version,)

    def of_cluster(self, cluster_id: int, *, after_id: int = 0) -> tuple[Daemon, ...]:
        """A cluster's daemons that are not DELETED, by age."""
        query = select(*_ROWS.columns).where(_D.cluster_id == cluster_id, _D.id > after_id, _SEEN)
        return _ROWS.nouns(self._tx.execute(query.order_by(_D.id)))

    def of_provider(self, arn: str) -> tuple[Daemon, ...]:
        """The daemons that run, or are to run, on a capacity provider's instances."""
        found = _ROWS.nouns(self._tx.execute(select(*_ROWS.columns).where(_SEEN)))
        revisions = self.revisions(daemon.revision for daemon in found)
        return tuple(
            daemon
            for daemon in found
            if daemon.revision is not None
            and arn in {provider.arn for provider in revisions[daemon.revision].providers}
        )

    def live_ids(self) -> tuple[int, ...]:
        """Rows of all daemons that are not DELETED."""
        return tuple(row[0] for row in self._tx.execute(select(_D.id).where(_SEEN)))

    # ---- revisions ---------------------------------------------------------------------------

    def add_revision(self, revision: DaemonRevision) -> DaemonRevision:
        """Insert; the row's id is filled in."""
        row_id = self._tx.insert(
            _INSERT_REVISION,
            {
                "daemon_id": revision.daemon_id,
                "uid": revision.uid,
                "created_at": revision.created_at.timestamp(),
                "body": revision,
            },
        )
        return msgspec.structs.replace(revision, id=row_id)

    def revisions(self, uids: Iterable[str | None]) -> dict[str, DaemonRevision]:
        """Those that exist, by uid."""
        rows = self._tx.rows_of(_REVISIONS, {uid for uid in uids if uid})
        return {row[1].uid: msgspec.structs.replace(row[1], id=row[0]) for row in rows}

    # ---- deployments -------------------------------------------------------------------------

    def add_deployment(self, deployment: DaemonDeployment) -> DaemonDeployment:
        """Insert; the row's id is filled in."""
        added = _DEPLOYMENT_ROWS.insert(
            self._tx,
            deployment,
            daemon_id=deployment.daemon_id,
            uid=deployment.uid,
            created_at=deployment.created_at.timestamp(),
            status=deployment.status,
        )
        self._tell(deployment, deployment.created_at)
        return added

    def save_deployment(self, deployment: DaemonDeployment, *, was: str, now: datetime) -> DaemonDeployment:
        """Raise `StaleWriteError` when someone else wrote first. `was`: its status before."""
        saved = _DEPLOYMENT_ROWS.save(self._tx, deployment, deployment.arn, status=deployment.status)
        if deployment.status != was:
            self._tell(deployment, now)
        return saved

    def _tell(self, deployment: DaemonDeployment, at: datetime) -> None:
        told = daemon_deployment_told(deployment, at)
        EventRepo(self._tx).daemon_told(deployment.account_id, deployment.region, told)

    def deployments(self, uids: Iterable[str]) -> dict[str, DaemonDeployment]:
        """Those that exist, by uid."""
        return {noun.uid: noun for noun in _DEPLOYMENT_ROWS.nouns(self._tx.rows_of(_DEPLOYMENTS, uids))}

    def deployment_page(
        self,
        daemon_id: int,
        *,
        statuses: Sequence[str],
        created_after: datetime | None,
        created_before: datetime | None,
        before_id: int | None,
        limit: int,
    ) -> tuple[DaemonDeployment, ...]:
        """A daemon's deployments, newest first, that match every filter given."""
        wanted = [_P.daemon_id == daemon_id]
        if statuses:
            wanted.append(_P.status.in_(list(statuses)))
        if created_after is not None:
            wanted.append(_P.created_at >= created_after.timestamp())
        if created_before is not None:
            wanted.append(_P.created_at <= created_before.timestamp())
        if before_id is not None:
            wanted.append(_P.id < before_id)
        query = select(*_DEPLOYMENT_ROWS.columns).where(*wanted).order_by(_P.id.desc()).limit(limit)
        return _DEPLOYMENT_ROWS.nouns(self._tx.execute(query))

    # ---- definitions, and forgetting ---------------------------------------------------------

    def settle_definitions(self, daemon: Daemon, now: datetime) -> None:
        """Deleted task definitions that no daemon of the daemon's account uses any more are DELETED."""
        repo = TaskDefinitionRepo(self._tx, DAEMON_TASK_DEFINITION)
        leaving = select(task_definitions.c.id).where(
            task_definitions.c.kind == DAEMON_TASK_DEFINITION,
            task_definitions.c.account_id == daemon.account_id,
            task_definitions.c.region == daemon.region,
            task_definitions.c.status == "DELETE_IN_PROGRESS",
        )
        ids = [row[0] for row in self._tx.execute(leaving)]
        for definition in repo.by_ids(ids).values() if ids else ():
            if not self.uses(definition):
                repo.save(msgspec.structs.replace(definition, status="DELETED", deregistered_at=now))

    def uses(self, definition: TaskDefinition) -> bool:
        """Whether a daemon that is not DELETED runs the definition, or may go back to it."""
        rows = self._tx.execute(select(*_ROWS.columns).where(_SEEN))
        return any(definition.id in one.definition_ids for one in _ROWS.nouns(rows))

    def purge(self, created_before: datetime, *, limit: int) -> None:
        """Forget closed deployments that are older than the instant."""
        old = (
            select(_P.id)
            .where(_P.created_at < created_before.timestamp(), _P.status.not_in(OPEN_DAEMON_DEPLOYMENTS))
            .limit(limit)
        )
        ids = [row[0] for row in self._tx.execute(old)]
        if ids:
            self._tx.execute(delete(daemon_deployments).where(_P.id.in_(ids)))
