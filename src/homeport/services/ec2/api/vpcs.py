"""VPCs. Source: EC2 API Reference; VPC user guide."""

from __future__ import annotations

import msgspec

from homeport.core.call import Call
from homeport.services.ec2.api.access import guarded, nothing
from homeport.services.ec2.api.context import (
    Answer,
    Ec2,
    Request,
    age,
    change,
    chosen,
    look,
    page,
    ranges,
    serve,
)
from homeport.services.ec2.errors import Ec2Error, clashing, in_use, invalid, missing, unsupported
from homeport.services.ec2.model import (
    InternetGateway,
    NetworkAcl,
    NetworkInterface,
    RouteTable,
    SecurityGroup,
    Subnet,
    Vpc,
)
from homeport.services.ec2.plan.cidrs import vpc_range
from homeport.services.ec2.plan.filters import Fields, always, flag
from homeport.services.ec2.plan.ranges import check_range
from homeport.services.ec2.plan.tags import specified
from homeport.services.ec2.repo.networks import add_default_network, add_vpc, all_ranges
from homeport.services.ec2.repo.shelf import Shelf
from homeport.services.ec2.view import vpc_view

VPCS_MAX = 100
"""Of an account in a region. AWS begins with 5 and gives hundreds to who asks; here is nobody to ask.

Source: VPC user guide, "Amazon VPC quotas".
"""

_FIELDS: Fields[Vpc] = {
    "cidr": lambda one: (one.cidr,),
    "cidr-block": lambda one: (one.cidr,),
    "cidrBlock": lambda one: (one.cidr,),
    "cidr-block-association.cidr-block": lambda one: (one.cidr,),
    "cidr-block-association.association-id": lambda one: (one.association_id,),
    "cidr-block-association.state": always("associated"),
    "dhcp-options-id": always("default"),
    "ipv6-cidr-block-association.ipv6-cidr-block": always(),
    "ipv6-cidr-block-association.ipv6-pool": always(),
    "ipv6-cidr-block-association.association-id": always(),
    "ipv6-cidr-block-association.state": always(),
    "is-default": lambda one: flag(one.is_default),
    "isDefault": lambda one: flag(one.is_default),
    "owner-id": lambda one: (one.account_id,),
    "state": always("available"),
    "vpc-id": lambda one: (one.resource_id,),
}


def _check_room(shelf: Shelf) -> None:
    if len(shelf.all(Vpc)) >= VPCS_MAX:
        raise Ec2Error("VpcLimitExceeded", "The maximum number of VPCs has been reached.")


@serve(
    "CreateVpc",
    "CidrBlock",
    "InstanceTenancy",
    "TagSpecifications",
    resources=nothing,
    needs=guarded(creates="vpc"),
)
async def create_vpc(call: Call, ec2: Ec2, req: Request) -> Answer:
    """A VPC with its main route table, ACL and default security group."""
    if not req.get("CidrBlock"):
        raise missing("cidrBlock")
    if req.get("InstanceTenancy", "default") != "default":
        raise unsupported(f"The tenancy {req['InstanceTenancy']}")
    cidr, tags = vpc_range(req["CidrBlock"]), specified(req, "vpc")
    known = await ranges(ec2, call.account_id, call.region)

    def work(shelf: Shelf) -> Vpc:
        _check_room(shelf)
        check_range(cidr, all_ranges(shelf), known.kept, known.routed)
        return add_vpc(shelf, ec2.ids, cidr=cidr, is_default=False, tags=tags)

    return {"Vpc": vpc_view(await change(call, ec2, req, work))}


@serve("CreateDefaultVpc", resources=nothing, needs=guarded(creates="vpc"))
async def create_default_vpc(call: Call, ec2: Ec2, req: Request) -> Answer:
    """Another default network, after the first was deleted."""
    known = await ranges(ec2, call.account_id, call.region)

    def work(shelf: Shelf) -> Vpc:
        if any(one.is_default for one in shelf.all(Vpc)):
            raise Ec2Error(
                "DefaultVpcAlreadyExists", "A Default VPC already exists for this account in this region."
            )
        _check_room(shelf)
        return add_default_network(shelf, ec2.ids, known)

    return {"Vpc": vpc_view(await change(call, ec2, req, work))}


