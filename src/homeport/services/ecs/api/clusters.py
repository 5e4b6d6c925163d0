"""Clusters."""

from __future__ import annotations

import msgspec

from homeport.core.call import Call
from homeport.services.ecs.api.access import tags_on
from homeport.services.ecs.api.capacity_providers import association, check_detached
from homeport.services.ecs.api.connect import default_namespace
from homeport.services.ecs.api.context import Answer, Ecs, Request, find_cluster, home, ops
from homeport.services.ecs.api.paging import page_of
from homeport.services.ecs.api.resources import cluster_resource, clusters_resource
from homeport.services.ecs.errors import (
    ClusterContainsContainerInstancesException,
    ClusterContainsServicesException,
    ClusterContainsTasksException,
    InvalidParameterException,
)
from homeport.services.ecs.model import Cluster
from homeport.services.ecs.plan.capacity_strategy import Strategy
from homeport.services.ecs.plan.identifiers import cluster_name
from homeport.services.ecs.plan.support import refuse
from homeport.services.ecs.plan.tags import checked
from homeport.services.ecs.repo.clusters import ClusterRepo
from homeport.services.ecs.repo.daemons import DaemonRepo
from homeport.services.ecs.repo.services import ServiceRepo
from homeport.services.ecs.repo.settings import SettingRepo
from homeport.services.ecs.repo.tasks import TaskRepo
from homeport.services.ecs.view import cluster_view
from homeport.store.tx import Tx

_ALL = frozenset({"CONFIGURATIONS", "SETTINGS", "TAGS"})
_INSIGHTS = ("enabled", "disabled", "enhanced")


def _view(tx: Tx, found: tuple[Cluster, ...], include: frozenset[str]) -> list[Answer]:
    repo = ClusterRepo(tx)
    ids = [cluster.id for cluster in found]
    tasks, services, instances = repo.task_counts(ids), repo.service_counts(ids), repo.instance_counts(ids)
    return [
        cluster_view(
            cluster,
            tasks=tasks.get(cluster.id, {}),
            services=services.get(cluster.id, {}),
            instances=instances.get(cluster.id, 0),
            include=include,
        )
        for cluster in found
    ]


def _settings(given: list[Answer] | None, default: str) -> tuple[Answer, ...]:
    value = default
    for setting in given or ():
        if setting.get("name") != "containerInsights":
            raise InvalidParameterException("The only cluster setting is containerInsights.")
        value = setting.get("value", default)
        if value not in _INSIGHTS:
            raise InvalidParameterException(
                f"Invalid setting value '{value}' for containerInsights: use one of {', '.join(_INSIGHTS)}."
            )
    return ({"name": "containerInsights", "value": value},)


def _configuration(given: Answer | None) -> Answer | None:
    refuse(given or {}, "configuration", ("executeCommandConfiguration", "managedStorageConfiguration"))
    return given


def _check_repeat(req: Request, cluster: Cluster, providers: tuple[str, ...], strategy: Strategy) -> None:
    """Raise when a cluster that is there would need other capacity providers.

    Source of the text: terraform-provider-aws issue 12749.
    """
    asked = (
        ("capacityProviders", set(providers) == set(cluster.capacity_providers)),
        ("defaultCapacityProviderStrategy", strategy == cluster.default_strategy),
    )
    if any(req.get(member) is not None and not same for member, same in asked):
        raise InvalidParameterException(
            "Arguments on this idempotent request are inconsistent with arguments used in previous "
            "request(s)."
        )


@ops.operation("CreateCluster", resources=cluster_resource, needs=tags_on("cluster"))
async def create_cluster(call: Call, ecs: Ecs, req: Request) -> Answer:
    """Create a cluster, or return the ACTIVE one of that name."""
    name = req.get("clusterName") or "default"
    if cluster_name(home(call), name) != name:
        raise InvalidParameterException(f"Invalid identifier: {name}")
    tags, configuration = checked(req.get("tags")), _configuration(req.get("configuration"))

    def work(tx: Tx) -> Answer:
        repo = ClusterRepo(tx)
        old = repo.find(call.account_id, call.region, name)
        providers, strategy = association(tx, call, req)
        if old is None or old.status == "INACTIVE":
            arn = f"arn:aws:iam::{call.account_id}:root"
            explicit = SettingRepo(tx, call.account_id, call.region).explicit((arn, call.principal.arn))
            insights = explicit.get((call.principal.arn, "containerInsights")) or explicit.get(
                (arn, "containerInsights"), "disabled"
            )
            fresh = Cluster(
                account_id=call.account_id,
                region=call.region,
                name=name,
                created_at=ecs.clock.now(),
                settings=_settings(req.get("settings"), insights),
                configuration=configuration,
                tags=tags,
                capacity_providers=providers,
                default_strategy=strategy,
                connect_namespace=default_namespace(tx, call, ecs, req, ""),
            )
            cluster = repo.add(fresh) if old is None else repo.revive(old, fresh)
        else:
            cluster = old
            _check_repeat(req, cluster, providers, strategy)
        return _view(tx, (cluster,), _ALL)[0]

    return {"cluster": await ecs.store.write(work)}


