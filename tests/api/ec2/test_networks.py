"""VPCs, subnets, routes and gateways through boto3. Sources: EC2 API Reference; VPC user guide."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from ipaddress import IPv4Network
from typing import Any

import pytest

from homeport.services.ec2.api import gateways, vpcs
from tests.api.ec2.conftest import by_tag, code, filters, named, refused


@pytest.fixture
def vpc(ec2: Any) -> Iterator[str]:
    made = ec2.create_vpc(CidrBlock="10.0.0.0/16")["Vpc"]["VpcId"]
    yield made
    for table in ec2.describe_route_tables(Filters=filters(vpc_id=made))["RouteTables"]:
        if not any(one["Main"] for one in table["Associations"]):
            for one in table["Associations"]:
                ec2.disassociate_route_table(AssociationId=one["RouteTableAssociationId"])
            ec2.delete_route_table(RouteTableId=table["RouteTableId"])
    for subnet in ec2.describe_subnets(Filters=filters(vpc_id=made))["Subnets"]:
        for one in ec2.describe_network_interfaces(Filters=filters(subnet_id=subnet["SubnetId"]))[
            "NetworkInterfaces"
        ]:
            ec2.delete_network_interface(NetworkInterfaceId=one["NetworkInterfaceId"])
        ec2.delete_subnet(SubnetId=subnet["SubnetId"])
    for gateway in ec2.describe_internet_gateways(Filters=filters(**{"attachment.vpc-id": made}))[
        "InternetGateways"
    ]:
        ec2.detach_internet_gateway(InternetGatewayId=gateway["InternetGatewayId"], VpcId=made)
        ec2.delete_internet_gateway(InternetGatewayId=gateway["InternetGatewayId"])
    if ec2.describe_vpcs(Filters=filters(vpc_id=made))["Vpcs"]:
        ec2.delete_vpc(VpcId=made)


def test_every_region_begins_with_a_default_network(region: Callable[[str], Any]) -> None:
    """Source: VPC user guide, "Default VPCs". Which range it is: whichever is free on this machine."""
    ec2 = region("eu-west-1")
    (vpc,) = ec2.describe_vpcs()["Vpcs"]
    assert re.fullmatch("vpc-[0-9a-f]{17}", vpc["VpcId"])
    assert (vpc["IsDefault"], vpc["State"]) == (True, "available")
    found = ec2.describe_subnets()["Subnets"]
    parts = map(str, IPv4Network(vpc["CidrBlock"]).subnets(new_prefix=20))
    assert [(one["AvailabilityZone"], one["CidrBlock"]) for one in found] == list(
        zip(("eu-west-1a", "eu-west-1b", "eu-west-1c"), parts, strict=False)
    )
    assert all(one["DefaultForAz"] and one["MapPublicIpOnLaunch"] for one in found)
    assert {one["AvailableIpAddressCount"] for one in found} == {4091}
    (table,) = ec2.describe_route_tables()["RouteTables"]
    (gateway,) = ec2.describe_internet_gateways()["InternetGateways"]
    assert [(one["DestinationCidrBlock"], one["GatewayId"], one["State"]) for one in table["Routes"]] == [
        (vpc["CidrBlock"], "local", "active"),
        ("0.0.0.0/0", gateway["InternetGatewayId"], "active"),
    ]
    (group,) = ec2.describe_security_groups()["SecurityGroups"]
    assert group["GroupName"] == "default"
    (pair,) = group["IpPermissions"][0]["UserIdGroupPairs"]
    assert pair["GroupId"] == group["GroupId"]
    (acl,) = ec2.describe_network_acls()["NetworkAcls"]
    assert {one["SubnetId"] for one in acl["Associations"]} == {one["SubnetId"] for one in found}
    assert ec2.describe_vpcs()["Vpcs"] == [vpc]


def test_a_default_network_that_was_deleted_comes_back_only_on_request(region: Callable[[str], Any]) -> None:
    ec2 = region("eu-west-2")
    (vpc,) = ec2.describe_vpcs()["Vpcs"]
    assert code(ec2.create_default_vpc) == "DefaultVpcAlreadyExists"
    for subnet in ec2.describe_subnets()["Subnets"]:
        ec2.delete_subnet(SubnetId=subnet["SubnetId"])
    zone = {"AvailabilityZone": "eu-west-2b"}
    assert (
        ec2.create_default_subnet(**zone)["Subnet"]["CidrBlock"] == f"{vpc['CidrBlock'].partition('/')[0]}/20"
    )
    assert code(lambda: ec2.create_default_subnet(**zone)) == "DefaultSubnetAlreadyExistsInAvailabilityZone"
    ec2.delete_subnet(SubnetId=ec2.describe_subnets()["Subnets"][0]["SubnetId"])
    (gateway,) = ec2.describe_internet_gateways()["InternetGateways"]
    there = {"InternetGatewayId": gateway["InternetGatewayId"], "VpcId": vpc["VpcId"]}
    ec2.detach_internet_gateway(**there)
    ec2.delete_internet_gateway(InternetGatewayId=gateway["InternetGatewayId"])
    ec2.delete_vpc(VpcId=vpc["VpcId"])
    assert ec2.describe_vpcs()["Vpcs"] == []
    assert ec2.describe_security_groups()["SecurityGroups"] == []
    assert code(lambda: ec2.create_security_group(GroupName="x", Description="x")) == "VPCIdNotSpecified"
    assert code(lambda: ec2.create_default_subnet(**zone)) == "DefaultVpcDoesNotExist"
    again = ec2.create_default_vpc()["Vpc"]
    assert again["IsDefault"]
    assert len(ec2.describe_subnets()["Subnets"]) == 3


def test_a_vpc_brings_its_table_its_acl_and_its_group(ec2: Any, vpc: str) -> None:
    own = filters(vpc_id=vpc)
    (table,) = ec2.describe_route_tables(Filters=own)["RouteTables"]
    assert [one["Main"] for one in table["Associations"]] == [True]
    assert [one["GatewayId"] for one in table["Routes"]] == ["local"]
    (acl,) = ec2.describe_network_acls(Filters=[*own, *filters(default="true")])["NetworkAcls"]
    assert (acl["IsDefault"], len(acl["Entries"])) == (True, 4)
    (group,) = ec2.describe_security_groups(Filters=own)["SecurityGroups"]
    assert group["Description"] == "default VPC security group"
    shown = [
        ec2.describe_vpc_attribute(VpcId=vpc, Attribute=name)
        for name in ("enableDnsSupport", "enableDnsHostnames", "enableNetworkAddressUsageMetrics")
    ]
    assert [shown[0]["EnableDnsSupport"], shown[1]["EnableDnsHostnames"]] == [
        {"Value": True},
        {"Value": False},
    ]
    assert shown[2]["EnableNetworkAddressUsageMetrics"] == {"Value": False}


def test_dns_attributes_are_changed_one_by_one(ec2: Any, vpc: str) -> None:
    ec2.modify_vpc_attribute(VpcId=vpc, EnableDnsHostnames={"Value": True})
    assert ec2.describe_vpc_attribute(VpcId=vpc, Attribute="enableDnsHostnames")["EnableDnsHostnames"][
        "Value"
    ]
    both = {"EnableDnsHostnames": {"Value": True}, "EnableDnsSupport": {"Value": True}}
    assert code(lambda: ec2.modify_vpc_attribute(VpcId=vpc, **both)) == "InvalidParameterCombination"
    metrics = {"EnableNetworkAddressUsageMetrics": {"Value": True}}
    assert code(lambda: ec2.modify_vpc_attribute(VpcId=vpc, **metrics)) == "UnsupportedOperation"


@pytest.mark.parametrize(
    ("request_", "wanted"),
    [
        ({"CidrBlock": "10.0.0.0/8"}, "InvalidVpc.Range"),
        ({"CidrBlock": "10.0.0.0"}, "InvalidParameterValue"),
        ({}, "MissingParameter"),
        ({"CidrBlock": "10.0.0.0/16", "InstanceTenancy": "dedicated"}, "UnsupportedOperation"),
        ({"CidrBlock": "10.0.0.0/16", "AmazonProvidedIpv6CidrBlock": True}, "UnsupportedOperation"),
        ({"CidrBlock": "10.0.0.0/16", "Ipv4IpamPoolId": "ipam-pool-1"}, "UnsupportedOperation"),
        ({"CidrBlock": "10.0.0.0/16", "TagSpecifications": named("subnet", a="b")}, "InvalidParameterValue"),
    ],
)
def test_a_vpc_that_cannot_be_is_refused(ec2: Any, request_: dict[str, Any], wanted: str) -> None:
    before = ec2.describe_vpcs()["Vpcs"]
    assert code(lambda: ec2.create_vpc(**request_)) == wanted
    assert ec2.describe_vpcs()["Vpcs"] == before


def test_what_terraform_says_by_default_is_taken(ec2: Any) -> None:
    made = ec2.create_vpc(
        CidrBlock="10.9.0.0/16", InstanceTenancy="default", AmazonProvidedIpv6CidrBlock=False
    )["Vpc"]
    ec2.delete_vpc(VpcId=made["VpcId"])


def test_an_account_has_so_many_vpcs_and_gateways(
    region: Callable[[str], Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Source: VPC user guide, "Amazon VPC quotas"."""
    ec2 = region("eu-west-3")
    monkeypatch.setattr(vpcs, "VPCS_MAX", 2)
    monkeypatch.setattr(gateways, "GATEWAYS_MAX", 2)
    made = ec2.create_vpc(CidrBlock="10.40.0.0/16")["Vpc"]["VpcId"]
    assert code(lambda: ec2.create_vpc(CidrBlock="10.9.0.0/16")) == "VpcLimitExceeded"
    gateway = ec2.create_internet_gateway()["InternetGateway"]["InternetGatewayId"]
    assert code(ec2.create_internet_gateway) == "InternetGatewayLimitExceeded"
    ec2.delete_vpc(VpcId=made)
    ec2.delete_internet_gateway(InternetGatewayId=gateway)


