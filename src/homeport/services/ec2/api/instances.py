"""The local instances, as far as EC2 knows of them. They are started and stopped elsewhere.

Source: EC2 API Reference.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from homeport.core.call import Call
from homeport.services.ec2.api.context import (
    Answer,
    Ec2,
    Request,
    check_dry_run,
    check_paging,
    look,
    page,
    serve,
)
from homeport.services.ec2.errors import Ec2Error, malformed, not_found, unsupported
from homeport.services.ec2.model import InstanceTags, SecurityGroup, Subnet, private_name, zone_id
from homeport.services.ec2.plan.filters import Fields, always, predicate
from homeport.services.ec2.ports import LocalInstance
from homeport.services.ec2.repo.shelf import Shelf
from homeport.services.ec2.view import tag_list

RUNNING = {"Code": 16, "Name": "running"}

_FIELDS: Fields[Answer] = {
    "architecture": lambda one: (one["Architecture"],),
    "availability-zone": lambda one: (one["Placement"]["AvailabilityZone"],),
    "availability-zone-id": lambda one: (one["Placement"]["AvailabilityZoneId"],),
    "iam-instance-profile.arn": lambda one: (
        (one["IamInstanceProfile"]["Arn"],) if "IamInstanceProfile" in one else ()
    ),
    "instance-id": lambda one: (one["InstanceId"],),
    "instance-state-code": always("16"),
    "instance-state-name": always("running"),
    "instance-type": lambda one: (one["InstanceType"],),
    "instance.group-id": lambda one: [group["GroupId"] for group in one["SecurityGroups"]],
    "instance.group-name": lambda one: [group["GroupName"] for group in one["SecurityGroups"]],
    "launch-time": lambda one: (one["LaunchTime"].strftime("%Y-%m-%dT%H:%M:%S.000Z"),),
    "private-dns-name": lambda one: (one["PrivateDnsName"],) if "PrivateDnsName" in one else (),
    "private-ip-address": lambda one: (one["PrivateIpAddress"],) if "PrivateIpAddress" in one else (),
    "subnet-id": lambda one: (one["SubnetId"],) if "SubnetId" in one else (),
    "tenancy": always("default"),
    "vpc-id": lambda one: (one["VpcId"],) if "VpcId" in one else (),
}
_TYPE: Fields[Answer] = {
    "instance-type": lambda one: (one["InstanceType"],),
    "current-generation": always("true"),
    "processor-info.supported-architecture": lambda one: one["ProcessorInfo"]["SupportedArchitectures"],
    "vcpu-info.default-vcpus": lambda one: (str(one["VCpuInfo"]["DefaultVCpus"]),),
    "memory-info.size-in-mib": lambda one: (str(one["MemoryInfo"]["SizeInMiB"]),),
}
_STATUS: Fields[Answer] = {
    "availability-zone": lambda one: (one["AvailabilityZone"],),
    "availability-zone-id": lambda one: (one["AvailabilityZoneId"],),
    "instance-state-code": always("16"),
    "instance-state-name": always("running"),
    "instance-status.status": lambda one: (one["InstanceStatus"]["Status"],),
    "instance-status.reachability": lambda one: (one["InstanceStatus"]["Details"][0]["Status"],),
    "system-status.status": lambda one: (one["SystemStatus"]["Status"],),
    "system-status.reachability": lambda one: (one["SystemStatus"]["Details"][0]["Status"],),
}


def _tags(one: Answer) -> dict[str, str]:
    return {tag["Key"]: tag["Value"] for tag in one["Tags"]}


def _by_id(found: Sequence[LocalInstance], ids: Sequence[str]) -> list[LocalInstance]:
    """Those of these ids, or all. Raise AWS's errors for ids that lead nowhere."""
    known = {one.instance_id: one for one in found}
    for one in ids:
        if not one.startswith("i-"):
            raise malformed("instance", one)
    if lost := [one for one in dict.fromkeys(ids) if one not in known]:
        raise not_found("instance", *lost)
    return [known[one] for one in sorted(set(ids))] if ids else list(found)


def _view(call: Call, one: LocalInstance, resources: dict[str, Any]) -> Answer:
    own = resources.get(one.instance_id)
    subnet = resources.get(one.subnet_id)
    view: Answer = {
        "InstanceId": one.instance_id,
        "InstanceType": one.instance_type,
        "State": RUNNING,
        "LaunchTime": one.launched_at,
        "AmiLaunchIndex": 0,
        "Architecture": one.architecture,
        "Placement": {
            "AvailabilityZone": one.zone,
            "AvailabilityZoneId": zone_id(one.zone) if one.zone else "",
            "Tenancy": "default",
        },
        "SecurityGroups": [
            {"GroupId": group, "GroupName": named.name if isinstance(named, SecurityGroup) else ""}
            for group in one.groups
            for named in (resources.get(group),)
        ],
        "NetworkInterfaces": [],
        "BlockDeviceMappings": [],
        "Tags": tag_list({**one.tags, **(own.tags if isinstance(own, InstanceTags) else {})}),
    }
    if one.address:
        view |= {"PrivateIpAddress": one.address, "PrivateDnsName": private_name(one.address, call.region)}
    if isinstance(subnet, Subnet):
        view |= {"SubnetId": subnet.resource_id, "VpcId": subnet.vpc_id}
    if one.profile_arn:
        view["IamInstanceProfile"] = {"Arn": one.profile_arn}
    return view


