"""Registrations of tasks with load balancers."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import msgspec
from sqlalchemy import bindparam, delete, select, update

from homeport.core.errors import StaleWriteError
from homeport.services.ecs.model import Target
from homeport.services.ecs.repo.tables import targets
from homeport.store.prepared import Prepared, PreparedList
from homeport.store.tx import Tx

_T = targets.c
_COLUMNS = (_T.id, _T.version, _T.body)

_OF_SERVICE = Prepared(select(*_COLUMNS).where(_T.service_id == bindparam("service_id")).order_by(_T.id))
_WITH_TARGETS = PreparedList(_T.target, lambda items: select(*_COLUMNS).where(_T.target.in_(items)))
_GET = Prepared(select(*_COLUMNS).where(_T.id == bindparam("row_id")))
_INSERT = Prepared(
    targets.insert().returning(_T.id),
    column_keys=("version", "service_id", "task_id", "target_group", "target", "container_port", "body"),
)
_SAVE = Prepared(
    update(targets)
    .where(_T.id == bindparam("row_id"), _T.version == bindparam("read_version"))
    .values(version=_T.version + 1, body=bindparam("body"))
)
_DELETE = Prepared(
    delete(targets).where(_T.id == bindparam("row_id"), _T.version == bindparam("read_version"))
)


def _noun(row: Sequence[Any]) -> Target:
    body: Target = row[2]
    return msgspec.structs.replace(body, id=row[0], version=row[1])


class TargetRepo:
    """The targets of all services. Whoever writes one tells its service."""

    def __init__(self, tx: Tx) -> None:
        self._tx = tx

    def of_service(self, service_id: int) -> tuple[Target, ...]:
        """A service's targets, oldest first."""
        return tuple(map(_noun, self._tx.rows(_OF_SERVICE, {"service_id": service_id})))

    def at(self, addresses: Iterable[str]) -> tuple[Target, ...]:
        """All services' targets at those instances or IP addresses."""
        return tuple(map(_noun, self._tx.rows_of(_WITH_TARGETS, addresses)))

    def get(self, target_id: int) -> Target | None:
        """The target of that row."""
        row = self._tx.first(_GET, {"row_id": target_id})
        return None if row is None else _noun(row)

    def add(self, target: Target) -> Target:
        """Insert; the row's id is filled in. Raise `StaleWriteError` when it is there already."""
        row_id = self._tx.insert(
            _INSERT,
            {
                "version": 1,
                "service_id": target.service_id,
                "task_id": target.task_id,
                "target_group": target.target_group,
                "target": target.target,
                "container_port": target.container_port,
                "body": target,
            },
        )
        self._tx.touch("ecs.service", str(target.service_id))
        return msgspec.structs.replace(target, id=row_id, version=1)

    def save(self, target: Target) -> Target:
        """Raise `StaleWriteError` when someone else wrote first."""
        saved = self._tx.change(_SAVE, {"row_id": target.id, "read_version": target.version, "body": target})
        if saved != 1:
            raise StaleWriteError(f"target {target.key} of task {target.task_uid}")
        self._tx.touch("ecs.service", str(target.service_id))
        return msgspec.structs.replace(target, version=target.version + 1)

    def remove(self, target: Target) -> None:
        """Forget it. Raise `StaleWriteError` when someone else wrote first."""
        if self._tx.change(_DELETE, {"row_id": target.id, "read_version": target.version}) != 1:
            raise StaleWriteError(f"target {target.key} of task {target.task_uid}")
        self._tx.touch("ecs.service", str(target.service_id))

    def service_ids(self) -> frozenset[int]:
        """The services that have targets."""
        return frozenset(row[0] for row in self._tx.execute(select(_T.service_id).distinct()))
