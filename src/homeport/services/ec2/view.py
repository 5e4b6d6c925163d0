"""Nouns as EC2 shows them. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from homeport.services.ec2.model import (
    Association,
    InternetGateway,
    NetworkAcl,
    NetworkInterface,
    Resource,
    Route,
    RouteTable,
    Rule,
    SecurityGroup,
    Subnet,
    Vpc,
    capacity,
    private_name,
    zone_id,
)

View = dict[str, Any]


def tag_list(tags: Mapping[str, str]) -> list[View]:
    """Tags by their keys."""
    return [{"Key": key, "Value": tags[key]} for key in sorted(tags)]


def vpc_view(vpc: Vpc) -> View:
    """A VPC."""
    return {
        "VpcId": vpc.resource_id,
        "OwnerId": vpc.account_id,
        "CidrBlock": vpc.cidr,
        "CidrBlockAssociationSet": [
            {
                "AssociationId": vpc.association_id,
                "CidrBlock": vpc.cidr,
                "CidrBlockState": {"State": "associated"},
            }
        ],
        "Ipv6CidrBlockAssociationSet": [],
        "DhcpOptionsId": "default",
        "InstanceTenancy": "default",
        "IsDefault": vpc.is_default,
        "State": "available",
        "Tags": tag_list(vpc.tags),
    }


def subnet_view(subnet: Subnet, taken: int) -> View:
    """A subnet; `taken`: how many of its addresses are."""
    return {
        "SubnetId": subnet.resource_id,
        "SubnetArn": subnet.arn,
        "OwnerId": subnet.account_id,
        "VpcId": subnet.vpc_id,
        "CidrBlock": subnet.cidr,
        "AvailabilityZone": subnet.zone,
        "AvailabilityZoneId": zone_id(subnet.zone),
        "AvailableIpAddressCount": capacity(subnet.cidr) - taken,
        "DefaultForAz": subnet.is_default,
        "MapPublicIpOnLaunch": subnet.public_by_default,
        "MapCustomerOwnedIpOnLaunch": False,
        "AssignIpv6AddressOnCreation": False,
        "Ipv6CidrBlockAssociationSet": [],
        "Ipv6Native": False,
        "EnableDns64": False,
        "PrivateDnsNameOptionsOnLaunch": {
            "HostnameType": "ip-name",
            "EnableResourceNameDnsARecord": False,
            "EnableResourceNameDnsAAAARecord": False,
        },
        "State": "available",
        "Tags": tag_list(subnet.tags),
    }


def group_view(group: SecurityGroup, rules: Iterable[Rule]) -> View:
    """A security group with its rules, gathered by protocol and ports."""
    listed = tuple(rules)
    return {
        "GroupId": group.resource_id,
        "SecurityGroupArn": group.arn,
        "GroupName": group.name,
        "Description": group.description,
        "OwnerId": group.account_id,
        "VpcId": group.vpc_id,
        "IpPermissions": permissions_view(rule for rule in listed if not rule.is_egress),
        "IpPermissionsEgress": permissions_view(rule for rule in listed if rule.is_egress),
        "Tags": tag_list(group.tags),
    }


def permissions_view(rules: Iterable[Rule]) -> list[View]:
    """Rules as IpPermissions: one for each protocol and ports, whoever the peers are."""
    found: dict[tuple[Any, ...], View] = {}
    for rule in rules:
        ports = {} if rule.from_port is None else {"FromPort": rule.from_port, "ToPort": rule.to_port}
        empty: View = {"IpProtocol": rule.protocol, **ports}
        for name in ("IpRanges", "Ipv6Ranges", "PrefixListIds", "UserIdGroupPairs"):
            empty[name] = []
        one = found.setdefault((rule.protocol, rule.from_port, rule.to_port), empty)
        text = {"Description": rule.description} if rule.description else {}
        if rule.cidr4:
            one["IpRanges"].append({"CidrIp": rule.cidr4, **text})
        elif rule.cidr6:
            one["Ipv6Ranges"].append({"CidrIpv6": rule.cidr6, **text})
        else:
            one["UserIdGroupPairs"].append({"GroupId": rule.peer_group_id, "UserId": rule.account_id, **text})
    return list(found.values())


def rule_view(rule: Rule) -> View:
    """A rule by itself: without ports it says -1."""
    view: View = {
        "SecurityGroupRuleId": rule.resource_id,
        "SecurityGroupRuleArn": rule.arn,
        "GroupId": rule.group_id,
        "GroupOwnerId": rule.account_id,
        "IsEgress": rule.is_egress,
        "IpProtocol": rule.protocol,
        **_ports(rule),
        "Tags": tag_list(rule.tags),
    }
    if rule.cidr4:
        view["CidrIpv4"] = rule.cidr4
    elif rule.cidr6:
        view["CidrIpv6"] = rule.cidr6
    else:
        view["ReferencedGroupInfo"] = {"GroupId": rule.peer_group_id, "UserId": rule.account_id}
    return view | ({"Description": rule.description} if rule.description else {})


def revoked_view(rule: Rule) -> View:
    """A rule that is no more."""
    view: View = {
        "SecurityGroupRuleId": rule.resource_id,
        "GroupId": rule.group_id,
        "IsEgress": rule.is_egress,
        "IpProtocol": rule.protocol,
        **_ports(rule),
    }
    peers = {"CidrIpv4": rule.cidr4, "CidrIpv6": rule.cidr6, "ReferencedGroupId": rule.peer_group_id}
    texts = {**peers, "Description": rule.description}
    return view | {name: text for name, text in texts.items() if text}


def _ports(rule: Rule) -> View:
    return {
        "FromPort": -1 if rule.from_port is None else rule.from_port,
        "ToPort": -1 if rule.to_port is None else rule.to_port,
    }


def gateway_view(gateway: InternetGateway) -> View:
    """An internet gateway."""
    attached = [{"State": "available", "VpcId": gateway.vpc_id}] if gateway.vpc_id else []
    return {
        "InternetGatewayId": gateway.resource_id,
        "OwnerId": gateway.account_id,
        "Attachments": attached,
        "Tags": tag_list(gateway.tags),
    }


def route_view(route: Route, attached: Iterable[str]) -> View:
    """A route; `attached`: the gateways of the VPC. To another one it leads nowhere."""
    return {
        "DestinationCidrBlock": route.destination,
        "GatewayId": route.gateway_id,
        "Origin": "CreateRoute",
        "State": "active" if route.gateway_id in attached else "blackhole",
    }


def association_view(table: RouteTable, one: Association) -> View:
    """A subnet's, or the main, association."""
    return {
        "RouteTableAssociationId": one.association_id,
        "RouteTableId": table.resource_id,
        "Main": not one.subnet_id,
        "AssociationState": {"State": "associated"},
        **({"SubnetId": one.subnet_id} if one.subnet_id else {}),
    }


