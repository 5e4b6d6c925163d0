"""Where security groups may be used, and who refers to them. Source: EC2 API Reference.

A group is of one VPC, and VPCs are not connected: only groups of the same VPC refer to a group.
"""

from __future__ import annotations

from homeport.core.call import Call
from homeport.services.ec2.api.access import guarded, nothing
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
from homeport.services.ec2.model import SecurityGroup, Vpc
from homeport.services.ec2.plan.filters import Fields, predicate
from homeport.services.ec2.repo.shelf import Shelf
from homeport.services.ec2.view import tag_list

_FIELDS: Fields[SecurityGroup] = {
    "description": lambda one: (one.description,),
    "group-id": lambda one: (one.resource_id,),
    "group-name": lambda one: (one.name,),
    "owner-id": lambda one: (one.account_id,),
    "primary-vpc-id": lambda one: (one.vpc_id,),
}


@serve(
    "GetSecurityGroupsForVpc",
    "VpcId",
    "Filters",
    "NextToken",
    "MaxResults",
    resources=nothing,
    needs=guarded("VpcId"),
)
async def get_security_groups_for_vpc(call: Call, ec2: Ec2, req: Request) -> Answer:
    """The groups that interfaces of a VPC may have: its own."""
    check_paging(req, has_ids=False)
    passes = predicate(req.get("Filters"), _FIELDS, tags=lambda one: one.tags)

    def work(shelf: Shelf) -> list[SecurityGroup]:
        vpc = shelf.get(Vpc, req["VpcId"])
        return [one for one in shelf.all(SecurityGroup, vpc_id=vpc.resource_id) if passes(one)]

    found = await look(call, ec2, req, work)
    shown, more = page(call, ec2, req, found, age)
    views = [
        {
            "GroupId": one.resource_id,
            "GroupName": one.name,
            "Description": one.description,
            "OwnerId": one.account_id,
            "PrimaryVpcId": one.vpc_id,
            "Tags": tag_list(one.tags),
        }
        for one in shown
    ]
    return {"SecurityGroupForVpcs": views, **more}


@serve("DescribeSecurityGroupReferences", "GroupId")
async def describe_security_group_references(call: Call, ec2: Ec2, req: Request) -> Answer:
    """The VPCs on the other side of a connection that refer to groups: there is no such connection."""
    await look(call, ec2, req, lambda shelf: shelf.get_all(SecurityGroup, req["GroupId"]))
    return {"SecurityGroupReferenceSet": []}


@serve("DescribeStaleSecurityGroups", "VpcId", "NextToken", "MaxResults")
async def describe_stale_security_groups(call: Call, ec2: Ec2, req: Request) -> Answer:
    """The groups whose rules refer to groups that are gone.

    A group that a rule refers to is not deleted, so there are none.
    """
    check_paging(req, has_ids=False)
    await look(call, ec2, req, lambda shelf: shelf.get(Vpc, req["VpcId"]))
    shown, more = page(call, ec2, req, list[Answer](), lambda one: str(one["GroupId"]))
    return {"StaleSecurityGroupSet": list(shown), **more}
