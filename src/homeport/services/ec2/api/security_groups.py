"""Security groups. Source: EC2 API Reference; VPC user guide, "Security groups"."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable

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
from homeport.services.ec2.errors import Ec2Error, clashing, in_use, invalid, missing
from homeport.services.ec2.model import Rule, SecurityGroup, Vpc
from homeport.services.ec2.plan.filters import Fields, predicate
from homeport.services.ec2.plan.tags import specified
from homeport.services.ec2.repo.networks import add_group
from homeport.services.ec2.repo.shelf import Shelf
from homeport.services.ec2.view import group_view, tag_list

GROUPS_MAX = 2500
"""Of an account in a region. Source: VPC user guide, "Amazon VPC quotas"."""

_TEXT = re.compile(r"[a-zA-Z0-9 ._\-:/()#,@\[\]+=&;{}!$*]{1,255}")

Listed = tuple[SecurityGroup, tuple[Rule, ...], dict[str, str]]
"""A group, its rules, and the names of the groups that they refer to."""


def _of_rules(
    *, is_egress: bool, read: Callable[[Rule], str | int | None]
) -> Callable[[Listed], Iterable[str]]:
    def values(one: Listed) -> Iterable[str]:
        for rule in one[1]:
            value = read(rule)
            if rule.is_egress == is_egress and value not in (None, ""):
                yield str(value)

    return values


def _names(*, is_egress: bool) -> Callable[[Listed], Iterable[str]]:
    def values(one: Listed) -> Iterable[str]:
        peers = [rule.peer_group_id for rule in one[1] if rule.is_egress == is_egress]
        return [one[2][peer] for peer in peers if peer in one[2]]

    return values


_READERS: dict[str, Callable[[Rule], str | int | None]] = {
    "cidr": lambda rule: rule.cidr4,
    "from-port": lambda rule: rule.from_port,
    "to-port": lambda rule: rule.to_port,
    "group-id": lambda rule: rule.peer_group_id,
    "ipv6-cidr": lambda rule: rule.cidr6,
    "prefix-list-id": lambda _: None,
    "protocol": lambda rule: rule.protocol,
    "user-id": lambda rule: rule.account_id if rule.peer_group_id else None,
}
_FIELDS: Fields[Listed] = {
    "description": lambda one: (one[0].description,),
    "group-id": lambda one: (one[0].resource_id,),
    "group-name": lambda one: (one[0].name,),
    "owner-id": lambda one: (one[0].account_id,),
    "vpc-id": lambda one: (one[0].vpc_id,),
    "ip-permission.group-name": _names(is_egress=False),
    "egress.ip-permission.group-name": _names(is_egress=True),
    **{f"ip-permission.{name}": _of_rules(is_egress=False, read=read) for name, read in _READERS.items()},
    **{
        f"egress.ip-permission.{name}": _of_rules(is_egress=True, read=read)
        for name, read in _READERS.items()
    },
}


def default_vpc(shelf: Shelf) -> Vpc:
    """The default VPC. Raise when it was deleted [O]."""
    found = next((one for one in shelf.all(Vpc) if one.is_default), None)
    if found is None:
        raise Ec2Error(
            "VPCIdNotSpecified",
            "No default VPC for this user. GroupName is only supported for EC2-Classic and default VPC.",
        )
    return found


def named_group(shelf: Shelf, name: str) -> SecurityGroup:
    """The default VPC's group of a name [O]."""
    vpc = default_vpc(shelf)
    for one in shelf.all(SecurityGroup, vpc_id=vpc.resource_id):
        if one.name == name:
            return one
    raise Ec2Error(
        "InvalidGroup.NotFound",
        f"The security group '{name}' does not exist in default VPC '{vpc.resource_id}'",
    )


def group_of(shelf: Shelf, req: Request) -> SecurityGroup:
    """The group that a request names, by its id or by its name in the default VPC."""
    by_id, by_name = req.get("GroupId"), req.get("GroupName")
    if by_id and by_name:
        raise clashing("The parameter groupId cannot be used with the parameter groupName")
    if by_id:
        return shelf.get(SecurityGroup, by_id)
    if not by_name:
        raise missing("groupName or groupId")
    return named_group(shelf, by_name)