def test_ranges_may_overlap_and_addresses_in_use_may_not(
    ec2: Any, region: Callable[[str], Any], vpc: str
) -> None:
    """In AWS each VPC is alone in its world; here packets of all pass one machine."""
    (there,) = ec2.describe_vpcs(VpcIds=[vpc])["Vpcs"]
    other = region("eu-central-1")
    inside = there["CidrBlock"].replace("/16", "/24")
    made = other.create_vpc(CidrBlock=inside)["Vpc"]["VpcId"]
    subnets = [
        client.create_subnet(VpcId=one, CidrBlock=inside.replace("/24", "/25"))["Subnet"]["SubnetId"]
        for client, one in ((ec2, vpc), (other, made))
    ]

    def plugged(client: Any, subnet: str) -> str:
        made = client.create_network_interface(SubnetId=subnet)["NetworkInterface"]
        return str(made["NetworkInterfaceId"])

    first = plugged(ec2, subnets[0])
    wanted, why = refused(lambda: plugged(other, subnets[1]))
    assert (wanted, f"overlaps with {there['CidrBlock']} of {vpc}" in why) == ("InvalidVpc.Range", True)
    second = plugged(ec2, subnets[0])
    ec2.delete_network_interface(NetworkInterfaceId=first)
    assert code(lambda: plugged(other, subnets[1])) == "InvalidVpc.Range"
    ec2.delete_network_interface(NetworkInterfaceId=second)
    last = plugged(other, subnets[1])
    assert code(lambda: plugged(ec2, subnets[0])) == "InvalidVpc.Range"
    other.delete_network_interface(NetworkInterfaceId=last)
    other.delete_subnet(SubnetId=subnets[1])
    other.delete_vpc(VpcId=made)
    assert plugged(ec2, subnets[0])


