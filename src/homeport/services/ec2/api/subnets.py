"""Subnets. Source: EC2 API Reference; VPC user guide, "Subnets for your VPC"."""

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
    check_paging,
    look,
    page,
    serve,
)
from homeport.services.ec2.errors import Ec2Error, clashing, in_use, invalid, missing, unsupported
from homeport.services.ec2.model import NetworkInterface, RouteTable, Subnet, Vpc, capacity, zone_id
from homeport.services.ec2.plan.cidrs import free_default_range, subnet_range
from homeport.services.ec2.plan.filters import Fields, always, flag, predicate
from homeport.services.ec2.plan.tags import specified
from homeport.services.ec2.plan.zones import zone_of_id, zones
from homeport.services.ec2.repo.addresses import AddressBook
from homeport.services.ec2.repo.networks import add_subnet
from homeport.services.ec2.repo.shelf import Shelf
from homeport.services.ec2.view import subnet_view

SUBNETS_MAX = 200
"""Of a VPC. Source: VPC user guide, "Amazon VPC quotas"."""

Counted = tuple[Subnet, int]
"""A subnet, and how many of its addresses are taken."""


def _cidr(one: Counted) -> tuple[str]:
    return (one[0].cidr,)


def _zone(one: Counted) -> tuple[str]:
    return (one[0].zone,)


def _free(one: Counted) -> tuple[str]:
    return (str(capacity(one[0].cidr) - one[1]),)


_FIELDS: Fields[Counted] = {
    "availability-zone": _zone,
    "availabilityZone": _zone,
    "availability-zone-id": lambda one: (zone_id(one[0].zone),),
    "availabilityZoneId": lambda one: (zone_id(one[0].zone),),
    "available-ip-address-count": _free,
    "cidr-block": _cidr,
    "cidr": _cidr,
    "cidrBlock": _cidr,
    "customer-owned-ipv4-pool": always(),
    "default-for-az": lambda one: flag(one[0].is_default),
    "defaultForAz": lambda one: flag(one[0].is_default),
    "enable-dns64": always("false"),
    "enable-lni-at-device-index": always(),
    "ipv6-cidr-block-association.ipv6-cidr-block": always(),
    "ipv6-cidr-block-association.association-id": always(),
    "ipv6-cidr-block-association.state": always(),
    "ipv6-native": always("false"),
    "map-customer-owned-ip-on-launch": always("false"),
    "map-public-ip-on-launch": lambda one: flag(one[0].public_by_default),
    "outpost-arn": always(),
    "owner-id": lambda one: (one[0].account_id,),
    "private-dns-name-options-on-launch.hostname-type": always("ip-name"),
    "private-dns-name-options-on-launch.enable-resource-name-dns-a-record": always("false"),
    "private-dns-name-options-on-launch.enable-resource-name-dns-aaaa-record": always("false"),
    "state": always("available"),
    "subnet-arn": lambda one: (one[0].arn,),
    "subnet-id": lambda one: (one[0].resource_id,),
    "vpc-id": lambda one: (one[0].vpc_id,),
}


def _zone_asked(call: Call, req: Request) -> str:
    by_name, by_id = req.get("AvailabilityZone"), req.get("AvailabilityZoneId")
    if by_name and by_id:
        raise clashing("Only one of AvailabilityZone and AvailabilityZoneId may be given.")
    found = zone_of_id(call.region, by_id) if by_id else by_name or ""
    if (by_id and found is None) or (found and found not in zones(call.region)):
        raise invalid(
            f"Value ({by_id or by_name}) for parameter availabilityZone is invalid. Subnets can "
            f"currently only be "
            f"created in the following availability zones: {', '.join(zones(call.region))}."
        )
    return found or ""


@serve(
    "CreateSubnet",
    "VpcId",
    "CidrBlock",
    "AvailabilityZone",
    "AvailabilityZoneId",
    "TagSpecifications",
    resources=nothing,
    needs=guarded("VpcId", creates="subnet"),
)
async def create_subnet(call: Call, ec2: Ec2, req: Request) -> Answer:
    """A part of a VPC; without a zone in the one that has the fewest of the VPC's."""
    if not req.get("CidrBlock"):
        raise missing("cidrBlock")
    asked, tags = _zone_asked(call, req), specified(req, "subnet")

    def work(shelf: Shelf) -> Subnet:
        vpc = shelf.get(Vpc, req["VpcId"])
        others = shelf.all(Subnet, vpc_id=vpc.resource_id)
        cidr = subnet_range(req["CidrBlock"], vpc.cidr, [one.cidr for one in others])
        if len(others) >= SUBNETS_MAX:
            raise Ec2Error("SubnetLimitExceeded", "The maximum number of subnets has been reached.")
        used = [one.zone for one in others]
        zone = asked or min(zones(call.region), key=lambda name: (used.count(name), name))
        return add_subnet(shelf, ec2.ids, vpc, cidr=cidr, zone=zone, is_default=False, tags=tags)

    return {"Subnet": subnet_view(await change(call, ec2, req, work), 0)}


