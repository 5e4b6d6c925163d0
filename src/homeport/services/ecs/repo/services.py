"""Services."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import islice

from sqlalchemy import bindparam, select

from homeport.services.ecs.model import Service
from homeport.services.ecs.repo.events import EventRepo
from homeport.services.ecs.repo.tables import services
from homeport.store.prepared import Prepared
from homeport.store.prepared_rows import PreparedRows
from homeport.store.tx import Tx

_S = services.c
_ROWS: PreparedRows[Service] = PreparedRows(
    services, first=("cluster_id", "name"), always=("status", "launch_type")
)

_FIND = Prepared(
    select(*_ROWS.columns)
    .where(_S.cluster_id == bindparam("cluster_id"), _S.name == bindparam("name"))
    .order_by(_S.id.desc())
    .limit(1)
)
_VERSION = Prepared(select(_S.version).where(_S.id == bindparam("row_id")))


class ServiceRepo:
    """Services of a cluster; INACTIVE ones stay describable, the newest of a name wins."""

    def __init__(self, tx: Tx) -> None:
        self._tx = tx

    def find(self, cluster_id: int, name: str) -> Service | None:
        """The newest service of that name, whatever its status."""
        return _ROWS.first(self._tx, _FIND, {"cluster_id": cluster_id, "name": name})

    def get(self, service_id: int) -> Service | None:
        """The service of that row."""
        return _ROWS.get(self._tx, service_id)

    def get_many(self, ids: Iterable[int]) -> dict[int, Service]:
        """Those rows, by id."""
        return _ROWS.get_many(self._tx, ids)

    def add(self, service: Service) -> Service:
        """Insert; the row's id is filled in."""
        added = _ROWS.insert(
            self._tx,
            service,
            cluster_id=service.cluster_id,
            name=service.name,
            status=service.status,
            launch_type=service.launch_type,
        )
        self._tx.touch("ecs.service", str(added.id))
        EventRepo(self._tx).service_moved(None, added)
        return added

    def save(self, service: Service) -> Service:
        """Raise `StaleWriteError` when someone else wrote first."""
        before = self.get(service.id)
        saved = _ROWS.save(
            self._tx, service, service.arn, status=service.status, launch_type=service.launch_type
        )
        self._tx.touch("ecs.service", str(service.id))
        EventRepo(self._tx).service_moved(before, service)
        return saved

    def in_namespace(self, namespace: str, *, after_id: int, limit: int) -> list[tuple[int, str]]:
        """Rows and ARNs of ACTIVE services that take part in Service Connect there."""
        asked = select(*_ROWS.columns).where(_S.status == "ACTIVE", _S.id > after_id).order_by(_S.id)
        found = ((one.id, one) for one in map(_ROWS.noun, self._tx.execute(asked)) if one.deployments)
        here = ((row, one.arn) for row, one in found if one.in_connect(namespace))
        return list(islice(here, limit))

    def is_current(self, service: Service) -> bool:
        """Whether nobody wrote the service since it was read."""
        return self._tx.first(_VERSION, {"row_id": service.id}) == (service.version,)

    def page(
        self,
        cluster_id: int,
        *,
        launch_type: str | None,
        scheduling_strategy: str | None = None,
        after_id: int,
        limit: int,
    ) -> tuple[tuple[int, str], ...]:
        """(row, name) of ACTIVE services by age."""
        if scheduling_strategy is not None:
            found = (
                service
                for service in self._active(cluster_id, after_id=after_id)
                if service.scheduling_strategy == scheduling_strategy
                and launch_type in (None, service.launch_type)
            )
            return tuple((service.id, service.name) for service in islice(found, limit))
        query = select(_S.id, _S.name).where(
            _S.cluster_id == cluster_id, _S.id > after_id, _S.status == "ACTIVE"
        )
        if launch_type is not None:
            query = query.where(_S.launch_type == launch_type)
        rows = self._tx.execute(query.order_by(_S.id).limit(limit))
        return tuple((row[0], row[1]) for row in rows)

    def daemons(self, cluster_id: int) -> tuple[Service, ...]:
        """The ACTIVE services of a cluster that are DAEMON services."""
        return tuple(service for service in self._active(cluster_id) if service.is_daemon)

    def _active(self, cluster_id: int, *, after_id: int = 0) -> Iterator[Service]:
        query = select(*_ROWS.columns).where(
            _S.cluster_id == cluster_id, _S.id > after_id, _S.status == "ACTIVE"
        )
        return map(_ROWS.noun, self._tx.execute(query.order_by(_S.id)))

    def providers_in_use(self, cluster_id: int) -> frozenset[str]:
        """The capacity providers that strategies of the cluster's services name, ended services aside."""
        rows = self._tx.execute(
            select(*_ROWS.columns).where(_S.cluster_id == cluster_id, _S.status != "INACTIVE")
        )
        return frozenset(
            item["capacityProvider"]
            for row in rows
            for deployment in _ROWS.noun(row).deployments
            for item in deployment.strategy
        )

    def live_ids(self) -> tuple[int, ...]:
        """Rows of all services that are not INACTIVE."""
        rows = self._tx.execute(select(_S.id).where(_S.status != "INACTIVE"))
        return tuple(row[0] for row in rows)

    def definition_ids(self) -> frozenset[int]:
        """The task definitions of all services that are not INACTIVE, those to roll back to included."""
        rows = self._tx.execute(select(*_ROWS.columns).where(_S.status != "INACTIVE"))
        found = [_ROWS.noun(row) for row in rows]
        past = [service.last_completed for service in found if service.last_completed is not None]
        return frozenset(d.task_definition_id for d in (*past, *(d for s in found for d in s.deployments)))

    def any_active(self, cluster_id: int) -> bool:
        """Whether the cluster has a service that is not INACTIVE."""
        row = self._tx.execute(
            select(_S.id).where(_S.cluster_id == cluster_id, _S.status != "INACTIVE").limit(1)
        ).first()
        return row is not None
