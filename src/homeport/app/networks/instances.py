"""The container instances that ECS knows, as EC2 tells of them, and their places in the default VPC."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from homeport.core.clock import Clock
from homeport.core.ids import Ids
from homeport.services.ec2 import manifest as ec2
from homeport.services.ec2.manifest import LocalInstance
from homeport.services.ecs.model import ContainerInstance
from homeport.services.ecs.repo.clusters import ClusterRepo
from homeport.services.ecs.repo.instances import InstanceRepo
from homeport.store.base import Store
from homeport.store.tx import Tx

_BATCH = 100
PRIMARY = 0
"""The device index of an instance's own interface."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """Where a slice of this machine is, or would like to be. `zone`: as `us-east-1a`."""

    instance_id: str
    zone: str
    address: str


class EcsInstances:
    """One for each EC2 instance id: registered twice, its newest registration counts."""

    def __init__(self, store: Store) -> None:
        self._store = store

    async def all(self, account_id: str, region: str) -> Sequence[LocalInstance]:
        """Every one that is registered, ordered by its id."""

        def work(tx: Tx) -> dict[str, LocalInstance]:
            found = sorted(_registered(tx, account_id, region), key=lambda one: one.registered_at)
            placed = _placed(ec2.Shelf(tx, account_id, region))
            return {
                one.ec2_instance_id: _local(one, placed)
                for one in found
                if one.ec2_instance_id.startswith("i-")
            }

        by_id = await self._store.read(work)
        return [by_id[one] for one in sorted(by_id)]


async def settle_places(
    store: Store, clock: Clock, ids: Ids, *, account_id: str, region: str, places: Sequence[Place]
) -> Mapping[str, str]:
    """Give each local instance its interface in the default VPC, and take those of others away.

    The address of each, by its id. The account's default network must be there. An interface that is there
    keeps its address and its groups; a new one has the address that is wished for, if nobody has it. Where
    the default VPC or the subnet of a zone was deleted, an instance has no interface, and its wish.
    """

    def work(tx: Tx) -> dict[str, str]:
        shelf = ec2.Shelf(tx, account_id, region)
        held = _placed(shelf)
        wanted = {one.instance_id: one for one in places}
        for instance_id, interface in held.items():
            if instance_id not in wanted:
                ec2.remove_interface(shelf, interface)
        subnets = {one.zone: one.resource_id for one in shelf.all(ec2.Subnet) if one.is_default}
        found = {}
        for place in places:
            there = held.get(place.instance_id)
            if there is None and (subnet := subnets.get(place.zone)):
                there = _place(shelf, clock, ids, shelf.get(ec2.Subnet, subnet), place)
            found[place.instance_id] = place.address if there is None else there.address
        return found

    return await store.write(work)


def _place(
    shelf: ec2.Shelf, clock: Clock, ids: Ids, subnet: ec2.Subnet, place: Place
) -> ec2.NetworkInterface:
    attachment = ec2.Attachment(
        attachment_id=f"eni-attach-0{ids.token(8).hex()}",
        attached_at=clock.now(),
        instance_id=place.instance_id,
        device_index=PRIMARY,
    )
    others = {one.address for one in shelf.all(ec2.NetworkInterface, vpc_id=subnet.vpc_id)}
    return ec2.add_interface(
        shelf,
        ids,
        subnet,
        description="Primary network interface",
        address="" if place.address in others else place.address,
        attachment=attachment,
    )


def _placed(shelf: ec2.Shelf) -> Mapping[str, ec2.NetworkInterface]:
    """The instances' own interfaces, by instance."""
    return {
        one.attachment.instance_id: one
        for one in shelf.all(ec2.NetworkInterface)
        if one.attachment and one.attachment.instance_id and one.attachment.device_index == PRIMARY
    }


def _registered(tx: Tx, account_id: str, region: str) -> Iterator[ContainerInstance]:
    clusters, instances = ClusterRepo(tx), InstanceRepo(tx)
    after = 0
    while page := clusters.page(account_id, region, after_id=after, limit=_BATCH):
        for cluster in page:
            yield from instances.of_cluster(cluster.id)
        after = page[-1].id


def _local(one: ContainerInstance, placed: Mapping[str, ec2.NetworkInterface]) -> LocalInstance:
    interface = placed.get(one.ec2_instance_id)
    return LocalInstance(
        instance_id=one.ec2_instance_id,
        zone=one.attribute("ecs.availability-zone") or "",
        instance_type=one.attribute("ecs.instance-type") or "",
        launched_at=one.registered_at,
        cpu_units=one.cpu,
        memory_mib=one.memory,
        architecture=one.attribute("ecs.cpu-architecture") or "x86_64",
        interface_id=interface.resource_id if interface is not None else "",
        is_reachable=one.agent_connected,
    )