@ops.operation("DescribeClusters", resources=clusters_resource)
async def describe_clusters(call: Call, ecs: Ecs, req: Request) -> Answer:
    """Describe up to 100 clusters; without names, `default`."""
    references = req.get("clusters") or ["default"]
    include = frozenset(req.get("include") or ())
    if len(references) > 100:
        raise InvalidParameterException("clusters can have at most 100 items.")

    def work(tx: Tx) -> Answer:
        repo, found, failures = ClusterRepo(tx), [], []
        for reference in dict.fromkeys(references):
            name = cluster_name(home(call), reference)
            cluster = None if name is None else repo.find(call.account_id, call.region, name)
            if cluster is None:
                arn = cluster_resource(call, {"cluster": reference})[0]
                failures.append({"arn": arn, "reason": "MISSING"})
            else:
                found.append(cluster)
        return {"clusters": _view(tx, tuple(found), include), "failures": failures}

    return await ecs.store.read(work)


@ops.operation("ListClusters")
async def list_clusters(call: Call, ecs: Ecs, req: Request) -> Answer:
    """ARNs of all clusters that are not INACTIVE."""
    page = page_of(call, ecs, req)

    def work(tx: Tx) -> tuple[Cluster, ...]:
        return ClusterRepo(tx).page(
            call.account_id, call.region, after_id=page.after(0), limit=page.limit + 1
        )

    found = await ecs.store.read(work)
    return page.answer("clusterArns", [(c.id, c.arn) for c in found])


@ops.operation("DeleteCluster", resources=cluster_resource)
async def delete_cluster(call: Call, ecs: Ecs, req: Request) -> Answer:
    """Make an empty cluster INACTIVE."""

    def work(tx: Tx) -> Answer:
        cluster = find_cluster(tx, call, req["cluster"])
        repo = ClusterRepo(tx)
        if repo.instance_counts([cluster.id]).get(cluster.id):
            raise ClusterContainsContainerInstancesException(
                "The Cluster cannot be deleted while Container Instances are active or draining."
            )
        if ServiceRepo(tx).any_active(cluster.id):
            raise ClusterContainsServicesException("The Cluster cannot be deleted while Services are active.")
        if DaemonRepo(tx).of_cluster(cluster.id):
            # AWS has no word for it: the guide only says to delete the daemons first.
            raise ClusterContainsServicesException("The Cluster cannot be deleted while Daemons are active.")
        if TaskRepo(tx).any_live(cluster.id):
            raise ClusterContainsTasksException("The Cluster cannot be deleted while Tasks are active.")
        deleted = repo.save(
            msgspec.structs.replace(cluster, status="INACTIVE", capacity_providers=(), default_strategy=())
        )
        return _view(tx, (deleted,), _ALL)[0]

    return {"cluster": await ecs.store.write(work)}


async def _update(call: Call, ecs: Ecs, req: Request) -> Answer:
    configuration = _configuration(req.get("configuration"))

    def work(tx: Tx) -> Answer:
        cluster = find_cluster(tx, call, req["cluster"])
        if req.get("settings"):
            insights = str(cluster.settings[0]["value"]) if cluster.settings else "disabled"
            cluster = msgspec.structs.replace(cluster, settings=_settings(req["settings"], insights))
        if configuration is not None:
            cluster = msgspec.structs.replace(cluster, configuration=configuration)
        namespace = default_namespace(tx, call, ecs, req, cluster.connect_namespace)
        cluster = msgspec.structs.replace(cluster, connect_namespace=namespace)
        return _view(tx, (ClusterRepo(tx).save(cluster),), _ALL)[0]

    return {"cluster": await ecs.store.write(work)}


@ops.operation("UpdateCluster", resources=cluster_resource)
async def update_cluster(call: Call, ecs: Ecs, req: Request) -> Answer:
    """Change settings and configuration."""
    return await _update(call, ecs, req)


@ops.operation("UpdateClusterSettings", resources=cluster_resource)
async def update_cluster_settings(call: Call, ecs: Ecs, req: Request) -> Answer:
    """Change settings."""
    return await _update(call, ecs, req)


@ops.operation("PutClusterCapacityProviders", resources=cluster_resource)
async def put_cluster_capacity_providers(call: Call, ecs: Ecs, req: Request) -> Answer:
    """Give a cluster these capacity providers and no others, and this default strategy."""

    def work(tx: Tx) -> Answer:
        cluster = find_cluster(tx, call, req["cluster"])
        providers, strategy = association(tx, call, req)
        check_detached(tx, cluster, providers)
        changed = msgspec.structs.replace(cluster, capacity_providers=providers, default_strategy=strategy)
        return _view(tx, (ClusterRepo(tx).save(changed),), _ALL)[0]

    return {"cluster": await ecs.store.write(work)}
