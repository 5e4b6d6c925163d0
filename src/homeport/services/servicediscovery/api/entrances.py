"""Services that ECS makes for Service Connect, in its own transactions."""

from __future__ import annotations

import msgspec

from homeport.core.call import inner_call
from homeport.services.servicediscovery.api.context import ServiceDiscovery, fresh, registry
from homeport.services.servicediscovery.api.instances import drop_instance
from homeport.services.servicediscovery.errors import ServiceAlreadyExists
from homeport.services.servicediscovery.model import HTTP, Entrance, Namespace, Service, Shift
from homeport.services.servicediscovery.plan.requests import unique_name
from homeport.services.servicediscovery.repo.registry import Registry, services_with_entrances
from homeport.store.tx import Tx

MANAGED = {"AmazonECSManaged": "true"}
"""The tag of what ECS makes [our choice of the value]."""


class Entrances:
    """Every method works in its caller's transaction."""

    def __init__(self, sd: ServiceDiscovery) -> None:
        self._sd = sd

    def namespace(self, tx: Tx, account_id: str, region: str, reference: str) -> Namespace | None:
        """The account's namespace of that name or ARN; of several of one name the oldest."""
        found = Registry(tx, account_id, region).namespaces()
        return next((one for one in found if reference in (one.arn, one.name)), None)

    def make_namespace(self, tx: Tx, account_id: str, region: str, name: str) -> Namespace:
        """One that only API calls know, of a name that nobody has."""
        return Registry(tx, account_id, region).add_namespace(
            Namespace(
                account_id=account_id,
                region=region,
                namespace_id=f"ns-{fresh(self._sd.ids, 16)}",
                type=HTTP,
                name=name,
                http_name=name,
                created_at=self._sd.clock.now(),
                tags=dict(MANAGED),
            )
        )

    def claim(self, tx: Tx, namespace: Namespace, name: str, entrance: Entrance) -> Service:
        """The service of that name with that entrance: its owner's, or a new one. A shift goes on.

        Raise `ServiceAlreadyExists` where the name is somebody else's.
        """
        held = Registry(tx, namespace.account_id, namespace.region)
        key = unique_name(name, namespace)
        there = held.service_called(namespace.namespace_id, key)
        if there is None:
            new = Service(
                account_id=namespace.account_id,
                region=namespace.region,
                service_id=f"srv-{fresh(self._sd.ids, 16)}",
                namespace_id=namespace.namespace_id,
                name=name,
                created_at=self._sd.clock.now(),
                tags=dict(MANAGED),
                entrance=entrance,
            )
            return held.add_service(new, key)
        if there.entrance is None or there.entrance.owner != entrance.owner:
            raise ServiceAlreadyExists(
                f"The service {name} already exists in the namespace {namespace.namespace_id}.",
                CreatorRequestId=there.creator_request_id,
                ServiceId=there.service_id,
                ServiceArn=there.arn,
            )
        entrance = msgspec.structs.replace(entrance, shift=there.entrance.shift)
        if there.entrance == entrance:
            return there
        return held.save_service(msgspec.structs.replace(there, entrance=entrance))

    def share(self, tx: Tx, owner: str, shift: Shift | None) -> None:
        """What becomes of all traffic of an owner from now on."""
        for one in services_with_entrances(tx):
            if one.entrance is None or one.entrance.owner != owner or one.entrance.shift == shift:
                continue
            entrance = msgspec.structs.replace(one.entrance, shift=shift)
            held = Registry(tx, one.account_id, one.region)
            held.save_service(msgspec.structs.replace(one, entrance=entrance))

    def remove(self, tx: Tx, service: Service) -> None:
        """Take one away with all that is registered in it."""
        call = inner_call("servicediscovery", "DeleteService", service.account_id, service.region)
        held = registry(tx, call)
        for one in held.instances(service.service_id):
            current = held.service(service.service_id)
            if current is not None:
                drop_instance(tx, call, current, one)
        current = held.service(service.service_id)
        if current is not None:
            held.remove_service(current)