def test_ids_that_lead_nowhere_are_told(ec2: Any) -> None:
    lost = "0123456789abcdef0"
    assert refused(lambda: ec2.describe_vpcs(VpcIds=[f"vpc-{lost}"])) == (
        "InvalidVpcID.NotFound",
        f"The vpc ID 'vpc-{lost}' does not exist",
    )
    assert code(lambda: ec2.describe_subnets(SubnetIds=[f"subnet-{lost}"])) == "InvalidSubnetID.NotFound"
    assert code(lambda: ec2.delete_vpc(VpcId="sg-1")) == "InvalidVpcID.Malformed"
    assert (
        code(lambda: ec2.describe_route_tables(RouteTableIds=[f"rtb-{lost}"]))
        == "InvalidRouteTableID.NotFound"
    )
    gateways = {"InternetGatewayIds": [f"igw-{lost}"]}
    assert code(lambda: ec2.describe_internet_gateways(**gateways)) == "InvalidInternetGatewayID.NotFound"
    assert (
        code(lambda: ec2.create_subnet(VpcId=f"vpc-{lost}", CidrBlock="10.0.0.0/24"))
        == "InvalidVpcID.NotFound"
    )


def test_other_accounts_and_regions_have_their_own(ec2: Any, vpc: str, region: Callable[[str], Any]) -> None:
    assert code(lambda: region("us-west-2").describe_vpcs(VpcIds=[vpc])) == "InvalidVpcID.NotFound"


