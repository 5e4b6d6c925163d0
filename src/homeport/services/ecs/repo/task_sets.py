"""Task sets. Whoever writes one writes its service as well: what is decided about them is guarded by that."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec
from sqlalchemy import bindparam, delete, select, update

from homeport.core.errors import StaleWriteError
from homeport.services.ecs.model import TaskSet
from homeport.services.ecs.repo.tables import task_sets
from homeport.store.prepared import Prepared
from homeport.store.tx import Tx

_T = task_sets.c
_COLUMNS = (_T.id, _T.version, _T.body)

_OF_SERVICE = Prepared(select(*_COLUMNS).where(_T.service_id == bindparam("service_id")).order_by(_T.id))
_GET = Prepared(select(*_COLUMNS).where(_T.id == bindparam("row_id")))
_INSERT = Prepared(task_sets.insert().returning(_T.id), column_keys=("version", "service_id", "uid", "body"))
_SAVE = Prepared(
    update(task_sets)
    .where(_T.id == bindparam("row_id"), _T.version == bindparam("read_version"))
    .values(version=_T.version + 1, body=bindparam("body"))
)
_DELETE = Prepared(
    delete(task_sets).where(_T.id == bindparam("row_id"), _T.version == bindparam("read_version"))
)


def _noun(row: Sequence[Any]) -> TaskSet:
    body: TaskSet = row[2]
    return msgspec.structs.replace(body, id=row[0], version=row[1])


class TaskSetRepo:
    """The task sets of all services."""

    def __init__(self, tx: Tx) -> None:
        self._tx = tx

    def of_service(self, service_id: int) -> tuple[TaskSet, ...]:
        """A service's task sets, oldest first."""
        return tuple(map(_noun, self._tx.rows(_OF_SERVICE, {"service_id": service_id})))

    def get(self, task_set_id: int) -> TaskSet | None:
        """The task set of that row."""
        row = self._tx.first(_GET, {"row_id": task_set_id})
        return None if row is None else _noun(row)

    def add(self, task_set: TaskSet) -> TaskSet:
        """Insert; the row's id is filled in."""
        row_id = self._tx.insert(
            _INSERT,
            {"version": 1, "service_id": task_set.service_id, "uid": task_set.uid, "body": task_set},
        )
        self._tx.touch("ecs.service", str(task_set.service_id))
        return msgspec.structs.replace(task_set, id=row_id, version=1)

    def save(self, task_set: TaskSet) -> TaskSet:
        """Raise `StaleWriteError` when someone else wrote first."""
        saved = self._tx.change(
            _SAVE, {"row_id": task_set.id, "read_version": task_set.version, "body": task_set}
        )
        if saved != 1:
            raise StaleWriteError(task_set.arn)
        self._tx.touch("ecs.service", str(task_set.service_id))
        return msgspec.structs.replace(task_set, version=task_set.version + 1)

    def remove(self, task_set: TaskSet) -> None:
        """Forget it. Raise `StaleWriteError` when someone else wrote first."""
        if self._tx.change(_DELETE, {"row_id": task_set.id, "read_version": task_set.version}) != 1:
            raise StaleWriteError(task_set.arn)
        self._tx.touch("ecs.service", str(task_set.service_id))

    def definition_ids(self) -> frozenset[int]:
        """The task definitions of all task sets."""
        rows = self._tx.execute(select(*_COLUMNS))
        return frozenset(_noun(tuple(row)).deployment.task_definition_id for row in rows)
