"""Tags of load balancers, listeners, rules and target groups."""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

from homeport.core.call import Call
from homeport.services.elbv2.api.context import (
    Answer,
    Elbv2,
    Request,
    arns_in,
    balancers,
    find_balancer,
    find_group,
    find_listener,
    find_rule,
    groups,
    ops,
)
from homeport.services.elbv2.errors import TrustStoreNotFound, ValidationError
from homeport.services.elbv2.model.balancers import Listener, LoadBalancer
from homeport.services.elbv2.model.groups import TargetGroup
from homeport.services.elbv2.model.rules import Rule
from homeport.services.elbv2.plan.requests import tags_of
from homeport.services.elbv2.view import tags_view
from homeport.store.tx import Tx

Tagged = LoadBalancer | Listener | Rule | TargetGroup
RESOURCES_MAX = 20


def find(tx: Tx, call: Call, arn: str) -> Tagged:
    """What the ARN names. Raise when it is not there, or cannot have tags."""
    kind = arn.split(":", 5)[-1].partition("/")[0]
    match kind:
        case "loadbalancer":
            return find_balancer(tx, call, arn)
        case "listener":
            return find_listener(tx, call, arn)
        case "listener-rule":
            return find_rule(tx, call, arn)
        case "targetgroup":
            return find_group(tx, call, arn)
        case "truststore":
            raise TrustStoreNotFound(f"Trust store '{arn}' not found")
        case _:
            raise ValidationError(f"'{arn}' is not a valid ARN")


def _save(tx: Tx, call: Call, held: Tagged, tags: Mapping[str, str]) -> None:
    repo = balancers(tx, call)
    changed = msgspec.structs.replace(held, tags=dict(tags))
    match changed:
        case LoadBalancer():
            repo.save(changed)
        case Listener():
            repo.save_listener(changed)
        case Rule():
            repo.save_rule(changed, repo.listener_of(changed))
        case TargetGroup():
            groups(tx, call).save(changed)


@ops.operation("AddTags", resources=arns_in("ResourceArns"))
async def add_tags(call: Call, elb: Elbv2, req: Request) -> Answer:
    """Add tags, or give them other values."""

    def work(tx: Tx) -> None:
        for arn in dict.fromkeys(req["ResourceArns"]):
            held = find(tx, call, arn)
            _save(tx, call, held, tags_of(req["Tags"], held.tags))

    await elb.store.write(work)
    return {}


@ops.operation("RemoveTags", resources=arns_in("ResourceArns"))
async def remove_tags(call: Call, elb: Elbv2, req: Request) -> Answer:
    """Remove tags; keys that are not there do not matter."""

    def work(tx: Tx) -> None:
        for arn in dict.fromkeys(req["ResourceArns"]):
            held = find(tx, call, arn)
            kept = {key: value for key, value in held.tags.items() if key not in req["TagKeys"]}
            _save(tx, call, held, kept)

    await elb.store.write(work)
    return {}


@ops.operation("DescribeTags")
async def describe_tags(call: Call, elb: Elbv2, req: Request) -> Answer:
    """The tags of up to twenty resources."""
    arns = req["ResourceArns"]
    if len(arns) > RESOURCES_MAX:
        raise ValidationError(f"At most {RESOURCES_MAX} resources can be specified")

    def work(tx: Tx) -> Answer:
        found = [(arn, find(tx, call, arn).tags) for arn in dict.fromkeys(arns)]
        return {"TagDescriptions": [{"ResourceArn": arn, "Tags": tags_view(tags)} for arn, tags in found]}

    return await elb.store.read(work)
