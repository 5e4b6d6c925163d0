"""Ingress that ECS manages: Express services and gateways; and who is in a namespace of Service Connect.

The former are made of load balancers by ECS itself, which is not done yet. So there is none of it: what is
asked about is not found, lists are empty, and what would make one says what it lacks.
"""

from __future__ import annotations

from typing import NoReturn

from homeport.core.call import Call
from homeport.services.ecs.api.context import Answer, Ecs, Request, find_cluster, home, ops
from homeport.services.ecs.api.paging import page_of
from homeport.services.ecs.api.resources import cluster_resource, services_resource
from homeport.services.ecs.api.services import find_service
from homeport.services.ecs.errors import (
    GatewayNotFoundException,
    InvalidParameterException,
    NamespaceNotFoundException,
    ResourceNotFoundException,
    ServiceNotFoundException,
    UnsupportedFeatureException,
)
from homeport.services.ecs.plan.express_request import check_express
from homeport.services.ecs.plan.identifiers import service_path
from homeport.services.ecs.plan.tags import checked
from homeport.services.ecs.repo.services import ServiceRepo
from homeport.store.tx import Tx

LACKS_EXPRESS = (
    "Express services need an Application Load Balancer each, which Homeport does not have yet. "
    "CreateService runs the same container without one."
)
LACKS_GATEWAY = "Gateways are made of Application Load Balancers, which Homeport does not have yet."


def _express_resource(call: Call, request: Request) -> tuple[str, ...]:
    """IAM: the Express service that a request names."""
    if request.get("serviceArn"):
        return (str(request["serviceArn"]),)
    return services_resource(call, request)


def _gateway_resource(call: Call, request: Request) -> tuple[str, ...]:
    """IAM: the gateway, or its route, that a request names."""
    reference = request.get("gatewayRouteArn") or request.get("gateway") or request.get("name") or "*"
    if reference.startswith("arn:"):
        return (reference,)
    return (f"arn:aws:ecs:{call.region}:{call.account_id}:gateway/{reference}",)


# ---- Express services -------------------------------------------------------------------------


@ops.operation("CreateExpressGatewayService", resources=_express_resource)
async def create_express_gateway_service(call: Call, ecs: Ecs, req: Request) -> Answer:
    """Refuse: there is no load balancer to put in front."""
    check_express(req)
    checked(req.get("tags"))
    await ecs.store.read(lambda tx: find_cluster(tx, call, req.get("cluster")))
    raise UnsupportedFeatureException(LACKS_EXPRESS)


async def _not_express(call: Call, ecs: Ecs, req: Request) -> NoReturn:
    """There is no such service, or it is none of this kind."""
    reference = req["serviceArn"]
    path = service_path(home(call), reference)

    def work(tx: Tx) -> None:
        if path is None:
            raise ServiceNotFoundException("Service not found.")
        find_service(tx, call, find_cluster(tx, call, path[0]), path[1])

    await ecs.store.read(work)
    raise InvalidParameterException(f"{reference} is not an Express service.")


@ops.operation("DescribeExpressGatewayService", resources=_express_resource)
async def describe_express_gateway_service(call: Call, ecs: Ecs, req: Request) -> Answer:
    """Not found."""
    try:
        return await _not_express(call, ecs, req)
    except ServiceNotFoundException as error:
        raise ResourceNotFoundException(error.message) from None


for _name in ("DeleteExpressGatewayService", "UpdateExpressGatewayService"):
    ops.operation(_name, resources=_express_resource)(_not_express)


# ---- gateways ---------------------------------------------------------------------------------


@ops.operation("CreateGateway", resources=_gateway_resource)
async def create_gateway(call: Call, ecs: Ecs, req: Request) -> Answer:
    """Refuse: there is nothing to make one of."""
    del call, ecs
    if not 1 <= len(req["name"]) <= 255:
        raise InvalidParameterException("name has 1 to 255 characters.")
    if len(req["configuration"]) != 1:
        raise InvalidParameterException("configuration must have exactly one variant.")
    checked(req.get("tags"))
    raise UnsupportedFeatureException(LACKS_GATEWAY)


def _no_gateway(reference: str) -> GatewayNotFoundException:
    return GatewayNotFoundException(f"Gateway not found: {reference}")


async def _gateway_not_found(call: Call, ecs: Ecs, req: Request) -> NoReturn:
    """There is none; a cluster that is named must exist."""
    if req.get("cluster"):
        await ecs.store.read(lambda tx: find_cluster(tx, call, req["cluster"]))
    raise _no_gateway(req["gateway"])


for _name in (
    "AssociateGatewayWithCluster",
    "DeleteGateway",
    "DescribeGateway",
    "DescribeGatewayResources",
    "DisassociateGatewayFromCluster",
    "UpdateGateway",
):
    ops.operation(_name, resources=_gateway_resource)(_gateway_not_found)


@ops.operation("DescribeGatewayRoute", resources=_gateway_resource)
async def describe_gateway_route(call: Call, ecs: Ecs, req: Request) -> Answer:
    """Not found."""
    del call, ecs
    raise ResourceNotFoundException(f"Gateway route not found: {req['gatewayRouteArn']}")


@ops.operation("ListGateways")
async def list_gateways(call: Call, ecs: Ecs, req: Request) -> Answer:
    """None."""
    return page_of(call, ecs, req).answer("gateways", [])


async def _listed(call: Call, ecs: Ecs, req: Request, member: str) -> Answer:
    """None; a cluster that is named must exist."""
    page = page_of(call, ecs, req)
    if req.get("cluster"):
        await ecs.store.read(lambda tx: find_cluster(tx, call, req["cluster"]))
    return page.answer(member, [])


@ops.operation("ListGatewayRoutes", resources=cluster_resource)
async def list_gateway_routes(call: Call, ecs: Ecs, req: Request) -> Answer:
    """None."""
    if req.get("gateway"):
        raise _no_gateway(req["gateway"])
    return await _listed(call, ecs, req, "gatewayRoutes")


@ops.operation("ListGatewayClusterAssociations", resources=cluster_resource)
async def list_gateway_cluster_associations(call: Call, ecs: Ecs, req: Request) -> Answer:
    """None."""
    return await _listed(call, ecs, req, "gatewayClusterAssociations")


# ---- namespaces -------------------------------------------------------------------------------


@ops.operation("ListServicesByNamespace")
async def list_services_by_namespace(call: Call, ecs: Ecs, req: Request) -> Answer:
    """Clients and servers. Raise for a namespace that is not there."""
    page = page_of(call, ecs, req, default=10)
    named, known = req["namespace"], ecs.registries
    if known is None or not await known.has_namespace(call.account_id, call.region, named):
        raise NamespaceNotFoundException(f"The specified namespace wasn't found: {named}")
    names = ecs.connect

    def work(tx: Tx) -> list[tuple[int, str]]:
        found = None if names is None else names.namespace(tx, call.account_id, call.region, named)
        if found is None:
            return []
        return ServiceRepo(tx).in_namespace(found.arn, after_id=page.after(0), limit=page.limit + 1)

    return page.answer("serviceArns", await ecs.store.read(work))
