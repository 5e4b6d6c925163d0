"""Instances of Classic Load Balancers: registered, deregistered, checked, and how they are."""

from __future__ import annotations

from datetime import datetime

from msgspec.structs import replace

from homeport.core.call import Call
from homeport.services.elb.api.context import Answer, Elb, Request, changed, find, named, ops
from homeport.services.elb.errors import InvalidInstance
from homeport.services.elb.model import LoadBalancer
from homeport.services.elb.plan.instances import check_registrable, deregistered, registered, seen, swept
from homeport.services.elb.plan.requests import check_of
from homeport.services.elb.view import check_view


class TooLateError(Exception):
    """The time until which a registration was wanted is over."""


def _ids(req: Request) -> list[str]:
    return list(dict.fromkeys(one.get("InstanceId", "") for one in req.get("Instances") or ()))


@ops.operation("RegisterInstancesWithLoadBalancer", resources=named)
async def register_instances(call: Call, elb: Elb, req: Request) -> Answer:
    """Send traffic to these instances, too."""
    return await register(call, elb, req)


async def register(call: Call, elb: Elb, req: Request, *, before: datetime | None = None) -> Answer:
    """The same; with `before` nothing is registered from then on, and `TooLateError` raised."""
    ids = _ids(req)
    known = await elb.network.instances(call.account_id, call.region, ids)

    def change(held: LoadBalancer) -> LoadBalancer:
        now = elb.clock.now()
        if before is not None and now >= before:
            raise TooLateError(f"it is later than {before.isoformat()}")
        check_registrable(held, ids, known)
        return registered(held, ids, now)

    saved = await changed(call, elb, req, change)
    return {"Instances": [{"InstanceId": one.instance_id} for one in saved.registered]}


@ops.operation("DeregisterInstancesFromLoadBalancer", resources=named)
async def deregister_instances(call: Call, elb: Elb, req: Request) -> Answer:
    """Send no more traffic to these instances."""
    ids, now = _ids(req), elb.clock.now()
    saved = await changed(call, elb, req, lambda one: deregistered(one, ids, now))
    return {"Instances": [{"InstanceId": one.instance_id} for one in saved.registered]}


@ops.operation("ConfigureHealthCheck", resources=named)
async def configure_health_check(call: Call, elb: Elb, req: Request) -> Answer:
    """Find out in another way how instances are."""
    check = check_of(req["HealthCheck"])
    saved = await changed(call, elb, req, lambda one: replace(one, health_check=check))
    return {"HealthCheck": check_view(saved.health_check)}


@ops.operation("DescribeInstanceHealth")
async def describe_instance_health(call: Call, elb: Elb, req: Request) -> Answer:
    """How all instances of a balancer are, or these."""
    held = await elb.store.read(lambda tx: find(tx, call, req["LoadBalancerName"]))
    there = {one.instance_id: one for one in swept(held, elb.clock.now()).instances}
    ids = _ids(req) or list(there)
    if missing := [one for one in ids if one not in there]:
        raise InvalidInstance(f"Could not find EC2 instance {missing[0]} registered to the load balancer")
    places = await elb.network.instances(call.account_id, call.region, ids)
    states = elb.balancing.health(held)
    shown = []
    for one in ids:
        found = seen(held, there[one], places.get(one), states.get(one))
        shown.append(
            {
                "InstanceId": one,
                "State": found.state,
                "ReasonCode": found.reason,
                "Description": found.description,
            }
        )
    return {"InstanceStates": shown}
