"""Container instances."""

from __future__ import annotations

from collections.abc import Iterable

import msgspec
from sqlalchemy import func, select, update

from homeport.core.errors import StaleWriteError
from homeport.services.ecs.model import ContainerInstance
from homeport.services.ecs.repo.clusters import ClusterRepo
from homeport.services.ecs.repo.tables import container_instances, tasks
from homeport.store.tx import Tx

_I = container_instances.c
_COLUMNS = (_I.id, _I.version, _I.changed_epoch, _I.body)


def _noun(row: tuple[int, int, int, ContainerInstance]) -> ContainerInstance:
    return msgspec.structs.replace(row[3], id=row[0], version=row[1], changed_epoch=row[2])


class InstanceRepo:
    """Instances of a cluster. Every write raises the cluster's fleet epoch, which placements watch."""

    def __init__(self, tx: Tx) -> None:
        self._tx = tx
        self._clusters = ClusterRepo(tx)

    def find(self, cluster_id: int, uid: str) -> ContainerInstance | None:
        """The instance with that 32-character id, whatever its status."""
        row = self._tx.execute(
            select(*_COLUMNS).where(_I.uid == bytes.fromhex(uid), _I.cluster_id == cluster_id)
        ).first()
        return None if row is None else _noun(tuple(row))

    def find_many(self, cluster_id: int, uids: Iterable[str]) -> dict[str, ContainerInstance]:
        """Those of the ids that exist, by id."""
        wanted = [bytes.fromhex(uid) for uid in uids]
        rows = self._tx.execute(select(*_COLUMNS).where(_I.uid.in_(wanted), _I.cluster_id == cluster_id))
        return {noun.uid: noun for noun in (_noun(tuple(row)) for row in rows)}

    def get(self, instance_id: int) -> ContainerInstance | None:
        """The instance of that row."""
        row = self._tx.execute(select(*_COLUMNS).where(_I.id == instance_id)).first()
        return None if row is None else _noun(tuple(row))

    def add(self, instance: ContainerInstance) -> ContainerInstance:
        """Insert; the row's id is filled in."""
        epoch = self._clusters.bump_fleet(instance.cluster_id)
        result = self._tx.execute(
            container_instances.insert().values(
                version=1,
                cluster_id=instance.cluster_id,
                uid=bytes.fromhex(instance.uid),
                status=instance.status,
                changed_epoch=epoch,
                body=instance,
            )
        )
        assert result.inserted_primary_key is not None
        row_id = int(result.inserted_primary_key[0])
        self._tx.touch("ecs.instance", str(row_id))
        self._tx.touch("ecs.fleet", str(instance.cluster_id))
        return msgspec.structs.replace(instance, id=row_id, version=1, changed_epoch=epoch)

    def save(self, instance: ContainerInstance) -> ContainerInstance:
        """Raise `StaleWriteError` when someone else wrote first."""
        epoch = self._clusters.bump_fleet(instance.cluster_id)
        result = self._tx.execute(
            update(container_instances)
            .where(_I.id == instance.id, _I.version == instance.version)
            .values(
                status=instance.status,
                version=instance.version + 1,
                changed_epoch=epoch,
                body=instance,
            )
        )
        if result.rowcount != 1:
            raise StaleWriteError(instance.arn)
        self._tx.touch("ecs.instance", str(instance.id))
        self._tx.touch("ecs.fleet", str(instance.cluster_id))
        return msgspec.structs.replace(instance, version=instance.version + 1, changed_epoch=epoch)

    def next_payload(self, instance_id: int) -> int:
        """Take the next number of the counter that payloads and manifests share."""
        self._tx.execute(
            update(container_instances)
            .where(_I.id == instance_id)
            .values(payloads=container_instances.c.payloads + 1)
        )
        return int(self._tx.execute(select(_I.payloads).where(_I.id == instance_id)).scalar_one())

    def of_cluster(
        self, cluster_id: int, *, after_id: int = 0, limit: int | None = None, status: str | None = None
    ) -> tuple[ContainerInstance, ...]:
        """Instances by age: of one status, or all that are not INACTIVE."""
        chosen = _I.status == status if status is not None else _I.status != "INACTIVE"
        query = select(*_COLUMNS).where(_I.cluster_id == cluster_id, _I.id > after_id, chosen).order_by(_I.id)
        if limit is not None:
            query = query.limit(limit)
        return tuple(_noun(tuple(row)) for row in self._tx.execute(query))

    def changed_since(self, cluster_id: int, epoch: int) -> tuple[ContainerInstance, ...]:
        """Instances written after the fleet epoch `epoch`, INACTIVE ones included."""
        rows = self._tx.execute(
            select(*_COLUMNS).where(_I.cluster_id == cluster_id, _I.changed_epoch > epoch)
        )
        return tuple(_noun(tuple(row)) for row in rows)

    def draining_ids(self, cluster_id: int) -> frozenset[int]:
        """Rows of a cluster's DRAINING instances."""
        rows = self._tx.execute(select(_I.id).where(_I.cluster_id == cluster_id, _I.status == "DRAINING"))
        return frozenset(row[0] for row in rows)

    def connected_ids(self) -> tuple[int, ...]:
        """Rows of all instances that are not INACTIVE."""
        rows = self._tx.execute(select(_I.id).where(_I.status != "INACTIVE"))
        return tuple(row[0] for row in rows)

    def task_counts(self, instance_ids: Iterable[int]) -> dict[int, tuple[int, int]]:
        """(running, pending) per instance: by lastStatus, of tasks that should run."""
        counts: dict[int, tuple[int, int]] = {}
        rows = self._tx.execute(
            select(tasks.c.instance_id, tasks.c.last_status, tasks.c.desired_status, func.count())
            .where(tasks.c.instance_id.in_(list(instance_ids)), tasks.c.stopped_at.is_(None))
            .group_by(tasks.c.instance_id, tasks.c.last_status, tasks.c.desired_status)
        )
        for instance_id, last, desired, count in rows:
            running, pending = counts.get(instance_id, (0, 0))
            if last in ("PROVISIONING", "PENDING", "ACTIVATING") and desired == "RUNNING":
                pending += count
            elif last == "RUNNING":
                running += count
            counts[instance_id] = (running, pending)
        return counts
