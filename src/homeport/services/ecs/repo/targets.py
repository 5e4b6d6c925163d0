"""Registrations of tasks with load balancers."""

from __future__ import annotations

from collections.abc import Iterable

from sqlalchemy import bindparam, select

from homeport.services.ecs.model import Target
from homeport.services.ecs.repo.tables import targets
from homeport.store.prepared import Prepared, PreparedList
from homeport.store.prepared_rows import PreparedRows
from homeport.store.tx import Tx

_T = targets.c
_ROWS: PreparedRows[Target] = PreparedRows(
    targets, first=("service_id", "task_id", "target_group", "target", "container_port")
)

_OF_SERVICE = Prepared(select(*_ROWS.columns).where(_T.service_id == bindparam("service_id")).order_by(_T.id))
_WITH_TARGETS = PreparedList(_T.target, lambda items: select(*_ROWS.columns).where(_T.target.in_(items)))


class TargetRepo:
    """The targets of all services. Whoever writes one tells its service."""

    def __init__(self, tx: Tx) -> None:
        self._tx = tx

    def of_service(self, service_id: int) -> tuple[Target, ...]:
        """A service's targets, oldest first."""
        return _ROWS.nouns(self._tx.rows(_OF_SERVICE, {"service_id": service_id}))

    def at(self, addresses: Iterable[str]) -> tuple[Target, ...]:
        """All services' targets at those instances or IP addresses."""
        return _ROWS.nouns(self._tx.rows_of(_WITH_TARGETS, addresses))

    def get(self, target_id: int) -> Target | None:
        """The target of that row."""
        return _ROWS.get(self._tx, target_id)

    def add(self, target: Target) -> Target:
        """Insert; the row's id is filled in. Raise `StaleWriteError` when it is there already."""
        added = _ROWS.insert(
            self._tx,
            target,
            service_id=target.service_id,
            task_id=target.task_id,
            target_group=target.target_group,
            target=target.target,
            container_port=target.container_port,
        )
        self._tx.touch("ecs.service", str(target.service_id))
        return added

    def save(self, target: Target) -> Target:
        """Raise `StaleWriteError` when someone else wrote first."""
        saved = _ROWS.save(self._tx, target, _about(target))
        self._tx.touch("ecs.service", str(target.service_id))
        return saved

    def remove(self, target: Target) -> None:
        """Forget it. Raise `StaleWriteError` when someone else wrote first."""
        _ROWS.remove(self._tx, target, _about(target))
        self._tx.touch("ecs.service", str(target.service_id))

    def service_ids(self) -> frozenset[int]:
        """The services that have targets."""
        return frozenset(row[0] for row in self._tx.execute(select(_T.service_id).distinct()))


def _about(target: Target) -> str:
    return f"target {target.key} of task {target.task_uid}"