def test_subnets_spread_over_the_zones_and_count_their_addresses(ec2: Any, vpc: str) -> None:
    made = [ec2.create_subnet(VpcId=vpc, CidrBlock=f"10.0.{number}.0/28")["Subnet"] for number in range(4)]
    assert [one["AvailabilityZone"] for one in made] == [f"us-east-1{letter}" for letter in "abca"]
    first = made[0]["SubnetId"]
    assert (made[0]["AvailableIpAddressCount"], made[0]["MapPublicIpOnLaunch"]) == (11, False)
    by_id = ec2.create_subnet(VpcId=vpc, CidrBlock="10.0.9.0/24", AvailabilityZoneId="use1-az3")["Subnet"]
    assert by_id["AvailabilityZone"] == "us-east-1c"
    for _ in range(11):
        ec2.create_network_interface(SubnetId=first)
    (full,) = ec2.describe_subnets(SubnetIds=[first])["Subnets"]
    assert full["AvailableIpAddressCount"] == 0
    assert code(lambda: ec2.create_network_interface(SubnetId=first)) == "InsufficientFreeAddressesInSubnet"
    addresses = [
        one["PrivateIpAddress"]
        for one in ec2.describe_network_interfaces(Filters=filters(subnet_id=first))["NetworkInterfaces"]
    ]
    assert sorted(addresses) == sorted(f"10.0.0.{number}" for number in range(4, 15))
    assert code(lambda: ec2.delete_subnet(SubnetId=first)) == "DependencyViolation"


def test_a_subnet_that_cannot_be_is_refused(ec2: Any, vpc: str) -> None:
    ec2.create_subnet(VpcId=vpc, CidrBlock="10.0.0.0/24")

    def make(**asked: Any) -> str:
        return code(lambda: ec2.create_subnet(VpcId=vpc, **asked))

    assert make(CidrBlock="10.0.0.128/25") == "InvalidSubnet.Conflict"
    assert make(CidrBlock="10.1.0.0/24") == "InvalidSubnet.Range"
    assert make() == "MissingParameter"
    assert make(CidrBlock="10.0.1.0/24", AvailabilityZone="eu-west-1a") == "InvalidParameterValue"
    assert make(CidrBlock="10.0.1.0/24", Ipv6CidrBlock="2001:db8::/64") == "UnsupportedOperation"
    two = {"AvailabilityZone": "us-east-1a", "AvailabilityZoneId": "use1-az1"}
    assert make(CidrBlock="10.0.1.0/24", **two) == "InvalidParameterCombination"


def test_a_subnets_attributes_are_changed_or_refused(ec2: Any, vpc: str) -> None:
    made = ec2.create_subnet(VpcId=vpc, CidrBlock="10.0.0.0/24")["Subnet"]["SubnetId"]
    ec2.modify_subnet_attribute(SubnetId=made, MapPublicIpOnLaunch={"Value": True})
    assert ec2.describe_subnets(SubnetIds=[made])["Subnets"][0]["MapPublicIpOnLaunch"]
    ec2.modify_subnet_attribute(SubnetId=made, AssignIpv6AddressOnCreation={"Value": False})
    ipv6 = {"AssignIpv6AddressOnCreation": {"Value": True}}
    assert code(lambda: ec2.modify_subnet_attribute(SubnetId=made, **ipv6)) == "UnsupportedOperation"
    by_resource = {"PrivateDnsHostnameTypeOnLaunch": "resource-name"}
    assert code(lambda: ec2.modify_subnet_attribute(SubnetId=made, **by_resource)) == "UnsupportedOperation"


