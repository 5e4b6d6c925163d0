"""Service deployments and revisions: what a service was, and how it came to be what it is."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime

import msgspec
from sqlalchemy import bindparam, delete, select

from homeport.services.ecs.model import ServiceDeployment, ServiceRevision
from homeport.services.ecs.repo.tables import service_deployments, service_revisions
from homeport.store.prepared import Prepared, PreparedList
from homeport.store.prepared_rows import PreparedRows
from homeport.store.tx import Tx

_D = service_deployments.c
_R = service_revisions.c
_ROWS: PreparedRows[ServiceDeployment] = PreparedRows(
    service_deployments, first=("service_id", "uid", "created_at"), always=("status", "is_open")
)

_OPEN = Prepared(
    select(*_ROWS.columns).where(_D.service_id == bindparam("service_id"), _D.is_open).order_by(_D.id)
)
_FIND = PreparedList(_D.uid, lambda uids: select(*_ROWS.columns).where(_D.uid.in_(uids)))
_FIND_REVISIONS = PreparedList(_R.uid, lambda uids: select(_R.id, _R.body).where(_R.uid.in_(uids)))
_INSERT_REVISION = Prepared(
    service_revisions.insert().returning(_R.id), column_keys=("service_id", "uid", "created_at", "body")
)


class HistoryRepo:
    """Deployments and revisions of all services."""

    def __init__(self, tx: Tx) -> None:
        self._tx = tx

    def add_revision(self, revision: ServiceRevision) -> ServiceRevision:
        """Insert; the row's id is filled in."""
        row_id = self._tx.insert(
            _INSERT_REVISION,
            {
                "service_id": revision.service_id,
                "uid": revision.uid,
                "created_at": revision.created_at.timestamp(),
                "body": revision,
            },
        )
        return msgspec.structs.replace(revision, id=row_id)

    def revisions(self, uids: Iterable[str]) -> dict[str, ServiceRevision]:
        """Those that exist, by uid."""
        rows = self._tx.rows_of(_FIND_REVISIONS, uids)
        return {row[1].uid: msgspec.structs.replace(row[1], id=row[0]) for row in rows}

    def add(self, deployment: ServiceDeployment) -> ServiceDeployment:
        """Insert; the row's id is filled in."""
        return _ROWS.insert(
            self._tx,
            deployment,
            service_id=deployment.service_id,
            uid=deployment.uid,
            created_at=deployment.created_at.timestamp(),
            status=deployment.status,
            is_open=deployment.is_open,
        )

    def save(self, deployment: ServiceDeployment) -> ServiceDeployment:
        """Raise `StaleWriteError` when someone else wrote first."""
        columns = {"status": deployment.status, "is_open": deployment.is_open}
        return _ROWS.save(self._tx, deployment, deployment.arn, **columns)

    def open_of(self, service_id: int) -> tuple[ServiceDeployment, ...]:
        """A service's deployments that may still change, oldest first."""
        return _ROWS.nouns(self._tx.rows(_OPEN, {"service_id": service_id}))

    def find_many(self, uids: Iterable[str]) -> dict[str, ServiceDeployment]:
        """Those that exist, by uid."""
        return {noun.uid: noun for noun in _ROWS.nouns(self._tx.rows_of(_FIND, uids))}

    def page(
        self,
        service_id: int,
        *,
        statuses: Sequence[str],
        created_after: datetime | None,
        created_before: datetime | None,
        before_id: int | None,
        limit: int,
    ) -> tuple[ServiceDeployment, ...]:
        """A service's deployments, newest first, that match every filter given."""
        wanted = [_D.service_id == service_id]
        if statuses:
            wanted.append(_D.status.in_(list(statuses)))
        if created_after is not None:
            wanted.append(_D.created_at >= created_after.timestamp())
        if created_before is not None:
            wanted.append(_D.created_at <= created_before.timestamp())
        if before_id is not None:
            wanted.append(_D.id < before_id)
        query = select(*_ROWS.columns).where(*wanted).order_by(_D.id.desc()).limit(limit)
        return _ROWS.nouns(self._tx.execute(query))

    def purge(self, created_before: datetime, *, limit: int) -> None:
        """Forget closed deployments that are older than the instant."""
        old = (
            select(_D.id)
            .where(_D.created_at < created_before.timestamp(), _D.is_open.is_(False))
            .limit(limit)
        )
        ids = [row[0] for row in self._tx.execute(old)]
        if ids:
            self._tx.execute(delete(service_deployments).where(_D.id.in_(ids)))
