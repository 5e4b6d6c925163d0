"""Instances for those who register them on somebody's behalf, as ECS does for its services' tasks.

They go the same way as a request: the same rules, the same errors.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from homeport.core.call import Call, inner_call
from homeport.services.servicediscovery.api.context import ServiceDiscovery, done, own_id, registry
from homeport.services.servicediscovery.api.instances import drop_instance, put_instance, set_health
from homeport.services.servicediscovery.errors import CustomHealthNotFound, InstanceNotFound
from homeport.services.servicediscovery.model import Instance, Service
from homeport.services.servicediscovery.repo.registry import Registry, all_instances
from homeport.store.tx import Tx


def _call(operation: str, arn: str) -> Call:
    parts = (arn.split(":", 5) + [""] * 6)[:6]
    return inner_call("servicediscovery", operation, parts[4], parts[3])


class Registrar:
    """Registers, deregisters, reports. A service or an instance that is gone does not matter."""

    def __init__(self, sd: ServiceDiscovery) -> None:
        self._sd = sd

    async def find(self, arn: str) -> Service | None:
        """The service of that ARN."""
        return await self._sd.store.read(lambda tx: _find(tx, arn))

    async def has_namespace(self, account_id: str, region: str, namespace: str) -> bool:
        """Whether the account has a namespace of that name or ARN."""
        found = await self._sd.store.read(lambda tx: Registry(tx, account_id, region).namespaces())
        return any(namespace in (one.arn, one.name) for one in found)

    async def instances(self, arn: str) -> list[Instance]:
        """What is registered there."""

        def work(tx: Tx) -> list[Instance]:
            service = _find(tx, arn)
            if service is None:
                return []
            return registry(tx, _call("ListInstances", arn)).instances(service.service_id)

        return await self._sd.store.read(work)

    async def everything(self) -> list[tuple[str, Instance]]:
        """Every instance of every account, with its service's ARN."""
        return await self._sd.store.read(all_instances, bulk=True)

    async def register(
        self, arn: str, instance_id: str, attributes: Mapping[str, str], *, still: Callable[[Tx], bool]
    ) -> None:
        """Register, or register again, unless somebody says by then that it is not to be."""

        def work(tx: Tx) -> None:
            service, call = _find(tx, arn), _call("RegisterInstance", arn)
            if service is None or not still(tx):
                return
            put_instance(tx, call, service, instance_id, attributes)
            done(tx, call, self._sd, "REGISTER_INSTANCE", SERVICE=service.service_id, INSTANCE=instance_id)

        await self._sd.store.write(work)

    async def report(self, arn: str, instance_id: str, *, healthy: bool) -> None:
        """What is known of an instance's health."""

        def work(tx: Tx) -> None:
            service, call = _find(tx, arn), _call("UpdateInstanceCustomHealthStatus", arn)
            if service is None:
                return
            try:
                set_health(tx, call, self._sd, service, instance_id, healthy=healthy)
            except (InstanceNotFound, CustomHealthNotFound):
                return

        await self._sd.store.write(work)

    async def deregister(self, arn: str, instance_id: str) -> None:
        """Take an instance out."""

        def work(tx: Tx) -> None:
            service, call = _find(tx, arn), _call("DeregisterInstance", arn)
            if service is None:
                return
            instance = registry(tx, call).instance(service.service_id, instance_id)
            if instance is None:
                return
            drop_instance(tx, call, service, instance)
            done(tx, call, self._sd, "DEREGISTER_INSTANCE", SERVICE=service.service_id, INSTANCE=instance_id)

        await self._sd.store.write(work)


def _find(tx: Tx, arn: str) -> Service | None:
    call = _call("GetService", arn)
    return registry(tx, call).service(own_id(call, "service", arn)) if arn.startswith("arn:") else None