@serve("DescribeVpcs", "Filters", "VpcIds", "NextToken", "MaxResults")
async def describe_vpcs(call: Call, ec2: Ec2, req: Request) -> Answer:
    """VPCs."""
    found = await look(call, ec2, req, lambda shelf: chosen(shelf, Vpc, req.get("VpcIds"), req, _FIELDS))
    shown, more = page(call, ec2, req, found, age)
    return {"Vpcs": [vpc_view(one) for one in shown], **more}


@serve("DeleteVpc", "VpcId", resources=nothing, needs=guarded("VpcId"))
async def delete_vpc(call: Call, ec2: Ec2, req: Request) -> Answer:
    """Delete a VPC in which nothing is but what came with it. Source: API Reference, DeleteVpc."""

    def work(shelf: Shelf) -> None:
        vpc = shelf.get(Vpc, req["VpcId"])
        inside = vpc.resource_id
        groups = shelf.all(SecurityGroup, vpc_id=inside)
        tables = shelf.all(RouteTable, vpc_id=inside)
        is_full = any(shelf.all(kind, vpc_id=inside) for kind in (Subnet, NetworkInterface, InternetGateway))
        is_own = all(group.is_default for group in groups) and all(table.is_main for table in tables)
        if is_full or not is_own:
            raise in_use(f"The vpc '{inside}' has dependencies and cannot be deleted.")
        for group in groups:
            for rule in shelf.rules(group.resource_id):
                shelf.delete(rule)
        for one in (*groups, *tables, *shelf.all(NetworkAcl, vpc_id=inside), vpc):
            shelf.delete(one)

    await change(call, ec2, req, work)
    return {}


@serve(
    "ModifyVpcAttribute",
    "VpcId",
    "EnableDnsHostnames",
    "EnableDnsSupport",
    "EnableNetworkAddressUsageMetrics",
    resources=nothing,
    needs=guarded("VpcId"),
)
async def modify_vpc_attribute(call: Call, ec2: Ec2, req: Request) -> Answer:
    """One attribute a call."""
    names = ("EnableDnsHostnames", "EnableDnsSupport", "EnableNetworkAddressUsageMetrics")
    given = [name for name in names if name in req]
    if not given:
        raise missing("attribute")
    if len(given) > 1:
        raise clashing("Only one attribute can be modified at a time.")
    value = req[given[0]].get("Value")
    if value is None:
        raise invalid(f"Value for parameter {given[0]} is missing.")
    if given[0] == "EnableNetworkAddressUsageMetrics" and value:
        raise unsupported("EnableNetworkAddressUsageMetrics")

    def work(shelf: Shelf) -> None:
        vpc = shelf.get(Vpc, req["VpcId"])
        if given[0] == "EnableDnsHostnames":
            shelf.save(msgspec.structs.replace(vpc, dns_hostnames=value))
        elif given[0] == "EnableDnsSupport":
            shelf.save(msgspec.structs.replace(vpc, dns_support=value))

    await change(call, ec2, req, work)
    return {}


@serve("AssociateDhcpOptions", "VpcId", "DhcpOptionsId", resources=nothing, needs=guarded("VpcId"))
async def associate_dhcp_options(call: Call, ec2: Ec2, req: Request) -> Answer:
    """Give a VPC no options of its own, which none has: names come from its resolver."""
    if (wanted := req["DhcpOptionsId"]) != "default":
        raise Ec2Error("InvalidDhcpOptionID.NotFound", f"The dhcpOption ID '{wanted}' does not exist")
    await look(call, ec2, req, lambda shelf: shelf.get(Vpc, req["VpcId"]))
    return {}


@serve("DescribeVpcAttribute", "VpcId", "Attribute")
async def describe_vpc_attribute(call: Call, ec2: Ec2, req: Request) -> Answer:
    """One attribute."""
    vpc = await look(call, ec2, req, lambda shelf: shelf.get(Vpc, req["VpcId"]))
    values = {
        "enableDnsHostnames": vpc.dns_hostnames,
        "enableDnsSupport": vpc.dns_support,
        "enableNetworkAddressUsageMetrics": False,
    }
    name = req["Attribute"]
    return {"VpcId": vpc.resource_id, name[0].upper() + name[1:]: {"Value": values[name]}}
