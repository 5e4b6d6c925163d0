"""Capacity providers."""

from __future__ import annotations

from collections.abc import Iterable

from sqlalchemy import bindparam, select

from homeport.services.ecs.model import CapacityProvider
from homeport.services.ecs.repo.tables import capacity_providers
from homeport.store.prepared import Prepared
from homeport.store.prepared_rows import PreparedRows
from homeport.store.tx import Tx

_P = capacity_providers.c
_ROWS: PreparedRows[CapacityProvider] = PreparedRows(
    capacity_providers, first=("account_id", "region", "name"), always=("group_name", "status")
)
_HOME = (_P.account_id == bindparam("account_id"), _P.region == bindparam("region"))

_FIND = Prepared(select(*_ROWS.columns).where(*_HOME, _P.name == bindparam("name")))
_OF_GROUP = Prepared(
    select(*_ROWS.columns).where(*_HOME, _P.group_name == bindparam("group_name"), _P.status != "INACTIVE")
)
_LISTED = Prepared(select(*_ROWS.columns).where(*_HOME, _P.status != "INACTIVE").order_by(_P.name))


class CapacityProviderRepo:
    """The capacity providers of all accounts and regions; FARGATE and FARGATE_SPOT are not among them."""

    def __init__(self, tx: Tx) -> None:
        self._tx = tx

    def find(self, account_id: str, region: str, name: str) -> CapacityProvider | None:
        """The provider of that name, which may be INACTIVE."""
        return _ROWS.first(self._tx, _FIND, {"account_id": account_id, "region": region, "name": name})

    def of_group(self, account_id: str, region: str, group: str) -> CapacityProvider | None:
        """The provider that an Auto Scaling group belongs to; deleted ones have none."""
        return _ROWS.first(
            self._tx, _OF_GROUP, {"account_id": account_id, "region": region, "group_name": group}
        )

    def groups(self, account_id: str, region: str, names: Iterable[str]) -> dict[str, str]:
        """The Auto Scaling groups of those of the providers that are not INACTIVE, by their names."""
        found = [self.find(account_id, region, name) for name in names]
        return {one.name: one.group for one in found if one is not None and one.status != "INACTIVE"}

    def get(self, provider_id: int) -> CapacityProvider | None:
        """The provider of that row."""
        return _ROWS.get(self._tx, provider_id)

    def listed(self, account_id: str, region: str) -> tuple[CapacityProvider, ...]:
        """All that are not INACTIVE, by name."""
        return _ROWS.nouns(self._tx.rows(_LISTED, {"account_id": account_id, "region": region}))

    def add(self, provider: CapacityProvider) -> CapacityProvider:
        """Insert; the row's id is filled in."""
        added = _ROWS.insert(
            self._tx,
            provider,
            account_id=provider.account_id,
            region=provider.region,
            name=provider.name,
            group_name=provider.group,
            status=provider.status,
        )
        self._tx.touch("ecs.capacity-provider", str(added.id))
        return added

    def save(self, provider: CapacityProvider) -> CapacityProvider:
        """Raise `StaleWriteError` when someone else wrote first."""
        saved = _ROWS.save(
            self._tx, provider, provider.arn, group_name=provider.group, status=provider.status
        )
        self._tx.touch("ecs.capacity-provider", str(provider.id))
        return saved
