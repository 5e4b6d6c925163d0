"""Cloud Map as ECS's services use it."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping

from homeport.core.errors import AwsError
from homeport.services.ec2 import manifest as ec2
from homeport.services.ecs.manifest import RegistryFacts, RegistryInstance, RegistryRefusedError
from homeport.services.servicediscovery import manifest as cloud_map
from homeport.store.base import Store
from homeport.store.tx import Tx

CLUSTER, SERVICE = "ECS_CLUSTER_NAME", "ECS_SERVICE_NAME"


class CloudMapRegistries:
    """ECS's words for what the registrar does. Instances are where EC2's interfaces are."""

    def __init__(self, registrar: cloud_map.Registrar, store: Store) -> None:
        self._registrar, self._store = registrar, store

    async def find(self, account_id: str, region: str, arns: Collection[str]) -> Mapping[str, RegistryFacts]:
        """Those of the registries that exist."""
        found = {}
        for arn in arns:
            one = await self._registrar.find(arn)
            if one is not None and (one.account_id, one.region) == (account_id, region):
                types = tuple(record.type for record in one.records)
                found[arn] = RegistryFacts(record_types=types, custom_health=one.custom_health)
        return found

    async def has_namespace(self, account_id: str, region: str, namespace: str) -> bool:
        """Whether there is a namespace of that name or ARN."""
        return await self._registrar.has_namespace(account_id, region, namespace)

    async def registered(self, arn: str, owner: tuple[str, str]) -> Mapping[str, RegistryInstance]:
        """The tasks of a cluster's service in a registry."""
        return {
            one.instance_id: RegistryInstance(attributes=one.attributes, healthy=one.healthy)
            for one in await self._registrar.instances(arn)
            if (one.attributes.get(CLUSTER), one.attributes.get(SERVICE)) == owner
        }

    async def all_registered(self) -> Collection[tuple[str, str]]:
        """Every task in every registry."""
        found = await self._registrar.everything()
        return [(arn, one.instance_id) for arn, one in found if CLUSTER in one.attributes]

    async def register(
        self, arn: str, uid: str, attributes: Mapping[str, str], *, still: Callable[[Tx], bool]
    ) -> None:
        """Register a task, if it is still to be found. Raise `RegistryRefusedError`."""
        try:
            await self._registrar.register(arn, uid, attributes, still=still)
        except AwsError as error:
            raise RegistryRefusedError(f"{error.code}: {error.message}") from None

    async def report(self, arn: str, uid: str, *, healthy: bool) -> None:
        """Tell how a task is."""
        await self._registrar.report(arn, uid, healthy=healthy)

    async def deregister(self, arn: str, uid: str) -> None:
        """Take a task out."""
        await self._registrar.deregister(arn, uid)

    async def addresses(self, account_id: str, region: str, ids: Collection[str]) -> Mapping[str, str]:
        """Where EC2 instances are: their first interfaces' addresses."""

        def work(tx: Tx) -> dict[str, str]:
            found = ec2.Shelf(tx, account_id, region).all(ec2.NetworkInterface) if ids else []
            return {
                one.attachment.instance_id: one.address
                for one in found
                if one.attachment is not None
                and one.attachment.instance_id in ids
                and not one.attachment.device_index
            }

        return await self._store.read(work)
