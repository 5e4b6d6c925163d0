"""Task sets. Whoever writes one writes its service as well: what is decided about them is guarded by that."""

from __future__ import annotations

from sqlalchemy import bindparam, select

from homeport.services.ecs.model import TaskSet
from homeport.services.ecs.repo.tables import task_sets
from homeport.store.prepared import Prepared
from homeport.store.prepared_rows import PreparedRows
from homeport.store.tx import Tx

_T = task_sets.c
_ROWS: PreparedRows[TaskSet] = PreparedRows(task_sets, first=("service_id", "uid"))

_OF_SERVICE = Prepared(select(*_ROWS.columns).where(_T.service_id == bindparam("service_id")).order_by(_T.id))


class TaskSetRepo:
    """The task sets of all services."""

    def __init__(self, tx: Tx) -> None:
        self._tx = tx

    def of_service(self, service_id: int) -> tuple[TaskSet, ...]:
        """A service's task sets, oldest first."""
        return _ROWS.nouns(self._tx.rows(_OF_SERVICE, {"service_id": service_id}))

    def get(self, task_set_id: int) -> TaskSet | None:
        """The task set of that row."""
        return _ROWS.get(self._tx, task_set_id)

    def add(self, task_set: TaskSet) -> TaskSet:
        """Insert; the row's id is filled in."""
        added = _ROWS.insert(self._tx, task_set, service_id=task_set.service_id, uid=task_set.uid)
        self._tx.touch("ecs.service", str(task_set.service_id))
        return added

    def save(self, task_set: TaskSet) -> TaskSet:
        """Raise `StaleWriteError` when someone else wrote first."""
        saved = _ROWS.save(self._tx, task_set, task_set.arn)
        self._tx.touch("ecs.service", str(task_set.service_id))
        return saved

    def remove(self, task_set: TaskSet) -> None:
        """Forget it. Raise `StaleWriteError` when someone else wrote first."""
        _ROWS.remove(self._tx, task_set, task_set.arn)
        self._tx.touch("ecs.service", str(task_set.service_id))

    def definition_ids(self) -> frozenset[int]:
        """The task definitions of all task sets."""
        rows = self._tx.execute(select(*_ROWS.columns))
        return frozenset(one.deployment.task_definition_id for one in _ROWS.nouns(rows))
