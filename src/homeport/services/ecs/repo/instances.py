"""Container instances."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import msgspec
from sqlalchemy import BigInteger, bindparam, case, func, select, update

from homeport.core.errors import StaleWriteError
from homeport.services.ecs.model import ContainerInstance
from homeport.services.ecs.repo.clusters import ClusterRepo
from homeport.services.ecs.repo.events import EventRepo
from homeport.services.ecs.repo.memberships import providers_of
from homeport.services.ecs.repo.tables import container_instances, tasks
from homeport.services.ecs.repo.tasks import FARGATE_CHANGED, TaskRepo
from homeport.services.ecs.view.instances import instance_view
from homeport.store.prepared import Prepared, PreparedList
from homeport.store.tx import Tx

_I = container_instances.c
_T = tasks.c
_COLUMNS = (_I.id, _I.version, _I.changed_epoch, _I.body)

_FIND = Prepared(
    select(*_COLUMNS).where(_I.uid == bindparam("uid"), _I.cluster_id == bindparam("cluster_id"))
)
_FIND_MANY = PreparedList(
    _I.uid,
    lambda uids: select(*_COLUMNS).where(_I.uid.in_(uids), _I.cluster_id == bindparam("cluster_id")),
)
_GET = Prepared(select(*_COLUMNS).where(_I.id == bindparam("row_id")))
_CHANGED_SINCE = Prepared(
    select(*_COLUMNS).where(_I.cluster_id == bindparam("cluster_id"), _I.changed_epoch > bindparam("epoch"))
)
_INSERT = Prepared(
    container_instances.insert().returning(_I.id),
    column_keys=("version", "cluster_id", "uid", "status", "changed_epoch", "body"),
)
_SAVE = Prepared(
    update(container_instances)
    .where(_I.id == bindparam("row_id"), _I.version == bindparam("read_version"))
    .values(
        status=bindparam("status"),
        version=_I.version + 1,
        changed_epoch=bindparam("changed_epoch"),
        body=bindparam("body"),
    )
)
_FLOOR = bindparam("floor", type_=BigInteger)
_RESERVE = Prepared(
    update(container_instances)
    .where(_I.id == bindparam("row_id"))
    .values(payloads=case((_I.payloads < _FLOOR, _FLOOR), else_=_I.payloads) + bindparam("count"))
)
_PAYLOADS = Prepared(select(_I.payloads).where(_I.id == bindparam("row_id")))
_DRAINING = Prepared(select(_I.id).where(_I.cluster_id == bindparam("cluster_id"), _I.status == "DRAINING"))
_TASK_COUNTS = PreparedList(
    _T.instance_id,
    lambda ids: (
        select(_T.instance_id, _T.last_status, _T.desired_status, func.count())
        .where(_T.instance_id.in_(ids), _T.stopped_at.is_(None))
        .group_by(_T.instance_id, _T.last_status, _T.desired_status)
    ),
)


def _noun(row: Sequence[Any]) -> ContainerInstance:
    body: ContainerInstance = row[3]
    return msgspec.structs.replace(body, id=row[0], version=row[1], changed_epoch=row[2])


class InstanceRepo:
    """Instances of a cluster. Every write raises the cluster's fleet epoch, which placements watch.

    Writes leave hints: the instance itself, its cluster's instances, and its cluster's fleet (room
    may have come up; tasks that stop say that too).
    """

    def __init__(self, tx: Tx) -> None:
        self._tx = tx
        self._clusters = ClusterRepo(tx)

    def find(self, cluster_id: int, uid: str) -> ContainerInstance | None:
        """The instance with that 32-character id, whatever its status."""
        row = self._tx.first(_FIND, {"uid": bytes.fromhex(uid), "cluster_id": cluster_id})
        return None if row is None else _noun(row)

    def find_many(self, cluster_id: int, uids: Iterable[str]) -> dict[str, ContainerInstance]:
        """Those of the ids that exist, by id."""
        rows = self._tx.rows_of(_FIND_MANY, map(bytes.fromhex, uids), {"cluster_id": cluster_id})
        return {noun.uid: noun for noun in map(_noun, rows)}

    def get(self, instance_id: int) -> ContainerInstance | None:
        """The instance of that row."""
        row = self._tx.first(_GET, {"row_id": instance_id})
        return None if row is None else _noun(row)

    def add(self, instance: ContainerInstance) -> ContainerInstance:
        """Insert; the row's id is filled in."""
        epoch = self._clusters.bump_fleet(instance.cluster_id)
        row_id = self._tx.insert(
            _INSERT,
            {
                "version": 1,
                "cluster_id": instance.cluster_id,
                "uid": bytes.fromhex(instance.uid),
                "status": instance.status,
                "changed_epoch": epoch,
                "body": instance,
            },
        )
        self._touch(row_id, instance)
        added = msgspec.structs.replace(instance, id=row_id, version=1, changed_epoch=epoch)
        self._tell(added)
        return added

    def save(self, instance: ContainerInstance) -> ContainerInstance:
        """Raise `StaleWriteError` when someone else wrote first."""
        epoch = self._clusters.bump_fleet(instance.cluster_id)
        saved = self._tx.change(
            _SAVE,
            {
                "row_id": instance.id,
                "read_version": instance.version,
                "status": instance.status,
                "changed_epoch": epoch,
                "body": instance,
            },
        )
        if saved != 1:
            raise StaleWriteError(instance.arn)
        self._touch(instance.id, instance)
        after = msgspec.structs.replace(instance, version=instance.version + 1, changed_epoch=epoch)
        self._tell(after)
        return after

    def _touch(self, row_id: int, instance: ContainerInstance) -> None:
        self._tx.touch("ecs.instance", str(row_id))
        self._tx.touch("ecs.instances", str(instance.cluster_id))
        self._tx.touch("ecs.fleet", str(instance.cluster_id))
        if instance.is_hidden:
            self._tx.touch(FARGATE_CHANGED, f"{instance.account_id}/{instance.region}")

    def _tell(self, instance: ContainerInstance) -> None:
        """Leave an event of this version, with what is left on the instance now; none of a hidden one."""
        if instance.is_hidden:
            return
        view = instance_view(
            instance,
            tasks=TaskRepo(self._tx).live_of_instance(instance.id),
            counts=self.task_counts([instance.id]).get(instance.id, (0, 0)),
            include=frozenset(),
            provider=providers_of(self._tx, [instance]).get(instance.id),
        )
        EventRepo(self._tx).instance_moved(instance, view)

    def reserve_payloads(self, instance_id: int, count: int, *, floor: int) -> int:
        """Take the next `count` numbers of payloads and manifests, above `floor`; the first of them."""
        self._tx.change(_RESERVE, {"row_id": instance_id, "count": count, "floor": floor})
        row = self._tx.first(_PAYLOADS, {"row_id": instance_id})
        if row is None:
            raise StaleWriteError(f"container instance {instance_id}")
        return int(row[0]) - count + 1

    def of_cluster(
        self, cluster_id: int, *, after_id: int = 0, limit: int | None = None, status: str | None = None
    ) -> tuple[ContainerInstance, ...]:
        """Instances by age: of one status, or all that are not INACTIVE."""
        chosen = _I.status == status if status is not None else _I.status != "INACTIVE"
        query = select(*_COLUMNS).where(_I.cluster_id == cluster_id, _I.id > after_id, chosen).order_by(_I.id)
        if limit is not None:
            query = query.limit(limit)
        return tuple(_noun(row) for row in self._tx.execute(query))

    def changed_since(self, cluster_id: int, epoch: int) -> tuple[ContainerInstance, ...]:
        """Instances written after the fleet epoch `epoch`, INACTIVE ones included."""
        return tuple(map(_noun, self._tx.rows(_CHANGED_SINCE, {"cluster_id": cluster_id, "epoch": epoch})))

    def draining_ids(self, cluster_id: int) -> frozenset[int]:
        """Rows of a cluster's DRAINING instances."""
        return frozenset(row[0] for row in self._tx.rows(_DRAINING, {"cluster_id": cluster_id}))

    def connected_ids(self) -> tuple[int, ...]:
        """Rows of all instances whose agent is said to be connected."""
        rows = self._tx.execute(select(_I.id, _I.body).where(_I.status != "INACTIVE"))
        return tuple(row[0] for row in rows if row[1].agent_connected)

    def task_counts(self, instance_ids: Iterable[int]) -> dict[int, tuple[int, int]]:
        """(running, pending) per instance: by lastStatus, of tasks that should run."""
        counts: dict[int, tuple[int, int]] = {}
        rows = self._tx.rows_of(_TASK_COUNTS, instance_ids)
        for instance_id, last, desired, count in rows:
            running, pending = counts.get(instance_id, (0, 0))
            if last in ("PROVISIONING", "PENDING", "ACTIVATING") and desired == "RUNNING":
                pending += count
            elif last == "RUNNING":
                running += count
            counts[instance_id] = (running, pending)
        return counts
