"""Security groups' rules. Source: EC2 API Reference."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Awaitable, Callable, Sequence
from typing import Protocol

import msgspec

from homeport.core.call import Call
from homeport.core.operations import NeedsOf
from homeport.services.ec2.api.access import guarded, nothing
from homeport.services.ec2.api.context import (
    Answer,
    Ec2,
    Handler,
    Request,
    age,
    change,
    check_paging,
    look,
    page,
    serve,
)
from homeport.services.ec2.api.security_groups import group_of, named_group
from homeport.services.ec2.errors import Ec2Error, clashing, invalid, missing, not_found
from homeport.services.ec2.model import Rule, SecurityGroup, Vpc
from homeport.services.ec2.plan.filters import Fields, predicate
from homeport.services.ec2.plan.permissions import (
    Asked,
    asked,
    asked_rule,
    check_description,
    check_new,
    identity,
)
from homeport.services.ec2.plan.tags import specified
from homeport.services.ec2.repo.networks import fresh_id
from homeport.services.ec2.repo.shelf import Shelf
from homeport.services.ec2.view import permissions_view, revoked_view, rule_view


class DirectedHandler(Protocol):
    """Handles one direction's rules."""

    def __call__(self, call: Call, ec2: Ec2, req: Request, /, *, is_egress: bool) -> Awaitable[Answer]: ...


_FLAT = (
    "IpProtocol",
    "FromPort",
    "ToPort",
    "CidrIp",
    "SourceSecurityGroupName",
    "SourceSecurityGroupOwnerId",
)
_FIELDS: Fields[Rule] = {
    "group-id": lambda one: (one.group_id,),
    "security-group-rule-id": lambda one: (one.resource_id,),
}


def _both_ways(
    ingress: str, egress: str, *reads: str, needs: NeedsOf
) -> Callable[[DirectedHandler], DirectedHandler]:
    """Serve both directions' operations. Ingress may name the default VPC's group, where it has one."""

    def register(handler: DirectedHandler) -> DirectedHandler:
        for name, more, is_egress in ((ingress, ("GroupName",), False), (egress, (), True)):
            serve(name, *reads, *more, resources=nothing, needs=needs)(
                _directed(handler, is_egress=is_egress)
            )
        return handler

    return register


def _directed(handler: DirectedHandler, *, is_egress: bool) -> Handler:
    @functools.wraps(handler)
    async def directed(call: Call, ec2: Ec2, req: Request) -> Answer:
        return await handler(call, ec2, req, is_egress=is_egress)

    return directed


def _resolved(shelf: Shelf, group: SecurityGroup, one: Asked) -> Asked:
    """With the peer's id for its name. Raise for a group that is not there, or of another VPC or account."""
    peer = one.peer
    if not peer.group_id and not peer.group_name:
        return one
    found = (
        named_group(shelf, peer.group_name) if peer.group_name else shelf.get(SecurityGroup, peer.group_id)
    )
    if peer.owner and peer.owner != found.account_id:
        raise not_found("security-group", found.resource_id)
    if found.vpc_id != group.vpc_id:
        raise Ec2Error(
            "InvalidGroup.NotFound",
            "You have specified two resources that belong to different networks.",
        )
    return dataclasses.replace(
        one, peer=dataclasses.replace(peer, group_id=found.resource_id, group_name="", owner="")
    )


def _rule(
    shelf: Shelf, rule_id: str, group: SecurityGroup, one: Asked, *, is_egress: bool, tags: dict[str, str]
) -> Rule:
    return Rule(
        account_id=shelf.account_id,
        region=shelf.region,
        resource_id=rule_id,
        vpc_id=group.vpc_id,
        group_id=group.resource_id,
        is_egress=is_egress,
        protocol=one.protocol,
        from_port=one.from_port,
        to_port=one.to_port,
        cidr4=one.peer.cidr4,
        cidr6=one.peer.cidr6,
        peer_group_id=one.peer.group_id,
        description=one.description,
        tags=tags,
    )


