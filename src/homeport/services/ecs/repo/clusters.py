"""Clusters."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import msgspec
from sqlalchemy import bindparam, func, select, update

from homeport.core.errors import StaleWriteError
from homeport.services.ecs.model import FLEET, Cluster
from homeport.services.ecs.repo.tables import clusters, container_instances, services, tasks
from homeport.store.prepared import Prepared, PreparedList
from homeport.store.prepared_rows import PreparedRows
from homeport.store.tx import Tx

_C = clusters.c
_I = container_instances.c
_S = services.c
_T = tasks.c
_COLUMNS = (_C.id, _C.version, _C.placement_epoch, _C.fleet_epoch, _C.body)

_FIND = Prepared(
    select(*_COLUMNS).where(
        _C.account_id == bindparam("account_id"),
        _C.region == bindparam("region"),
        _C.name == bindparam("name"),
    )
)
_GET = Prepared(select(*_COLUMNS).where(_C.id == bindparam("row_id")))
_PAGE = Prepared(
    select(*_COLUMNS)
    .where(
        _C.account_id == bindparam("account_id"),
        _C.region == bindparam("region"),
        _C.status != "INACTIVE",
        _C.name != FLEET,
        _C.id > bindparam("after_id"),
    )
    .order_by(_C.id)
    .limit(bindparam("rows"))
)
_ROWS: PreparedRows[Cluster] = PreparedRows(
    clusters, first=("account_id", "region", "name"), always=("status",)
)
_GUARD_PLACEMENT = Prepared(
    update(clusters)
    .where(
        _C.id == bindparam("row_id"),
        _C.placement_epoch == bindparam("read_placement"),
        _C.fleet_epoch == bindparam("read_fleet"),
        _C.status == "ACTIVE",
    )
    .values(placement_epoch=_C.placement_epoch + 1)
)
_HOLD_ACTIVE = Prepared(
    update(clusters)
    .where(_C.id == bindparam("row_id"), _C.status == "ACTIVE")
    .values(placement_epoch=_C.placement_epoch)
)
_BUMP_FLEET = Prepared(
    update(clusters).where(_C.id == bindparam("row_id")).values(fleet_epoch=_C.fleet_epoch + 1)
)
_FLEET_EPOCH = Prepared(select(_C.fleet_epoch).where(_C.id == bindparam("row_id")))
_TASK_COUNTS = PreparedList(
    _T.cluster_id,
    lambda ids: (
        select(_T.cluster_id, _T.last_status, _T.launch_type, func.count())
        .where(_T.cluster_id.in_(ids), _T.stopped_at.is_(None))
        .group_by(_T.cluster_id, _T.last_status, _T.launch_type)
    ),
)
_INSTANCE_COUNTS = PreparedList(
    _I.cluster_id,
    lambda ids: (
        select(_I.cluster_id, func.count())
        .where(_I.cluster_id.in_(ids), (_I.status == "ACTIVE") | (_I.status == "DRAINING"))
        .group_by(_I.cluster_id)
    ),
)
_SERVICE_COUNTS = PreparedList(
    _S.cluster_id,
    lambda ids: (
        select(_S.cluster_id, _S.status, _S.launch_type, func.count())
        .where(_S.cluster_id.in_(ids), _S.status != "INACTIVE")
        .group_by(_S.cluster_id, _S.status, _S.launch_type)
    ),
)


def _noun(row: Sequence[Any]) -> Cluster:
    body: Cluster
    row_id, version, placement_epoch, fleet_epoch, body = row
    return msgspec.structs.replace(
        body, id=row_id, version=version, placement_epoch=placement_epoch, fleet_epoch=fleet_epoch
    )


class ClusterRepo:
    """Clusters of all accounts; every read names the account and region."""

    def __init__(self, tx: Tx) -> None:
        self._tx = tx

    def find(self, account_id: str, region: str, name: str) -> Cluster | None:
        """The cluster of that name, whatever its status; never Fargate's fleet."""
        return None if name == FLEET else self._named(account_id, region, name)

    def fleet(self, account_id: str, region: str) -> Cluster | None:
        """Fargate's fleet, once a machine has registered there."""
        return self._named(account_id, region, FLEET)

    def _named(self, account_id: str, region: str, name: str) -> Cluster | None:
        row = self._tx.first(_FIND, {"account_id": account_id, "region": region, "name": name})
        return None if row is None else _noun(row)

    def get(self, cluster_id: int) -> Cluster | None:
        """The cluster of that row."""
        row = self._tx.first(_GET, {"row_id": cluster_id})
        return None if row is None else _noun(row)

    def add(self, cluster: Cluster) -> Cluster:
        """Insert; the row's id is filled in."""
        added = _ROWS.insert(
            self._tx,
            cluster,
            account_id=cluster.account_id,
            region=cluster.region,
            name=cluster.name,
            status=cluster.status,
        )
        self._tx.touch("ecs.cluster", str(added.id))
        return added

    def save(self, cluster: Cluster) -> Cluster:
        """Raise `StaleWriteError` when someone else wrote first."""
        saved = _ROWS.save(self._tx, cluster, cluster.arn, status=cluster.status)
        self._tx.touch("ecs.cluster", str(cluster.id))
        return saved

    def revive(self, old: Cluster, fresh: Cluster) -> Cluster:
        """A new cluster in the place of an INACTIVE one, whose tasks and services do not reappear."""
        for table in (tasks, services, container_instances):
            self._tx.execute(table.delete().where(table.c.cluster_id == old.id))
        return self.save(msgspec.structs.replace(fresh, id=old.id, version=old.version))

    def page(self, account_id: str, region: str, *, after_id: int, limit: int) -> tuple[Cluster, ...]:
        """Clusters that are not INACTIVE, by age."""
        rows = self._tx.rows(
            _PAGE, {"account_id": account_id, "region": region, "after_id": after_id, "rows": limit}
        )
        return tuple(map(_noun, rows))

    def of_provider(self, account_id: str, region: str, provider: str) -> tuple[Cluster, ...]:
        """Clusters that are not INACTIVE and have the capacity provider, by age."""
        rows = self._tx.execute(
            select(*_COLUMNS)
            .where(_C.account_id == account_id, _C.region == region, _C.status != "INACTIVE")
            .order_by(_C.id)
        )
        found = (_noun(tuple(row)) for row in rows)
        return tuple(cluster for cluster in found if provider in cluster.capacity_providers)

    def guard_placement(self, cluster: Cluster) -> None:
        """Claim the next placement, decided on the cluster's epochs as read.

        Raise `StaleWriteError` when an instance changed or another replica placed meanwhile.
        """
        claimed = self._tx.change(
            _GUARD_PLACEMENT,
            {
                "row_id": cluster.id,
                "read_placement": cluster.placement_epoch,
                "read_fleet": cluster.fleet_epoch,
            },
        )
        if claimed != 1:
            raise StaleWriteError(cluster.arn)

    def hold_active(self, cluster_id: int) -> bool:
        """Keep the cluster from being deleted before this transaction ends; whether it is there."""
        return self._tx.change(_HOLD_ACTIVE, {"row_id": cluster_id}) == 1

    def bump_fleet(self, cluster_id: int) -> int:
        """Say that an instance of the cluster changed; the new epoch."""
        self._tx.change(_BUMP_FLEET, {"row_id": cluster_id})
        row = self._tx.first(_FLEET_EPOCH, {"row_id": cluster_id})
        if row is None:
            raise StaleWriteError(f"cluster {cluster_id}")
        return int(row[0])

    def task_counts(self, cluster_ids: Iterable[int]) -> dict[int, dict[tuple[str, str], int]]:
        """Live tasks per cluster by (lastStatus, launchType)."""
        counts: dict[int, dict[tuple[str, str], int]] = {}
        for cluster_id, status, launch_type, count in self._tx.rows_of(_TASK_COUNTS, cluster_ids):
            counts.setdefault(cluster_id, {})[(status, launch_type)] = count
        return counts

    def instance_counts(self, cluster_ids: Iterable[int]) -> dict[int, int]:
        """Registered (ACTIVE or DRAINING) instances per cluster."""
        return {row[0]: row[1] for row in self._tx.rows_of(_INSTANCE_COUNTS, cluster_ids)}

    def service_counts(self, cluster_ids: Iterable[int]) -> dict[int, dict[tuple[str, str], int]]:
        """Services per cluster by (status, launchType)."""
        counts: dict[int, dict[tuple[str, str], int]] = {}
        for cluster_id, status, launch_type, count in self._tx.rows_of(_SERVICE_COUNTS, cluster_ids):
            counts.setdefault(cluster_id, {})[(status, launch_type)] = count
        return counts
