"""Internet gateways: a VPC's way out. Source: EC2 API Reference."""

from __future__ import annotations

import msgspec

from homeport.core.call import Call
from homeport.services.ec2.api.access import guarded, nothing
from homeport.services.ec2.api.context import Answer, Ec2, Request, age, change, chosen, look, page, serve
from homeport.services.ec2.errors import Ec2Error, in_use
from homeport.services.ec2.model import InternetGateway, Vpc
from homeport.services.ec2.plan.filters import Fields
from homeport.services.ec2.plan.tags import specified
from homeport.services.ec2.repo.networks import fresh_id
from homeport.services.ec2.repo.shelf import Shelf
from homeport.services.ec2.view import gateway_view

GATEWAYS_MAX = 100
"""Of an account in a region: as many as VPCs. Source: VPC user guide, "Amazon VPC quotas"."""

_FIELDS: Fields[InternetGateway] = {
    "attachment.state": lambda one: ("available",) if one.vpc_id else (),
    "attachment.vpc-id": lambda one: (one.vpc_id,) if one.vpc_id else (),
    "internet-gateway-id": lambda one: (one.resource_id,),
    "owner-id": lambda one: (one.account_id,),
}


@serve(
    "CreateInternetGateway",
    "TagSpecifications",
    resources=nothing,
    needs=guarded(creates="internet-gateway"),
)
async def create_internet_gateway(call: Call, ec2: Ec2, req: Request) -> Answer:
    """A gateway of no VPC yet."""
    tags = specified(req, "internet-gateway")

    def work(shelf: Shelf) -> InternetGateway:
        if len(shelf.all(InternetGateway)) >= GATEWAYS_MAX:
            raise Ec2Error(
                "InternetGatewayLimitExceeded", "The maximum number of internet gateways has been reached."
            )
        return shelf.add(
            InternetGateway(
                account_id=call.account_id,
                region=call.region,
                resource_id=fresh_id(ec2.ids, "igw"),
                tags=tags,
            )
        )

    return {"InternetGateway": gateway_view(await change(call, ec2, req, work))}


@serve("DescribeInternetGateways", "Filters", "InternetGatewayIds", "NextToken", "MaxResults")
async def describe_internet_gateways(call: Call, ec2: Ec2, req: Request) -> Answer:
    """Gateways."""
    ids = req.get("InternetGatewayIds")
    found = await look(call, ec2, req, lambda shelf: chosen(shelf, InternetGateway, ids, req, _FIELDS))
    shown, more = page(call, ec2, req, found, age)
    return {"InternetGateways": [gateway_view(one) for one in shown], **more}


@serve("DeleteInternetGateway", "InternetGatewayId", resources=nothing, needs=guarded("InternetGatewayId"))
async def delete_internet_gateway(call: Call, ec2: Ec2, req: Request) -> Answer:
    """Delete a gateway that is detached."""

    def work(shelf: Shelf) -> None:
        gateway = shelf.get(InternetGateway, req["InternetGatewayId"])
        if gateway.vpc_id:
            raise in_use(
                f"The internetGateway '{gateway.resource_id}' has dependencies and cannot be deleted."
            )
        shelf.delete(gateway)

    await change(call, ec2, req, work)
    return {}


@serve(
    "AttachInternetGateway",
    "InternetGatewayId",
    "VpcId",
    resources=nothing,
    needs=guarded("InternetGatewayId", "VpcId"),
)
async def attach_internet_gateway(call: Call, ec2: Ec2, req: Request) -> Answer:
    """Give a VPC a way out; it has one at most."""

    def work(shelf: Shelf) -> None:
        gateway = shelf.get(InternetGateway, req["InternetGatewayId"])
        vpc = shelf.get(Vpc, req["VpcId"])
        if gateway.vpc_id:
            raise Ec2Error(
                "Resource.AlreadyAssociated",
                f"resource {gateway.resource_id} is already attached to network {gateway.vpc_id}",
            )
        if there := shelf.all(InternetGateway, vpc_id=vpc.resource_id):
            raise Ec2Error(
                "InvalidParameterValue",
                f"Network {vpc.resource_id} already has an internet gateway attached: {there[0].resource_id}",
            )
        shelf.save(msgspec.structs.replace(gateway, vpc_id=vpc.resource_id))

    await change(call, ec2, req, work)
    return {}


@serve(
    "DetachInternetGateway",
    "InternetGatewayId",
    "VpcId",
    resources=nothing,
    needs=guarded("InternetGatewayId", "VpcId"),
)
async def detach_internet_gateway(call: Call, ec2: Ec2, req: Request) -> Answer:
    """Take a VPC's way out away; routes to it lead nowhere then."""

    def work(shelf: Shelf) -> None:
        gateway = shelf.get(InternetGateway, req["InternetGatewayId"])
        vpc = shelf.get(Vpc, req["VpcId"])
        if gateway.vpc_id != vpc.resource_id:
            raise Ec2Error(
                "Gateway.NotAttached",
                f"resource {gateway.resource_id} is not attached to network {vpc.resource_id}",
            )
        shelf.save(msgspec.structs.replace(gateway, vpc_id=""))

    await change(call, ec2, req, work)
    return {}
