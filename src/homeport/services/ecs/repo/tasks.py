"""Tasks."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from functools import cache
from typing import Any

import msgspec
from sqlalchemy import (
    ColumnElement,
    Text,
    TextClause,
    bindparam,
    delete,
    func,
    select,
    text,
    type_coerce,
    update,
)

from homeport.core.errors import StaleWriteError
from homeport.services.ecs.model import Task
from homeport.services.ecs.repo.events import EventRepo
from homeport.services.ecs.repo.tables import container_instances, tasks
from homeport.store.prepared import Prepared, PreparedList
from homeport.store.tx import Tx

CREDENTIALS_ENDED = "ecs.credentials"
"""The change feed's kind for a task with roles that stopped; the key is its id."""
FARGATE_CHANGED = "ecs.fargate"
"""The change feed's kind for room that may have come up in Fargate; the key is `account/region`."""
_T = tasks.c
_COLUMNS = (_T.id, _T.version, _T.body)
_LIVE = _T.stopped_at.is_(None)
_AGENT_DUE = text("ecs_task.agent_due")
"""As the partial index says it: for SQLite `agent_due = 1` is another condition, without an index."""


def _by_age(*conditions: ColumnElement[bool] | TextClause) -> Prepared:
    return Prepared(select(*_COLUMNS).where(*conditions).order_by(_T.id))


_FIND = Prepared(
    select(*_COLUMNS).where(_T.uid == bindparam("uid"), _T.cluster_id == bindparam("cluster_id"))
)
_FIND_MANY = PreparedList(
    _T.uid,
    lambda uids: select(*_COLUMNS).where(_T.uid.in_(uids), _T.cluster_id == bindparam("cluster_id")),
)
_STANDINGS = PreparedList(
    _T.uid,
    lambda uids: select(_T.uid, _T.desired_status, _T.last_status).where(
        _T.uid.in_(uids), _T.cluster_id == bindparam("cluster_id")
    ),
)
_VERSIONS = PreparedList(
    _T.uid,
    lambda uids: select(_T.uid, _T.version).where(_T.uid.in_(uids), _T.cluster_id == bindparam("cluster_id")),
)
_IDS = PreparedList(_T.uid, lambda uids: select(_T.uid, _T.id).where(_T.uid.in_(uids)))
_IS_LIVE = Prepared(select(_T.id).where(_T.uid == bindparam("uid"), _LIVE))
_GET = Prepared(select(*_COLUMNS).where(_T.id == bindparam("row_id")))
_TO_START = _by_age(
    _T.instance_id == bindparam("instance_id"),
    _AGENT_DUE,
    _T.desired_status == "RUNNING",
    _T.id > bindparam("row_id"),
)
_TO_STOP = _by_age(_T.instance_id == bindparam("instance_id"), _AGENT_DUE, _T.desired_status == "STOPPED")
_LIVE_OF_INSTANCE = _by_age(_T.instance_id == bindparam("instance_id"), _LIVE)
_LIVE_OF_SERVICE = _by_age(_T.service_id == bindparam("service_id"), _LIVE)
_VERSIONS_OF_SERVICE = Prepared(
    select(_T.id, _T.version).where(_T.service_id == bindparam("service_id"), _LIVE).order_by(_T.id)
)
_GET_MANY = PreparedList(_T.id, lambda ids: select(*_COLUMNS).where(_T.id.in_(ids)))
_STANDINGS_OF_SERVICE = Prepared(
    select(_T.started_by, _T.last_status, func.count())
    .where(_T.service_id == bindparam("service_id"), _LIVE)
    .group_by(_T.started_by, _T.last_status)
)
_STOPPED_OF_SERVICE = _by_age(_T.service_id == bindparam("service_id"), _T.stopped_at > bindparam("after"))
_LIVE_OF_DAEMON = _by_age(_T.daemon_id == bindparam("daemon_id"), _LIVE)
_LIVE_OF_DAEMONS = _by_age(
    _T.daemon_id.is_not(None), _T.cluster_id == bindparam("cluster_id"), _LIVE, _T.instance_id.is_not(None)
)
_STOPPED_OF_DAEMON = _by_age(_T.daemon_id == bindparam("daemon_id"), _T.stopped_at > bindparam("after"))
_STOPPED_OF_DEPLOYMENT = _by_age(
    _T.service_id == bindparam("service_id"),
    _T.stopped_at > bindparam("after"),
    _T.started_by == bindparam("started_by"),
)
_STOPPED_IN_CLUSTER = Prepared(
    select(*_COLUMNS).where(
        _T.cluster_id == bindparam("cluster_id"),
        _T.stopped_at > bindparam("after"),
        _T.instance_id.is_not(None),
    )
)
"""Without order: in that of the rows, SQLite would walk through all of them."""
_PLACED_AFTER = _by_age(
    _T.cluster_id == bindparam("cluster_id"), _T.id > bindparam("row_id"), _LIVE, _T.instance_id.is_not(None)
)
_OF_FLEET = _T.instance_id.in_(
    select(container_instances.c.id).where(container_instances.c.cluster_id == bindparam("cluster_id"))
)
_STOPPED_IN_FLEET = Prepared(select(*_COLUMNS).where(_OF_FLEET, _T.stopped_at > bindparam("after")))
_PLACED_IN_FLEET = _by_age(_OF_FLEET, _T.id > bindparam("row_id"), _LIVE)
_ANY_LIVE = Prepared(select(_T.id).where(_T.cluster_id == bindparam("cluster_id"), _LIVE).limit(1))
_OLDEST_STOP = Prepared(
    select(_T.stopped_at).where(_T.stopped_at.is_not(None)).order_by(_T.stopped_at).limit(1)
)
_STOPPED_BEFORE = Prepared(select(_T.id).where(_T.stopped_at < bindparam("before")).limit(bindparam("rows")))
_DELETE = Prepared(delete(tasks).where(_T.id == bindparam("row_id")))
_INSERT = Prepared(
    tasks.insert().inline(), column_keys=[column.name for column in tasks.c if column.name != "id"]
)
_SAVE = Prepared(
    update(tasks)
    .where(_T.id == bindparam("row_id"), _T.version == bindparam("read_version"))
    .values(
        version=_T.version + 1,
        instance_id=bindparam("instance_id"),
        desired_status=bindparam("desired_status"),
        last_status=bindparam("last_status"),
        stopped_at=bindparam("stopped_at"),
        agent_due=bindparam("agent_due"),
        body=bindparam("body"),
    )
)


