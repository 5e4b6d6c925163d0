"""The outbox of ECS events: written with the change, read in order by whoever follows.

A version of a task is kept as the task itself and becomes a document when it is read; tasks that were placed
together are one row. Times are the database's own: one clock for all replicas, and none in the writers.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from typing import Any, NamedTuple

import msgspec
from sqlalchemy import Float, bindparam, literal_column, select, text, tuple_

from homeport.services.ecs.model import ContainerInstance, Service, Task
from homeport.services.ecs.plan.events import as_born, service_happenings
from homeport.services.ecs.repo.event_table import consumers, events
from homeport.services.ecs.repo.tables import tasks
from homeport.services.ecs.view.events import (
    document,
    event_id,
    happening_told,
    instance_told,
    iso,
    task_told,
)
from homeport.services.ecs.view.wire import Wire
from homeport.store.prepared import Prepared, PreparedList
from homeport.store.tx import Tx

_E = events.c
_NOW = {
    "sqlite": "((julianday('now') - 2440587.5) * 86400.0)",
    "postgresql": "extract(epoch from clock_timestamp())::float8",
}
_XID = {"sqlite": "0", "postgresql": "pg_current_xact_id()::text::bigint"}
_SETTLED = {"sqlite": "1=1", "postgresql": "xid < pg_snapshot_xmin(pg_current_snapshot())::text::bigint"}


def _insert(dialect: str) -> Prepared:
    return Prepared(
        events.insert()
        .inline()
        .values(
            xid=literal_column(_XID[dialect]),
            account_id=bindparam("account_id"),
            region=bindparam("region"),
            created_at=literal_column(_NOW[dialect], Float),
            kind=bindparam("kind"),
            body=bindparam("body"),
        )
    )


_COLUMNS = (_E.xid, _E.id, _E.account_id, _E.region, _E.created_at, _E.kind, _E.body)
_INSERT = {dialect: _insert(dialect) for dialect in _NOW}
_AFTER = {
    dialect: Prepared(
        select(*_COLUMNS)
        .where(
            tuple_(_E.xid, _E.id)
            >= tuple_(bindparam("after_xid", type_=_E.xid.type), bindparam("after_id", type_=_E.xid.type)),
            text(_SETTLED[dialect]),
        )
        .order_by(_E.xid, _E.id)
        .limit(bindparam("rows"))
    )
    for dialect in _NOW
}
_NEWEST = {
    dialect: Prepared(
        select(*_COLUMNS)
        .where(
            _E.account_id == bindparam("account_id"),
            _E.region == bindparam("region"),
            text(_SETTLED[dialect]),
        )
        .order_by(_E.xid.desc(), _E.id.desc())
        .limit(bindparam("rows"))
    )
    for dialect in _NOW
}
_LAST = {
    dialect: Prepared(
        select(_E.xid, _E.id).where(text(_SETTLED[dialect])).order_by(_E.xid.desc(), _E.id.desc()).limit(1)
    )
    for dialect in _NOW
}
_TASKS = PreparedList(
    tasks.c.id, lambda ids: select(tasks.c.id, tasks.c.version, tasks.c.body).where(tasks.c.id.in_(ids))
)
_PURGE = {
    dialect: (
        "DELETE FROM ecs_event WHERE id IN (SELECT id FROM ecs_event WHERE"  # noqa: S608
        f" (created_at < {_NOW[dialect]} - :seconds OR id <= (SELECT max(id) FROM ecs_event) - :count)"
        " AND id < (SELECT max(id) FROM ecs_event) ORDER BY xid, id LIMIT :rows)"
    )
    for dialect in _NOW
}
_encode = msgspec.json.Encoder().encode
_decode_task = msgspec.json.Decoder(Task).decode
_decode_ids = msgspec.json.Decoder(list[int]).decode
_decode_told = msgspec.json.Decoder(dict[str, Any]).decode


class EventPosition(NamedTuple):
    """A row of the outbox, and how many of its documents were read."""

    xid: int
    id: int
    taken: int

    @classmethod
    def parse(cls, text: str) -> EventPosition:
        """Raise `ValueError` when it is none."""
        xid, row_id, taken = map(int, text.split("."))
        return cls(xid, row_id, taken)

    def __str__(self) -> str:
        return ".".join(map(str, self))


class EventPage(NamedTuple):
    """Documents in order. `end`: where to read on; `gap`: some before them may have been purged unread."""

    documents: tuple[dict[str, Any], ...]
    end: EventPosition
    gap: bool = False


class _Row(NamedTuple):
    xid: int
    id: int
    account_id: str
    region: str
    created_at: float
    kind: str
    body: str


class EventRepo:
    """The outbox."""

    def __init__(self, tx: Tx) -> None:
        self._tx = tx

    # ---- what is written with a change ------------------------------------------------------

    def tasks_born(self, added: Sequence[Task]) -> None:
        """Tasks were placed together; all of one account and region."""
        first = added[0]
        self._add(first.account_id, first.region, "born", [task.id for task in added])

    def task_moved(self, task: Task) -> None:
        """A task has this version now."""
        self._add(task.account_id, task.region, "task", task)

    def instance_moved(self, instance: ContainerInstance, view: Wire) -> None:
        """An instance has this version now. `view`: as DescribeContainerInstances shows it."""
        self._add(instance.account_id, instance.region, "told", instance_told(view))

    def service_moved(self, before: Service | None, after: Service) -> None:
        """A service has this version now."""
        for happening in service_happenings(before, after):
            self._add(after.account_id, after.region, "told", happening_told(happening, after))

    def daemon_told(self, account_id: str, region: str, told: Wire) -> None:
        """What a daemon did, as a document without its envelope."""
        self._add(account_id, region, "told", told)

    def _add(self, account_id: str, region: str, kind: str, body: Any) -> None:
        self._tx.change(
            _INSERT[self._tx.dialect],
            {"account_id": account_id, "region": region, "kind": kind, "body": _encode(body).decode()},
        )

    # ---- reading ----------------------------------------------------------------------------

    def end(self) -> EventPosition:
        """After everything that there is."""
        row = self._tx.first(_LAST[self._tx.dialect], {})
        return EventPosition(0, 0, 0) if row is None else EventPosition(row[0], row[1], -1)

    def after(
        self, position: EventPosition, limit: int, *, account_id: str | None = None, region: str | None = None
    ) -> EventPage:
        """Up to `limit` documents after `position`, of one account and region or of all."""
        params = {"after_xid": position.xid, "after_id": position.id, "rows": limit + 1}
        rows = [_Row._make(row) for row in self._tx.rows(_AFTER[self._tx.dialect], params)]
        begun = position.id != 0
        gap = begun and not (rows and (rows[0].xid, rows[0].id) == position[:2])
        found: list[dict[str, Any]] = []
        end = position
        for row in rows:
            skip = position.taken if (row.xid, row.id) == position[:2] else 0
            if skip == -1:
                continue
            if account_id is not None and (row.account_id, row.region) != (account_id, region):
                end = EventPosition(row.xid, row.id, -1)
                continue
            documents = list(self._documents(row))
            room = limit - len(found)
            found += documents[skip : skip + room]
            if len(documents) - skip > room:
                return EventPage(tuple(found), EventPosition(row.xid, row.id, skip + room), gap)
            end = EventPosition(row.xid, row.id, -1)
            if len(found) == limit:
                break
        return EventPage(tuple(found), end, gap)

    def newest(self, account_id: str, region: str, count: int) -> EventPage:
        """The last `count` documents of an account and region, oldest first, and the end of all."""
        end = self.end()
        params = {"account_id": account_id, "region": region, "rows": count}
        rows = [_Row._make(row) for row in self._tx.rows(_NEWEST[self._tx.dialect], params)]
        found: list[dict[str, Any]] = []
        for row in rows:
            found[:0] = self._documents(row)
            if len(found) >= count:
                break
        return EventPage(tuple(found[-count:]) if count else (), end)

    def _documents(self, row: _Row) -> Iterator[dict[str, Any]]:
        at = datetime.fromtimestamp(row.created_at, UTC)
        if row.kind == "told":
            told = _decode_told(row.body)
            if not {"createdAt", "updatedAt"} & told["detail"].keys():
                told["detail"]["updatedAt" if "version" in told["detail"] else "createdAt"] = iso(at)
            yield self._enveloped(told, row, at, event_id(row.xid, row.id, row.created_at))
            return
        for task in self._tasks(row):
            yield self._enveloped(task_told(task, at), row, at, event_id(task.arn, task.version))

    def _tasks(self, row: _Row) -> Iterator[Task]:
        if row.kind == "task":
            yield _decode_task(row.body)
            return
        ids = _decode_ids(row.body)
        found = {
            r[0]: msgspec.structs.replace(r[2], id=r[0], version=r[1]) for r in self._tx.rows_of(_TASKS, ids)
        }
        for row_id in ids:
            if row_id in found:
                yield as_born(found[row_id])

    def _enveloped(self, told: dict[str, Any], row: _Row, at: datetime, event: str) -> dict[str, Any]:
        return document(told, event=event, account_id=row.account_id, region=row.region, at=at)

    # ---- consumers, and forgetting ----------------------------------------------------------

    def position_of(self, consumer: str) -> EventPosition | None:
        """How far a consumer has come; `None`: it never said."""
        query = select(consumers.c.position).where(consumers.c.name == consumer)
        row = self._tx.execute(query).first()
        return None if row is None else EventPosition.parse(row[0])

    def keep_position(self, consumer: str, position: EventPosition) -> None:
        """The consumer has taken everything up to there."""
        values = {"position": str(position)}
        changed = self._tx.execute(consumers.update().where(consumers.c.name == consumer).values(**values))
        if changed.rowcount == 0:
            self._tx.execute(consumers.insert().values(name=consumer, **values))

    def purge(self, *, older_than_seconds: float, beyond: int, limit: int) -> int:
        """Forget rows that are older, or more than `beyond` rows back; never the newest. How many."""
        params = {"seconds": older_than_seconds, "count": beyond, "rows": limit}
        return self._tx.execute(text(_PURGE[self._tx.dialect]), params).rowcount
