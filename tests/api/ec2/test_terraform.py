"""What Terraform's AWS provider asks for a network, in its order and with its members: apply, read, destroy.

Source: hashicorp/terraform-provider-aws, internal/service/ec2 (vpc_.go, vpc_subnet.go, vpc_security_group.go,
vpc_security_group_rule.go, vpc_security_group_ingress_rule.go, vpc_internet_gateway.go, vpc_route_table.go).
"""

from __future__ import annotations

from typing import Any

from tests.api.ec2.conftest import code, filters, named

EVERYWHERE = {"IpRanges": [{"CidrIp": "0.0.0.0/0"}], "Ipv6Ranges": [{"CidrIpv6": "::/0"}]}


def a_vpc(ec2: Any) -> str:
    """aws_vpc: created, waited for, its attributes changed, then read with what came with it."""
    made = ec2.create_vpc(
        AmazonProvidedIpv6CidrBlock=False, InstanceTenancy="default", CidrBlock="10.0.0.0/16",
        TagSpecifications=named("vpc", Name="tf"),
    )["Vpc"]["VpcId"]  # fmt: skip
    ec2.modify_vpc_attribute(VpcId=made, EnableDnsHostnames={"Value": True})
    (shown,) = ec2.describe_vpcs(VpcIds=[made])["Vpcs"]
    assert (shown["CidrBlock"], shown["InstanceTenancy"], shown["State"]) == (
        "10.0.0.0/16",
        "default",
        "available",
    )
    assert shown["Tags"] == [{"Key": "Name", "Value": "tf"}]
    for name in ("enableDnsHostnames", "enableDnsSupport", "enableNetworkAddressUsageMetrics"):
        ec2.describe_vpc_attribute(VpcId=made, Attribute=name)
    own = filters(vpc_id=made)
    assert len(ec2.describe_network_acls(Filters=[*filters(default="true"), *own])["NetworkAcls"]) == 1
    main = filters(**{"association.main": "true"})
    assert len(ec2.describe_route_tables(Filters=[*main, *own])["RouteTables"]) == 1
    by_name = filters(group_name="default")
    assert len(ec2.describe_security_groups(Filters=[*by_name, *own])["SecurityGroups"]) == 1
    return str(made)


def a_subnet(ec2: Any, vpc: str) -> str:
    """aws_subnet."""
    made = ec2.create_subnet(
        VpcId=vpc, AvailabilityZone="us-east-1a", CidrBlock="10.0.1.0/24",
        TagSpecifications=named("subnet", Name="tf"),
    )["Subnet"]["SubnetId"]  # fmt: skip
    ec2.modify_subnet_attribute(SubnetId=made, MapPublicIpOnLaunch={"Value": True})
    (shown,) = ec2.describe_subnets(SubnetIds=[made])["Subnets"]
    assert shown["PrivateDnsNameOptionsOnLaunch"]["HostnameType"] == "ip-name"
    assert (shown["MapPublicIpOnLaunch"], shown["EnableDns64"], shown["Ipv6Native"]) == (True, False, False)
    return str(made)


def a_route_table(ec2: Any, vpc: str, subnet: str) -> tuple[str, str, str]:
    """aws_internet_gateway, aws_route_table with a route, aws_route_table_association."""
    gateway = ec2.create_internet_gateway(TagSpecifications=named("internet-gateway", Name="tf"))
    gateway_id = gateway["InternetGateway"]["InternetGatewayId"]
    ec2.attach_internet_gateway(InternetGatewayId=gateway_id, VpcId=vpc)
    (shown,) = ec2.describe_internet_gateways(InternetGatewayIds=[gateway_id])["InternetGateways"]
    assert shown["Attachments"] == [{"State": "available", "VpcId": vpc}]
    table = ec2.create_route_table(VpcId=vpc)["RouteTable"]["RouteTableId"]
    ec2.create_route(RouteTableId=table, DestinationCidrBlock="0.0.0.0/0", GatewayId=gateway_id)
    (held,) = ec2.describe_route_tables(RouteTableIds=[table])["RouteTables"]
    assert [one["Origin"] for one in held["Routes"]] == ["CreateRouteTable", "CreateRoute"]
    association = ec2.associate_route_table(RouteTableId=table, SubnetId=subnet)["AssociationId"]
    by_id = filters(**{"association.route-table-association-id": association})
    (held,) = ec2.describe_route_tables(Filters=by_id)["RouteTables"]
    assert held["Associations"][0]["AssociationState"]["State"] == "associated"
    return gateway_id, table, association


