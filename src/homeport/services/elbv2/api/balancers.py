"""Load balancers: made, shown, moved, guarded, deleted."""

from __future__ import annotations

import msgspec

from homeport.core.call import Call
from homeport.core.ids import digits
from homeport.services.elbv2.api.context import (
    ADD_TAGS,
    Answer,
    Elbv2,
    Request,
    arns_in,
    balancers,
    find_balancer,
    only_one,
    ops,
    paged,
    suffix,
)
from homeport.services.elbv2.api.whole import check_can_be_done
from homeport.services.elbv2.errors import (
    DuplicateLoadBalancerName,
    InvalidConfigurationRequest,
    LoadBalancerNotFound,
    OperationNotPermitted,
    TooManyLoadBalancers,
    ValidationError,
)
from homeport.services.elbv2.model.balancers import (
    APPLICATION,
    INTERNAL,
    INTERNET_FACING,
    NETWORK,
    LoadBalancer,
)
from homeport.services.elbv2.plan.attributes import BALANCER, changed, check_attributes, effective
from homeport.services.elbv2.plan.balancers import (
    check_address_type,
    check_balancer,
    check_extras,
    check_groups,
    check_replacement,
    subnet_ids,
    zones_of,
)
from homeport.services.elbv2.plan.requests import limit, tags_of
from homeport.services.elbv2.ports import PROVISIONING, Subnet
from homeport.services.elbv2.view import attributes_view, balancer_view, zones_view
from homeport.store.tx import Tx

PRIVATE_LINK = "EnforceSecurityGroupInboundRulesOnPrivateLinkTraffic"


def _to_be_created(call: Call, request: Request) -> tuple[str, ...]:
    kind = {NETWORK: "net", "gateway": "gwy"}.get(request.get("Type", ""), "app")
    return (
        f"arn:aws:elasticloadbalancing:{call.region}:{call.account_id}:loadbalancer/{kind}/{request['Name']}/*",
    )


@ops.operation("CreateLoadBalancer", resources=_to_be_created, tagging=ADD_TAGS)
async def create_load_balancer(call: Call, elb: Elbv2, req: Request) -> Answer:
    """Make a load balancer; the same request again returns it."""
    check_balancer(req)
    wanted = await _wanted(call, elb, req)

    def work(tx: Tx) -> LoadBalancer:
        repo = balancers(tx, call)
        held = repo.named(wanted.name)
        if held is not None:
            if not _same(held, wanted):
                raise DuplicateLoadBalancerName(
                    f"A load balancer with the same name '{wanted.name}' exists, but with different settings"
                )
            return held
        most = limit("{}-load-balancers", wanted.type)
        if sum(one.type == wanted.type for one in repo.all()) >= most:
            raise TooManyLoadBalancers(f"There are at most {most} {wanted.type} load balancers in a region")
        return repo.add(wanted)

    made = await elb.store.write(work)
    states = await elb.balancing.states([made.arn])
    return {"LoadBalancers": [balancer_view(made, states.get(made.arn, PROVISIONING))]}


async def _wanted(call: Call, elb: Elbv2, req: Request) -> LoadBalancer:
    """The balancer that a request describes. Raise when it cannot be."""
    kind, scheme = req.get("Type", APPLICATION), req.get("Scheme", INTERNET_FACING)
    tags = tags_of(req.get("Tags"))
    subnets = await elb.network.subnets(call.account_id, call.region, subnet_ids(req))
    zones = zones_of(req, kind, scheme, subnets)
    vpc_id = subnets[zones[0].subnet_id].vpc_id
    check_address_type(req.get("IpAddressType", "ipv4"), kind, scheme, list(subnets.values()))
    return LoadBalancer(
        account_id=call.account_id,
        region=call.region,
        name=req["Name"],
        suffix=suffix(elb),
        dns_digits=digits(elb.ids, 10),
        type=kind,
        scheme=scheme,
        vpc_id=vpc_id,
        zones=zones,
        security_groups=await _groups(call, elb, req, kind, vpc_id),
        attributes={"ipv6.deny_all_igw_traffic": "true"} if scheme == INTERNAL else {},
        tags=tags,
        created_at=elb.clock.now(),
    )


