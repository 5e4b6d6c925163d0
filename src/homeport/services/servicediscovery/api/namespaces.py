"""Namespaces."""

from __future__ import annotations

from typing import Any

import msgspec

from homeport.core.call import Call
from homeport.services.servicediscovery.api.context import (
    Answer,
    Request,
    ServiceDiscovery,
    done,
    find_namespace,
    fresh,
    namespace_resource,
    ops,
    paged,
    registry,
)
from homeport.services.servicediscovery.errors import (
    InvalidInput,
    NamespaceAlreadyExists,
    ResourceInUse,
    ResourceLimitExceeded,
)
from homeport.services.servicediscovery.model import HTTP, PRIVATE, PUBLIC, Namespace
from homeport.services.servicediscovery.plan.filters import namespace_test
from homeport.services.servicediscovery.plan.requests import (
    NAMESPACES_MOST,
    SOA_TTL,
    check_dns_name,
    soa_ttl,
    tags_of,
)
from homeport.services.servicediscovery.view import namespace_view
from homeport.store.tx import Tx

_NO_SERVER = (
    "There is no VPC on this machine whose DNS server could answer: DNS namespaces need `homeport up` as "
    "root. HTTP namespaces work without."
)


@ops.operation("CreateHttpNamespace", tagging="servicediscovery:TagResource")
async def create_http_namespace(call: Call, sd: ServiceDiscovery, req: Request) -> Answer:
    """A namespace that only API calls know."""
    return await sd.store.write(lambda tx: _create(tx, call, sd, req, type=HTTP))


@ops.operation("CreatePrivateDnsNamespace", tagging="servicediscovery:TagResource")
async def create_private_dns_namespace(call: Call, sd: ServiceDiscovery, req: Request) -> Answer:
    """A namespace that one VPC's DNS server knows as well."""
    check_dns_name(req["Name"])
    if sd.vpcs is None:
        raise InvalidInput(_NO_SERVER)
    if not await sd.vpcs.exists(call, req["Vpc"]):
        raise InvalidInput(f"The VPC {req['Vpc']} does not exist.")
    more = {"vpc_id": req["Vpc"], **_hosted_zone(sd, req)}
    return await sd.store.write(lambda tx: _create(tx, call, sd, req, type=PRIVATE, **more))


@ops.operation("CreatePublicDnsNamespace", tagging="servicediscovery:TagResource")
async def create_public_dns_namespace(call: Call, sd: ServiceDiscovery, req: Request) -> Answer:
    """A namespace that the DNS servers of all of the account's VPCs know [our choice].

    Names in the same domain that are not in it are asked of others: no domain is delegated to this machine.
    """
    check_dns_name(req["Name"])
    if sd.vpcs is None:
        raise InvalidInput(_NO_SERVER)
    more = _hosted_zone(sd, req)
    return await sd.store.write(lambda tx: _create(tx, call, sd, req, type=PUBLIC, **more))


def _hosted_zone(sd: ServiceDiscovery, req: Request) -> dict[str, Any]:
    """What stands for Route 53's hosted zone."""
    ttl = soa_ttl(req.get("Properties"))
    return {
        "hosted_zone_id": "Z" + fresh(sd.ids, 20).upper(),
        "soa_ttl": SOA_TTL if ttl is None else ttl,
    }


def _create(tx: Tx, call: Call, sd: ServiceDiscovery, req: Request, **facts: Any) -> Answer:
    found = registry(tx, call)
    there = found.namespaces()
    name, kind, vpc_id = req["Name"].rstrip("."), facts["type"], facts.get("vpc_id", "")
    for one in there:
        if (one.type, one.vpc_id, one.name.lower()) != (kind, vpc_id, name.lower()):
            continue
        if one.creator_request_id and one.creator_request_id == req.get("CreatorRequestId"):
            return {"OperationId": one.operation_id}
        raise NamespaceAlreadyExists(
            f"Namespace with the name {name} and the type {kind} already exists.",
            CreatorRequestId=one.creator_request_id,
            NamespaceId=one.namespace_id,
        )
    if len(there) >= NAMESPACES_MOST:
        raise ResourceLimitExceeded(f"An account has at most {NAMESPACES_MOST} namespaces in a region.")
    namespace_id = f"ns-{fresh(sd.ids, 16)}"
    answer = done(tx, call, sd, "CREATE_NAMESPACE", NAMESPACE=namespace_id)
    taken = {one.http_name for one in there}
    new = Namespace(
        account_id=call.account_id,
        region=call.region,
        namespace_id=namespace_id,
        name=name,
        http_name=f"{name}-{fresh(sd.ids, 8)}" if name in taken else name,
        description=req.get("Description") or "",
        creator_request_id=req.get("CreatorRequestId") or "",
        operation_id=answer["OperationId"],
        created_at=sd.clock.now(),
        tags=tags_of(req.get("Tags"), {}, name),
        **facts,
    )
    found.add_namespace(new)
    return answer


