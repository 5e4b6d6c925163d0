"""The local instances, as far as EC2 knows of them. They are started and stopped elsewhere.

Source: EC2 API Reference.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import msgspec

from homeport.core.call import Call
from homeport.services.ec2.api.access import guarded, nothing
from homeport.services.ec2.api.context import (
    Answer,
    Ec2,
    Request,
    change,
    check_dry_run,
    check_paging,
    look,
    page,
    serve,
)
from homeport.services.ec2.api.instance_fields import INSTANCE, STATUS, reservation_id
from homeport.services.ec2.errors import Ec2Error, clashing, malformed, missing, not_found, unsupported
from homeport.services.ec2.model import InstanceTags, NetworkInterface, Resource, SecurityGroup, zone_id
from homeport.services.ec2.plan.filters import always, predicate
from homeport.services.ec2.ports import LocalInstance
from homeport.services.ec2.repo.interfaces import groups_for
from homeport.services.ec2.repo.shelf import Shelf
from homeport.services.ec2.view import interface_view, tag_list

RUNNING = {"Code": 16, "Name": "running"}


_NOTHING = {
    "userData": "UserData",
    "kernel": "KernelId",
    "ramdisk": "RamdiskId",
    "rootDeviceName": "RootDeviceName",
    "blockDeviceMapping": "BlockDeviceMappings",
    "productCodes": "ProductCodes",
}
"""The attributes that no local instance has, by the members that say so."""
_STAYS = {
    "DisableApiStop": False,
    "DisableApiTermination": False,
    "EbsOptimized": False,
    "SourceDestCheck": True,
}
"""What local instances are, and stay."""


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


def _view(one: LocalInstance, resources: Mapping[str, Resource]) -> Answer:
    own, interface = resources.get(one.instance_id), resources.get(one.interface_id)
    view: Answer = {
        "InstanceId": one.instance_id,
        "InstanceType": one.instance_type,
        "State": RUNNING,
        "LaunchTime": one.launched_at,
        "StateTransitionReason": "",
        "AmiLaunchIndex": 0,
        "Architecture": one.architecture,
        "EbsOptimized": False,
        "Monitoring": {"State": "disabled"},
        "ProductCodes": [],
        "PublicDnsName": "",
        "Placement": {
            "AvailabilityZone": one.zone,
            "AvailabilityZoneId": zone_id(one.zone) if one.zone else "",
            "Tenancy": "default",
        },
        "SecurityGroups": [],
        "NetworkInterfaces": [],
        "BlockDeviceMappings": [],
        "Tags": tag_list({**one.tags, **(own.tags if isinstance(own, InstanceTags) else {})}),
    }
    if isinstance(interface, NetworkInterface):
        view |= _placed(interface, resources)
    if one.profile_arn:
        view["IamInstanceProfile"] = {"Arn": one.profile_arn}
    return view


async def _views(call: Call, ec2: Ec2, req: Request, found: Sequence[LocalInstance]) -> list[Answer]:
    ids = {one.instance_id for one in found} | {one.interface_id for one in found if one.interface_id}

    def work(shelf: Shelf) -> Mapping[str, Resource]:
        own = shelf.any_of(ids)
        groups = {group for one in own.values() if isinstance(one, NetworkInterface) for group in one.groups}
        return {**own, **shelf.any_of(groups)}

    resources = await look(call, ec2, req, work)
    return [_view(one, resources) for one in found]


def _placed(interface: NetworkInterface, resources: Mapping[str, Resource]) -> Answer:
    """What an instance shows of its one interface."""
    names = {key: one.name for key, one in resources.items() if isinstance(one, SecurityGroup)}
    shown = interface_view(interface, names)
    kept = (
        "NetworkInterfaceId", "InterfaceType", "Description", "SubnetId", "VpcId", "OwnerId", "Status",
        "MacAddress", "PrivateIpAddress", "PrivateDnsName", "PrivateIpAddresses", "Ipv6Addresses",
        "SourceDestCheck", "Groups",
    )  # fmt: skip
    attached = ("AttachmentId", "AttachTime", "DeleteOnTermination", "DeviceIndex", "Status")
    held = shown.get("Attachment", {})
    return {
        "PrivateIpAddress": interface.address,
        "PrivateDnsName": shown["PrivateDnsName"],
        "SubnetId": interface.subnet_id,
        "VpcId": interface.vpc_id,
        "SecurityGroups": shown["Groups"],
        "SourceDestCheck": True,
        "NetworkInterfaces": [
            {
                **{name: shown[name] for name in kept},
                "Attachment": {name: held[name] for name in attached if name in held},
            }
        ],
    }


@serve("DescribeInstances", "Filters", "InstanceIds", "IncludeManagedResources", "NextToken", "MaxResults")
async def describe_instances(call: Call, ec2: Ec2, req: Request) -> Answer:
    """The local instances, each a reservation of its own. IncludeManagedResources adds none."""
    ids = req.get("InstanceIds") or ()
    check_paging(req, has_ids=bool(ids))
    fields = {**INSTANCE, "owner-id": always(call.account_id)}
    passes = predicate(req.get("Filters"), fields, tags=_tags)
    found = _by_id(await ec2.instances.all(call.account_id, call.region), ids)
    listed = [one for one in await _views(call, ec2, req, found) if passes(one)]
    shown, more = page(call, ec2, req, listed, lambda one: str(one["InstanceId"]))
    return {
        "Reservations": [
            {
                "ReservationId": reservation_id(one["InstanceId"]),
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
    passes = predicate(req.get("Filters"), STATUS)
    found = _by_id(await ec2.instances.all(call.account_id, call.region), ids)
    check_dry_run(req)
    listed = [view for view in map(_status_view, found) if passes(view)]
    shown, more = page(call, ec2, req, listed, lambda one: str(one["InstanceId"]))
    return {"InstanceStatuses": list(shown), **more}


@serve("DescribeInstanceAttribute", "InstanceId", "Attribute")
async def describe_instance_attribute(call: Call, ec2: Ec2, req: Request) -> Answer:
    """One attribute, of those that a local instance has."""
    (one,) = _by_id(await ec2.instances.all(call.account_id, call.region), [req["InstanceId"]])
    (view,) = await _views(call, ec2, req, [one])
    match req["Attribute"]:
        case "instanceType":
            shown: Answer = {"InstanceType": {"Value": one.instance_type}}
        case "groupSet":
            shown = {"Groups": view["SecurityGroups"]}
        case "disableApiTermination":
            shown = {"DisableApiTermination": {"Value": False}}
        case "disableApiStop":
            shown = {"DisableApiStop": {"Value": False}}
        case "sourceDestCheck":
            shown = {"SourceDestCheck": {"Value": True}}
        case "ebsOptimized":
            shown = {"EbsOptimized": {"Value": False}}
        case "userData" | "kernel" | "ramdisk" | "rootDeviceName" as name:
            shown = {_NOTHING[name]: {}}
        case "blockDeviceMapping" | "productCodes" as name:
            shown = {_NOTHING[name]: []}
        case name:
            raise unsupported(f"The attribute {name}")
    return {"InstanceId": one.instance_id, **shown}


@serve(
    "ModifyInstanceAttribute",
    "InstanceId",
    "Groups",
    *_STAYS,
    resources=nothing,
    needs=guarded("InstanceId", "Groups"),
)
async def modify_instance_attribute(call: Call, ec2: Ec2, req: Request) -> Answer:
    """The security groups of a local instance, which are its interface's.

    The other attributes can only stay as they are.
    """
    (one,) = _by_id(await ec2.instances.all(call.account_id, call.region), [req["InstanceId"]])
    given = [name for name in ("Groups", *_STAYS) if req.get(name)]
    if len(given) != 1:
        raise missing("groups") if not given else clashing("Only one attribute can be modified at a time.")
    if given[0] != "Groups":
        if req[given[0]].get("Value") is not _STAYS[given[0]]:
            raise unsupported(f"Another {given[0]}")
        check_dry_run(req)
        return {}

    def work(shelf: Shelf) -> None:
        interface = shelf.find(NetworkInterface, one.interface_id) if one.interface_id else None
        if interface is None:
            raise Ec2Error(
                "IncorrectState",
                f"The instance '{one.instance_id}' has no address in a VPC here: it is another machine's.",
            )
        groups = groups_for(shelf, interface.vpc_id, req["Groups"])
        shelf.save(msgspec.structs.replace(interface, groups=groups))

    await change(call, ec2, req, work)
    return {}