def test_a_vpc_with_something_in_it_is_not_deleted(ec2: Any, vpc: str) -> None:
    made = ec2.create_subnet(VpcId=vpc, CidrBlock="10.0.0.0/24")["Subnet"]["SubnetId"]
    assert refused(lambda: ec2.delete_vpc(VpcId=vpc)) == (
        "DependencyViolation",
        f"The vpc '{vpc}' has dependencies and cannot be deleted.",
    )
    ec2.delete_subnet(SubnetId=made)
    group = ec2.create_security_group(GroupName="x", Description="x", VpcId=vpc)["GroupId"]
    assert code(lambda: ec2.delete_vpc(VpcId=vpc)) == "DependencyViolation"
    ec2.delete_security_group(GroupId=group)
    ec2.delete_vpc(VpcId=vpc)
    assert ec2.describe_route_tables(Filters=filters(vpc_id=vpc))["RouteTables"] == []
    assert ec2.describe_security_group_rules(Filters=filters(group_id=group))["SecurityGroupRules"] == []


def test_routes_lead_to_the_vpcs_gateway_or_nowhere(ec2: Any, vpc: str) -> None:
    gateway = ec2.create_internet_gateway()["InternetGateway"]["InternetGatewayId"]
    table = ec2.create_route_table(VpcId=vpc)["RouteTable"]["RouteTableId"]
    route = {"RouteTableId": table, "DestinationCidrBlock": "0.0.0.0/0", "GatewayId": gateway}
    assert code(lambda: ec2.create_route(**route)) == "InvalidParameterValue"
    ec2.attach_internet_gateway(InternetGatewayId=gateway, VpcId=vpc)
    ec2.create_route(**route)
    ec2.create_route(**route)

    def shown() -> list[tuple[str, str]]:
        (found,) = ec2.describe_route_tables(RouteTableIds=[table])["RouteTables"]
        return [(one["GatewayId"], one["State"]) for one in found["Routes"]]

    assert shown() == [("local", "active"), (gateway, "active")]
    ec2.detach_internet_gateway(InternetGatewayId=gateway, VpcId=vpc)
    assert shown()[1] == (gateway, "blackhole")
    ec2.attach_internet_gateway(InternetGatewayId=gateway, VpcId=vpc)
    inside = {**route, "DestinationCidrBlock": "10.0.1.0/24"}
    assert code(lambda: ec2.create_route(**inside)) == "InvalidParameterValue"
    nat = {"RouteTableId": table, "DestinationCidrBlock": "192.0.2.0/24", "NatGatewayId": "nat-1"}
    assert refused(lambda: ec2.create_route(**nat)) == (
        "UnsupportedOperation",
        "The parameter NatGatewayId is not supported by Homeport yet.",
    )
    ec2.replace_route(**route)
    other = {**route, "DestinationCidrBlock": "192.0.2.0/24"}
    assert code(lambda: ec2.replace_route(**other)) == "InvalidRoute.NotFound"
    gone = {"RouteTableId": table, "DestinationCidrBlock": "0.0.0.0/0"}
    ec2.delete_route(**gone)
    assert code(lambda: ec2.delete_route(**gone)) == "InvalidRoute.NotFound"
    local = {"RouteTableId": table, "DestinationCidrBlock": "10.0.0.0/16"}
    assert code(lambda: ec2.delete_route(**local)) == "InvalidParameterValue"


def test_subnets_route_by_the_table_that_they_are_given(ec2: Any, vpc: str) -> None:
    table = ec2.create_route_table(VpcId=vpc)["RouteTable"]["RouteTableId"]
    other = ec2.create_route_table(VpcId=vpc)["RouteTable"]["RouteTableId"]
    subnet = ec2.create_subnet(VpcId=vpc, CidrBlock="10.0.0.0/24")["Subnet"]["SubnetId"]
    made = ec2.associate_route_table(RouteTableId=table, SubnetId=subnet)["AssociationId"]
    assert ec2.associate_route_table(RouteTableId=table, SubnetId=subnet)["AssociationId"] == made
    twice = {"RouteTableId": other, "SubnetId": subnet}
    assert code(lambda: ec2.associate_route_table(**twice)) == "Resource.AlreadyAssociated"
    assert code(lambda: ec2.delete_route_table(RouteTableId=table)) == "DependencyViolation"
    moved = ec2.replace_route_table_association(AssociationId=made, RouteTableId=other)["NewAssociationId"]
    by_subnet = filters(**{"association.subnet-id": subnet})
    (found,) = ec2.describe_route_tables(Filters=by_subnet)["RouteTables"]
    assert found["RouteTableId"] == other
    assert code(lambda: ec2.disassociate_route_table(AssociationId=made)) == "InvalidAssociationID.NotFound"
    ec2.disassociate_route_table(AssociationId=moved)
    assert ec2.describe_route_tables(Filters=by_subnet)["RouteTables"] == []
    ec2.delete_route_table(RouteTableId=table)