@serve(
    "CreateDefaultSubnet",
    "AvailabilityZone",
    "AvailabilityZoneId",
    resources=nothing,
    needs=guarded(creates="subnet"),
)
async def create_default_subnet(call: Call, ec2: Ec2, req: Request) -> Answer:
    """The default VPC's subnet in a zone, after it was deleted."""
    zone = _zone_asked(call, req)
    if not zone:
        raise missing("availabilityZone")

    def work(shelf: Shelf) -> Subnet:
        vpc = next((one for one in shelf.all(Vpc) if one.is_default), None)
        if vpc is None:
            raise Ec2Error("DefaultVpcDoesNotExist", "There is no default VPC in this region.")
        others = shelf.all(Subnet, vpc_id=vpc.resource_id)
        if there := [one.resource_id for one in others if one.is_default and one.zone == zone]:
            raise Ec2Error(
                "DefaultSubnetAlreadyExistsInAvailabilityZone",
                f"'{there[0]}' is already the default subnet in {zone}.",
            )
        cidr = free_default_range(vpc.cidr, [one.cidr for one in others])
        if cidr is None:
            raise Ec2Error(
                "InvalidSubnet.Conflict", f"The default VPC {vpc.resource_id} has no free range left."
            )
        return add_subnet(shelf, ec2.ids, vpc, cidr=cidr, zone=zone, is_default=True, tags={})

    return {"Subnet": subnet_view(await change(call, ec2, req, work), 0)}


@serve("DescribeSubnets", "Filters", "SubnetIds", "NextToken", "MaxResults")
async def describe_subnets(call: Call, ec2: Ec2, req: Request) -> Answer:
    """Subnets, with how many addresses are free."""
    ids = req.get("SubnetIds")
    check_paging(req, has_ids=bool(ids))
    passes = predicate(req.get("Filters"), _FIELDS, tags=lambda one: one[0].tags)

    def work(shelf: Shelf) -> list[Counted]:
        found = shelf.get_all(Subnet, ids) if ids else shelf.all(Subnet)
        taken = AddressBook(shelf).taken(one.resource_id for one in found)
        counted = [(one, taken.get(one.resource_id, 0)) for one in found]
        return [one for one in counted if passes(one)]

    found = await look(call, ec2, req, work)
    shown, more = page(call, ec2, req, found, lambda one: age(one[0]))
    return {"Subnets": [subnet_view(*one) for one in shown], **more}


@serve("DeleteSubnet", "SubnetId", resources=nothing, needs=guarded("SubnetId"))
async def delete_subnet(call: Call, ec2: Ec2, req: Request) -> Answer:
    """Delete a subnet without interfaces; it leaves its route table."""

    def work(shelf: Shelf) -> None:
        subnet = shelf.get(Subnet, req["SubnetId"])
        gone = subnet.resource_id
        if shelf.inside(NetworkInterface, gone):
            raise in_use(f"The subnet '{gone}' has dependencies and cannot be deleted.")
        for table in shelf.all(RouteTable, vpc_id=subnet.vpc_id):
            kept = tuple(one for one in table.associations if one.subnet_id != gone)
            if kept != table.associations:
                shelf.save(msgspec.structs.replace(table, associations=kept))
        shelf.delete(subnet)

    await change(call, ec2, req, work)
    return {}


_ATTRIBUTES = (
    "MapPublicIpOnLaunch",
    "AssignIpv6AddressOnCreation",
    "MapCustomerOwnedIpOnLaunch",
    "EnableDns64",
    "EnableResourceNameDnsARecordOnLaunch",
    "EnableResourceNameDnsAAAARecordOnLaunch",
    "PrivateDnsHostnameTypeOnLaunch",
)


@serve(
    "ModifySubnetAttribute",
    "SubnetId",
    *_ATTRIBUTES,
    resources=nothing,
    needs=guarded("SubnetId"),
)
async def modify_subnet_attribute(call: Call, ec2: Ec2, req: Request) -> Answer:
    """One attribute a call: whether interfaces get public addresses. The others can only stay as they are."""
    given = [name for name in req if name in _ATTRIBUTES]
    if len(given) != 1:
        raise missing("attribute") if not given else clashing("Only one attribute can be modified at a time.")
    value = req[given[0]]
    if given[0] == "PrivateDnsHostnameTypeOnLaunch":
        if value != "ip-name":
            raise unsupported(f"The host name type {value}")
    elif given[0] != "MapPublicIpOnLaunch" and value.get("Value"):
        raise unsupported(f"The parameter {given[0]}")

    def work(shelf: Shelf) -> None:
        subnet = shelf.get(Subnet, req["SubnetId"])
        if given[0] == "MapPublicIpOnLaunch":
            shelf.save(msgspec.structs.replace(subnet, public_by_default=bool(value.get("Value"))))

    await change(call, ec2, req, work)
    return {}
