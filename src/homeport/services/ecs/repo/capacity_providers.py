"""Capacity providers."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import msgspec
from sqlalchemy import bindparam, select, update

from homeport.core.errors import StaleWriteError
from homeport.services.ecs.model import CapacityProvider
from homeport.services.ecs.repo.tables import capacity_providers
from homeport.store.prepared import Prepared
from homeport.store.tx import Tx

_P = capacity_providers.c
_COLUMNS = (_P.id, _P.version, _P.body)
_HOME = (_P.account_id == bindparam("account_id"), _P.region == bindparam("region"))

_FIND = Prepared(select(*_COLUMNS).where(*_HOME, _P.name == bindparam("name")))
_OF_GROUP = Prepared(
    select(*_COLUMNS).where(*_HOME, _P.group_name == bindparam("group_name"), _P.status != "INACTIVE")
)
_GET = Prepared(select(*_COLUMNS).where(_P.id == bindparam("row_id")))
_LISTED = Prepared(select(*_COLUMNS).where(*_HOME, _P.status != "INACTIVE").order_by(_P.name))
_INSERT = Prepared(
    capacity_providers.insert().returning(_P.id),
    column_keys=("version", "account_id", "region", "name", "group_name", "status", "body"),
)
_SAVE = Prepared(
    update(capacity_providers)
    .where(_P.id == bindparam("row_id"), _P.version == bindparam("read_version"))
    .values(
        status=bindparam("status"),
        group_name=bindparam("group"),
        version=_P.version + 1,
        body=bindparam("body"),
    )
)


def _noun(row: Sequence[Any]) -> CapacityProvider:
    body: CapacityProvider = row[2]
    return msgspec.structs.replace(body, id=row[0], version=row[1])


class CapacityProviderRepo:
    """The capacity providers of all accounts and regions; FARGATE and FARGATE_SPOT are not among them."""

    def __init__(self, tx: Tx) -> None:
        self._tx = tx

    def _one(self, query: Prepared, values: dict[str, Any]) -> CapacityProvider | None:
        row = self._tx.first(query, values)
        return None if row is None else _noun(row)

    def find(self, account_id: str, region: str, name: str) -> CapacityProvider | None:
        """The provider of that name, which may be INACTIVE."""
        return self._one(_FIND, {"account_id": account_id, "region": region, "name": name})

    def of_group(self, account_id: str, region: str, group: str) -> CapacityProvider | None:
        """The provider that an Auto Scaling group belongs to; deleted ones have none."""
        return self._one(_OF_GROUP, {"account_id": account_id, "region": region, "group_name": group})

    def groups(self, account_id: str, region: str, names: Iterable[str]) -> dict[str, str]:
        """The Auto Scaling groups of those of the providers that are not INACTIVE, by their names."""
        found = [self.find(account_id, region, name) for name in names]
        return {one.name: one.group for one in found if one is not None and one.status != "INACTIVE"}

    def get(self, provider_id: int) -> CapacityProvider | None:
        """The provider of that row."""
        return self._one(_GET, {"row_id": provider_id})

    def listed(self, account_id: str, region: str) -> tuple[CapacityProvider, ...]:
        """All that are not INACTIVE, by name."""
        return tuple(map(_noun, self._tx.rows(_LISTED, {"account_id": account_id, "region": region})))

    def add(self, provider: CapacityProvider) -> CapacityProvider:
        """Insert; the row's id is filled in."""
        row_id = self._tx.insert(
            _INSERT,
            {
                "version": 1,
                "account_id": provider.account_id,
                "region": provider.region,
                "name": provider.name,
                "group_name": provider.group,
                "status": provider.status,
                "body": provider,
            },
        )
        self._tx.touch("ecs.capacity-provider", str(row_id))
        return msgspec.structs.replace(provider, id=row_id, version=1)

    def save(self, provider: CapacityProvider) -> CapacityProvider:
        """Raise `StaleWriteError` when someone else wrote first."""
        saved = self._tx.change(
            _SAVE,
            {
                "row_id": provider.id,
                "read_version": provider.version,
                "status": provider.status,
                "group": provider.group,
                "body": provider,
            },
        )
        if saved != 1:
            raise StaleWriteError(provider.arn)
        self._tx.touch("ecs.capacity-provider", str(provider.id))
        return msgspec.structs.replace(provider, version=provider.version + 1)