def test_the_main_table_is_replaced_and_never_taken_away(ec2: Any, vpc: str) -> None:
    main = [*filters(vpc_id=vpc), *filters(**{"association.main": "true"})]
    (old,) = ec2.describe_route_tables(Filters=main)["RouteTables"]
    held = old["Associations"][0]["RouteTableAssociationId"]
    assert code(lambda: ec2.disassociate_route_table(AssociationId=held)) == "InvalidParameterValue"
    assert code(lambda: ec2.delete_route_table(RouteTableId=old["RouteTableId"])) == "DependencyViolation"
    table = ec2.create_route_table(VpcId=vpc)["RouteTable"]["RouteTableId"]
    ec2.replace_route_table_association(AssociationId=held, RouteTableId=table)
    (new,) = ec2.describe_route_tables(Filters=main)["RouteTables"]
    assert new["RouteTableId"] == table


def test_a_gateway_is_in_one_vpc_and_a_vpc_has_one(ec2: Any, vpc: str) -> None:
    first, second = (ec2.create_internet_gateway()["InternetGateway"]["InternetGatewayId"] for _ in range(2))
    ec2.attach_internet_gateway(InternetGatewayId=first, VpcId=vpc)
    again = {"InternetGatewayId": first, "VpcId": vpc}
    assert code(lambda: ec2.attach_internet_gateway(**again)) == "Resource.AlreadyAssociated"
    other = {"InternetGatewayId": second, "VpcId": vpc}
    assert code(lambda: ec2.attach_internet_gateway(**other)) == "InvalidParameterValue"
    assert code(lambda: ec2.detach_internet_gateway(**other)) == "Gateway.NotAttached"
    assert code(lambda: ec2.delete_internet_gateway(InternetGatewayId=first)) == "DependencyViolation"
    assert code(lambda: ec2.delete_vpc(VpcId=vpc)) == "DependencyViolation"
    ec2.delete_internet_gateway(InternetGatewayId=second)


def test_a_client_token_makes_one_table(ec2: Any, vpc: str) -> None:
    asked = {"VpcId": vpc, "ClientToken": "once"}
    made = [ec2.create_route_table(**asked)["RouteTable"]["RouteTableId"] for _ in range(2)]
    assert made[0] == made[1]
    tagged = {**asked, "TagSpecifications": named("route-table", a="b")}
    assert code(lambda: ec2.create_route_table(**tagged)) == "IdempotentParameterMismatch"
    ec2.delete_route_table(RouteTableId=made[0])
    assert ec2.create_route_table(**asked)["RouteTable"]["RouteTableId"] != made[0]


def test_listings_are_filtered_by_tags_with_wildcards(ec2: Any, vpc: str) -> None:
    for number in range(3):
        cidr = f"10.0.{number}.0/24"
        tags = named("subnet", Name=f"app-{number}", tier="web" if number else "db")
        ec2.create_subnet(VpcId=vpc, CidrBlock=cidr, TagSpecifications=tags)

    def ranges(*given: dict[str, Any]) -> list[str]:
        found = ec2.describe_subnets(Filters=[*filters(vpc_id=vpc), *given])["Subnets"]
        return [one["CidrBlock"] for one in found]

    assert ranges(*by_tag(tier="web")) == ["10.0.1.0/24", "10.0.2.0/24"]
    assert ranges(*by_tag(Name="app-?")) == ["10.0.0.0/24", "10.0.1.0/24", "10.0.2.0/24"]
    assert ranges(*by_tag(Name="*2", tier="w*")) == ["10.0.2.0/24"]
    assert ranges({"Name": "tag-key", "Values": ["none"]}) == []
    assert code(lambda: ranges({"Name": "colour", "Values": ["red"]})) == "InvalidParameterValue"