async def _groups(call: Call, elb: Elbv2, req: Request, kind: str, vpc_id: str) -> tuple[str, ...]:
    """The security groups; an application balancer has the VPC's own when none is said."""
    ids = req.get("SecurityGroups") or []
    if not ids and kind == APPLICATION:
        default = await elb.network.default_security_group(call.account_id, call.region, vpc_id)
        return (default,) if default else ()
    found = await elb.network.security_groups(call.account_id, call.region, ids)
    return check_groups(ids, vpc_id, found)


def _same(held: LoadBalancer, wanted: LoadBalancer) -> bool:
    """Whether a request says what is there. Attributes cannot be said when it is made."""
    return all(
        getattr(held, name) == getattr(wanted, name)
        for name in ("type", "scheme", "zones", "security_groups", "ip_address_type", "tags")
    )


@ops.operation("DescribeLoadBalancers")
async def describe_load_balancers(call: Call, elb: Elbv2, req: Request) -> Answer:
    """All load balancers, or those of these ARNs or names."""
    only_one(req, "LoadBalancerArns", "Names")

    def work(tx: Tx) -> list[LoadBalancer]:
        repo = balancers(tx, call)
        if arns := req.get("LoadBalancerArns"):
            return [find_balancer(tx, call, arn) for arn in dict.fromkeys(arns)]
        if names := req.get("Names"):
            found = {name: repo.named(name) for name in names}
            if missing := [name for name, one in found.items() if one is None]:
                raise LoadBalancerNotFound(f"Load balancers '[{', '.join(missing)}]' not found")
            return [one for one in found.values() if one is not None]
        return list(repo.all())

    found = await elb.store.read(work)
    states = await elb.balancing.states([one.arn for one in found])
    return paged(
        elb,
        call,
        req,
        "LoadBalancers",
        found,
        lambda one: balancer_view(one, states.get(one.arn, PROVISIONING)),
    )


@ops.operation("DeleteLoadBalancer", resources=arns_in("LoadBalancerArn"))
async def delete_load_balancer(call: Call, elb: Elbv2, req: Request) -> Answer:
    """Delete a balancer with its listeners; one that is not there does not matter."""

    def work(tx: Tx) -> None:
        try:
            found = find_balancer(tx, call, req["LoadBalancerArn"])
        except LoadBalancerNotFound:
            return
        if found.attributes.get("deletion_protection.enabled") == "true":
            raise OperationNotPermitted(
                f"Load balancer '{found.arn}' cannot be deleted because deletion protection is enabled"
            )
        balancers(tx, call).delete(found)

    await elb.store.write(work)
    return {}


@ops.operation("DescribeLoadBalancerAttributes")
async def describe_load_balancer_attributes(call: Call, elb: Elbv2, req: Request) -> Answer:
    """A balancer's attributes, with their defaults."""
    found = await elb.store.read(lambda tx: find_balancer(tx, call, req["LoadBalancerArn"]))
    return {"Attributes": attributes_view(effective(BALANCER[found.type], found.attributes))}


@ops.operation("ModifyLoadBalancerAttributes", resources=arns_in("LoadBalancerArn"))
async def modify_load_balancer_attributes(call: Call, elb: Elbv2, req: Request) -> Answer:
    """Set attributes of a balancer."""

    def work(tx: Tx) -> LoadBalancer:
        found = find_balancer(tx, call, req["LoadBalancerArn"])
        own = {key: value for key, value in found.attributes.items() if key == "ipv6.deny_all_igw_traffic"}
        given = [one for one in req["Attributes"] if own.get(one.get("Key")) != one.get("Value")]
        after = changed(BALANCER[found.type], found.attributes, given, "Load balancer")
        check_attributes(effective(BALANCER[found.type], after))
        saved = balancers(tx, call).save(msgspec.structs.replace(found, attributes=after))
        check_can_be_done(tx, saved)
        return saved

    saved = await elb.store.write(work)
    return {"Attributes": attributes_view(effective(BALANCER[saved.type], saved.attributes))}


