"""Classic Load Balancers: made, shown, deleted; where they stand, what guards them; attributes and tags."""

from __future__ import annotations

from collections.abc import Sequence

from msgspec.structs import replace

from homeport.core.call import Call
from homeport.core.ids import digits
from homeport.core.pages import paging_of
from homeport.services.elb.api.context import (
    ADD_TAGS,
    Answer,
    Elb,
    Request,
    changed,
    check_can_be_done,
    check_known,
    find,
    named,
    ops,
    repo_of,
)
from homeport.services.elb.errors import (
    DuplicateLoadBalancerName,
    InvalidConfigurationRequest,
    InvalidSubnet,
    TooManyLoadBalancers,
    ValidationError,
)
from homeport.services.elb.model import HealthCheck, LoadBalancer
from homeport.services.elb.plan.policies import with_default_policy
from homeport.services.elb.plan.requests import (
    BALANCERS_MAX,
    LIMITS,
    changed_attributes,
    check_name,
    checked_groups,
    named_subnets,
    scheme_of,
    tags_of,
    with_listeners,
    zones_of,
)
from homeport.services.elb.ports import Subnet
from homeport.services.elb.view import attributes_view, balancer_view, tags_view
from homeport.store.tx import Tx

PAGE = 400
TAGGED_MAX = 20


async def _subnets(call: Call, elb: Elb, req: Request) -> list[Subnet]:
    """Where a new balancer is to stand: in subnets, or in the default VPC's own of zones."""
    ids, zones = req.get("Subnets") or (), req.get("AvailabilityZones") or ()
    if bool(ids) == bool(zones):
        raise ValidationError("Either AvailabilityZones or SubnetIds must be specified")
    if ids:
        return named_subnets(ids, await elb.network.subnets(call.account_id, call.region, ids))
    return await _default_subnets(call, elb, zones)


async def _default_subnets(call: Call, elb: Elb, zones: Sequence[str]) -> list[Subnet]:
    known = await elb.network.default_subnets(call.account_id, call.region)
    if missing := [zone for zone in zones if zone not in known]:
        raise ValidationError(f"Zone '{missing[0]}' has no default subnet: specify subnets")
    return [known[zone] for zone in dict.fromkeys(zones)]


async def _groups(call: Call, elb: Elb, ids: Sequence[str], vpc_id: str) -> tuple[str, ...]:
    if ids:
        return checked_groups(
            ids, vpc_id, await elb.network.security_groups(call.account_id, call.region, ids)
        )
    default = await elb.network.default_security_group(call.account_id, call.region, vpc_id)
    return () if default is None else (default,)


@ops.operation("CreateLoadBalancer", resources=named, tagging=ADD_TAGS)
async def create_load_balancer(call: Call, elb: Elb, req: Request) -> Answer:
    """Make a balancer with its listeners."""
    check_name(req["LoadBalancerName"])
    scheme, tags = scheme_of(req), tags_of(req.get("Tags"))
    listeners = with_listeners((), req["Listeners"], req["LoadBalancerName"])
    if not listeners:
        raise ValidationError("At least one listener must be specified")
    await check_known(call, elb, listeners)
    subnets = await _subnets(call, elb, req)
    groups = await _groups(call, elb, req.get("SecurityGroups") or (), subnets[0].vpc_id)
    made = LoadBalancer(
        account_id=call.account_id,
        region=call.region,
        name=req["LoadBalancerName"],
        suffix=elb.ids.token(8).hex(),
        dns_digits=digits(elb.ids, 10),
        scheme=scheme,
        vpc_id=subnets[0].vpc_id,
        zones=zones_of(subnets),
        security_groups=groups,
        listeners=listeners,
        health_check=HealthCheck(target=f"TCP:{listeners[0].instance_port}"),
        tags=tags,
        created_at=elb.clock.now(),
    )
    made = with_default_policy(made, ())
    check_can_be_done(made)

    def work(tx: Tx) -> LoadBalancer:
        repo = repo_of(tx, call)
        if (held := repo.named(made.name)) is not None:
            return _same_or_refused(held, made)
        if len(repo.all()) >= BALANCERS_MAX:
            raise TooManyLoadBalancers(f"An account has at most {BALANCERS_MAX} Classic Load Balancers")
        return repo.add(made)

    return {"DNSName": (await elb.store.write(work)).dns_name}