@_both_ways(
    "AuthorizeSecurityGroupIngress",
    "AuthorizeSecurityGroupEgress",
    "GroupId",
    "IpPermissions",
    "TagSpecifications",
    *_FLAT,
    needs=guarded("GroupId", tags="security-group-rule"),
)
async def authorize(call: Call, ec2: Ec2, req: Request, *, is_egress: bool) -> Answer:
    """Let more in or out: all of it or nothing."""
    wanted, tags = asked(req), specified(req, "security-group-rule")
    if not wanted:
        raise missing("ipPermissions")

    def work(shelf: Shelf) -> list[Rule]:
        group = group_of(shelf, req)
        new = [_resolved(shelf, group, one) for one in wanted]
        if len({one.identity for one in new}) != len(new):
            raise invalid("The same permission must not appear multiple times")
        check_new(new, shelf.rules(group.resource_id, is_egress=is_egress))
        return [
            shelf.add(_rule(shelf, fresh_id(ec2.ids, "sgr"), group, one, is_egress=is_egress, tags=tags))
            for one in new
        ]

    made = await change(call, ec2, req, work)
    return {"Return": True, "SecurityGroupRules": [rule_view(one) for one in made]}


def _revoked_by_id(shelf: Shelf, group: SecurityGroup, ids: Sequence[str], *, is_egress: bool) -> list[Rule]:
    found = shelf.get_all(Rule, ids)
    for rule in found:
        if rule.group_id != group.resource_id or rule.is_egress != is_egress:
            raise not_found("security-group-rule", rule.resource_id)
    return found


@_both_ways(
    "RevokeSecurityGroupIngress",
    "RevokeSecurityGroupEgress",
    "GroupId",
    "IpPermissions",
    "SecurityGroupRuleIds",
    *_FLAT,
    needs=guarded("GroupId"),
)
async def revoke(call: Call, ec2: Ec2, req: Request, *, is_egress: bool) -> Answer:
    """Let less in or out. What is not there is an error, and in the default VPC only told."""
    ids, wanted = req.get("SecurityGroupRuleIds") or (), asked(req)
    if ids and wanted:
        raise clashing("SecurityGroupRuleIds cannot be used with IpPermissions.")
    if not ids and not wanted:
        raise missing("ipPermissions or securityGroupRuleIds")

    def work(shelf: Shelf) -> tuple[list[Rule], list[Rule]]:
        group = group_of(shelf, req)
        if ids:
            gone, unknown = _revoked_by_id(shelf, group, ids, is_egress=is_egress), []
        else:
            meant = [_resolved(shelf, group, one) for one in wanted]
            there = {identity(rule): rule for rule in shelf.rules(group.resource_id, is_egress=is_egress)}
            gone = [there[one.identity] for one in meant if one.identity in there]
            unknown = [
                _rule(shelf, "", group, one, is_egress=is_egress, tags={})
                for one in meant
                if one.identity not in there
            ]
            if unknown and not shelf.get(Vpc, group.vpc_id).is_default:
                raise Ec2Error(
                    "InvalidPermission.NotFound", "The specified rule does not exist in this security group."
                )
        for rule in gone:
            shelf.delete(rule)
        return gone, unknown

    gone, unknown = await change(call, ec2, req, work)
    return {
        "Return": True,
        "RevokedSecurityGroupRules": [revoked_view(one) for one in gone],
        "UnknownIpPermissions": permissions_view(unknown),
    }


def _check_groups_asked(req: Request) -> None:
    """The one filter whose values must be ids. Source: getmoto/moto's tests verified against AWS."""
    for one in req.get("Filters") or ():
        for value in one.get("Values") or ():
            if one.get("Name") == "group-id" and not str(value).startswith(("sg-", "*", "?")):
                raise Ec2Error("InvalidGroupId.Malformed", f"The security group ID '{value}' is malformed")