def table_view(table: RouteTable, vpc: Vpc, attached: Sequence[str]) -> View:
    """A route table: the VPC's own range is always in it."""
    local = {
        "DestinationCidrBlock": vpc.cidr,
        "GatewayId": "local",
        "Origin": "CreateRouteTable",
        "State": "active",
    }
    return {
        "RouteTableId": table.resource_id,
        "VpcId": table.vpc_id,
        "OwnerId": table.account_id,
        "Associations": [association_view(table, one) for one in table.associations],
        "PropagatingVgws": [],
        "Routes": [local, *(route_view(route, attached) for route in table.routes)],
        "Tags": tag_list(table.tags),
    }


def acl_view(acl: NetworkAcl, subnets: Iterable[Subnet]) -> View:
    """A VPC's own ACL.

    Source: VPC user guide, "Default network ACL": all is allowed, then the rule that denies.
    """
    entries = [
        {
            "CidrBlock": "0.0.0.0/0",
            "Egress": egress,
            "Protocol": "-1",
            "RuleAction": action,
            "RuleNumber": number,
        }
        for egress in (True, False)
        for action, number in (("allow", 100), ("deny", 32767))
    ]
    return {
        "NetworkAclId": acl.resource_id,
        "VpcId": acl.vpc_id,
        "OwnerId": acl.account_id,
        "IsDefault": True,
        "Associations": [
            {
                "NetworkAclAssociationId": subnet.acl_association_id,
                "NetworkAclId": acl.resource_id,
                "SubnetId": subnet.resource_id,
            }
            for subnet in subnets
        ],
        "Entries": entries,
        "Tags": tag_list(acl.tags),
    }


PUBLIC_OWNER = "amazon"
"""Whose public addresses are that nobody has allocated."""


def interface_view(one: NetworkInterface, names: Mapping[str, str]) -> View:
    """A network interface; `names`: of its groups."""
    name = private_name(one.address, one.region)
    view: View = {
        "NetworkInterfaceId": one.resource_id,
        "InterfaceType": "interface",
        "Description": one.description,
        "SubnetId": one.subnet_id,
        "VpcId": one.vpc_id,
        "AvailabilityZone": one.zone,
        "AvailabilityZoneId": zone_id(one.zone),
        "OwnerId": one.account_id,
        "RequesterManaged": bool(one.requester_id),
        "Status": one.status,
        "MacAddress": one.mac,
        "PrivateIpAddress": one.address,
        "PrivateDnsName": name,
        "PrivateIpAddresses": [{"Primary": True, "PrivateIpAddress": one.address, "PrivateDnsName": name}],
        "Ipv6Addresses": [],
        "SourceDestCheck": True,
        "Groups": [{"GroupId": group, "GroupName": names.get(group, "")} for group in one.groups],
        "TagSet": tag_list(one.tags),
    }
    if one.public_address:
        public = {"IpOwnerId": PUBLIC_OWNER, "PublicIp": one.public_address, "PublicDnsName": ""}
        view["Association"] = public
        view["PrivateIpAddresses"][0]["Association"] = public
    if one.requester_id:
        view["RequesterId"] = one.requester_id
    if one.attachment is not None:
        view["Attachment"] = attachment_view(one)
    return view


def attachment_view(one: NetworkInterface) -> View:
    """Where an interface is plugged in; nothing when it is not."""
    if one.attachment is None:
        return {}
    held = one.attachment
    return {
        "AttachmentId": held.attachment_id,
        "AttachTime": held.attached_at,
        "DeleteOnTermination": False,
        "DeviceIndex": held.device_index,
        "InstanceOwnerId": one.requester_id or one.account_id,
        "Status": "attached",
        # What is plugged into a machine of Fargate's shows none.
        **({"InstanceId": held.instance_id} if held.instance_id.startswith("i-") else {}),
    }


def tag_views(one: Resource) -> list[View]:
    """A resource's tags as DescribeTags lists them."""
    return [
        {"ResourceId": one.resource_id, "ResourceType": one.type, "Key": tag["Key"], "Value": tag["Value"]}
        for tag in tag_list(one.tags)
    ]
