"""Task definitions and their families' revision counters."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from sqlalchemy import ColumnElement, and_, bindparam, case, func, or_, select, update

from homeport.services.ecs.model import TASK_DEFINITION, TaskDefinition
from homeport.services.ecs.repo.tables import task_definitions, task_families, tasks
from homeport.store.prepared import Prepared
from homeport.store.prepared_rows import PreparedRows
from homeport.store.tx import Tx

_T = task_definitions.c
_F = task_families.c
_ROWS: PreparedRows[TaskDefinition] = PreparedRows(
    task_definitions, first=("account_id", "region", "kind", "family", "revision"), always=("status",)
)


def _in_family(columns: Any) -> ColumnElement[bool]:
    return and_(
        columns.account_id == bindparam("account_id"),
        columns.region == bindparam("region"),
        columns.kind == bindparam("kind"),
        columns.family == bindparam("family"),
    )


_NEXT_REVISION = Prepared(
    update(task_families).where(_in_family(_F)).values(last_revision=_F.last_revision + 1)
)
_LAST_REVISION = Prepared(select(_F.last_revision).where(_in_family(_F)))
_INSERT_FAMILY = Prepared(
    task_families.insert().returning(_F.id),
    column_keys=("account_id", "region", "kind", "family", "last_revision"),
)
_EXACT = Prepared(select(*_ROWS.columns).where(_in_family(_T), _T.revision == bindparam("revision")))
_LATEST_ACTIVE = Prepared(
    select(*_ROWS.columns).where(_in_family(_T), _T.status == "ACTIVE").order_by(_T.revision.desc()).limit(1)
)


def _later(after: tuple[str, int] | None, *, descending: bool) -> list[ColumnElement[bool]]:
    """What follows a pair of family and revision; everything follows none."""
    if after is None:
        return []
    family, revision = after
    if descending:
        return [or_(_T.family < family, and_(_T.family == family, _T.revision < revision))]
    return [or_(_T.family > family, and_(_T.family == family, _T.revision > revision))]


def _order(*, descending: bool) -> tuple[ColumnElement[Any], ColumnElement[Any]]:
    columns = (_T.family, _T.revision)
    return (columns[0].desc(), columns[1].desc()) if descending else (columns[0].asc(), columns[1].asc())


class TaskDefinitionRepo:
    """Revisions; a number is never used twice, not even after deletion.

    Families and their numbers are of one `kind`; a revision's row is found whatever its kind.
    """

    def __init__(self, tx: Tx, kind: str = TASK_DEFINITION) -> None:
        self._tx = tx
        self._kind = kind

    def next_revision(self, account_id: str, region: str, family: str) -> int:
        """Take the family's next number."""
        params = {"account_id": account_id, "region": region, "kind": self._kind, "family": family}
        self._tx.change(_NEXT_REVISION, params)
        row = self._tx.first(_LAST_REVISION, params)
        if row is not None:
            return int(row[0])
        self._tx.insert(_INSERT_FAMILY, {**params, "last_revision": 1})
        return 1

    def add(self, definition: TaskDefinition) -> TaskDefinition:
        """Insert; the row's id is filled in."""
        added = _ROWS.insert(
            self._tx,
            definition,
            account_id=definition.account_id,
            region=definition.region,
            kind=definition.kind,
            family=definition.family,
            revision=definition.revision,
            status=definition.status,
        )
        self._tx.touch("ecs.task-definition", str(added.id))
        return added

    def save(self, definition: TaskDefinition) -> TaskDefinition:
        """Raise `StaleWriteError` when someone else wrote first."""
        saved = _ROWS.save(self._tx, definition, definition.arn, status=definition.status)
        self._tx.touch("ecs.task-definition", str(definition.id))
        return saved

    def exact(self, account_id: str, region: str, family: str, revision: int) -> TaskDefinition | None:
        """That revision, whatever its status."""
        return _ROWS.first(
            self._tx,
            _EXACT,
            {
                "account_id": account_id,
                "region": region,
                "kind": self._kind,
                "family": family,
                "revision": revision,
            },
        )

    def latest_active(self, account_id: str, region: str, family: str) -> TaskDefinition | None:
        """The highest ACTIVE revision of a family."""
        params = {"account_id": account_id, "region": region, "kind": self._kind, "family": family}
        return _ROWS.first(self._tx, _LATEST_ACTIVE, params)

    def by_ids(self, ids: Iterable[int]) -> dict[int, TaskDefinition]:
        """Those rows, by id."""
        return _ROWS.get_many(self._tx, ids)

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
        wanted = [*self._of(account_id, region), _T.status == status]
        if family is not None:
            wanted.append(_T.family == family)
        query = select(_T.family, _T.revision).where(*wanted, *_later(after, descending=descending))
        rows = self._tx.execute(query.order_by(*_order(descending=descending)).limit(limit))
        return tuple((row[0], row[1]) for row in rows)

    def listed(
        self,
        account_id: str,
        region: str,
        *,
        family: str | None,
        prefix: str,
        status: str | None,
        last_only: bool,
        descending: bool,
        after: tuple[str, int] | None,
        limit: int,
    ) -> tuple[TaskDefinition, ...]:
        """Revisions in order, after the pair `after`; the last registered of each family, or all."""
        of = self._of(account_id, region)
        wanted = [*of, *_later(after, descending=descending)]
        wanted.append(func.substr(_T.family, 1, len(prefix)) == prefix)
        if family is not None:
            wanted.append(_T.family == family)
        if status is not None:
            wanted.append(_T.status == status)
        if last_only:
            last = select(func.max(_T.id)).where(*of).group_by(_T.family)
            wanted.append(_T.id.in_(last))
        query = select(*_ROWS.columns).where(*wanted).order_by(*_order(descending=descending)).limit(limit)
        return _ROWS.nouns(self._tx.execute(query))

    def _of(self, account_id: str, region: str) -> list[ColumnElement[bool]]:
        return [_T.account_id == account_id, _T.region == region, _T.kind == self._kind]

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
                *self._of(account_id, region),
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
        doomed = select(_T.id).where(
            _T.kind == self._kind, _T.status == "DELETE_IN_PROGRESS", _T.family.not_in(in_use)
        )
        ids = [row[0] for row in self._tx.execute(doomed) if row[0] not in kept][:limit]
        if ids:
            self._tx.execute(task_definitions.delete().where(_T.id.in_(ids)))
