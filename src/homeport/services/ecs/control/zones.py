"""In which Availability Zones a cluster's instances are: when that changes, services are rebalanced."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field, replace

from homeport.core.errors import AwsError
from homeport.runtime.runner import Next
from homeport.services.ecs.model import FARGATE, ContainerInstance, Service, TaskDefinition
from homeport.services.ecs.plan.daemon_hosts import daemon_demand
from homeport.services.ecs.plan.fleet import Fleet
from homeport.services.ecs.plan.placement_types import Demand
from homeport.services.ecs.plan.placing import instance_state, pool_of
from homeport.services.ecs.plan.rebalancing import zones_of
from homeport.services.ecs.plan.rollout import ServiceSnapshot
from homeport.services.ecs.repo.capacity_providers import CapacityProviderRepo
from homeport.services.ecs.repo.clusters import ClusterRepo
from homeport.services.ecs.repo.instances import InstanceRepo
from homeport.store.base import Store
from homeport.store.tx import Tx

_ANY = Demand()


@dataclass(slots=True)
class _Instances:
    """The instances of a cluster as they were at its fleet epoch; their tasks do not matter here."""

    epoch: int = -1
    fleet: Fleet = field(default_factory=Fleet)


class ZoneWatch:
    """Controller, one key a cluster: wakes the services that are rebalanced when a zone comes or goes."""

    name = "ecs.zones"

    def __init__(self, store: Store) -> None:
        self._store = store
        self._clusters: dict[int, _Instances] = {}
        self._services: dict[int, set[int]] = {}
        self._told: dict[int, frozenset[str]] = {}

    async def keys(self) -> Iterable[str]:
        """Every cluster with a service that is rebalanced, as far as one was looked at."""
        return [str(cluster_id) for cluster_id in self._services]

    async def reconcile(self, key: str) -> Next:
        """Compare the zones with those of the last time."""
        cluster_id = int(key)
        concerned = sorted(self._services.get(cluster_id, ()))
        if concerned:
            zones = zones_of(await self._current(cluster_id), _ANY)
            if zones != self._told.get(cluster_id):
                await self._store.write(lambda tx: _wake(tx, concerned))
                self._told[cluster_id] = zones
        return Next()

    async def seen(self, snapshot: ServiceSnapshot, definition: TaskDefinition | None) -> ServiceSnapshot:
        """The snapshot with the zones in which tasks of the service may be, if that can matter now."""
        service = snapshot.service
        mine = self._services.setdefault(service.cluster_id, set())
        if not service.az_rebalancing or service.status != "ACTIVE" or definition is None:
            mine.discard(service.id)
            return snapshot
        is_fargate = service.launch_type == FARGATE
        if not is_fargate:
            mine.add(service.id)
        active = sum(task.desired_status == "RUNNING" for task in snapshot.live)
        if service.primary.rollout_state != "COMPLETED" or active < max(service.desired_count, 2):
            return snapshot
        if is_fargate:  # its machines are everywhere: its subnets say where
            network = service.primary.network
            return replace(snapshot, zones=frozenset() if network is None else network.zones)
        fleet = await self._current(service.cluster_id)
        if len(zones_of(fleet, _ANY)) < 2:
            return snapshot
        try:
            demand = daemon_demand(service, definition)
        except AwsError:
            return snapshot
        for item in service.primary.strategy:  # one at most: others' shares decide where their tasks are
            demand = replace(demand, pool=await self._pool(service, item["capacityProvider"]))
        return replace(snapshot, zones=zones_of(fleet, demand))

    async def _pool(self, service: Service, provider: str) -> str:
        home = (service.account_id, service.region)
        groups = await self._store.read(lambda tx: CapacityProviderRepo(tx).groups(*home, [provider]))
        return pool_of(groups.get(provider, ""))

    async def _current(self, cluster_id: int) -> Fleet:
        """The cluster's instances, brought up to date with those that changed."""
        while True:
            known = self._clusters.setdefault(cluster_id, _Instances())
            since = known.epoch

            def news(tx: Tx, since: int = since) -> tuple[int, tuple[ContainerInstance, ...]]:
                cluster = ClusterRepo(tx).get(cluster_id)
                if cluster is None or cluster.fleet_epoch == since:
                    return since, ()
                return cluster.fleet_epoch, InstanceRepo(tx).changed_since(cluster_id, since)

            epoch, changed = await self._store.read(news, bulk=since < 0)
            if known.epoch != since:
                continue  # somebody else has brought it up to date meanwhile
            for instance in changed:
                if instance.status == "INACTIVE":
                    known.fleet.remove_instance(instance.id)
                else:
                    known.fleet.upsert_instance(instance_state(instance))
            known.epoch = epoch
            return known.fleet


def _wake(tx: Tx, service_ids: Iterable[int]) -> None:
    for service_id in service_ids:
        tx.touch("ecs.service", str(service_id))
