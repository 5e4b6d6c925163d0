"""Capacity providers."""

from __future__ import annotations

import msgspec

from homeport.core.call import Call
from homeport.services.ecs.api.access import tags_on
from homeport.services.ecs.api.context import Answer, Ecs, Request, find_cluster, home, ops
from homeport.services.ecs.api.paging import page_of
from homeport.services.ecs.errors import (
    ClientException,
    InvalidParameterException,
    ResourceInUseException,
)
from homeport.services.ecs.model import FARGATE_PROVIDERS, CapacityProvider, Cluster
from homeport.services.ecs.plan.capacity_provider_request import (
    SCALING_DEFAULTS,
    check_group_provider,
    check_name,
    check_scope,
    group_name,
    group_settings,
)
from homeport.services.ecs.plan.capacity_strategy import Strategy, strategy_of
from homeport.services.ecs.plan.identifiers import capacity_provider_name
from homeport.services.ecs.plan.tags import checked
from homeport.services.ecs.repo.capacity_providers import CapacityProviderRepo
from homeport.services.ecs.repo.clusters import ClusterRepo
from homeport.services.ecs.repo.daemons import DaemonRepo
from homeport.services.ecs.repo.services import ServiceRepo
from homeport.services.ecs.repo.tasks import TaskRepo
from homeport.services.ecs.view import capacity_provider_view, fargate_view
from homeport.store.tx import Tx

PROVIDERS_MAX = 20
"""Of a cluster. Source: ECS service quotas."""
_TAGS = frozenset({"TAGS"})


def provider_resource(call: Call, request: Request) -> tuple[str, ...]:
    """IAM: the capacity provider that a request names."""
    reference = request.get("name") or request.get("capacityProvider") or "*"
    if reference.startswith("arn:"):
        return (reference,)
    return (f"arn:aws:ecs:{call.region}:{call.account_id}:capacity-provider/{reference}",)


@ops.operation("CreateCapacityProvider", resources=provider_resource, needs=tags_on("capacity-provider"))
async def create_capacity_provider(call: Call, ecs: Ecs, req: Request) -> Answer:
    """Create a capacity provider on an Auto Scaling group that no other provider has.

    Source of the texts: issues of users of Terraform and CloudFormation who met them.
    """
    check_name(req["name"])
    given = check_group_provider(req)
    reference, tags = given["autoScalingGroupArn"], checked(req.get("tags"))
    provider = CapacityProvider(
        account_id=call.account_id,
        region=call.region,
        name=req["name"],
        group=group_name(reference),
        group_reference=reference,
        **group_settings(given, SCALING_DEFAULTS),
        update_status="CREATE_COMPLETE",
        tags=tags,
        created_at=ecs.clock.now(),
    )

    def work(tx: Tx) -> CapacityProvider:
        repo = CapacityProviderRepo(tx)
        old = repo.find(call.account_id, call.region, provider.name)
        if old is not None and old.status != "INACTIVE":
            raise ClientException(
                "The specified capacity provider already exists. To change the configuration of an "
                "existing capacity provider, update the capacity provider."
            )
        if repo.of_group(call.account_id, call.region, provider.group) is not None:
            raise ClientException(
                "The specified Auto Scaling group ARN is already being used by another capacity provider. "
                "Specify a unique Auto Scaling group ARN and try again."
            )
        if old is None:
            return repo.add(provider)
        return repo.save(msgspec.structs.replace(provider, id=old.id, version=old.version))

    return {"capacityProvider": capacity_provider_view(await ecs.store.write(work), include=_TAGS)}


def _names(call: Call, references: list[str]) -> dict[str, str | None]:
    """The names that short names and ARNs stand for; `None`: in another account or region."""
    return {reference: capacity_provider_name(home(call), reference) for reference in references}


def _described(call: Call, request: Request) -> tuple[str, ...]:
    references = request.get("capacityProviders") or ["*"]
    return tuple(arn for reference in references for arn in provider_resource(call, {"name": reference}))


@ops.operation("DescribeCapacityProviders", resources=_described)
async def describe_capacity_providers(call: Call, ecs: Ecs, req: Request) -> Answer:
    """Describe the named providers, or all with FARGATE and FARGATE_SPOT; deleted ones by name only."""
    references = req.get("capacityProviders") or []
    if len(references) > 100:
        raise InvalidParameterException("capacityProviders can have at most 100 items.")
    page = page_of(call, ecs, req, default=10, maximum=10)
    include = frozenset(req.get("include") or ())

    def work(tx: Tx) -> tuple[list[tuple[str, Answer]], list[Answer]]:
        repo, failures = CapacityProviderRepo(tx), []
        among = None
        if req.get("cluster"):
            among = find_cluster(tx, call, req["cluster"]).capacity_providers
        views = {name: fargate_view(call.region, call.account_id, name) for name in FARGATE_PROVIDERS}
        listed = repo.listed(call.account_id, call.region)
        views |= {one.name: capacity_provider_view(one, include=include) for one in listed}
        for reference, name in _names(call, references).items():
            if name is not None and name not in views:
                gone = repo.find(call.account_id, call.region, name)
                if gone is not None:
                    views[name] = capacity_provider_view(gone, include=include)
            if name not in views or (among is not None and name not in among):
                arn = provider_resource(call, {"name": reference})[0]
                failures.append({"arn": arn, "reason": "MISSING"})
        wanted = set(_names(call, references).values()) if references else set(views)
        shown = sorted(name for name in views if name in wanted and (among is None or name in among))
        return [(name, views[name]) for name in shown if name > page.after("")], failures

    found, failures = await ecs.store.read(work)
    return page.answer("capacityProviders", list(found[: page.limit + 1])) | {"failures": failures}


