"""Network ACLs: each VPC has its own, which lets everything through, and there are no others."""

from __future__ import annotations

from homeport.core.call import Call
from homeport.services.ec2.api.context import (
    Answer,
    Ec2,
    Request,
    age,
    check_paging,
    look,
    page,
    serve,
)
from homeport.services.ec2.model import NetworkAcl, Subnet
from homeport.services.ec2.plan.filters import Fields, always, predicate
from homeport.services.ec2.repo.shelf import Shelf
from homeport.services.ec2.view import acl_view

Listed = tuple[NetworkAcl, tuple[Subnet, ...]]

_FIELDS: Fields[Listed] = {
    "association.association-id": lambda one: [subnet.acl_association_id for subnet in one[1]],
    "association.network-acl-id": lambda one: (one[0].resource_id,) if one[1] else (),
    "association.subnet-id": lambda one: [subnet.resource_id for subnet in one[1]],
    "default": always("true"),
    "entry.cidr": always("0.0.0.0/0"),
    "entry.icmp.code": always(),
    "entry.icmp.type": always(),
    "entry.ipv6-cidr": always(),
    "entry.port-range.from": always(),
    "entry.port-range.to": always(),
    "entry.protocol": always("-1"),
    "entry.rule-action": always("allow", "deny"),
    "entry.egress": always("true", "false"),
    "entry.rule-number": always("100", "32767"),
    "network-acl-id": lambda one: (one[0].resource_id,),
    "owner-id": lambda one: (one[0].account_id,),
    "vpc-id": lambda one: (one[0].vpc_id,),
}


@serve("DescribeNetworkAcls", "Filters", "NetworkAclIds", "NextToken", "MaxResults")
async def describe_network_acls(call: Call, ec2: Ec2, req: Request) -> Answer:
    """VPCs' own ACLs, with the subnets of each."""
    ids = req.get("NetworkAclIds")
    check_paging(req, has_ids=bool(ids))
    passes = predicate(req.get("Filters"), _FIELDS, tags=lambda one: one[0].tags)

    def work(shelf: Shelf) -> list[Listed]:
        found = shelf.get_all(NetworkAcl, ids) if ids else shelf.all(NetworkAcl)
        listed = [(one, tuple(shelf.all(Subnet, vpc_id=one.vpc_id))) for one in found]
        return [one for one in listed if passes(one)]

    found = await look(call, ec2, req, work)
    shown, more = page(call, ec2, req, found, lambda one: age(one[0]))
    return {"NetworkAcls": [acl_view(*one) for one in shown], **more}
