"""Namespaces, services, instances and operations. Every write is guarded and told to the change feed."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import delete, select

from homeport.services.servicediscovery.model import Instance, Namespace, Operation, Service
from homeport.services.servicediscovery.repo.tables import instances, namespaces, operations, services
from homeport.store.rows import all_nouns, first_noun, insert_row, noun_of, nouns, remove_row, write_row
from homeport.store.tx import Tx

_N, _S, _I, _O = namespaces.c, services.c, instances.c, operations.c
NAMESPACE_CHANGED, SERVICE_CHANGED = "servicediscovery.namespace", "servicediscovery.service"
"""The change feed's kinds. The keys are ids; a service changes with its instances."""
OPERATIONS_KEPT = timedelta(days=30)


class Registry:
    """One account's names in one region."""

    def __init__(self, tx: Tx, account_id: str, region: str) -> None:
        self.tx = tx
        self.account_id, self.region = account_id, region
        self._owned = {"account_id": account_id, "region": region}

    # ---- namespaces ---------------------------------------------------------------------------

    def namespaces(self) -> list[Namespace]:
        """All, oldest first."""
        query = nouns(namespaces).where(_N.account_id == self.account_id, _N.region == self.region)
        return all_nouns(self.tx, query.order_by(_N.id))

    def namespace(self, namespace_id: str) -> Namespace | None:
        """The one of that id."""
        found = find_namespace(self.tx, namespace_id)
        return found if found is not None and self._is_here(found) else None

    def namespace_called(self, http_name: str) -> Namespace | None:
        """The one that API calls know by this name."""
        query = nouns(namespaces).where(
            _N.account_id == self.account_id, _N.region == self.region, _N.http_name == http_name
        )
        return first_noun(self.tx, query)

    def add_namespace(self, new: Namespace) -> Namespace:
        """Insert. Raise `DuplicateKeyError` when its HTTP name is taken."""
        self.tx.touch(NAMESPACE_CHANGED, new.namespace_id)
        ids = {"namespace_id": new.namespace_id, "http_name": new.http_name}
        return insert_row(self.tx, namespaces, new, **self._owned, **ids)

    def save_namespace(self, changed: Namespace) -> Namespace:
        """Raise `StaleWriteError` when someone else wrote first."""
        self.tx.touch(NAMESPACE_CHANGED, changed.namespace_id)
        return write_row(self.tx, namespaces, changed, changed.arn)

    def remove_namespace(self, gone: Namespace) -> None:
        """Raise `StaleWriteError` when someone else wrote first."""
        self.tx.touch(NAMESPACE_CHANGED, gone.namespace_id)
        remove_row(self.tx, namespaces, gone, gone.arn)

    # ---- services -----------------------------------------------------------------------------

    def services(self, namespace_id: str | None = None) -> list[Service]:
        """All, or a namespace's, oldest first."""
        query = nouns(services).where(_S.account_id == self.account_id, _S.region == self.region)
        if namespace_id is not None:
            query = query.where(_S.namespace_id == namespace_id)
        return all_nouns(self.tx, query.order_by(_S.id))

    def service(self, service_id: str) -> Service | None:
        """The one of that id."""
        found = find_service(self.tx, service_id)
        return found if found is not None and self._is_here(found) else None

    def service_called(self, namespace_id: str, unique_name: str) -> Service | None:
        """A namespace's service by its name (in lower case, where DNS knows it)."""
        query = nouns(services).where(_S.namespace_id == namespace_id, _S.unique_name == unique_name)
        return first_noun(self.tx, query)

    def add_service(self, new: Service, unique_name: str) -> Service:
        """Insert. Raise `DuplicateKeyError` when the name is taken."""
        self.tx.touch(SERVICE_CHANGED, new.service_id)
        ids = {"service_id": new.service_id, "namespace_id": new.namespace_id, "unique_name": unique_name}
        return insert_row(self.tx, services, new, **self._owned, **ids)

    def save_service(self, changed: Service) -> Service:
        """Raise `StaleWriteError` when someone else wrote first."""
        self.tx.touch(SERVICE_CHANGED, changed.service_id)
        return write_row(self.tx, services, changed, changed.arn)

    def remove_service(self, gone: Service) -> None:
        """Raise `StaleWriteError` when someone else wrote first."""
        self.tx.touch(SERVICE_CHANGED, gone.service_id)
        remove_row(self.tx, services, gone, gone.arn)

    # ---- instances: whoever writes one writes its service -----------------------------------------

    def instances(self, service_id: str) -> list[Instance]:
        """A service's instances, by id."""
        return find_instances(self.tx, service_id)

    def instance(self, service_id: str, instance_id: str) -> Instance | None:
        """One of them."""
        query = nouns(instances).where(_I.service_id == service_id, _I.instance_id == instance_id)
        return first_noun(self.tx, query)

    def add_instance(self, new: Instance) -> Instance:
        """Insert. Raise `DuplicateKeyError` when the id is taken."""
        ids = {"service_id": new.service_id, "instance_id": new.instance_id}
        return insert_row(self.tx, instances, new, **ids)

    def save_instance(self, changed: Instance) -> Instance:
        """Raise `StaleWriteError` when someone else wrote first."""
        return write_row(self.tx, instances, changed, changed.instance_id)

    def remove_instance(self, gone: Instance) -> None:
        """Raise `StaleWriteError` when someone else wrote first."""
        remove_row(self.tx, instances, gone, gone.instance_id)

    # ---- operations ---------------------------------------------------------------------------

    def operations(self) -> list[Operation]:
        """All that are kept, newest first."""
        query = nouns(operations).where(_O.account_id == self.account_id, _O.region == self.region)
        return all_nouns(self.tx, query.order_by(_O.id.desc()))

    def operation(self, operation_id: str) -> Operation | None:
        """The one of that id."""
        query = nouns(operations).where(
            _O.account_id == self.account_id, _O.region == self.region, _O.operation_id == operation_id
        )
        return first_noun(self.tx, query)

    def add_operation(self, new: Operation) -> Operation:
        """Insert, and forget those that are too old."""
        self._forget(new.created_at - OPERATIONS_KEPT)
        made = {"operation_id": new.operation_id, "created_at": new.created_at.timestamp()}
        return insert_row(self.tx, operations, new, **self._owned, **made)

    def _forget(self, before: datetime) -> None:
        old = delete(operations).where(_O.account_id == self.account_id, _O.region == self.region)
        self.tx.execute(old.where(_O.created_at < before.timestamp()))

    def _is_here(self, found: Namespace | Service) -> bool:
        return (found.account_id, found.region) == (self.account_id, self.region)


