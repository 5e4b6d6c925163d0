"""What clients ask for before they act, and nobody has here: empty listings, ids that lead nowhere."""

from __future__ import annotations

from typing import Any

import pytest

from homeport.services.ec2.api.absent import ABSENT
from tests.api.ec2.conftest import code, filters, refused
from tests.api.ec2.test_filters import snake


@pytest.mark.parametrize("name", sorted(ABSENT))
def test_there_is_none_and_an_id_leads_nowhere(ec2: Any, name: str) -> None:
    absent, ask = ABSENT[name], getattr(ec2, snake(name))
    answer = ask()
    assert [answer[one] for one in absent.lists] == [[] for _ in absent.lists]
    for member, (wanted, _) in absent.ids.items():
        assert code(lambda member=member: ask(**{member: ["lost"]})) == wanted
    assert code(lambda: ask(DryRun=True)) == "DryRunOperation"
    if absent.is_paged:
        assert code(lambda: ask(NextToken="made-up")) == "InvalidNextToken"


def test_a_vpc_is_looked_up_as_cdk_does(ec2: Any) -> None:
    """Vpc.fromLookup asks for the VPC, its subnets, their route tables, and its VPN gateway.

    Source: aws/aws-cdk-cli, toolkit-lib's context providers.
    """
    (vpc,) = ec2.describe_vpcs(Filters=filters(isDefault="true"))["Vpcs"]
    own = filters(vpc_id=vpc["VpcId"])
    subnets = ec2.describe_subnets(Filters=own)["Subnets"]
    (table,) = ec2.describe_route_tables(Filters=own)["RouteTables"]
    assert any(route.get("GatewayId", "").startswith("igw-") for route in table["Routes"])
    assert all(one["MapPublicIpOnLaunch"] for one in subnets)
    attached = filters(
        **{"attachment.vpc-id": vpc["VpcId"], "attachment.state": "attached", "state": "available"}
    )
    assert ec2.describe_vpn_gateways(Filters=attached)["VpnGateways"] == []


def test_groups_for_a_vpc_are_its_own(ec2: Any) -> None:
    made = ec2.create_vpc(CidrBlock="10.66.0.0/16")["Vpc"]["VpcId"]
    group = ec2.create_security_group(GroupName="web", Description="x", VpcId=made)["GroupId"]
    found = ec2.get_security_groups_for_vpc(VpcId=made)["SecurityGroupForVpcs"]
    assert [(one["GroupName"], one["PrimaryVpcId"], one["Tags"]) for one in found] == [
        ("default", made, []),
        ("web", made, []),
    ]
    by_name = ec2.get_security_groups_for_vpc(VpcId=made, Filters=filters(group_name="w*"))
    assert [one["GroupId"] for one in by_name["SecurityGroupForVpcs"]] == [group]
    lost = {"VpcId": "vpc-00000000000000000"}
    assert code(lambda: ec2.get_security_groups_for_vpc(**lost)) == "InvalidVpcID.NotFound"
    assert ec2.describe_security_group_references(GroupId=[group])["SecurityGroupReferenceSet"] == []
    gone = {"GroupId": ["sg-00000000000000000"]}
    assert code(lambda: ec2.describe_security_group_references(**gone)) == "InvalidGroup.NotFound"
    assert ec2.describe_stale_security_groups(VpcId=made)["StaleSecurityGroupSet"] == []
    assert code(lambda: ec2.describe_stale_security_groups(**lost)) == "InvalidVpcID.NotFound"
    ec2.delete_security_group(GroupId=group)
    ec2.delete_vpc(VpcId=made)


