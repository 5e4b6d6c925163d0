"""Services."""

from __future__ import annotations

from collections.abc import Iterable

import msgspec
from sqlalchemy import select, update

from homeport.core.errors import StaleWriteError
from homeport.services.ecs.model import Service
from homeport.services.ecs.repo.tables import services
from homeport.store.tx import Tx

_S = services.c
_COLUMNS = (_S.id, _S.version, _S.body)


def _noun(row: tuple[int, int, Service]) -> Service:
    return msgspec.structs.replace(row[2], id=row[0], version=row[1])


class ServiceRepo:
    """Services of a cluster; INACTIVE ones stay describable, the newest of a name wins."""

    def __init__(self, tx: Tx) -> None:
        self._tx = tx

    def find(self, cluster_id: int, name: str) -> Service | None:
        """The newest service of that name, whatever its status."""
        row = self._tx.execute(
            select(*_COLUMNS)
            .where(_S.cluster_id == cluster_id, _S.name == name)
            .order_by(_S.id.desc())
            .limit(1)
        ).first()
        return None if row is None else _noun(tuple(row))

    def get(self, service_id: int) -> Service | None:
        """The service of that row."""
        row = self._tx.execute(select(*_COLUMNS).where(_S.id == service_id)).first()
        return None if row is None else _noun(tuple(row))

    def get_many(self, ids: Iterable[int]) -> dict[int, Service]:
        """Those rows, by id."""
        rows = self._tx.execute(select(*_COLUMNS).where(_S.id.in_(list(ids))))
        return {row[0]: _noun(tuple(row)) for row in rows}

    def add(self, service: Service) -> Service:
        """Insert; the row's id is filled in."""
        result = self._tx.execute(
            services.insert().values(
                version=1,
                cluster_id=service.cluster_id,
                name=service.name,
                status=service.status,
                launch_type=service.launch_type,
                body=service,
            )
        )
        assert result.inserted_primary_key is not None
        row_id = int(result.inserted_primary_key[0])
        self._tx.touch("ecs.service", str(row_id))
        return msgspec.structs.replace(service, id=row_id, version=1)

    def save(self, service: Service) -> Service:
        """Raise `StaleWriteError` when someone else wrote first."""
        result = self._tx.execute(
            update(services)
            .where(_S.id == service.id, _S.version == service.version)
            .values(
                status=service.status,
                launch_type=service.launch_type,
                version=service.version + 1,
                body=service,
            )
        )
        if result.rowcount != 1:
            raise StaleWriteError(service.arn)
        self._tx.touch("ecs.service", str(service.id))
        return msgspec.structs.replace(service, version=service.version + 1)

    def is_current(self, service: Service) -> bool:
        """Whether nobody wrote the service since it was read."""
        version = self._tx.execute(select(_S.version).where(_S.id == service.id)).scalar()
        return version == service.version

    def page(
        self, cluster_id: int, *, launch_type: str | None, after_id: int, limit: int
    ) -> tuple[tuple[int, str], ...]:
        """(row, name) of ACTIVE services by age."""
        query = select(_S.id, _S.name).where(
            _S.cluster_id == cluster_id, _S.id > after_id, _S.status == "ACTIVE"
        )
        if launch_type is not None:
            query = query.where(_S.launch_type == launch_type)
        rows = self._tx.execute(query.order_by(_S.id).limit(limit))
        return tuple((row[0], row[1]) for row in rows)

    def live_ids(self) -> tuple[int, ...]:
        """Rows of all services that are not INACTIVE."""
        rows = self._tx.execute(select(_S.id).where(_S.status != "INACTIVE"))
        return tuple(row[0] for row in rows)

    def any_active(self, cluster_id: int) -> bool:
        """Whether the cluster has a service that is not INACTIVE."""
        row = self._tx.execute(
            select(_S.id).where(_S.cluster_id == cluster_id, _S.status != "INACTIVE").limit(1)
        ).first()
        return row is not None
