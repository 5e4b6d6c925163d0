"""Target groups: made, changed, shown, deleted."""

from __future__ import annotations

from collections.abc import Collection

import msgspec

from homeport.core.call import Call
from homeport.services.elbv2.api.context import (
    ADD_TAGS,
    Answer,
    Elbv2,
    Request,
    arns_in,
    balancers,
    find_balancer,
    find_group,
    groups,
    only_one,
    ops,
    paged,
    suffix,
)
from homeport.services.elbv2.api.whole import check_group_can_be_done
from homeport.services.elbv2.errors import (
    DuplicateTargetGroupName,
    InvalidConfigurationRequest,
    ResourceInUse,
    TargetGroupNotFound,
    TooManyTargetGroups,
    ValidationError,
)
from homeport.services.elbv2.model.groups import TargetGroup
from homeport.services.elbv2.plan.attributes import changed, check_group, effective, group_attributes
from homeport.services.elbv2.plan.groups import group_of, modified
from homeport.services.elbv2.plan.requests import LIMITS, tags_of
from homeport.services.elbv2.view import attributes_view, group_view
from homeport.store.tx import Tx

_SETTINGS = (
    "protocol",
    "protocol_version",
    "port",
    "vpc_id",
    "target_type",
    "ip_address_type",
    "health_check",
    "tags",
)


def _to_be_created(call: Call, request: Request) -> tuple[str, ...]:
    place = f"arn:aws:elasticloadbalancing:{call.region}:{call.account_id}"
    return (f"{place}:targetgroup/{request['Name']}/*",)


@ops.operation("CreateTargetGroup", resources=_to_be_created, tagging=ADD_TAGS)
async def create_target_group(call: Call, elb: Elbv2, req: Request) -> Answer:
    """Make a target group; the same request again returns it."""
    tags = tags_of(req.get("Tags"))
    wanted = group_of(req, account_id=call.account_id, region=call.region, suffix=suffix(elb), tags=tags)
    if wanted.vpc_id not in await elb.network.vpcs(call.account_id, call.region, [wanted.vpc_id]):
        raise ValidationError(f"The VPC ID '{wanted.vpc_id}' is not found")

    def work(tx: Tx) -> Answer:
        repo = groups(tx, call)
        held = repo.named(wanted.name)
        if held is None:
            if len(repo.all()) >= LIMITS["target-groups"]:
                raise TooManyTargetGroups(
                    f"There are at most {LIMITS['target-groups']} target groups in a region"
                )
            held = repo.add(wanted)
            check_group_can_be_done(tx, call, held)
        elif any(getattr(held, name) != getattr(wanted, name) for name in _SETTINGS):
            raise DuplicateTargetGroupName(
                f"A target group with the same name '{wanted.name}' exists, but with different settings"
            )
        return {"TargetGroups": _views(tx, call, [held])}

    return await elb.store.write(work)


def _views(tx: Tx, call: Call, found: Collection[TargetGroup]) -> list[Answer]:
    users = balancers(tx, call).users([one.arn for one in found])
    return [group_view(one, users[one.arn].arn if one.arn in users else None) for one in found]


@ops.operation("DescribeTargetGroups")
async def describe_target_groups(call: Call, elb: Elbv2, req: Request) -> Answer:
    """All target groups, those of a balancer, or those of these ARNs or names."""
    only_one(req, "LoadBalancerArn", "TargetGroupArns", "Names")

    def work(tx: Tx) -> Answer:
        found = _asked(tx, call, req)
        return paged(elb, call, req, "TargetGroups", found, lambda one: _views(tx, call, [one])[0])

    return await elb.store.read(work)


def _asked(tx: Tx, call: Call, req: Request) -> list[TargetGroup]:
    repo = groups(tx, call)
    if arn := req.get("LoadBalancerArn"):
        used = balancers(tx, call).used_by(find_balancer(tx, call, arn))
        return sorted(repo.among(used).values(), key=lambda one: one.name)
    if arns := req.get("TargetGroupArns"):
        return [find_group(tx, call, arn) for arn in dict.fromkeys(arns)]
    if names := req.get("Names"):
        found = [repo.named(name) for name in dict.fromkeys(names)]
        if None in found:
            raise TargetGroupNotFound("One or more target groups not found")
        return [one for one in found if one is not None]
    return list(repo.all())


@ops.operation("ModifyTargetGroup", resources=arns_in("TargetGroupArn"))
async def modify_target_group(call: Call, elb: Elbv2, req: Request) -> Answer:
    """Change how the targets' health is found out."""

    def work(tx: Tx) -> Answer:
        changed_one = modified(find_group(tx, call, req["TargetGroupArn"]), req)
        saved = groups(tx, call).save(changed_one)
        check_group_can_be_done(tx, call, saved)
        return {"TargetGroups": _views(tx, call, [saved])}

    return await elb.store.write(work)


@ops.operation("DeleteTargetGroup", resources=arns_in("TargetGroupArn"))
async def delete_target_group(call: Call, elb: Elbv2, req: Request) -> Answer:
    """Delete a group that no rule forwards to; one that is not there does not matter."""

    def work(tx: Tx) -> None:
        try:
            found = find_group(tx, call, req["TargetGroupArn"])
        except TargetGroupNotFound:
            return
        if balancers(tx, call).users([found.arn]):
            raise ResourceInUse(f"Target group '{found.arn}' is currently in use by a listener or a rule")
        groups(tx, call).delete(found)

    await elb.store.write(work)
    return {}


@ops.operation("DescribeTargetGroupAttributes")
async def describe_target_group_attributes(call: Call, elb: Elbv2, req: Request) -> Answer:
    """A group's attributes, with their defaults."""
    found = await elb.store.read(lambda tx: find_group(tx, call, req["TargetGroupArn"]))
    return {"Attributes": attributes_view(effective(group_attributes(found.protocol), found.attributes))}


@ops.operation("ModifyTargetGroupAttributes", resources=arns_in("TargetGroupArn"))
async def modify_target_group_attributes(call: Call, elb: Elbv2, req: Request) -> Answer:
    """Set attributes of a group."""

    def work(tx: Tx) -> TargetGroup:
        found = find_group(tx, call, req["TargetGroupArn"])
        known = group_attributes(found.protocol)
        given = req["Attributes"]
        after = changed(known, found.attributes, given, "Target group", protocol=found.protocol)
        check_group(effective(known, after))
        if not req["Attributes"]:
            raise InvalidConfigurationRequest("At least one attribute must be specified")
        saved = groups(tx, call).save(msgspec.structs.replace(found, attributes=after))
        check_group_can_be_done(tx, call, saved)
        return saved

    saved = await elb.store.write(work)
    return {"Attributes": attributes_view(effective(group_attributes(saved.protocol), saved.attributes))}