def test_types_are_offered_where_there_are_instances_of_them(ec2: Any) -> None:
    (here,) = ec2.describe_instance_type_offerings()["InstanceTypeOfferings"]
    assert here == {"InstanceType": "m5.large", "LocationType": "region", "Location": "us-east-1"}
    by_zone = {"LocationType": "availability-zone", "Filters": filters(instance_type="m5.*")}
    found = ec2.describe_instance_type_offerings(**by_zone)["InstanceTypeOfferings"]
    assert [one["Location"] for one in found] == ["us-east-1a", "us-east-1b", "us-east-1c"]
    by_id = {"LocationType": "availability-zone-id", "Filters": filters(location="use1-az2")}
    (one,) = ec2.describe_instance_type_offerings(**by_id)["InstanceTypeOfferings"]
    assert one["Location"] == "use1-az2"
    (kind,) = ec2.describe_instance_types()["InstanceTypes"]
    assert (kind["EbsInfo"]["NvmeSupport"], kind["NetworkInfo"]["Ipv6Supported"]) == ("unsupported", False)
    assert refused(lambda: ec2.describe_instance_types(InstanceTypes=["homeport.huge"])) == (
        "InvalidInstanceType",
        "The following supplied instance types do not exist: [homeport.huge]",
    )


def test_what_is_missing_is_named(ec2: Any) -> None:
    """In EC2's words. Source: EC2 API Reference, "Error codes", MissingParameter."""
    tags = {"Tags": [{"Key": "a", "Value": "b"}]}
    assert refused(lambda: ec2.create_tags(Resources=[], **tags)) == (
        "MissingParameter",
        "The request must contain the parameter resources",
    )
    of_nothing = [{"Tags": [{"Key": "a", "Value": "b"}]}]
    tagged = {"CidrBlock": "10.67.0.0/16", "TagSpecifications": of_nothing}
    assert refused(lambda: ec2.create_vpc(**tagged)) == (
        "InvalidParameter",
        "Tag specification resource type must have a value",
    )
    assert code(lambda: ec2.describe_vpc_attribute(VpcId="vpc-0", Attribute="x")) == "InvalidParameterValue"


def test_no_vpc_has_options_of_its_own_or_a_link_to_the_past(ec2: Any) -> None:
    """Source: API Reference, AssociateDhcpOptions: `default` is for none."""
    (vpc,) = ec2.describe_vpcs(Filters=filters(is_default="true"))["Vpcs"]
    mine = vpc["VpcId"]
    assert vpc["DhcpOptionsId"] == "default"
    ec2.associate_dhcp_options(VpcId=mine, DhcpOptionsId="default")
    own = {"VpcId": mine, "DhcpOptionsId": "dopt-1"}
    assert code(lambda: ec2.associate_dhcp_options(**own)) == "InvalidDhcpOptionID.NotFound"
    lost = {"VpcId": "vpc-00000000000000000", "DhcpOptionsId": "default"}
    assert code(lambda: ec2.associate_dhcp_options(**lost)) == "InvalidVpcID.NotFound"
    (shown,) = ec2.describe_vpc_classic_link(VpcIds=[mine])["Vpcs"]
    assert (shown["VpcId"], shown["ClassicLinkEnabled"]) == (mine, False)
    linked = [{"Name": "is-classic-link-enabled", "Values": ["true"]}]
    assert ec2.describe_vpc_classic_link(Filters=linked)["Vpcs"] == []
    assert {"VpcId": mine, "ClassicLinkDnsSupported": False} in ec2.describe_vpc_classic_link_dns_support()[
        "Vpcs"
    ]


def test_an_instance_says_which_attributes_it_has_not(ec2: Any) -> None:
    one = {"InstanceId": "i-00000000000000000"}
    assert ec2.describe_instance_attribute(**one, Attribute="userData")["UserData"] == {}
    assert ec2.describe_instance_attribute(**one, Attribute="rootDeviceName")["RootDeviceName"] == {}
    found = ec2.describe_instance_attribute(**one, Attribute="blockDeviceMapping")
    assert found["BlockDeviceMappings"] == []
    optimised = ec2.describe_instance_attribute(**one, Attribute="ebsOptimized")
    assert optimised["EbsOptimized"] == {"Value": False}
    ec2.modify_instance_attribute(**one, SourceDestCheck={"Value": True})
    protected = {**one, "DisableApiTermination": {"Value": True}}
    assert code(lambda: ec2.modify_instance_attribute(**protected)) == "UnsupportedOperation"
    both = {**protected, "SourceDestCheck": {"Value": True}}
    assert code(lambda: ec2.modify_instance_attribute(**both)) == "InvalidParameterCombination"
    ena = {**one, "Attribute": "enaSupport"}
    assert code(lambda: ec2.describe_instance_attribute(**ena)) == "UnsupportedOperation"