def _same_or_refused(held: LoadBalancer, wanted: LoadBalancer) -> LoadBalancer:
    """The balancer of that name, if it is as it would be made. Source: observed text of the error."""
    listeners = [{replace(listener, policies=()) for listener in one.listeners} for one in (held, wanted)]
    places = [{zone.subnet_id for zone in one.zones} for one in (held, wanted)]
    same = all(
        getattr(held, name) == getattr(wanted, name)
        for name in ("scheme", "vpc_id", "security_groups", "tags")
    )
    if same and listeners[0] == listeners[1] and places[0] == places[1]:
        return held
    raise DuplicateLoadBalancerName(
        f"Load Balancer named '{held.name}' already exists and it is configured with different parameters."
    )


@ops.operation("DeleteLoadBalancer", resources=named)
async def delete_load_balancer(call: Call, elb: Elb, req: Request) -> Answer:
    """Remove a balancer; one that is not there does not matter. Source: API Reference."""

    def work(tx: Tx) -> None:
        repo = repo_of(tx, call)
        if (held := repo.named(req["LoadBalancerName"])) is not None:
            repo.delete(held)

    await elb.store.write(work)
    return {}


@ops.operation("DescribeLoadBalancers")
async def describe_load_balancers(call: Call, elb: Elb, req: Request) -> Answer:
    """All balancers by name, or these."""
    refusal = ValidationError("The marker is not valid for this request")
    paging = paging_of(elb.pages, call, req, ("Marker", "PageSize"), refusal)

    def work(tx: Tx) -> list[LoadBalancer]:
        names = req.get("LoadBalancerNames")
        return (
            [find(tx, call, name) for name in dict.fromkeys(names)] if names else [*repo_of(tx, call).all()]
        )

    found = await elb.store.read(work)
    page, more = paging.cut(found, req.get("PageSize") or PAGE)
    sources = {one.name: one.security_groups[0] for one in page if one.security_groups}
    groups = await elb.network.security_groups(call.account_id, call.region, set(sources.values()))
    named_groups = {name: groups[group_id].name for name, group_id in sources.items() if group_id in groups}
    answer: Answer = {
        "LoadBalancerDescriptions": [balancer_view(one, named_groups.get(one.name, "")) for one in page]
    }
    return answer | ({"NextMarker": more} if more else {})


@ops.operation("DescribeAccountLimits")
async def describe_account_limits(call: Call, elb: Elb, req: Request) -> Answer:
    """The quotas that are kept: three, so one page holds them."""
    del call, elb
    if req.get("Marker"):
        raise ValidationError("The marker is not valid for this request")
    shown = list(LIMITS.items())[: req.get("PageSize") or PAGE]
    return {"Limits": [{"Name": name, "Max": str(most)} for name, most in shown]}


# Where it stands


@ops.operation("AttachLoadBalancerToSubnets", resources=named)
async def attach_to_subnets(call: Call, elb: Elb, req: Request) -> Answer:
    """Let a balancer stand in these subnets, too."""
    known = await elb.network.subnets(call.account_id, call.region, req["Subnets"])
    added = named_subnets(req["Subnets"], known)
    saved = await _stand(call, elb, req, added)
    return {"Subnets": [zone.subnet_id for zone in saved.zones]}


@ops.operation("EnableAvailabilityZonesForLoadBalancer", resources=named)
async def enable_zones(call: Call, elb: Elb, req: Request) -> Answer:
    """Let a balancer of the default VPC stand in these zones, too."""
    saved = await _stand(call, elb, req, await _default_subnets(call, elb, req["AvailabilityZones"]))
    return {"AvailabilityZones": [zone.name for zone in saved.zones]}


async def _stand(call: Call, elb: Elb, req: Request, added: list[Subnet]) -> LoadBalancer:
    def change(held: LoadBalancer) -> LoadBalancer:
        if any(one.vpc_id != held.vpc_id for one in added):
            raise InvalidSubnet(f"The subnets must be in the VPC '{held.vpc_id}' of the load balancer")
        there = {zone.subnet_id: zone for zone in held.zones}
        fresh = {zone.subnet_id: zone for zone in zones_of(added)}
        zones = sorted({**fresh, **there}.values(), key=lambda zone: zone.name)
        if len({zone.name for zone in zones}) != len(zones):
            raise InvalidConfigurationRequest("Only one subnet can be attached in each Availability Zone")
        return replace(held, zones=tuple(zones))

    return await changed(call, elb, req, change)


