"""Task definitions and their families' revision counters."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import msgspec
from sqlalchemy import ColumnElement, and_, bindparam, case, func, or_, select, update

from homeport.core.errors import StaleWriteError
from homeport.services.ecs.model import TaskDefinition
from homeport.services.ecs.repo.tables import task_definitions, task_families, tasks
from homeport.store.prepared import Prepared, PreparedList
from homeport.store.tx import Tx

_T = task_definitions.c
_F = task_families.c
_COLUMNS = (_T.id, _T.version, _T.body)


def _in_family(columns: Any) -> ColumnElement[bool]:
    return and_(
        columns.account_id == bindparam("account_id"),
        columns.region == bindparam("region"),
        columns.family == bindparam("family"),
    )


_NEXT_REVISION = Prepared(
    update(task_families).where(_in_family(_F)).values(last_revision=_F.last_revision + 1)
)
_LAST_REVISION = Prepared(select(_F.last_revision).where(_in_family(_F)))
_INSERT_FAMILY = Prepared(
    task_families.insert().returning(_F.id), column_keys=("account_id", "region", "family", "last_revision")
)
_INSERT = Prepared(
    task_definitions.insert().returning(_T.id),
    column_keys=("version", "account_id", "region", "family", "revision", "status", "body"),
)
_SAVE = Prepared(
    update(task_definitions)
    .where(_T.id == bindparam("row_id"), _T.version == bindparam("read_version"))
    .values(status=bindparam("status"), version=_T.version + 1, body=bindparam("body"))
)
_EXACT = Prepared(select(*_COLUMNS).where(_in_family(_T), _T.revision == bindparam("revision")))
_LATEST_ACTIVE = Prepared(
    select(*_COLUMNS).where(_in_family(_T), _T.status == "ACTIVE").order_by(_T.revision.desc()).limit(1)
)
_BY_IDS = PreparedList(_T.id, lambda ids: select(*_COLUMNS).where(_T.id.in_(ids)))


def _noun(row: Sequence[Any]) -> TaskDefinition:
    body: TaskDefinition = row[2]
    return msgspec.structs.replace(body, id=row[0], version=row[1])


class TaskDefinitionRepo:
    """Revisions; a number is never used twice, not even after deletion."""

    def __init__(self, tx: Tx) -> None:
        self._tx = tx

    def next_revision(self, account_id: str, region: str, family: str) -> int:
        """Take the family's next number."""
        params = {"account_id": account_id, "region": region, "family": family}
        self._tx.change(_NEXT_REVISION, params)
        row = self._tx.first(_LAST_REVISION, params)
        if row is not None:
            return int(row[0])
        self._tx.insert(_INSERT_FAMILY, {**params, "last_revision": 1})
        return 1

    def add(self, definition: TaskDefinition) -> TaskDefinition:
        """Insert; the row's id is filled in."""
        row_id = self._tx.insert(
            _INSERT,
            {
                "version": 1,
                "account_id": definition.account_id,
                "region": definition.region,
                "family": definition.family,
                "revision": definition.revision,
                "status": definition.status,
                "body": definition,
            },
        )
        self._tx.touch("ecs.task-definition", str(row_id))
        return msgspec.structs.replace(definition, id=row_id, version=1)

    def save(self, definition: TaskDefinition) -> TaskDefinition:
        """Raise `StaleWriteError` when someone else wrote first."""
        saved = self._tx.change(
            _SAVE,
            {
                "row_id": definition.id,
                "read_version": definition.version,
                "status": definition.status,
                "body": definition,
            },
        )
        if saved != 1:
            raise StaleWriteError(definition.arn)
        self._tx.touch("ecs.task-definition", str(definition.id))
        return msgspec.structs.replace(definition, version=definition.version + 1)

    def exact(self, account_id: str, region: str, family: str, revision: int) -> TaskDefinition | None:
        """That revision, whatever its status."""
        row = self._tx.first(
            _EXACT,
            {"account_id": account_id, "region": region, "family": family, "revision": revision},
        )
        return None if row is None else _noun(row)

    def latest_active(self, account_id: str, region: str, family: str) -> TaskDefinition | None:
        """The highest ACTIVE revision of a family."""
        row = self._tx.first(_LATEST_ACTIVE, {"account_id": account_id, "region": region, "family": family})
        return None if row is None else _noun(row)

    def by_ids(self, ids: Iterable[int]) -> dict[int, TaskDefinition]:
        """Those rows, by id."""
        return {row[0]: _noun(row) for row in self._tx.rows_of(_BY_IDS, ids)}

    def page(
        self,
        account_id: str,
        region: str,
        *,
        family: str | None,
        status: str,
        descending: bool,
        after: tuple[str, int] | None,
        limit: int,
    ) -> tuple[tuple[str, int], ...]:
        """(family, revision) pairs in order, after the pair `after`."""
        wanted = [_T.account_id == account_id, _T.region == region, _T.status == status]
        if family is not None:
            wanted.append(_T.family == family)
        if after is not None:
            last_family, last_revision = after
            if descending:
                later = or_(
                    _T.family < last_family, and_(_T.family == last_family, _T.revision < last_revision)
                )
            else:
                later = or_(
                    _T.family > last_family, and_(_T.family == last_family, _T.revision > last_revision)
                )
            wanted.append(later)
        order = (_T.family.desc(), _T.revision.desc()) if descending else (_T.family.asc(), _T.revision.asc())
        rows = self._tx.execute(select(_T.family, _T.revision).where(*wanted).order_by(*order).limit(limit))
        return tuple((row[0], row[1]) for row in rows)

    def families(
        self,
        account_id: str,
        region: str,
        *,
        prefix: str,
        status: str,
        after: str,
        limit: int,
    ) -> tuple[str, ...]:
        """Families that have an ACTIVE revision (ACTIVE), none (INACTIVE), or any (ALL)."""
        active = func.sum(case((_T.status == "ACTIVE", 1), else_=0))
        shown = (
            select(_T.family)
            .where(
                _T.account_id == account_id,
                _T.region == region,
                _T.family > after,
                func.substr(_T.family, 1, len(prefix)) == prefix,  # LIKE ignores case on SQLite
                _T.status != "DELETE_IN_PROGRESS",
            )
            .group_by(_T.family)
        )
        if status == "ACTIVE":
            shown = shown.having(active > 0)
        elif status == "INACTIVE":
            shown = shown.having(active == 0)
        rows = self._tx.execute(shown.order_by(_T.family).limit(limit))
        return tuple(row[0] for row in rows)

    def purge_deleted(self, *, kept: frozenset[int], limit: int) -> None:
        """Forget DELETE_IN_PROGRESS revisions that nothing uses any more; numbers stay taken.

        Used are those of `kept` (services may still start them), and those whose family has a live task.
        """
        in_use = select(tasks.c.family).where(tasks.c.stopped_at.is_(None))
        doomed = select(_T.id).where(_T.status == "DELETE_IN_PROGRESS", _T.family.not_in(in_use))
        ids = [row[0] for row in self._tx.execute(doomed) if row[0] not in kept][:limit]
        if ids:
            self._tx.execute(task_definitions.delete().where(_T.id.in_(ids)))
