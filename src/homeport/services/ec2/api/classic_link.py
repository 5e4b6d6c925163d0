"""ClassicLink, which AWS has ended and older clients still ask about: no VPC has it.

Source: EC2 API Reference, DescribeVpcClassicLink, DescribeVpcClassicLinkDnsSupport.
"""

from __future__ import annotations

from homeport.core.call import Call
from homeport.services.ec2.api.context import Answer, Ec2, Request, age, chosen, look, page, serve
from homeport.services.ec2.model import Vpc
from homeport.services.ec2.plan.filters import Fields, always
from homeport.services.ec2.view import tag_list

_FIELDS: Fields[Vpc] = {"is-classic-link-enabled": always("false")}


@serve("DescribeVpcClassicLink", "VpcIds", "Filters")
async def describe_vpc_classic_link(call: Call, ec2: Ec2, req: Request) -> Answer:
    """VPCs, none of which is linked."""
    found = await look(call, ec2, req, lambda shelf: chosen(shelf, Vpc, req.get("VpcIds"), req, _FIELDS))
    return {
        "Vpcs": [
            {"VpcId": one.resource_id, "ClassicLinkEnabled": False, "Tags": tag_list(one.tags)}
            for one in found
        ]
    }


@serve("DescribeVpcClassicLinkDnsSupport", "VpcIds", "NextToken", "MaxResults")
async def describe_vpc_classic_link_dns_support(call: Call, ec2: Ec2, req: Request) -> Answer:
    """VPCs, none of which resolves names of linked instances."""
    found = await look(call, ec2, req, lambda shelf: chosen(shelf, Vpc, req.get("VpcIds"), req, {}))
    shown, more = page(call, ec2, req, found, age)
    return {"Vpcs": [{"VpcId": one.resource_id, "ClassicLinkDnsSupported": False} for one in shown], **more}