def a_group(ec2: Any, vpc: str) -> str:
    """aws_security_group: its own egress rule is taken away first, then come the configuration's."""
    made = ec2.create_security_group(
        GroupName="tf-web", Description="Managed by Terraform", VpcId=vpc,
        TagSpecifications=named("security-group", Name="tf"),
    )["GroupId"]  # fmt: skip
    everything = {"FromPort": 0, "ToPort": 0, "IpProtocol": "-1", "IpRanges": [{"CidrIp": "0.0.0.0/0"}]}
    ec2.revoke_security_group_egress(GroupId=made, IpPermissions=[everything])
    v6 = {"FromPort": 0, "ToPort": 0, "IpProtocol": "-1", "Ipv6Ranges": [{"CidrIpv6": "::/0"}]}
    assert code(lambda: ec2.revoke_security_group_egress(GroupId=made, IpPermissions=[v6])) == (
        "InvalidPermission.NotFound"
    )
    http = {"FromPort": 80, "ToPort": 80, "IpProtocol": "tcp", **EVERYWHERE}
    own = {"FromPort": 0, "ToPort": 0, "IpProtocol": "-1", "UserIdGroupPairs": [{"GroupId": made}]}
    ec2.authorize_security_group_ingress(GroupId=made, IpPermissions=[http, own])
    ec2.authorize_security_group_egress(GroupId=made, IpPermissions=[{**everything, **EVERYWHERE}])
    (shown,) = ec2.describe_security_groups(GroupIds=[made])["SecurityGroups"]
    assert (len(shown["IpPermissions"]), len(shown["IpPermissionsEgress"])) == (2, 1)
    return str(made)


def an_ingress_rule(ec2: Any, group: str) -> None:
    """aws_vpc_security_group_ingress_rule: created, read, changed, read by its id, destroyed."""
    permission = {
        "FromPort": 443, "ToPort": 443, "IpProtocol": "tcp",
        "IpRanges": [{"CidrIp": "10.0.0.0/8", "Description": "tls"}],
    }  # fmt: skip
    made = ec2.authorize_security_group_ingress(
        GroupId=group, IpPermissions=[permission], TagSpecifications=named("security-group-rule", Name="tf")
    )["SecurityGroupRules"][0]["SecurityGroupRuleId"]
    (shown,) = ec2.describe_security_group_rules(SecurityGroupRuleIds=[made])["SecurityGroupRules"]
    assert (shown["CidrIpv4"], shown["IsEgress"], shown["Description"]) == ("10.0.0.0/8", False, "tls")
    new = {"IpProtocol": "tcp", "FromPort": 8443, "ToPort": 8443, "CidrIpv4": "10.0.0.0/8"}
    update = {"SecurityGroupRuleId": made, "SecurityGroupRule": new}
    ec2.modify_security_group_rules(GroupId=group, SecurityGroupRules=[update])
    (shown,) = ec2.describe_security_group_rules(SecurityGroupRuleIds=[made])["SecurityGroupRules"]
    assert (shown["FromPort"], shown.get("Description")) == (8443, None)
    ec2.revoke_security_group_ingress(GroupId=group, SecurityGroupRuleIds=[made])
    gone = {"SecurityGroupRuleIds": [made]}
    assert code(lambda: ec2.describe_security_group_rules(**gone)) == "InvalidSecurityGroupRuleId.NotFound"


def test_a_network_is_applied_read_and_destroyed(ec2: Any) -> None:
    vpc = a_vpc(ec2)
    subnet = a_subnet(ec2, vpc)
    gateway, table, association = a_route_table(ec2, vpc, subnet)
    group = a_group(ec2, vpc)
    an_ingress_rule(ec2, group)
    ec2.disassociate_route_table(AssociationId=association)
    ec2.delete_route_table(RouteTableId=table)
    assert code(lambda: ec2.describe_route_tables(RouteTableIds=[table])) == "InvalidRouteTableID.NotFound"
    ec2.detach_internet_gateway(InternetGatewayId=gateway, VpcId=vpc)
    ec2.delete_internet_gateway(InternetGatewayId=gateway)
    ec2.delete_security_group(GroupId=group)
    ec2.delete_subnet(SubnetId=subnet)
    assert code(lambda: ec2.describe_subnets(SubnetIds=[subnet])) == "InvalidSubnetID.NotFound"
    ec2.delete_vpc(VpcId=vpc)
    assert code(lambda: ec2.describe_vpcs(VpcIds=[vpc])) == "InvalidVpcID.NotFound"


def test_data_sources_find_the_default_network(ec2: Any) -> None:
    """aws_vpc (default), aws_subnets, aws_security_group, aws_availability_zones, aws_region."""
    (vpc,) = ec2.describe_vpcs(Filters=filters(isDefault="true"))["Vpcs"]
    found = ec2.describe_subnets(Filters=filters(vpc_id=vpc["VpcId"], default_for_az="true"))["Subnets"]
    assert len(found) == 3
    by_name = filters(vpc_id=vpc["VpcId"], group_name="default")
    assert len(ec2.describe_security_groups(Filters=by_name)["SecurityGroups"]) == 1
    assert len(ec2.describe_availability_zones(AllAvailabilityZones=False)["AvailabilityZones"]) == 3
    assert ec2.describe_regions(AllRegions=True, Filters=filters(region_name="us-east-1"))["Regions"]
