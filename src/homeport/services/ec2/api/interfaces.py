"""Network interfaces. Source: EC2 API Reference.

Those of tasks and load balancers belong to the services that made them, and nobody else changes them. A
customer's own holds an address and its groups; there is no instance here that it could be plugged into.
"""

from __future__ import annotations

from collections.abc import Iterable

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
    only,
    page,
    serve,
)
from homeport.services.ec2.errors import Ec2Error, clashing, invalid, missing, unsupported
from homeport.services.ec2.model import NetworkInterface, SecurityGroup, Subnet, private_name, zone_id
from homeport.services.ec2.plan.filters import Fields, always, flag, predicate
from homeport.services.ec2.plan.tags import specified
from homeport.services.ec2.repo.interfaces import add_interface, groups_for, remove_interface
from homeport.services.ec2.repo.shelf import Shelf
from homeport.services.ec2.view import PUBLIC_OWNER, View, attachment_view, interface_view

_NEVER = (
    "association.allocation-id",
    "association.association-id",
    "addresses.association.owner-id",
    "association.public-dns-name",
    "ipv6-addresses.ipv6-address",
    "operator.principal",
)


def _held(member: str, one: NetworkInterface) -> Iterable[str]:
    value = attachment_view(one).get(member)
    if value is None:
        return ()
    return flag(value) if isinstance(value, bool) else (str(value),)


_FIELDS: Fields[NetworkInterface] = {
    **dict.fromkeys(_NEVER, always()),
    "addresses.primary": always("true"),
    "addresses.private-ip-address": lambda one: (one.address,),
    "addresses.association.public-ip": lambda one: filter(None, (one.public_address,)),
    "association.public-ip": lambda one: filter(None, (one.public_address,)),
    "association.ip-owner-id": lambda one: (PUBLIC_OWNER,) if one.is_public else (),
    "attachment.attach-time": lambda one: (
        (one.attachment.attached_at.strftime("%Y-%m-%dT%H:%M:%S.000Z"),) if one.attachment else ()
    ),
    "attachment.attachment-id": lambda one: _held("AttachmentId", one),
    "attachment.delete-on-termination": lambda one: _held("DeleteOnTermination", one),
    "attachment.device-index": lambda one: _held("DeviceIndex", one),
    "attachment.instance-id": lambda one: _held("InstanceId", one),
    "attachment.instance-owner-id": lambda one: _held("InstanceOwnerId", one),
    "attachment.status": lambda one: _held("Status", one),
    "availability-zone": lambda one: (one.zone,),
    "availability-zone-id": lambda one: (zone_id(one.zone),),
    "description": lambda one: (one.description,),
    "group-id": lambda one: one.groups,
    "interface-type": always("interface"),
    "mac-address": lambda one: (one.mac,),
    "network-interface-id": lambda one: (one.resource_id,),
    "operator.managed": always("false"),
    "owner-id": lambda one: (one.account_id,),
    "private-dns-name": lambda one: (private_name(one.address, one.region),),
    "private-ip-address": lambda one: (one.address,),
    "requester-id": lambda one: (one.requester_id,) if one.requester_id else (),
    "requester-managed": lambda one: flag(bool(one.requester_id)),
    "source-dest-check": always("true"),
    "status": lambda one: (one.status,),
    "subnet-id": lambda one: (one.subnet_id,),
    "vpc-id": lambda one: (one.vpc_id,),
}


def _views(shelf: Shelf, found: Iterable[NetworkInterface]) -> list[View]:
    listed = list(found)
    groups = shelf.any_of({group for one in listed for group in one.groups})
    names = {key: one.name for key, one in groups.items() if isinstance(one, SecurityGroup)}
    return [interface_view(one, names) for one in listed]


def _address(req: Request) -> str:
    """The address that is asked for, in either of two spellings; empty: any."""
    asked = [str(req["PrivateIpAddress"])] if req.get("PrivateIpAddress") else []
    for one in req.get("PrivateIpAddresses") or ():
        only(one, {"Primary", "PrivateIpAddress"}, "PrivateIpAddresses.")
        if one.get("Primary", False) is not True:
            raise unsupported("A secondary private address")
        asked.append(str(one.get("PrivateIpAddress", "")))
    if len(asked) > 1:
        raise clashing("Only one primary private IP address can be specified.")
    return asked[0] if asked else ""


