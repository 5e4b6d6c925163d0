"""Regions, zones and what an account may have. Source: EC2 API Reference."""

from __future__ import annotations

from homeport.core.call import Call
from homeport.services.ec2.api.context import Answer, Ec2, Request, check_dry_run, look, serve
from homeport.services.ec2.errors import Ec2Error
from homeport.services.ec2.model import Vpc, zone_id
from homeport.services.ec2.plan.filters import Fields, always, predicate
from homeport.services.ec2.plan.zones import regions, zones
from homeport.services.ec2.repo.interfaces import GROUPS_MAX

_REGION: Fields[Answer] = {
    "region-name": lambda one: (one["RegionName"],),
    "endpoint": lambda one: (one["Endpoint"],),
    "opt-in-status": lambda one: (one["OptInStatus"],),
}
_ZONE: Fields[Answer] = {
    "group-name": lambda one: (one["GroupName"],),
    "group-long-name": always(),
    "message": always(),
    "opt-in-status": lambda one: (one["OptInStatus"],),
    "parent-zone-id": always(),
    "parent-zone-name": always(),
    "region-name": lambda one: (one["RegionName"],),
    "state": lambda one: (one["State"],),
    "zone-id": lambda one: (one["ZoneId"],),
    "zone-name": lambda one: (one["ZoneName"],),
    "zone-type": lambda one: (one["ZoneType"],),
}


@serve("DescribeRegions", "RegionNames", "AllRegions", "Filters")
async def describe_regions(call: Call, ec2: Ec2, req: Request) -> Answer:
    """The regions: all are here, at this one's endpoint."""
    del ec2
    passes = predicate(req.get("Filters"), _REGION)
    endpoint = call.base_url.partition("://")[2]
    known = regions(call.region)
    wanted = req.get("RegionNames") or known
    if lost := [name for name in wanted if name not in known]:
        raise Ec2Error("InvalidParameterValue", f"Invalid region name: {', '.join(lost)}")
    check_dry_run(req)
    shown: list[Answer] = [
        {"RegionName": name, "Endpoint": endpoint, "OptInStatus": "opt-in-not-required"}
        for name in known
        if name in wanted
    ]
    return {"Regions": [one for one in shown if passes(one)]}


@serve("DescribeAvailabilityZones", "ZoneNames", "ZoneIds", "AllAvailabilityZones", "Filters")
async def describe_availability_zones(call: Call, ec2: Ec2, req: Request) -> Answer:
    """The region's zones. There are none that one has to ask for, so AllAvailabilityZones adds none."""
    del ec2
    passes = predicate(req.get("Filters"), _ZONE)
    names = zones(call.region)
    ids = {zone_id(name): name for name in names}
    if lost := [name for name in req.get("ZoneNames") or () if name not in names]:
        raise Ec2Error("InvalidParameterValue", f"Invalid availability zone: [{', '.join(lost)}]")
    if lost := [one for one in req.get("ZoneIds") or () if one not in ids]:
        raise Ec2Error("InvalidParameterValue", f"Invalid availability zone-id: [{', '.join(lost)}]")
    check_dry_run(req)
    wanted = set(req.get("ZoneNames") or ()) | {ids[one] for one in req.get("ZoneIds") or ()} or set(names)
    shown: list[Answer] = [
        {
            "ZoneName": name,
            "ZoneId": zone_id(name),
            "ZoneType": "availability-zone",
            "State": "available",
            "OptInStatus": "opt-in-not-required",
            "Messages": [],
            "RegionName": call.region,
            "GroupName": f"{call.region}-zg-1",
            "NetworkBorderGroup": call.region,
        }
        for name in names
        if name in wanted
    ]
    return {"AvailabilityZones": [one for one in shown if passes(one)]}


@serve("DescribeAccountAttributes", "AttributeNames")
async def describe_account_attributes(call: Call, ec2: Ec2, req: Request) -> Answer:
    """What an account has. Elastic addresses and instances of its own it has none of."""
    default = await look(
        call, ec2, req, lambda shelf: next((one for one in shelf.all(Vpc) if one.is_default), None)
    )
    values = {
        "supported-platforms": "VPC",
        "default-vpc": default.resource_id if default is not None else "none",
        "max-instances": "0",
        "vpc-max-security-groups-per-interface": str(GROUPS_MAX),
        "max-elastic-ips": "0",
        "vpc-max-elastic-ips": "0",
    }
    wanted = req.get("AttributeNames") or tuple(values)
    return {
        "AccountAttributes": [
            {"AttributeName": name, "AttributeValues": [{"AttributeValue": values[name]}]}
            for name in values
            if name in wanted
        ]
    }
