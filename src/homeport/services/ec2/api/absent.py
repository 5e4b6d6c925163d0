"""What nobody can make here, so that there is none of it: listings are empty, and ids lead nowhere.

Clients ask before they act: CDK looks for VPN gateways and Ansible for NAT gateways, although nobody has
any. To make one is refused. Source: EC2 API Reference, and its "Error codes" for the codes.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from homeport.core.call import Call
from homeport.services.ec2.api.context import Answer, Ec2, Handler, Request, check_dry_run, serve
from homeport.services.ec2.errors import Ec2Error


@dataclass(frozen=True, slots=True, kw_only=True)
class Absent:
    """A listing that is empty. `ids`: the members that name some, with the error for one that is not there.

    `reads`: its other members, which say what of it to list.
    """

    lists: tuple[str, ...]
    ids: Mapping[str, tuple[str, str]] = field(default_factory=dict)
    reads: tuple[str, ...] = ("Filters",)
    is_paged: bool = True


_PREFIX_LIST = {"PrefixListIds": ("InvalidPrefixListID.NotFound", "The prefix list ID '{}' does not exist")}
_KEY_PAIR = ("InvalidKeyPair.NotFound", "The key pair '{}' does not exist")

ABSENT: Mapping[str, Absent] = {
    "DescribeAddresses": Absent(
        lists=("Addresses",),
        ids={
            "AllocationIds": ("InvalidAllocationID.NotFound", "The allocation ID '{}' does not exist"),
            "PublicIps": ("InvalidAddress.NotFound", "Address '{}' not found."),
        },
        is_paged=False,
    ),
    "DescribeDhcpOptions": Absent(
        lists=("DhcpOptions",),
        ids={"DhcpOptionsIds": ("InvalidDhcpOptionID.NotFound", "The dhcpOption ID '{}' does not exist")},
    ),
    "DescribeEgressOnlyInternetGateways": Absent(
        lists=("EgressOnlyInternetGateways",),
        ids={
            "EgressOnlyInternetGatewayIds": (
                "InvalidEgressOnlyInternetGatewayId.NotFound",
                "The egress-only internet gateway '{}' does not exist",
            )
        },
    ),
    "DescribeFlowLogs": Absent(
        lists=("FlowLogs",),
        ids={"FlowLogIds": ("InvalidFlowLogId.NotFound", "The flow log '{}' does not exist")},
        reads=("Filter",),
    ),
    "DescribeImages": Absent(
        lists=("Images",),
        ids={"ImageIds": ("InvalidAMIID.NotFound", "The image id '[{}]' does not exist")},
        reads=("Filters", "ExecutableUsers", "Owners", "IncludeDeprecated", "IncludeDisabled"),
    ),
    "DescribeKeyPairs": Absent(
        lists=("KeyPairs",),
        ids={"KeyNames": _KEY_PAIR, "KeyPairIds": _KEY_PAIR},
        reads=("Filters", "IncludePublicKey"),
        is_paged=False,
    ),
    "DescribeLaunchTemplates": Absent(
        lists=("LaunchTemplates",),
        ids={
            "LaunchTemplateIds": (
                "InvalidLaunchTemplateId.NotFound",
                "The specified launch template, with template ID {}, does not exist.",
            ),
            "LaunchTemplateNames": (
                "InvalidLaunchTemplateName.NotFoundException",
                "The specified launch template, with template name {}, does not exist.",
            ),
        },
        reads=("Filters", "IncludeManagedResources"),
    ),
    "DescribeManagedPrefixLists": Absent(lists=("PrefixLists",), ids=_PREFIX_LIST),
    "DescribeNatGateways": Absent(
        lists=("NatGateways",),
        ids={"NatGatewayIds": ("NatGatewayNotFound", "NAT gateway {} was not found")},
        reads=("Filter",),
    ),
    "DescribePrefixLists": Absent(lists=("PrefixLists",), ids=_PREFIX_LIST),
    "DescribeSecurityGroupVpcAssociations": Absent(lists=("SecurityGroupVpcAssociations",)),
    "DescribeVolumes": Absent(
        lists=("Volumes",),
        ids={"VolumeIds": ("InvalidVolume.NotFound", "The volume '{}' does not exist.")},
        reads=("Filters", "IncludeManagedResources"),
    ),
    "DescribeVpcEndpointServices": Absent(
        lists=("ServiceNames", "ServiceDetails"),
        ids={"ServiceNames": ("InvalidServiceName", "The Vpc Endpoint Service '{}' does not exist")},
        reads=("Filters", "ServiceRegions"),
    ),
    "DescribeVpcEndpoints": Absent(
        lists=("VpcEndpoints",),
        ids={"VpcEndpointIds": ("InvalidVpcEndpointId.NotFound", "The Vpc Endpoint Id '{}' does not exist")},
    ),
    "DescribeVpcPeeringConnections": Absent(
        lists=("VpcPeeringConnections",),
        ids={
            "VpcPeeringConnectionIds": (
                "InvalidVpcPeeringConnectionID.NotFound",
                "The vpcPeeringConnection ID '{}' does not exist",
            )
        },
    ),
    "DescribeVpnGateways": Absent(
        lists=("VpnGateways",),
        ids={
            "VpnGatewayIds": ("InvalidVpnGatewayID.NotFound", "The vpnGateway ID '{}' does not exist"),
        },
        is_paged=False,
    ),
}


def _listing(one: Absent) -> Handler:
    async def handler(call: Call, ec2: Ec2, req: Request) -> Answer:
        del call, ec2
        for member, (code, text) in one.ids.items():
            if wanted := req.get(member):
                raise Ec2Error(code, text.format(", ".join(wanted)))
        if req.get("NextToken"):
            raise Ec2Error("InvalidNextToken", "The token is not valid.")
        check_dry_run(req)
        return {name: [] for name in one.lists}

    return handler


for _name, _one in ABSENT.items():
    _paging = ("MaxResults", "NextToken") if _one.is_paged else ()
    serve(_name, *_one.ids, *_one.reads, *_paging)(_listing(_one))
