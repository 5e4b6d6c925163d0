"""Route tables. Source: EC2 API Reference; VPC user guide, "Route tables".

Two kinds of routes mean something here: the VPC's own range, which is always there, and those to the VPC's
internet gateway. Every other target has nothing behind it and is refused. Packets do not ask them: they pass
within a VPC and out of the machine as security groups let them, also from subnets without a way out.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from ipaddress import IPv4Network

import msgspec

from homeport.core.call import Call
from homeport.services.ec2.api.access import guarded, nothing
from homeport.services.ec2.api.context import (
    Answer,
    Ec2,
    Request,
    age,
    change,
    check_paging,
    look,
    once,
    page,
    serve,
)
from homeport.services.ec2.errors import Ec2Error, in_use, invalid, missing
from homeport.services.ec2.model import Association, InternetGateway, Route, RouteTable, Subnet, Vpc
from homeport.services.ec2.plan.cidrs import network4
from homeport.services.ec2.plan.filters import Fields, always, flag, predicate
from homeport.services.ec2.plan.tags import specified
from homeport.services.ec2.repo.networks import fresh_id
from homeport.services.ec2.repo.shelf import Shelf
from homeport.services.ec2.repo.tokens import TokenRepo
from homeport.services.ec2.view import View, table_view

TABLES_MAX, ROUTES_MAX = 200, 500
"""Of a VPC, and of a table. Source: VPC user guide, "Amazon VPC quotas"."""

Listed = tuple[RouteTable, View]
"""A table, and as it is shown: filters ask of what is shown."""


def _routes(member: str) -> Callable[[Listed], Iterable[str]]:
    return lambda one: [route[member] for route in one[1]["Routes"] if member in route]


def _associations(member: str) -> Callable[[Listed], Iterable[str]]:
    return lambda one: [held[member] for held in one[1]["Associations"] if member in held]


_FIELDS: Fields[Listed] = {
    "association.gateway-id": always(),
    "association.route-table-association-id": _associations("RouteTableAssociationId"),
    "association.route-table-id": _associations("RouteTableId"),
    "association.subnet-id": _associations("SubnetId"),
    "association.main": lambda one: flag(one[0].is_main),
    "owner-id": lambda one: (one[0].account_id,),
    "route-table-id": lambda one: (one[0].resource_id,),
    "route.destination-cidr-block": _routes("DestinationCidrBlock"),
    "route.gateway-id": _routes("GatewayId"),
    "route.origin": _routes("Origin"),
    "route.state": _routes("State"),
    **{
        f"route.{name}": always()
        for name in (
            "destination-ipv6-cidr-block",
            "destination-prefix-list-id",
            "egress-only-internet-gateway-id",
            "instance-id",
            "nat-gateway-id",
            "transit-gateway-id",
            "vpc-peering-connection-id",
        )
    },
    "vpc-id": lambda one: (one[0].vpc_id,),
}


def _shown(shelf: Shelf, table: RouteTable) -> View:
    gateways = [one.resource_id for one in shelf.all(InternetGateway, vpc_id=table.vpc_id)]
    return table_view(table, shelf.get(Vpc, table.vpc_id), gateways)


@serve(
    "CreateRouteTable",
    "VpcId",
    "TagSpecifications",
    "ClientToken",
    resources=nothing,
    needs=guarded("VpcId", creates="route-table"),
)
async def create_route_table(call: Call, ec2: Ec2, req: Request) -> Answer:
    """A table that only knows the VPC's own range."""
    tags = specified(req, "route-table")

    def make(shelf: Shelf) -> RouteTable:
        vpc = shelf.get(Vpc, req["VpcId"])
        if len(shelf.all(RouteTable, vpc_id=vpc.resource_id)) >= TABLES_MAX:
            raise Ec2Error("RouteTableLimitExceeded", "The maximum number of route tables has been reached.")
        return shelf.add(
            RouteTable(
                account_id=call.account_id,
                region=call.region,
                resource_id=fresh_id(ec2.ids, "rtb"),
                vpc_id=vpc.resource_id,
                tags=tags,
            )
        )

    def work(shelf: Shelf) -> View:
        return _shown(shelf, once(call, ec2, req, shelf, lambda: make(shelf), RouteTable))

    token = {"ClientToken": req["ClientToken"]} if req.get("ClientToken") else {}
    return {"RouteTable": await change(call, ec2, req, work), **token}


