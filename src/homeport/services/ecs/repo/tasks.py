"""Tasks."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime

import msgspec
from sqlalchemy import ColumnElement, select, update

from homeport.core.errors import StaleWriteError
from homeport.services.ecs.model import Task
from homeport.services.ecs.repo.tables import tasks
from homeport.store.tx import Tx

_T = tasks.c
_COLUMNS = (_T.id, _T.version, _T.body)


def _noun(row: tuple[int, int, Task]) -> Task:
    return msgspec.structs.replace(row[2], id=row[0], version=row[1])


class TaskRepo:
    """Tasks of all clusters.

    Writes leave hints: the task itself, its instance's dispatch (when its agent
    has something to hear), its service, and its cluster's fleet (when room came up).
    """

    def __init__(self, tx: Tx) -> None:
        self._tx = tx

    def find(self, cluster_id: int, uid: str) -> Task | None:
        """The task with that 32-character id."""
        row = self._tx.execute(
            select(*_COLUMNS).where(_T.uid == bytes.fromhex(uid), _T.cluster_id == cluster_id)
        ).first()
        return None if row is None else _noun(tuple(row))

    def find_many(self, cluster_id: int, uids: Iterable[str]) -> dict[str, Task]:
        """Those of the ids that exist, by id."""
        wanted = [bytes.fromhex(uid) for uid in uids]
        rows = self._tx.execute(select(*_COLUMNS).where(_T.uid.in_(wanted), _T.cluster_id == cluster_id))
        return {noun.uid: noun for noun in (_noun(tuple(row)) for row in rows)}

    def versions(self, cluster_id: int, uids: Iterable[str]) -> dict[str, tuple[int, int]]:
        """(row, version) of those of the ids that exist: enough to know whether a view is current."""
        wanted = [bytes.fromhex(uid) for uid in uids]
        rows = self._tx.execute(
            select(_T.uid, _T.id, _T.version).where(_T.uid.in_(wanted), _T.cluster_id == cluster_id)
        )
        return {row[0].hex(): (row[1], row[2]) for row in rows}

    def get(self, task_id: int) -> Task | None:
        """The task of that row."""
        row = self._tx.execute(select(*_COLUMNS).where(_T.id == task_id)).first()
        return None if row is None else _noun(tuple(row))

    def add_all(self, new: Sequence[Task]) -> tuple[Task, ...]:
        """Insert; the rows' ids are filled in. All in one statement where there are many."""
        if not new:
            return ()
        values = [
            {
                "version": task.version,
                "cluster_id": task.cluster_id,
                "uid": bytes.fromhex(task.uid),
                "instance_id": task.instance_id,
                "service_id": task.service_id,
                "family": task.family,
                "started_by": task.started_by,
                "launch_type": task.launch_type,
                "desired_status": task.desired_status,
                "last_status": task.last_status,
                "stopped_at": None,
                "body": task,
            }
            for task in new
        ]
        self._tx.execute(tasks.insert(), values)
        ids: dict[bytes, int] = {}
        for start in range(0, len(new), 500):
            chunk = [row["uid"] for row in values[start : start + 500]]
            found = self._tx.execute(select(_T.uid, _T.id).where(_T.uid.in_(chunk)))
            ids.update({row[0]: row[1] for row in found})
        added = tuple(msgspec.structs.replace(t, id=ids[bytes.fromhex(t.uid)]) for t in new)
        for instance_id in {task.instance_id for task in new if task.instance_id is not None}:
            self._tx.touch("ecs.dispatch", str(instance_id))
        for task in added:
            self._tx.touch("ecs.task", f"{task.cluster_id}/{task.uid}")
        return added

    def save(self, task: Task) -> Task:
        """Raise `StaleWriteError` when someone else wrote first."""
        stopped_at = None if task.stopped_at is None else task.stopped_at.timestamp()
        result = self._tx.execute(
            update(tasks)
            .where(_T.id == task.id, _T.version == task.version)
            .values(
                version=task.version + 1,
                instance_id=task.instance_id,
                desired_status=task.desired_status,
                last_status=task.last_status,
                stopped_at=stopped_at,
                body=task,
            )
        )
        if result.rowcount != 1:
            raise StaleWriteError(task.arn)
        self._tx.touch("ecs.task", f"{task.cluster_id}/{task.uid}")
        if task.service_id is not None:
            self._tx.touch("ecs.service", str(task.service_id))
        if task.stopped_at is not None:
            self._tx.touch("ecs.fleet", str(task.cluster_id))
        if task.desired_status == "STOPPED" and task.stopped_at is None and task.instance_id is not None:
            self._tx.touch("ecs.dispatch", str(task.instance_id))
        return msgspec.structs.replace(task, version=task.version + 1)

    def live_of_instance(self, instance_id: int) -> tuple[Task, ...]:
        """Tasks on an instance that are not STOPPED."""
        return self._where(_T.instance_id == instance_id, _T.stopped_at.is_(None))

    def live_of_service(self, service_id: int) -> tuple[Task, ...]:
        """Tasks of a service that are not STOPPED."""
        return self._where(_T.service_id == service_id, _T.stopped_at.is_(None))

    def stopped_of_service(self, service_id: int, *, after: datetime) -> tuple[Task, ...]:
        """Tasks of a service that stopped after an instant, by when they did."""
        found = self._where(_T.service_id == service_id, _T.stopped_at > after.timestamp())
        return tuple(sorted(found, key=lambda task: (task.stopped_at or after, task.id)))

    def placed_after(self, cluster_id: int, task_id: int) -> tuple[Task, ...]:
        """Live tasks of a cluster that are newer than `task_id` and sit on an instance."""
        return self._where(
            _T.cluster_id == cluster_id,
            _T.id > task_id,
            _T.stopped_at.is_(None),
            _T.instance_id.is_not(None),
        )

    def any_live(self, cluster_id: int) -> bool:
        """Whether the cluster has a task that is not STOPPED."""
        row = self._tx.execute(
            select(_T.id).where(_T.cluster_id == cluster_id, _T.stopped_at.is_(None)).limit(1)
        ).first()
        return row is not None

    def page(
        self,
        cluster_id: int,
        *,
        desired_status: str,
        instance_id: int | None,
        service_id: int | None,
        family: str | None,
        launch_type: str | None,
        started_by: str | None,
        after_id: int,
        limit: int,
    ) -> tuple[tuple[int, str], ...]:
        """(row, 32-character id) pairs by age that match every filter given."""
        wanted: list[ColumnElement[bool]] = [
            _T.cluster_id == cluster_id,
            _T.id > after_id,
            _T.desired_status == desired_status,
        ]
        if desired_status == "RUNNING":
            wanted.append(_T.stopped_at.is_(None))
        filters = (
            (_T.instance_id, instance_id),
            (_T.service_id, service_id),
            (_T.family, family),
            (_T.launch_type, launch_type),
            (_T.started_by, started_by),
        )
        wanted += [column == value for column, value in filters if value is not None]
        rows = self._tx.execute(select(_T.id, _T.uid).where(*wanted).order_by(_T.id).limit(limit))
        return tuple((row[0], row[1].hex()) for row in rows)

    def purge(self, stopped_before: datetime, *, limit: int) -> int:
        """Forget tasks that stopped before the instant; how many."""
        ids = [
            row[0]
            for row in self._tx.execute(
                select(_T.id).where(_T.stopped_at < stopped_before.timestamp()).limit(limit)
            )
        ]
        if ids:
            self._tx.execute(tasks.delete().where(_T.id.in_(ids)))
        return len(ids)

    def oldest_stop(self) -> float | None:
        """When the oldest STOPPED task stopped, in epoch seconds."""
        value = self._tx.execute(
            select(_T.stopped_at).where(_T.stopped_at.is_not(None)).order_by(_T.stopped_at).limit(1)
        ).scalar()
        return None if value is None else float(value)

    def _where(self, *conditions: ColumnElement[bool]) -> tuple[Task, ...]:
        rows = self._tx.execute(select(*_COLUMNS).where(*conditions).order_by(_T.id))
        return tuple(_noun(tuple(row)) for row in rows)
