"""Clusters."""

from __future__ import annotations

from collections.abc import Iterable

import msgspec
from sqlalchemy import func, select, update

from homeport.core.errors import StaleWriteError
from homeport.services.ecs.model import Cluster
from homeport.services.ecs.repo.tables import clusters, container_instances, services, tasks
from homeport.store.tx import Tx

_COLUMNS = (
    clusters.c.id,
    clusters.c.version,
    clusters.c.placement_epoch,
    clusters.c.fleet_epoch,
    clusters.c.body,
)


def _noun(row: tuple[int, int, int, int, Cluster]) -> Cluster:
    row_id, version, placement_epoch, fleet_epoch, body = row
    return msgspec.structs.replace(
        body, id=row_id, version=version, placement_epoch=placement_epoch, fleet_epoch=fleet_epoch
    )


class ClusterRepo:
    """Clusters of all accounts; every read names the account and region."""

    def __init__(self, tx: Tx) -> None:
        self._tx = tx

    def find(self, account_id: str, region: str, name: str) -> Cluster | None:
        """The cluster of that name, whatever its status."""
        row = self._tx.execute(
            select(*_COLUMNS).where(
                clusters.c.account_id == account_id, clusters.c.region == region, clusters.c.name == name
            )
        ).first()
        return None if row is None else _noun(tuple(row))

    def get(self, cluster_id: int) -> Cluster | None:
        """The cluster of that row."""
        row = self._tx.execute(select(*_COLUMNS).where(clusters.c.id == cluster_id)).first()
        return None if row is None else _noun(tuple(row))

    def add(self, cluster: Cluster) -> Cluster:
        """Insert; the row's id is filled in."""
        result = self._tx.execute(
            clusters.insert().values(
                version=1,
                account_id=cluster.account_id,
                region=cluster.region,
                name=cluster.name,
                status=cluster.status,
                body=cluster,
            )
        )
        assert result.inserted_primary_key is not None
        row_id = int(result.inserted_primary_key[0])
        self._tx.touch("ecs.cluster", str(row_id))
        return msgspec.structs.replace(cluster, id=row_id, version=1)

    def save(self, cluster: Cluster) -> Cluster:
        """Raise `StaleWriteError` when someone else wrote first."""
        result = self._tx.execute(
            update(clusters)
            .where(clusters.c.id == cluster.id, clusters.c.version == cluster.version)
            .values(status=cluster.status, version=cluster.version + 1, body=cluster)
        )
        if result.rowcount != 1:
            raise StaleWriteError(cluster.arn)
        self._tx.touch("ecs.cluster", str(cluster.id))
        return msgspec.structs.replace(cluster, version=cluster.version + 1)

    def page(self, account_id: str, region: str, *, after_id: int, limit: int) -> tuple[Cluster, ...]:
        """Clusters that are not INACTIVE, by age."""
        rows = self._tx.execute(
            select(*_COLUMNS)
            .where(
                clusters.c.account_id == account_id,
                clusters.c.region == region,
                clusters.c.status != "INACTIVE",
                clusters.c.id > after_id,
            )
            .order_by(clusters.c.id)
            .limit(limit)
        )
        return tuple(_noun(tuple(row)) for row in rows)

    def guard_placement(self, cluster: Cluster) -> None:
        """Claim the next placement, decided on the cluster's epochs as read.

        Raise `StaleWriteError` when an instance changed or another replica placed meanwhile.
        """
        result = self._tx.execute(
            update(clusters)
            .where(
                clusters.c.id == cluster.id,
                clusters.c.placement_epoch == cluster.placement_epoch,
                clusters.c.fleet_epoch == cluster.fleet_epoch,
                clusters.c.status == "ACTIVE",
            )
            .values(placement_epoch=cluster.placement_epoch + 1)
        )
        if result.rowcount != 1:
            raise StaleWriteError(cluster.arn)

    def bump_fleet(self, cluster_id: int) -> int:
        """Say that an instance of the cluster changed; the new epoch."""
        self._tx.execute(
            update(clusters).where(clusters.c.id == cluster_id).values(fleet_epoch=clusters.c.fleet_epoch + 1)
        )
        epoch = self._tx.execute(
            select(clusters.c.fleet_epoch).where(clusters.c.id == cluster_id)
        ).scalar_one()
        return int(epoch)

    def task_counts(self, cluster_ids: Iterable[int]) -> dict[int, dict[tuple[str, str], int]]:
        """Live tasks per cluster by (lastStatus, launchType)."""
        counts: dict[int, dict[tuple[str, str], int]] = {}
        rows = self._tx.execute(
            select(tasks.c.cluster_id, tasks.c.last_status, tasks.c.launch_type, func.count())
            .where(tasks.c.cluster_id.in_(list(cluster_ids)), tasks.c.stopped_at.is_(None))
            .group_by(tasks.c.cluster_id, tasks.c.last_status, tasks.c.launch_type)
        )
        for cluster_id, status, launch_type, count in rows:
            counts.setdefault(cluster_id, {})[(status, launch_type)] = count
        return counts

    def instance_counts(self, cluster_ids: Iterable[int]) -> dict[int, int]:
        """Registered (ACTIVE or DRAINING) instances per cluster."""
        rows = self._tx.execute(
            select(container_instances.c.cluster_id, func.count())
            .where(
                container_instances.c.cluster_id.in_(list(cluster_ids)),
                container_instances.c.status.in_(("ACTIVE", "DRAINING")),
            )
            .group_by(container_instances.c.cluster_id)
        )
        return {row[0]: row[1] for row in rows}

    def service_counts(self, cluster_ids: Iterable[int]) -> dict[int, dict[tuple[str, str], int]]:
        """Services per cluster by (status, launchType)."""
        counts: dict[int, dict[tuple[str, str], int]] = {}
        rows = self._tx.execute(
            select(services.c.cluster_id, services.c.status, services.c.launch_type, func.count())
            .where(services.c.cluster_id.in_(list(cluster_ids)), services.c.status != "INACTIVE")
            .group_by(services.c.cluster_id, services.c.status, services.c.launch_type)
        )
        for cluster_id, status, launch_type, count in rows:
            counts.setdefault(cluster_id, {})[(status, launch_type)] = count
        return counts