@ops.operation("GetNamespace", resources=namespace_resource)
async def get_namespace(call: Call, sd: ServiceDiscovery, req: Request) -> Answer:
    """One namespace."""

    def work(tx: Tx) -> Answer:
        namespace = find_namespace(tx, call, req["Id"])
        count = len(registry(tx, call).services(namespace.namespace_id))
        return {"Namespace": namespace_view(namespace, count)}

    return await sd.store.read(work)


@ops.operation("ListNamespaces")
async def list_namespaces(call: Call, sd: ServiceDiscovery, req: Request) -> Answer:
    """The account's namespaces."""
    is_asked_for = namespace_test(req.get("Filters") or ())

    def work(tx: Tx) -> Answer:
        found = registry(tx, call)
        counts: dict[str, int] = {}
        for service in found.services():
            counts[service.namespace_id] = counts.get(service.namespace_id, 0) + 1
        page, more = paged(sd, call, req, [one for one in found.namespaces() if is_asked_for(one)])
        rows = [namespace_view(one, counts.get(one.namespace_id, 0), summary=True) for one in page]
        return {"Namespaces": rows, **more}

    return await sd.store.read(work)


@ops.operation("UpdateHttpNamespace", resources=namespace_resource)
async def update_http_namespace(call: Call, sd: ServiceDiscovery, req: Request) -> Answer:
    """Another description."""
    return await _update(call, sd, req, HTTP)


@ops.operation("UpdatePrivateDnsNamespace", resources=namespace_resource)
async def update_private_dns_namespace(call: Call, sd: ServiceDiscovery, req: Request) -> Answer:
    """Another description, or another time for which missing names are remembered."""
    return await _update(call, sd, req, PRIVATE)


@ops.operation("UpdatePublicDnsNamespace", resources=namespace_resource)
async def update_public_dns_namespace(call: Call, sd: ServiceDiscovery, req: Request) -> Answer:
    """Another description, or another time for which missing names are remembered."""
    return await _update(call, sd, req, PUBLIC)


async def _update(call: Call, sd: ServiceDiscovery, req: Request, kind: str) -> Answer:
    change, ttl = req["Namespace"], soa_ttl(req["Namespace"].get("Properties"))

    def work(tx: Tx) -> Answer:
        namespace = find_namespace(tx, call, req["Id"])
        if namespace.type != kind:
            raise InvalidInput(f"The namespace {req['Id']} is of the type {namespace.type}, not {kind}.")
        changes: dict[str, Any] = {} if ttl is None else {"soa_ttl": ttl}
        if change.get("Description") is not None:
            changes["description"] = change["Description"]
        registry(tx, call).save_namespace(msgspec.structs.replace(namespace, **changes))
        return done(tx, call, sd, "UPDATE_NAMESPACE", NAMESPACE=namespace.namespace_id)

    return await sd.store.write(work)


@ops.operation("DeleteNamespace", resources=namespace_resource)
async def delete_namespace(call: Call, sd: ServiceDiscovery, req: Request) -> Answer:
    """An empty namespace."""

    def work(tx: Tx) -> Answer:
        namespace, found = find_namespace(tx, call, req["Id"]), registry(tx, call)
        if found.services(namespace.namespace_id):
            raise ResourceInUse(f"The namespace {req['Id']} cannot be deleted: it still has services.")
        found.remove_namespace(namespace)
        return done(tx, call, sd, "DELETE_NAMESPACE", NAMESPACE=namespace.namespace_id)

    return await sd.store.write(work)