def find_namespace(tx: Tx, namespace_id: str) -> Namespace | None:
    """The namespace of that id, whoever's it is."""
    return first_noun(tx, nouns(namespaces).where(_N.namespace_id == namespace_id))


def public_services(tx: Tx, account_id: str) -> list[str]:
    """The ids of the services in an account's public namespaces, of all regions."""
    held: list[Namespace] = all_nouns(tx, nouns(namespaces).where(_N.account_id == account_id))
    return [one for each in held if each.is_public for one in services_of(tx, each.namespace_id)]


def find_service(tx: Tx, service_id: str) -> Service | None:
    """The service of that id, whoever's it is."""
    return first_noun(tx, nouns(services).where(_S.service_id == service_id))


def find_instances(tx: Tx, service_id: str) -> list[Instance]:
    """A service's instances, by id."""
    query = nouns(instances).where(_I.service_id == service_id).order_by(_I.instance_id)
    return all_nouns(tx, query)


def ids_of_all(tx: Tx) -> tuple[list[str], list[str]]:
    """Every namespace and every service, of all accounts."""
    return (
        [row[0] for row in tx.execute(select(_N.namespace_id).order_by(_N.id))],
        [row[0] for row in tx.execute(select(_S.service_id).order_by(_S.id))],
    )


def services_of(tx: Tx, namespace_id: str) -> Iterable[str]:
    """The ids of a namespace's services."""
    query: Any = select(_S.service_id).where(_S.namespace_id == namespace_id).order_by(_S.id)
    return [row[0] for row in tx.execute(query)]


def services_with_entrances(tx: Tx) -> list[Service]:
    """Those of all accounts that others reach by Service Connect, oldest first."""
    return [one for one in all_nouns(tx, nouns(services).order_by(_S.id)) if one.entrance is not None]


def all_instances(tx: Tx) -> list[tuple[str, Instance]]:
    """Every instance of every account, with its service's ARN."""
    query = select(_I.id, _I.version, _I.body, _S.body).join(services, _S.service_id == _I.service_id)
    return [(row[3].arn, noun_of(row)) for row in tx.execute(query.order_by(_I.id))]