def test_listings_are_paged_and_each_appears_once(ec2: Any, vpc: str) -> None:
    for number in range(12):
        ec2.create_subnet(VpcId=vpc, CidrBlock=f"10.0.{number}.0/24")
    asked = {"Filters": filters(vpc_id=vpc), "PaginationConfig": {"PageSize": 5}}
    pages = [page["Subnets"] for page in ec2.get_paginator("describe_subnets").paginate(**asked)]
    assert [len(page) for page in pages] == [5, 5, 2]
    assert len({one["SubnetId"] for page in pages for one in page}) == 12
    assert code(lambda: ec2.describe_subnets(NextToken="made-up")) == "InvalidNextToken"
    first = ec2.describe_subnets(MaxResults=5, Filters=filters(vpc_id=vpc))["NextToken"]
    assert code(lambda: ec2.describe_subnets(MaxResults=5, NextToken=first)) == "InvalidNextToken"
    ids = {"SubnetIds": [pages[0][0]["SubnetId"]], "MaxResults": 5}
    assert code(lambda: ec2.describe_subnets(**ids)) == "InvalidParameterCombination"


def test_a_dry_run_does_nothing_and_says_whether_it_could(ec2: Any, vpc: str) -> None:
    """Source: API Reference, DryRun."""
    before = ec2.describe_subnets()["Subnets"]
    good = {"VpcId": vpc, "CidrBlock": "10.0.0.0/24", "DryRun": True}
    assert refused(lambda: ec2.create_subnet(**good)) == (
        "DryRunOperation",
        "Request would have succeeded, but DryRun flag is set.",
    )
    assert code(lambda: ec2.create_subnet(**{**good, "CidrBlock": "10.1.0.0/24"})) == "InvalidSubnet.Range"
    assert code(lambda: ec2.describe_vpcs(DryRun=True)) == "DryRunOperation"
    assert code(lambda: ec2.describe_regions(DryRun=True)) == "DryRunOperation"
    assert code(lambda: ec2.delete_vpc(VpcId=vpc, DryRun=True)) == "DryRunOperation"
    assert ec2.describe_subnets()["Subnets"] == before


def test_what_has_nothing_behind_it_is_not_served(ec2: Any, vpc: str) -> None:
    for work in (
        lambda: ec2.create_nat_gateway(SubnetId="subnet-1"),
        lambda: ec2.create_vpc_peering_connection(VpcId=vpc),
        ec2.allocate_address,
        lambda: ec2.create_network_acl(VpcId=vpc),
        lambda: ec2.run_instances(MinCount=1, MaxCount=1),
    ):
        assert code(work) == "NotImplemented"


def test_regions_zones_and_account_attributes_are_told(ec2: Any) -> None:
    names = [one["RegionName"] for one in ec2.describe_regions()["Regions"]]
    assert "us-east-1" in names
    (one,) = ec2.describe_regions(RegionNames=["eu-west-1"])["Regions"]
    assert one["OptInStatus"] == "opt-in-not-required"
    assert code(lambda: ec2.describe_regions(RegionNames=["moon-1"])) == "InvalidParameterValue"
    state = filters(state="available", opt_in_status="opt-in-not-required", zone_type="availability-zone")
    found = ec2.describe_availability_zones(Filters=state)["AvailabilityZones"]
    assert [(one["ZoneName"], one["ZoneId"]) for one in found] == [
        (f"us-east-1{letter}", f"use1-az{number}") for number, letter in enumerate("abc", 1)
    ]
    (zone,) = ec2.describe_availability_zones(ZoneIds=["use1-az2"])["AvailabilityZones"]
    assert zone["ZoneName"] == "us-east-1b"
    attributes = ec2.describe_account_attributes(AttributeNames=["default-vpc", "supported-platforms"])
    values = {
        one["AttributeName"]: one["AttributeValues"][0]["AttributeValue"]
        for one in attributes["AccountAttributes"]
    }
    (default,) = ec2.describe_vpcs(Filters=filters(is_default="true"))["Vpcs"]
    assert values == {"supported-platforms": "VPC", "default-vpc": default["VpcId"]}