@serve("DescribeSecurityGroupRules", "Filters", "SecurityGroupRuleIds", "NextToken", "MaxResults")
async def describe_security_group_rules(call: Call, ec2: Ec2, req: Request) -> Answer:
    """Rules one by one."""
    ids = req.get("SecurityGroupRuleIds")
    check_paging(req, has_ids=bool(ids))
    _check_groups_asked(req)
    passes = predicate(req.get("Filters"), _FIELDS, tags=lambda one: one.tags)

    def work(shelf: Shelf) -> list[Rule]:
        found = shelf.get_all(Rule, ids) if ids else shelf.all(Rule)
        return [one for one in found if passes(one)]

    found = await look(call, ec2, req, work)
    shown, more = page(call, ec2, req, found, age)
    return {"SecurityGroupRules": [rule_view(one) for one in shown], **more}


@serve(
    "ModifySecurityGroupRules",
    "GroupId",
    "SecurityGroupRules",
    resources=nothing,
    needs=guarded("GroupId", "SecurityGroupRules"),
)
async def modify_security_group_rules(call: Call, ec2: Ec2, req: Request) -> Answer:
    """Make other rules of some.

    They keep their ids, tags and directions; a description that is left out is gone.
    """
    wanted = {
        str(one.get("SecurityGroupRuleId", "")): asked_rule(one.get("SecurityGroupRule") or {})
        for one in req["SecurityGroupRules"]
    }
    if len(wanted) != len(req["SecurityGroupRules"]):
        raise invalid("The same rule must not appear multiple times.")

    def work(shelf: Shelf) -> None:
        group = shelf.get(SecurityGroup, req["GroupId"])
        changing = shelf.get_all(Rule, wanted)
        for is_egress in (False, True):
            mine = [rule for rule in changing if rule.is_egress == is_egress]
            if any(rule.group_id != group.resource_id for rule in mine):
                raise not_found("security-group-rule", *(rule.resource_id for rule in mine))
            new = [_resolved(shelf, group, wanted[rule.resource_id]) for rule in mine]
            if len({one.identity for one in new}) != len(new):
                raise invalid("The same permission must not appear multiple times")
            kept = [
                one
                for one in shelf.rules(group.resource_id, is_egress=is_egress)
                if one.resource_id not in wanted
            ]
            check_new(new, kept)
            for rule, one in zip(mine, new, strict=True):
                after = _rule(shelf, rule.resource_id, group, one, is_egress=is_egress, tags=rule.tags)
                shelf.save(msgspec.structs.replace(after, id=rule.id, version=rule.version))

    await change(call, ec2, req, work)
    return {"Return": True}


@_both_ways(
    "UpdateSecurityGroupRuleDescriptionsIngress",
    "UpdateSecurityGroupRuleDescriptionsEgress",
    "GroupId",
    "GroupName",
    "IpPermissions",
    "SecurityGroupRuleDescriptions",
    needs=guarded("GroupId"),
)
async def describe_anew(call: Call, ec2: Ec2, req: Request, *, is_egress: bool) -> Answer:
    """Say anew what rules are for."""
    by_id = {
        str(one.get("SecurityGroupRuleId", "")): check_description(one.get("Description", ""))
        for one in req.get("SecurityGroupRuleDescriptions") or ()
    }
    wanted = asked(req)
    if bool(by_id) == bool(wanted):
        raise clashing("Either IpPermissions or SecurityGroupRuleDescriptions must be given, and not both.")

    def work(shelf: Shelf) -> None:
        group = group_of(shelf, req)
        if by_id:
            found = _revoked_by_id(shelf, group, tuple(by_id), is_egress=is_egress)
            texts = [(rule, by_id[rule.resource_id]) for rule in found]
        else:
            there = {identity(rule): rule for rule in shelf.rules(group.resource_id, is_egress=is_egress)}
            meant = [_resolved(shelf, group, one) for one in wanted]
            if any(one.identity not in there for one in meant):
                raise Ec2Error(
                    "InvalidPermission.NotFound", "The specified rule does not exist in this security group."
                )
            texts = [(there[one.identity], one.description) for one in meant]
        for rule, text in texts:
            shelf.save(msgspec.structs.replace(rule, description=text))

    await change(call, ec2, req, work)
    return {"Return": True}
