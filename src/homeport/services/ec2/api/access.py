"""What EC2's operations need to be allowed. Source: Service Authorization Reference, Amazon EC2."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from homeport.core.access import Access, Keys, KeyValue, tag_keys
from homeport.core.call import Call
from homeport.core.operations import NeedsOf, ResourcesOf
from homeport.services.ec2.model import NetworkInterface, Resource, RouteTable, Rule, Subnet
from homeport.services.ec2.repo.shelf import Shelf
from homeport.store.tx import Tx

_KINDS = {
    "VpcId": "vpc",
    "SubnetId": "subnet",
    "GroupId": "security-group",
    "RouteTableId": "route-table",
    "InternetGatewayId": "internet-gateway",
    "NetworkInterfaceId": "network-interface",
    "GatewayId": "internet-gateway",
    "Groups": "security-group",
    "SecurityGroupRules": "security-group-rule",
    "InstanceId": "instance",
}
_PREFIXES = {
    "vpc-": "vpc",
    "subnet-": "subnet",
    "sgr-": "security-group-rule",
    "sg-": "security-group",
    "rtb-": "route-table",
    "igw-": "internet-gateway",
    "eni-": "network-interface",
    "acl-": "network-acl",
    "i-": "instance",
}


def arn_of(call: Call, kind: str, resource_id: str = "*") -> str:
    """A resource's ARN; of a kind's when it is not there yet."""
    return f"arn:aws:ec2:{call.region}:{call.account_id}:{kind}/{resource_id}"


def kind_of_id(resource_id: str) -> str | None:
    """What an id is of, by how it begins."""
    return next((kind for prefix, kind in _PREFIXES.items() if resource_id.startswith(prefix)), None)


def request_keys(call: Call, request: Mapping[str, Any]) -> Keys:
    """The condition keys that a request itself gives: its region, and the tags that it brings."""
    given = list(request.get("Tags") or ())
    for one in request.get("TagSpecifications") or ():
        given += one.get("Tags") or ()
    tags = {str(tag.get("Key", "")): str(tag.get("Value") or "") for tag in given}
    return {"ec2:Region": call.region, **tag_keys({key: value for key, value in tags.items() if key})}


def resource_keys(call: Call, found: Resource | None) -> dict[str, KeyValue]:
    """The condition keys of a resource that is there."""
    keys: dict[str, KeyValue] = {}
    if found is None:
        return keys
    if vpc_id := found.vpc_id:
        keys["ec2:Vpc"] = arn_of(call, "vpc", vpc_id)
    if found.type == "vpc":
        keys["ec2:VpcID"] = found.resource_id
    if isinstance(found, Subnet | NetworkInterface):
        keys["ec2:AvailabilityZone"] = found.zone
    if isinstance(found, Subnet):
        keys["ec2:SubnetID"] = found.resource_id
    if isinstance(found, NetworkInterface):
        keys["ec2:Subnet"] = arn_of(call, "subnet", found.subnet_id)
    if isinstance(found, Rule):
        keys["ec2:SecurityGroupID"] = found.group_id
    if found.type == "security-group":
        keys["ec2:SecurityGroupID"] = found.resource_id
    return keys


def guarded(*members: str, creates: str = "", tags: str = "") -> NeedsOf:
    """The named resources with their condition keys, and what the request creates, with its tags.

    `tags`: a kind that is asked about only when the request brings tags for it. Groups' rules are: who
    may change a group may give it rules. Source: EC2 user guide, example policies for security groups.
    """
    made_kind = creates or tags

    async def needs(call: Call, ec2: Any, request: Mapping[str, Any]) -> Sequence[Access]:
        named: list[tuple[str, str]] = []
        if "AssociationId" in members:
            holder = await _table_of(call, ec2, request["AssociationId"])
            named.append(("route-table", holder))
        for member in members:
            if member == "AssociationId":
                continue
            value = request.get(member)
            listed = [value] if isinstance(value, str) else list(value or ())
            ids = [one if isinstance(one, str) else str(one.get("SecurityGroupRuleId", "")) for one in listed]
            named += [(_KINDS[member], one) for one in ids]
        found = await ec2.store.read(
            lambda tx: Shelf(tx, call.account_id, call.region).any_of(one for _, one in named)
        )
        action, keys = f"ec2:{call.operation}", request_keys(call, request)
        accesses = [
            Access(
                action=action,
                resource=arn_of(call, kind, one),
                keys={**keys, **resource_keys(call, found.get(one))},
            )
            for kind, one in named
        ]
        if made_kind:
            inside = next((resource_keys(call, found.get(one)) for _, one in named), {})
            vpc = request.get("VpcId")
            made = {**keys, **inside, **({"ec2:Vpc": arn_of(call, "vpc", vpc)} if vpc else {})}
            new = arn_of(call, made_kind)
            if creates:
                accesses.append(Access(action=action, resource=new, keys=made))
            if any(one.get("Tags") for one in request.get("TagSpecifications") or ()):
                tagging = {**made, "ec2:CreateAction": call.operation}
                accesses.append(Access(action="ec2:CreateTags", resource=new, keys=tagging))
        return accesses

    return needs


async def _table_of(call: Call, ec2: Any, association_id: str) -> str:
    """The route table that an association is in; any, when there is no such association."""

    def work(tx: Tx) -> str:
        for table in Shelf(tx, call.account_id, call.region).all(RouteTable):
            if any(one.association_id == association_id for one in table.associations):
                return table.resource_id
        return "*"

    found: str = await ec2.store.read(work)
    return found


def named(reads: Iterable[str]) -> ResourcesOf:
    """What a request names with these members, for the audit log."""
    members = tuple(one for one in reads if one in _KINDS)

    def about(call: Call, request: Mapping[str, Any]) -> tuple[str, ...]:
        found: list[str] = []
        for member in members:
            value = request.get(member)
            listed = [value] if isinstance(value, str) else list(value or ())
            found += [arn_of(call, _KINDS[member], one) for one in listed if isinstance(one, str)]
        return tuple(found)

    return about


def nothing(call: Call, request: Mapping[str, Any]) -> tuple[str, ...]:
    """No resource by the request alone: what is there decides its condition keys, so `needs` names it."""
    del call, request
    return ()


def tagged(call: Call, request: Mapping[str, Any]) -> tuple[str, ...]:
    """The resources that CreateTags and DeleteTags name."""
    found = [(kind_of_id(one), one) for one in request.get("Resources") or ()]
    return tuple(arn_of(call, kind, one) if kind else "*" for kind, one in found) or ("*",)