@serve(
    "CreateNetworkInterface",
    "SubnetId",
    "Description",
    "PrivateIpAddress",
    "PrivateIpAddresses",
    "Groups",
    "InterfaceType",
    "TagSpecifications",
    "ClientToken",
    resources=nothing,
    needs=guarded("SubnetId", "Groups", creates="network-interface"),
)
async def create_network_interface(call: Call, ec2: Ec2, req: Request) -> Answer:
    """An interface that holds an address of a subnet."""
    if req.get("InterfaceType", "interface") != "interface":
        raise unsupported(f"The interface type {req['InterfaceType']}")
    tags, address = specified(req, "network-interface"), _address(req)

    def make(shelf: Shelf) -> NetworkInterface:
        return add_interface(
            shelf,
            ec2.ids,
            shelf.get(Subnet, req["SubnetId"]),
            groups=req.get("Groups") or (),
            description=req.get("Description", ""),
            tags=tags,
            address=address,
        )

    def work(shelf: Shelf) -> View:
        return _views(shelf, [once(call, ec2, req, shelf, lambda: make(shelf), NetworkInterface)])[0]

    token = {"ClientToken": req["ClientToken"]} if req.get("ClientToken") else {}
    return {"NetworkInterface": await change(call, ec2, req, work), **token}


@serve(
    "DescribeNetworkInterfaces",
    "Filters",
    "NetworkInterfaceIds",
    "IncludeManagedResources",
    "NextToken",
    "MaxResults",
)
async def describe_network_interfaces(call: Call, ec2: Ec2, req: Request) -> Answer:
    """Interfaces. No provider manages any for an operator, so IncludeManagedResources adds none."""
    ids = req.get("NetworkInterfaceIds")
    check_paging(req, has_ids=bool(ids))
    passes = predicate(req.get("Filters"), _FIELDS, tags=lambda one: one.tags)

    def work(shelf: Shelf) -> tuple[list[View], Answer]:
        found = shelf.get_all(NetworkInterface, ids) if ids else shelf.all(NetworkInterface)
        shown, more = page(call, ec2, req, [one for one in found if passes(one)], age)
        return _views(shelf, shown), more

    views, more = await look(call, ec2, req, work)
    return {"NetworkInterfaces": views, **more}


@serve("DeleteNetworkInterface", "NetworkInterfaceId", resources=nothing, needs=guarded("NetworkInterfaceId"))
async def delete_network_interface(call: Call, ec2: Ec2, req: Request) -> Answer:
    """Delete a customer's interface that is plugged in nowhere."""

    def work(shelf: Shelf) -> None:
        found = shelf.get(NetworkInterface, req["NetworkInterfaceId"])
        if found.attachment is not None:
            raise invalid(f"Network interface '{found.resource_id}' is currently in use.")
        _check_own(found)
        remove_interface(shelf, found)

    await change(call, ec2, req, work)
    return {}


def _check_own(found: NetworkInterface) -> None:
    if found.requester_id:
        raise Ec2Error(
            "OperationNotPermitted",
            f"The network interface '{found.resource_id}' belongs to {found.requester_id}, which "
            f"alone may change it.",
        )


@serve(
    "ModifyNetworkInterfaceAttribute",
    "NetworkInterfaceId",
    "Description",
    "Groups",
    "SourceDestCheck",
    resources=nothing,
    needs=guarded("NetworkInterfaceId", "Groups"),
)
async def modify_network_interface_attribute(call: Call, ec2: Ec2, req: Request) -> Answer:
    """One attribute a call. Packets with others' addresses never pass, so SourceDestCheck stays on."""
    given = [name for name in ("Description", "Groups", "SourceDestCheck") if name in req]
    if len(given) != 1:
        raise missing("attribute") if not given else clashing("Only one attribute can be modified at a time.")
    if given[0] == "SourceDestCheck" and not req["SourceDestCheck"].get("Value", True):
        raise unsupported("SourceDestCheck=false")

    def work(shelf: Shelf) -> None:
        found = shelf.get(NetworkInterface, req["NetworkInterfaceId"])
        _check_own(found)
        if given[0] == "Description":
            text = str(req["Description"].get("Value", ""))
            shelf.save(msgspec.structs.replace(found, description=text))
        elif given[0] == "Groups":
            if not req["Groups"]:
                raise missing("groups")
            groups = groups_for(shelf, found.vpc_id, req["Groups"])
            shelf.save(msgspec.structs.replace(found, groups=groups))

    await change(call, ec2, req, work)
    return {}


@serve("DescribeNetworkInterfaceAttribute", "NetworkInterfaceId", "Attribute")
async def describe_network_interface_attribute(call: Call, ec2: Ec2, req: Request) -> Answer:
    """One attribute."""

    def work(shelf: Shelf) -> View:
        return _views(shelf, [shelf.get(NetworkInterface, req["NetworkInterfaceId"])])[0]

    view = await look(call, ec2, req, work)
    match req.get("Attribute"):
        case "description":
            shown: Answer = {"Description": {"Value": view["Description"]}}
        case "groupSet":
            shown = {"Groups": view["Groups"]}
        case "sourceDestCheck":
            shown = {"SourceDestCheck": {"Value": True}}
        case "attachment":
            shown = {"Attachment": view["Attachment"]} if "Attachment" in view else {}
        case "associatePublicIpAddress":
            shown = {"AssociatePublicIpAddress": False}
        case _:
            raise missing("attribute")
    return {"NetworkInterfaceId": view["NetworkInterfaceId"], **shown}