@serve(
    "CreateSecurityGroup",
    "GroupName",
    "Description",
    "VpcId",
    "TagSpecifications",
    resources=nothing,
    needs=guarded("VpcId", creates="security-group"),
)
async def create_security_group(call: Call, ec2: Ec2, req: Request) -> Answer:
    """A group that lets everything out and nothing in; in the default VPC when none is named."""
    name, description, tags = req["GroupName"], req["Description"], specified(req, "security-group")
    if not description:
        raise missing("GroupDescription")
    if not _TEXT.fullmatch(name) or name.lower().startswith("sg-"):
        raise invalid(
            f"Value ({name}) for parameter GroupName is invalid. Character sets beyond ASCII are not "
            f"supported, and "
            "group names may not be in the format sg-*."
        )
    if not _TEXT.fullmatch(description):
        raise invalid(
            f"Value ({description}) for parameter GroupDescription is invalid. Character sets beyond "
            f"ASCII are not "
            "supported."
        )
    if name == "default":
        raise Ec2Error("InvalidGroup.Reserved", "The security group name 'default' is reserved")

    def work(shelf: Shelf) -> SecurityGroup:
        vpc = shelf.get(Vpc, req["VpcId"]) if req.get("VpcId") else default_vpc(shelf)
        if any(one.name == name for one in shelf.all(SecurityGroup, vpc_id=vpc.resource_id)):
            raise Ec2Error(
                "InvalidGroup.Duplicate",
                f"The security group '{name}' already exists for VPC '{vpc.resource_id}'",
            )
        if len(shelf.all(SecurityGroup)) >= GROUPS_MAX:
            raise Ec2Error(
                "SecurityGroupLimitExceeded", "The maximum number of security groups has been reached."
            )
        return add_group(
            shelf, ec2.ids, vpc_id=vpc.resource_id, name=name, description=description, tags=tags
        )

    made = await change(call, ec2, req, work)
    return {"GroupId": made.resource_id, "SecurityGroupArn": made.arn, "Tags": tag_list(made.tags)}


@serve("DescribeSecurityGroups", "GroupIds", "GroupNames", "Filters", "NextToken", "MaxResults")
async def describe_security_groups(call: Call, ec2: Ec2, req: Request) -> Answer:
    """Groups with their rules."""
    ids, wanted = req.get("GroupIds") or (), req.get("GroupNames") or ()
    check_paging(req, has_ids=bool(ids or wanted))
    passes = predicate(req.get("Filters"), _FIELDS, tags=lambda one: one[0].tags)

    def work(shelf: Shelf) -> list[Listed]:
        if ids or wanted:
            found = shelf.get_all(SecurityGroup, ids) + [named_group(shelf, name) for name in wanted]
            rules = [rule for one in found for rule in shelf.rules(one.resource_id)]
        else:
            found, rules = shelf.all(SecurityGroup), shelf.all(Rule)
        peers = shelf.any_of({rule.peer_group_id for rule in rules if rule.peer_group_id})
        names = {key: one.name for key, one in peers.items() if isinstance(one, SecurityGroup)}
        by_group: dict[str, list[Rule]] = {}
        for rule in rules:
            by_group.setdefault(rule.group_id, []).append(rule)
        listed = [(one, tuple(by_group.get(one.resource_id, ())), names) for one in found]
        return [one for one in listed if passes(one)]

    found = await look(call, ec2, req, work)
    shown, more = page(call, ec2, req, found, lambda one: age(one[0]))
    return {"SecurityGroups": [group_view(group, rules) for group, rules, _ in shown], **more}


@serve("DeleteSecurityGroup", "GroupId", "GroupName", resources=nothing, needs=guarded("GroupId"))
async def delete_security_group(call: Call, ec2: Ec2, req: Request) -> Answer:
    """Delete a group that is on no interface and in no other group's rules."""

    def work(shelf: Shelf) -> str:
        group = group_of(shelf, req)
        gone = group.resource_id
        if group.is_default:
            raise Ec2Error(
                "CannotDelete", f'the specified group: "{gone}" name: "default" cannot be deleted by a user'
            )
        referring = [
            rule
            for rule in shelf.all(Rule, vpc_id=group.vpc_id)
            if rule.peer_group_id == gone and rule.group_id != gone
        ]
        if referring or shelf.interfaces_in(gone, group.vpc_id):
            raise in_use(f"resource {gone} has a dependent object")
        for rule in shelf.rules(gone):
            shelf.delete(rule)
        shelf.delete(group)
        return gone

    return {"Return": True, "GroupId": await change(call, ec2, req, work)}