@serve("DescribeRouteTables", "Filters", "RouteTableIds", "NextToken", "MaxResults")
async def describe_route_tables(call: Call, ec2: Ec2, req: Request) -> Answer:
    """Tables with their routes and subnets."""
    ids = req.get("RouteTableIds")
    check_paging(req, has_ids=bool(ids))
    passes = predicate(req.get("Filters"), _FIELDS, tags=lambda one: one[0].tags)

    def work(shelf: Shelf) -> list[Listed]:
        found = shelf.get_all(RouteTable, ids) if ids else shelf.all(RouteTable)
        listed = [(one, _shown(shelf, one)) for one in found]
        return [one for one in listed if passes(one)]

    found = await look(call, ec2, req, work)
    shown, more = page(call, ec2, req, found, lambda one: age(one[0]))
    return {"RouteTables": [view for _, view in shown], **more}


@serve("DeleteRouteTable", "RouteTableId", resources=nothing, needs=guarded("RouteTableId"))
async def delete_route_table(call: Call, ec2: Ec2, req: Request) -> Answer:
    """Delete a table that nothing routes by."""

    def work(shelf: Shelf) -> None:
        table = shelf.get(RouteTable, req["RouteTableId"])
        if table.associations:
            raise in_use(f"The routeTable '{table.resource_id}' has dependencies and cannot be deleted.")
        shelf.delete(table)
        TokenRepo(shelf).forget(table.resource_id)

    await change(call, ec2, req, work)
    return {}


@serve(
    "AssociateRouteTable",
    "RouteTableId",
    "SubnetId",
    resources=nothing,
    needs=guarded("RouteTableId", "SubnetId"),
)
async def associate_route_table(call: Call, ec2: Ec2, req: Request) -> Answer:
    """Let a subnet route by a table; it has one of its own at most."""
    if not req.get("SubnetId"):
        raise missing("subnetId")

    def work(shelf: Shelf) -> str:
        table, subnet = shelf.get(RouteTable, req["RouteTableId"]), shelf.get(Subnet, req["SubnetId"])
        if table.vpc_id != subnet.vpc_id:
            raise invalid(
                f"route table {table.resource_id} and subnet {subnet.resource_id} belong to different "
                f"networks"
            )
        for other in shelf.all(RouteTable, vpc_id=table.vpc_id):
            for one in other.associations:
                if one.subnet_id == subnet.resource_id and other.resource_id == table.resource_id:
                    return one.association_id
                if one.subnet_id == subnet.resource_id:
                    raise Ec2Error(
                        "Resource.AlreadyAssociated",
                        f"the specified association for route table {table.resource_id} conflicts "
                        f"with an existing "
                        "association",
                    )
        new = Association(association_id=fresh_id(ec2.ids, "rtbassoc"), subnet_id=subnet.resource_id)
        shelf.save(msgspec.structs.replace(table, associations=(*table.associations, new)))
        return new.association_id

    made = await change(call, ec2, req, work)
    return {"AssociationId": made, "AssociationState": {"State": "associated"}}


def _holder(shelf: Shelf, association_id: str) -> tuple[RouteTable, Association]:
    for table in shelf.all(RouteTable):
        for one in table.associations:
            if one.association_id == association_id:
                return table, one
    raise Ec2Error("InvalidAssociationID.NotFound", f"The association ID '{association_id}' does not exist")


def _drop(shelf: Shelf, table: RouteTable, gone: Association) -> None:
    kept = tuple(one for one in table.associations if one != gone)
    shelf.save(msgspec.structs.replace(table, associations=kept))


@serve("DisassociateRouteTable", "AssociationId", resources=nothing, needs=guarded("AssociationId"))
async def disassociate_route_table(call: Call, ec2: Ec2, req: Request) -> Answer:
    """Let a subnet route by its VPC's main table again."""

    def work(shelf: Shelf) -> None:
        table, one = _holder(shelf, req["AssociationId"])
        if not one.subnet_id:
            raise invalid(f"cannot disassociate the main route table association {one.association_id}")
        _drop(shelf, table, one)

    await change(call, ec2, req, work)
    return {}


