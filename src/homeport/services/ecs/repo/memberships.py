"""Which capacity providers container instances belong to."""

from __future__ import annotations

from collections.abc import Iterable

from homeport.services.ecs.model import GROUP_ATTRIBUTE, ContainerInstance
from homeport.services.ecs.repo.capacity_providers import CapacityProviderRepo
from homeport.services.ecs.repo.clusters import ClusterRepo
from homeport.store.tx import Tx


def providers_of(tx: Tx, instances: Iterable[ContainerInstance]) -> dict[int, str]:
    """The capacity provider's name of each instance that belongs to one, by the instance's row.

    An instance belongs to the provider of its Auto Scaling group in a cluster that has it.
    """
    grouped = {one.id: one for one in instances if one.attribute(GROUP_ATTRIBUTE) is not None}
    clusters, providers = ClusterRepo(tx), CapacityProviderRepo(tx)
    known: dict[int, dict[str, str]] = {}
    found: dict[int, str] = {}
    for one in grouped.values():
        if one.cluster_id not in known:
            cluster = clusters.get(one.cluster_id)
            names = () if cluster is None else cluster.capacity_providers
            groups = providers.groups(one.account_id, one.region, names)
            known[one.cluster_id] = {group: name for name, group in groups.items()}
        provider = known[one.cluster_id].get(one.attribute(GROUP_ATTRIBUTE) or "")
        if provider is not None:
            found[one.id] = provider
    return found