@cache
def _page(columns: tuple[str, ...], *, live: bool) -> Prepared:
    """A page of those that match each of `columns`; few combinations are ever asked for."""
    wanted = [_T[name] == bindparam(name) for name in columns]
    if live:
        wanted.append(_LIVE)
    return Prepared(
        select(_T.id, _T.uid)
        .where(_T.cluster_id == bindparam("cluster_id"), _T.id > bindparam("after_id"), *wanted)
        .order_by(_T.id)
        .limit(bindparam("rows"))
    )


def _noun(row: Sequence[Any]) -> Task:
    body: Task = row[2]
    return msgspec.structs.replace(body, id=row[0], version=row[1])


def concerns_agent(task: Task) -> bool:
    """Whether the agent of its instance has something to hear: start it, or stop it."""
    return task.stopped_at is None and (
        (task.desired_status == "STOPPED" and not task.is_held)
        or task.last_status in ("PROVISIONING", "PENDING")
    )


class TaskRepo:
    """Tasks of all clusters.

    Writes leave hints: the task itself, its instance's dispatch (when its agent
    has something to hear), its service or daemon, and its cluster's fleet (when room came up).
    """

    def __init__(self, tx: Tx) -> None:
        self._tx = tx
        self._outbox = EventRepo(tx)

    def find(self, cluster_id: int, uid: str) -> Task | None:
        """The task with that 32-character id."""
        row = self._tx.first(_FIND, {"uid": bytes.fromhex(uid), "cluster_id": cluster_id})
        return None if row is None else _noun(row)

    def find_many(self, cluster_id: int, uids: Iterable[str]) -> dict[str, Task]:
        """Those of the ids that exist, by id."""
        rows = self._tx.rows_of(_FIND_MANY, map(bytes.fromhex, uids), {"cluster_id": cluster_id})
        return {noun.uid: noun for noun in map(_noun, rows)}

    def versions(self, cluster_id: int, uids: Iterable[str]) -> dict[str, int]:
        """Versions of those of the ids that exist: enough to know whether a view is current."""
        rows = self._tx.rows_of(_VERSIONS, map(bytes.fromhex, uids), {"cluster_id": cluster_id})
        return {row[0].hex(): row[1] for row in rows}

    def standings(self, cluster_id: int, uids: Iterable[str]) -> tuple[tuple[str, str, str], ...]:
        """(id, desired status, last status) of those of the ids that exist: what most news is about."""
        rows = self._tx.rows_of(_STANDINGS, map(bytes.fromhex, uids), {"cluster_id": cluster_id})
        return tuple((row[0].hex(), row[1], row[2]) for row in rows)

    def get(self, task_id: int) -> Task | None:
        """The task of that row."""
        row = self._tx.first(_GET, {"row_id": task_id})
        return None if row is None else _noun(row)

    def is_live(self, uid: str) -> bool:
        """Whether there is a task with that 32-character id, of whatever cluster, that is not STOPPED."""
        return self._tx.first(_IS_LIVE, {"uid": bytes.fromhex(uid)}) is not None

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
                "daemon_id": task.daemon_id,
                "family": task.family,
                "started_by": task.started_by,
                "launch_type": task.launch_type,
                "desired_status": task.desired_status,
                "last_status": task.last_status,
                "stopped_at": None,
                "agent_due": task.instance_id is not None,
                "body": task,
            }
            for task in new
        ]
        self._tx.change_many(_INSERT, values)
        ids = dict(self._tx.rows_of(_IDS, [row["uid"] for row in values]))
        added = tuple(
            msgspec.structs.replace(task, id=ids[row["uid"]]) for task, row in zip(new, values, strict=True)
        )
        for instance_id in {task.instance_id for task in new if task.instance_id is not None}:
            self._tx.touch("ecs.dispatch", str(instance_id))
        for task in added:
            self._tx.touch("ecs.task", f"{task.cluster_id}/{task.uid}")
        self._outbox.tasks_born(added)
        return added

    def save(self, task: Task) -> Task:
        """Raise `StaleWriteError` when someone else wrote first."""
        saved = self._tx.change(
            _SAVE,
            {
                "row_id": task.id,
                "read_version": task.version,
                "instance_id": task.instance_id,
                "desired_status": task.desired_status,
                "last_status": task.last_status,
                "stopped_at": None if task.stopped_at is None else task.stopped_at.timestamp(),
                "agent_due": task.instance_id is not None and concerns_agent(task),
                "body": task,
            },
        )
        if saved != 1:
            raise StaleWriteError(task.arn)
        self._tx.touch("ecs.task", f"{task.cluster_id}/{task.uid}")
        if task.service_id is not None:
            self._tx.touch("ecs.service", str(task.service_id))
        if task.daemon_id is not None:
            self._tx.touch("ecs.daemon", str(task.daemon_id))
        opens_instance = task.daemon_id is not None and task.last_status == "RUNNING"
        if task.stopped_at is not None or opens_instance:
            self._tx.touch("ecs.fleet", str(task.cluster_id))
        if task.stopped_at is not None and task.fleet_id is not None:
            self._tx.touch(FARGATE_CHANGED, f"{task.account_id}/{task.region}")
        if task.stopped_at is not None and (task.task_role or task.execution_role):
            self._tx.touch(CREDENTIALS_ENDED, task.uid)
        if task.desired_status == "STOPPED" and task.stopped_at is None and task.instance_id is not None:
            self._tx.touch("ecs.dispatch", str(task.instance_id))
        after = msgspec.structs.replace(task, version=task.version + 1)
        self._outbox.task_moved(after)
        return after

    def to_start(self, instance_id: int, *, newer_than: int) -> tuple[Task, ...]:
        """Tasks that an instance's agent must start, whose rows are newer than the one given.

        Rows of one instance become visible in the order of their ids: its cluster's
        placements follow each other (see `ClusterRepo.guard_placement`).
        """
        return self._all(_TO_START, instance_id=instance_id, row_id=newer_than)

    def to_stop(self, instance_id: int) -> tuple[Task, ...]:
        """Tasks that an instance's agent must stop."""
        return self._all(_TO_STOP, instance_id=instance_id)

    def live_of_instance(self, instance_id: int) -> tuple[Task, ...]:
        """Tasks on an instance that are not STOPPED."""
        return self._all(_LIVE_OF_INSTANCE, instance_id=instance_id)

    def live_of_service(self, service_id: int, known: Mapping[int, Task] | None = None) -> tuple[Task, ...]:
        """Tasks of a service that are not STOPPED. `known`: as they were read before, by row.

        What has the same version still is not read again.
        """
        if not known:
            return self._all(_LIVE_OF_SERVICE, service_id=service_id)
        versions: dict[int, int] = dict(self._tx.rows(_VERSIONS_OF_SERVICE, {"service_id": service_id}))
        found = {i: task for i in versions if (task := known.get(i)) and task.version == versions[i]}
        news = [row_id for row_id in versions if row_id not in found]
        found |= {row[0]: _noun(row) for row in self._tx.rows_of(_GET_MANY, news)}
        return tuple(found[row_id] for row_id in versions if row_id in found)

    def standings_of_service(self, service_id: int) -> dict[tuple[str | None, str], int]:
        """How many tasks of a service are not STOPPED, by who started them and last status."""
        rows = self._tx.rows(_STANDINGS_OF_SERVICE, {"service_id": service_id})
        return {(row[0], row[1]): row[2] for row in rows}

    def stopped_of_service(
        self, service_id: int, *, after: datetime, started_by: str | None = None
    ) -> tuple[Task, ...]:
        """Tasks of a service, or of one deployment of it, that stopped after an instant, by when they did."""
        params = {"service_id": service_id, "after": after.timestamp()}
        if started_by is None:
            found = self._all(_STOPPED_OF_SERVICE, **params)
        else:
            found = self._all(_STOPPED_OF_DEPLOYMENT, **params, started_by=started_by)
        return tuple(sorted(found, key=lambda task: (task.stopped_at or after, task.id)))

    def live_of_daemon(self, daemon_id: int) -> tuple[Task, ...]:
        """Tasks of a daemon that are not STOPPED."""
        return self._all(_LIVE_OF_DAEMON, daemon_id=daemon_id)

    def live_of_daemons(self, cluster_id: int) -> tuple[Task, ...]:
        """Tasks of all daemons of a cluster that are not STOPPED."""
        return self._all(_LIVE_OF_DAEMONS, cluster_id=cluster_id)

    def stopped_of_daemon(self, daemon_id: int, *, after: datetime) -> tuple[Task, ...]:
        """Tasks of a daemon that stopped after an instant, by when they did."""
        found = self._all(_STOPPED_OF_DAEMON, daemon_id=daemon_id, after=after.timestamp())
        return tuple(sorted(found, key=lambda task: (task.stopped_at or after, task.id)))

    def stopped_in_cluster(self, cluster_id: int, *, after: datetime) -> tuple[Task, ...]:
        """Tasks of a cluster that stopped after an instant and were on an instance."""
        return self._all(_STOPPED_IN_CLUSTER, cluster_id=cluster_id, after=after.timestamp())

    def stopped_in_fleet(self, fleet_id: int, *, after: datetime) -> tuple[Task, ...]:
        """The same of Fargate's fleet, whose tasks are of many clusters."""
        return self._all(_STOPPED_IN_FLEET, cluster_id=fleet_id, after=after.timestamp())

    def placed_in_fleet(self, fleet_id: int, task_id: int) -> tuple[Task, ...]:
        """Live tasks on the machines of Fargate's fleet that are newer than `task_id`."""
        return self._all(_PLACED_IN_FLEET, cluster_id=fleet_id, row_id=task_id)

    def service_ids(self) -> frozenset[int]:
        """The services that have tasks that are not STOPPED."""
        rows = self._tx.execute(select(_T.service_id).where(_LIVE, _T.service_id.is_not(None)).distinct())
        return frozenset(row[0] for row in rows)

    def placed_after(self, cluster_id: int, task_id: int) -> tuple[Task, ...]:
        """Live tasks of a cluster that are newer than `task_id` and sit on an instance."""
        return self._all(_PLACED_AFTER, cluster_id=cluster_id, row_id=task_id)

    def any_of_provider(self, cluster_id: int, provider: str) -> bool:
        """Whether a task that has not stopped was placed by the capacity provider."""
        body = type_coerce(_T.body, Text)
        told = f'"capacity_provider":"{provider}"'
        row = self._tx.execute(
            select(_T.id)
            .where(_T.cluster_id == cluster_id, _LIVE, body.contains(told, autoescape=True))
            .limit(1)
        ).first()
        return row is not None

    def any_live(self, cluster_id: int) -> bool:
        """Whether the cluster has a task that is not STOPPED."""
        return self._tx.first(_ANY_LIVE, {"cluster_id": cluster_id}) is not None

    def page(
        self,
        cluster_id: int,
        *,
        desired_status: str,
        filters: Mapping[str, int | str | None],
        after_id: int,
        limit: int,
    ) -> tuple[tuple[int, str], ...]:
        """(row, 32-character id) pairs by age that match every filter given, by the columns' names."""
        asked = {"desired_status": desired_status, **filters}
        given = {name: value for name, value in asked.items() if value is not None}
        statement = _page(tuple(given), live=desired_status == "RUNNING")
        rows = self._tx.rows(
            statement, {**given, "cluster_id": cluster_id, "after_id": after_id, "rows": limit}
        )
        return tuple((row[0], row[1].hex()) for row in rows)

    def purge(self, stopped_before: datetime, *, limit: int) -> int:
        """Forget tasks that stopped before the instant; how many."""
        rows = self._tx.rows(_STOPPED_BEFORE, {"before": stopped_before.timestamp(), "rows": limit})
        if rows:
            self._tx.change_many(_DELETE, [{"row_id": row[0]} for row in rows])
        return len(rows)

    def oldest_stop(self) -> float | None:
        """When the oldest STOPPED task stopped, in epoch seconds."""
        row = self._tx.first(_OLDEST_STOP, {})
        return None if row is None else float(row[0])

    def _all(self, statement: Prepared, **params: Any) -> tuple[Task, ...]:
        return tuple(map(_noun, self._tx.rows(statement, params)))