@serve(
    "ReplaceRouteTableAssociation",
    "AssociationId",
    "RouteTableId",
    resources=nothing,
    needs=guarded("AssociationId", "RouteTableId"),
)
async def replace_route_table_association(call: Call, ec2: Ec2, req: Request) -> Answer:
    """Let a subnet, or by the main association the whole VPC, route by another table."""

    def work(shelf: Shelf) -> str:
        old, one = _holder(shelf, req["AssociationId"])
        new = shelf.get(RouteTable, req["RouteTableId"])
        if new.vpc_id != old.vpc_id:
            raise invalid(
                f"route table {new.resource_id} and association {one.association_id} belong to "
                f"different networks"
            )
        if new.resource_id == old.resource_id:
            return one.association_id
        moved = Association(association_id=fresh_id(ec2.ids, "rtbassoc"), subnet_id=one.subnet_id)
        _drop(shelf, old, one)
        shelf.save(msgspec.structs.replace(new, associations=(*new.associations, moved)))
        return moved.association_id

    made = await change(call, ec2, req, work)
    return {"NewAssociationId": made, "AssociationState": {"State": "associated"}}


def _destination(req: Request) -> str:
    if not req.get("DestinationCidrBlock"):
        raise missing("destinationCidrBlock")
    return str(network4(req["DestinationCidrBlock"], parameter="destinationCidrBlock"))


def _route(shelf: Shelf, table: RouteTable, req: Request) -> Route:
    """The route that a request asks for. Raise when it would mean nothing."""
    destination, target = _destination(req), req.get("GatewayId", "")
    if not target:
        raise missing("gatewayId")
    gateway = shelf.get(InternetGateway, target)
    if gateway.vpc_id != table.vpc_id:
        raise invalid(
            f"route table {table.resource_id} and network gateway {gateway.resource_id} belong to "
            f"different networks"
        )
    own = shelf.get(Vpc, table.vpc_id).cidr
    if IPv4Network(destination).subnet_of(IPv4Network(own)):
        raise invalid(
            f"The destination CIDR block {destination} is equal to or more specific than one of this "
            f"VPC's CIDR "
            "blocks. This route can target only an interface or an instance."
        )
    return Route(destination=destination, gateway_id=gateway.resource_id)


_TARGET = ("RouteTableId", "DestinationCidrBlock", "GatewayId")


@serve("CreateRoute", *_TARGET, resources=nothing, needs=guarded("RouteTableId"))
async def create_route(call: Call, ec2: Ec2, req: Request) -> Answer:
    """A route to the VPC's internet gateway."""

    def work(shelf: Shelf) -> None:
        table = shelf.get(RouteTable, req["RouteTableId"])
        new = _route(shelf, table, req)
        there = next((one for one in table.routes if one.destination == new.destination), None)
        if there == new:
            return
        if there is not None:
            raise Ec2Error("RouteAlreadyExists", f"The route identified by {new.destination} already exists.")
        if len(table.routes) >= ROUTES_MAX:
            raise Ec2Error("RouteLimitExceeded", "The maximum number of routes has been reached.")
        shelf.save(msgspec.structs.replace(table, routes=(*table.routes, new)))

    await change(call, ec2, req, work)
    return {"Return": True}


def _not_there(destination: str, table: RouteTable) -> Ec2Error:
    return Ec2Error(
        "InvalidRoute.NotFound",
        f"no route with destination-cidr-block {destination} in route table {table.resource_id}",
    )


@serve("ReplaceRoute", *_TARGET, resources=nothing, needs=guarded("RouteTableId"))
async def replace_route(call: Call, ec2: Ec2, req: Request) -> Answer:
    """Another target for a destination that has one."""

    def work(shelf: Shelf) -> None:
        table = shelf.get(RouteTable, req["RouteTableId"])
        new = _route(shelf, table, req)
        if all(one.destination != new.destination for one in table.routes):
            raise _not_there(new.destination, table)
        after = tuple(new if one.destination == new.destination else one for one in table.routes)
        shelf.save(msgspec.structs.replace(table, routes=after))

    await change(call, ec2, req, work)
    return {}


@serve(
    "DeleteRoute", "RouteTableId", "DestinationCidrBlock", resources=nothing, needs=guarded("RouteTableId")
)
async def delete_route(call: Call, ec2: Ec2, req: Request) -> Answer:
    """Forget a destination; the VPC's own range stays."""
    destination = _destination(req)

    def work(shelf: Shelf) -> None:
        table = shelf.get(RouteTable, req["RouteTableId"])
        if destination == shelf.get(Vpc, table.vpc_id).cidr:
            raise invalid(f"cannot remove local route {destination} in route table {table.resource_id}")
        kept = tuple(one for one in table.routes if one.destination != destination)
        if kept == table.routes:
            raise _not_there(destination, table)
        shelf.save(msgspec.structs.replace(table, routes=kept))

    await change(call, ec2, req, work)
    return {}
