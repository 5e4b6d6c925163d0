"""The container instances that ECS knows, as EC2 tells of them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from homeport.services.ec2.manifest import LocalInstance
from homeport.services.ecs.model import ContainerInstance
from homeport.services.ecs.repo.clusters import ClusterRepo
from homeport.services.ecs.repo.instances import InstanceRepo
from homeport.store.base import Store
from homeport.store.tx import Tx

_BATCH = 100


class EcsInstances:
    """One for each EC2 instance id: registered twice, its newest registration counts."""

    def __init__(self, store: Store) -> None:
        self._store = store

    async def all(self, account_id: str, region: str) -> Sequence[LocalInstance]:
        """Every one that is registered, ordered by its id."""

        def work(tx: Tx) -> dict[str, LocalInstance]:
            found = sorted(_registered(tx, account_id, region), key=lambda one: one.registered_at)
            return {one.ec2_instance_id: _local(one) for one in found if one.ec2_instance_id.startswith("i-")}

        by_id = await self._store.read(work)
        return [by_id[one] for one in sorted(by_id)]


def _registered(tx: Tx, account_id: str, region: str) -> Iterator[ContainerInstance]:
    clusters, instances = ClusterRepo(tx), InstanceRepo(tx)
    after = 0
    while page := clusters.page(account_id, region, after_id=after, limit=_BATCH):
        for cluster in page:
            yield from instances.of_cluster(cluster.id)
        after = page[-1].id


def _local(one: ContainerInstance) -> LocalInstance:
    return LocalInstance(
        instance_id=one.ec2_instance_id,
        zone=one.attribute("ecs.availability-zone") or "",
        instance_type=one.attribute("ecs.instance-type") or "",
        launched_at=one.registered_at,
        cpu_units=one.cpu,
        memory_mib=one.memory,
        architecture=one.attribute("ecs.cpu-architecture") or "x86_64",
        is_reachable=one.agent_connected,
    )