def _own(tx: Tx, call: Call, reference: str) -> CapacityProvider:
    """A provider that somebody created and nobody deleted. Raise `ClientException`."""
    name = capacity_provider_name(home(call), reference)
    if name in FARGATE_PROVIDERS:
        raise ClientException(f"The capacity provider {name} is reserved: it cannot be changed or deleted.")
    found = None if name is None else CapacityProviderRepo(tx).find(call.account_id, call.region, name)
    if found is None or found.status == "INACTIVE":
        raise ClientException(
            "The specified capacity provider does not exist. Specify a valid name or ARN and try again."
        )
    return found


@ops.operation("UpdateCapacityProvider", resources=provider_resource)
async def update_capacity_provider(call: Call, ecs: Ecs, req: Request) -> Answer:
    """Change what a provider's scaling will do; the group stays."""
    given = check_group_provider(req)

    def work(tx: Tx) -> CapacityProvider:
        old = _own(tx, call, req["name"])
        changes = group_settings(given, old.managed_scaling)
        changed = msgspec.structs.replace(
            old, **changes, update_status="UPDATE_COMPLETE", update_status_reason=None
        )
        return CapacityProviderRepo(tx).save(changed)

    return {"capacityProvider": capacity_provider_view(await ecs.store.write(work), include=_TAGS)}


@ops.operation("DeleteCapacityProvider", resources=provider_resource)
async def delete_capacity_provider(call: Call, ecs: Ecs, req: Request) -> Answer:
    """Make a provider INACTIVE; one that a cluster has stays, and its update status says so.

    Source of the text: terraform-provider-aws pull request 48156.
    """
    check_scope(req)

    def work(tx: Tx) -> CapacityProvider:
        old = _own(tx, call, req["capacityProvider"])
        clusters = ClusterRepo(tx).of_provider(call.account_id, call.region, old.name)
        daemons = DaemonRepo(tx).of_provider(old.arn)
        if daemons:
            names = ", ".join(daemon.name for daemon in daemons)
            changed = msgspec.structs.replace(
                old,
                update_status="DELETE_FAILED",
                update_status_reason="The capacity provider cannot be deleted because it is associated with "
                f"daemon: {names}. Delete or update the daemon and try again.",
            )
        elif clusters:
            names = ", ".join(cluster.name for cluster in clusters)
            changed = msgspec.structs.replace(
                old,
                update_status="DELETE_FAILED",
                update_status_reason="The capacity provider cannot be deleted because it is associated with "
                f"cluster: {names}. Remove the capacity provider from the cluster and try again.",
            )
        else:
            changed = msgspec.structs.replace(
                old, status="INACTIVE", update_status="DELETE_COMPLETE", update_status_reason=None
            )
        return CapacityProviderRepo(tx).save(changed)

    return {"capacityProvider": capacity_provider_view(await ecs.store.write(work), include=_TAGS)}


def association(tx: Tx, call: Call, req: Request) -> tuple[tuple[str, ...], Strategy]:
    """The providers and the default strategy that a request gives a cluster. Raise when one may not be."""
    repo = CapacityProviderRepo(tx)
    names = []
    for reference, name in _names(call, list(req.get("capacityProviders") or ())).items():
        found = None if name is None else repo.find(call.account_id, call.region, name)
        if name is None or (name not in FARGATE_PROVIDERS and (found is None or found.status == "INACTIVE")):
            raise InvalidParameterException(
                "The specified capacity provider was not found. Specify a valid capacity provider and try "
                f"again: {reference}."
            )
        names.append(name)
    if len(names) > PROVIDERS_MAX:
        raise InvalidParameterException(f"A cluster has at most {PROVIDERS_MAX} capacity providers.")
    unique = tuple(dict.fromkeys(names))
    return unique, strategy_of(req.get("defaultCapacityProviderStrategy") or (), unique)


def check_detached(tx: Tx, cluster: Cluster, providers: tuple[str, ...]) -> None:
    """Raise `ResourceInUseException` when the cluster uses a provider that it would lose.

    Source of the text: containers-roadmap issue 631.
    """
    lost = set(cluster.capacity_providers) - set(providers)
    if lost and (
        lost & ServiceRepo(tx).providers_in_use(cluster.id)
        or any(TaskRepo(tx).any_of_provider(cluster.id, name) for name in sorted(lost))
    ):
        raise ResourceInUseException("The specified capacity provider is in use and cannot be removed.")