@ops.operation("SetSubnets", resources=arns_in("LoadBalancerArn"))
async def set_subnets(call: Call, elb: Elbv2, req: Request) -> Answer:
    """Let a balancer stand in these subnets."""
    check_extras(req)
    subnets = await elb.network.subnets(call.account_id, call.region, subnet_ids(req))

    def work(tx: Tx) -> LoadBalancer:
        found = find_balancer(tx, call, req["LoadBalancerArn"])
        zones = zones_of(req, found.type, found.scheme, subnets)
        _check_vpc(found, list(subnets.values()))
        check_replacement(found.type, found.zones, zones)
        wanted = req.get("IpAddressType", found.ip_address_type)
        check_address_type(wanted, found.type, found.scheme, list(subnets.values()))
        changed_one = msgspec.structs.replace(found, zones=zones, ip_address_type=wanted)
        return balancers(tx, call).save(changed_one)

    saved = await elb.store.write(work)
    return {"AvailabilityZones": zones_view(saved), "IpAddressType": saved.ip_address_type}


def _check_vpc(balancer: LoadBalancer, subnets: list[Subnet]) -> None:
    if any(one.vpc_id != balancer.vpc_id for one in subnets):
        raise InvalidConfigurationRequest(f"The subnets must be in the VPC '{balancer.vpc_id}'")


@ops.operation("SetSecurityGroups", resources=arns_in("LoadBalancerArn"))
async def set_security_groups(call: Call, elb: Elbv2, req: Request) -> Answer:
    """Let these security groups guard a balancer."""
    ids = req["SecurityGroups"]
    known = await elb.network.security_groups(call.account_id, call.region, ids)

    def work(tx: Tx) -> LoadBalancer:
        found = find_balancer(tx, call, req["LoadBalancerArn"])
        if found.type == NETWORK and not found.security_groups:
            raise InvalidConfigurationRequest(
                "You cannot set security groups on a Network Load Balancer that was created without any"
            )
        if not ids:
            raise ValidationError("At least one security group must be specified")
        enforced = req.get(PRIVATE_LINK, found.enforce_on_private_link)
        if req.get(PRIVATE_LINK) == "off":
            raise InvalidConfigurationRequest(
                f"{PRIVATE_LINK} 'off' is not supported by Homeport: there is no PrivateLink."
            )
        saved = msgspec.structs.replace(
            found,
            security_groups=check_groups(ids, found.vpc_id, known),
            enforce_on_private_link=enforced,
        )
        return balancers(tx, call).save(saved)

    saved = await elb.store.write(work)
    answer: Answer = {"SecurityGroupIds": list(saved.security_groups)}
    return answer | ({PRIVATE_LINK: saved.enforce_on_private_link} if saved.enforce_on_private_link else {})


@ops.operation("SetIpAddressType", resources=arns_in("LoadBalancerArn"))
async def set_ip_address_type(call: Call, elb: Elbv2, req: Request) -> Answer:
    """Choose the addresses of a balancer."""
    found = await elb.store.read(lambda tx: find_balancer(tx, call, req["LoadBalancerArn"]))
    ids = [zone.subnet_id for zone in found.zones]
    subnets = await elb.network.subnets(call.account_id, call.region, ids)
    check_address_type(req["IpAddressType"], found.type, found.scheme, list(subnets.values()))

    def work(tx: Tx) -> None:
        held = find_balancer(tx, call, req["LoadBalancerArn"])
        balancers(tx, call).save(msgspec.structs.replace(held, ip_address_type=req["IpAddressType"]))

    await elb.store.write(work)
    return {"IpAddressType": req["IpAddressType"]}