async def _views(call: Call, ec2: Ec2, req: Request, found: Sequence[LocalInstance]) -> list[Answer]:
    ids = {one.instance_id for one in found} | {one.subnet_id for one in found if one.subnet_id}
    ids |= {group for one in found for group in one.groups}

    def work(shelf: Shelf) -> dict[str, Any]:
        return dict(shelf.any_of(ids))

    resources = await look(call, ec2, req, work)
    return [_view(call, one, resources) for one in found]


@serve("DescribeInstances", "Filters", "InstanceIds", "IncludeManagedResources", "NextToken", "MaxResults")
async def describe_instances(call: Call, ec2: Ec2, req: Request) -> Answer:
    """The local instances, each a reservation of its own. IncludeManagedResources adds none."""
    ids = req.get("InstanceIds") or ()
    check_paging(req, has_ids=bool(ids))
    passes = predicate(req.get("Filters"), _FIELDS, tags=_tags)
    found = _by_id(await ec2.instances.all(call.account_id, call.region), ids)
    listed = [one for one in await _views(call, ec2, req, found) if passes(one)]
    shown, more = page(call, ec2, req, listed, lambda one: str(one["InstanceId"]))
    return {
        "Reservations": [
            {
                "ReservationId": f"r-{one['InstanceId'].removeprefix('i-')}",
                "OwnerId": call.account_id,
                "Groups": [],
                "Instances": [one],
            }
            for one in shown
        ],
        **more,
    }


def _status_view(one: LocalInstance) -> Answer:
    checked = {
        "Status": "ok" if one.is_reachable else "impaired",
        "Details": [{"Name": "reachability", "Status": "passed" if one.is_reachable else "failed"}],
    }
    return {
        "InstanceId": one.instance_id,
        "AvailabilityZone": one.zone,
        "AvailabilityZoneId": zone_id(one.zone) if one.zone else "",
        "InstanceState": RUNNING,
        "InstanceStatus": checked,
        "SystemStatus": checked,
    }


@serve(
    "DescribeInstanceStatus",
    "Filters",
    "InstanceIds",
    "IncludeAllInstances",
    "IncludeManagedResources",
    "NextToken",
    "MaxResults",
)
async def describe_instance_status(call: Call, ec2: Ec2, req: Request) -> Answer:
    """The local instances' states: impaired is one whose agent is away.

    All of them run, so IncludeAllInstances adds none.
    """
    ids = req.get("InstanceIds") or ()
    check_paging(req, has_ids=bool(ids))
    passes = predicate(req.get("Filters"), _STATUS)
    found = _by_id(await ec2.instances.all(call.account_id, call.region), ids)
    check_dry_run(req)
    listed = [view for view in map(_status_view, found) if passes(view)]
    shown, more = page(call, ec2, req, listed, lambda one: str(one["InstanceId"]))
    return {"InstanceStatuses": list(shown), **more}


@serve("DescribeInstanceAttribute", "InstanceId", "Attribute")
async def describe_instance_attribute(call: Call, ec2: Ec2, req: Request) -> Answer:
    """One attribute, of those that a local instance has."""
    (one,) = _by_id(await ec2.instances.all(call.account_id, call.region), [req["InstanceId"]])
    check_dry_run(req)
    match req["Attribute"]:
        case "instanceType":
            shown: Answer = {"InstanceType": {"Value": one.instance_type}}
        case "groupSet":
            shown = {"Groups": [{"GroupId": group} for group in one.groups]}
        case "disableApiTermination":
            shown = {"DisableApiTermination": {"Value": False}}
        case "disableApiStop":
            shown = {"DisableApiStop": {"Value": False}}
        case "sourceDestCheck":
            shown = {"SourceDestCheck": {"Value": True}}
        case "userData":
            shown = {"UserData": {}}
        case name:
            raise unsupported(f"The attribute {name}")
    return {"InstanceId": one.instance_id, **shown}


@serve("DescribeInstanceTypes", "InstanceTypes", "Filters", "NextToken", "MaxResults")
async def describe_instance_types(call: Call, ec2: Ec2, req: Request) -> Answer:
    """The types of the local instances: what one of them has."""
    wanted = req.get("InstanceTypes") or ()
    check_paging(req, has_ids=bool(wanted))
    passes = predicate(req.get("Filters"), _TYPE)
    known = {one.instance_type: one for one in await ec2.instances.all(call.account_id, call.region)}
    known.pop("", None)
    if lost := [name for name in wanted if name not in known]:
        raise Ec2Error(
            "InvalidInstanceType", f"The following supplied instance types do not exist: [{', '.join(lost)}]"
        )
    check_dry_run(req)
    listed = [_type_view(known[name]) for name in sorted(wanted or known)]
    listed = [one for one in listed if passes(one)]
    shown, more = page(call, ec2, req, listed, lambda one: str(one["InstanceType"]))
    return {"InstanceTypes": list(shown), **more}


def _type_view(one: LocalInstance) -> Answer:
    cpus = max(one.cpu_units // 1024, 1)
    return {
        "InstanceType": one.instance_type,
        "CurrentGeneration": True,
        "BareMetal": False,
        "SupportedUsageClasses": ["on-demand"],
        "ProcessorInfo": {"SupportedArchitectures": [one.architecture]},
        "VCpuInfo": {"DefaultVCpus": cpus},
        "MemoryInfo": {"SizeInMiB": one.memory_mib},
    }