@ops.operation("DetachLoadBalancerFromSubnets", resources=named)
async def detach_from_subnets(call: Call, elb: Elb, req: Request) -> Answer:
    """Let a balancer leave subnets. It must stand in one at least."""
    saved = await changed(call, elb, req, lambda held: _left(held, subnets=req["Subnets"]))
    return {"Subnets": [zone.subnet_id for zone in saved.zones]}


@ops.operation("DisableAvailabilityZonesForLoadBalancer", resources=named)
async def disable_zones(call: Call, elb: Elb, req: Request) -> Answer:
    """Let a balancer leave zones. It must stand in one at least."""
    saved = await changed(call, elb, req, lambda held: _left(held, zones=req["AvailabilityZones"]))
    return {"AvailabilityZones": [zone.name for zone in saved.zones]}


def _left(held: LoadBalancer, *, subnets: Sequence[str] = (), zones: Sequence[str] = ()) -> LoadBalancer:
    kept = tuple(one for one in held.zones if one.subnet_id not in subnets and one.name not in zones)
    if not kept:
        raise InvalidConfigurationRequest("A load balancer must stand in at least one subnet")
    return replace(held, zones=kept)


@ops.operation("ApplySecurityGroupsToLoadBalancer", resources=named)
async def apply_security_groups(call: Call, elb: Elb, req: Request) -> Answer:
    """Let these security groups guard a balancer, and no others."""
    if not req["SecurityGroups"]:
        raise InvalidConfigurationRequest("At least one security group must be specified")
    held = await elb.store.read(lambda tx: find(tx, call, req["LoadBalancerName"]))
    groups = await _groups(call, elb, req["SecurityGroups"], held.vpc_id)
    saved = await changed(call, elb, req, lambda one: replace(one, security_groups=groups))
    return {"SecurityGroups": list(saved.security_groups)}


# Attributes and tags


@ops.operation("DescribeLoadBalancerAttributes")
async def describe_attributes(call: Call, elb: Elb, req: Request) -> Answer:
    """A balancer's attributes."""
    held = await elb.store.read(lambda tx: find(tx, call, req["LoadBalancerName"]))
    return {"LoadBalancerAttributes": attributes_view(held.attributes)}


@ops.operation("ModifyLoadBalancerAttributes", resources=named)
async def modify_attributes(call: Call, elb: Elb, req: Request) -> Answer:
    """Set attributes of a balancer."""
    given = req["LoadBalancerAttributes"]
    saved = await changed(
        call, elb, req, lambda one: replace(one, attributes=changed_attributes(one.attributes, given))
    )
    return {"LoadBalancerName": saved.name, "LoadBalancerAttributes": attributes_view(saved.attributes)}


@ops.operation("AddTags", resources=named)
async def add_tags(call: Call, elb: Elb, req: Request) -> Answer:
    """Add tags, or give them other values."""
    for name in _one(req):
        asked = {"LoadBalancerName": name}
        await changed(call, elb, asked, lambda one: replace(one, tags=tags_of(req["Tags"], one.tags)))
    return {}


@ops.operation("RemoveTags", resources=named)
async def remove_tags(call: Call, elb: Elb, req: Request) -> Answer:
    """Remove tags; keys that are not there do not matter."""
    keys = {one.get("Key") for one in req["Tags"]}

    def change(held: LoadBalancer) -> LoadBalancer:
        return replace(held, tags={key: value for key, value in held.tags.items() if key not in keys})

    for name in _one(req):
        await changed(call, elb, {"LoadBalancerName": name}, change)
    return {}


def _one(req: Request) -> list[str]:
    """Source: API Reference, AddTags: you can specify one load balancer only."""
    names = list(req["LoadBalancerNames"])
    if len(names) != 1:
        raise ValidationError("Exactly one load balancer must be specified")
    return names


@ops.operation("DescribeTags")
async def describe_tags(call: Call, elb: Elb, req: Request) -> Answer:
    """The tags of up to twenty balancers."""
    if len(req["LoadBalancerNames"]) > TAGGED_MAX:
        raise ValidationError(f"At most {TAGGED_MAX} load balancers can be specified")

    def work(tx: Tx) -> Answer:
        found = [find(tx, call, name) for name in dict.fromkeys(req["LoadBalancerNames"])]
        return {
            "TagDescriptions": [{"LoadBalancerName": one.name, "Tags": tags_view(one.tags)} for one in found]
        }

    return await elb.store.read(work)
