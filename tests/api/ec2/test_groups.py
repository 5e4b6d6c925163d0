"""Security groups and their rules through boto3.

Sources: EC2 API Reference; VPC user guide, "Security groups".
"""

from __future__ import annotations

from itertools import count
from typing import Any

import pytest

from tests.api.ec2.conftest import code, filters, named, refused

NUMBER = count()
WORLD = [{"CidrIp": "0.0.0.0/0"}]
SSH = {"IpProtocol": "tcp", "FromPort": 22, "ToPort": 22, "IpRanges": WORLD}


@pytest.fixture(scope="module")
def vpc(ec2: Any) -> str:
    return str(ec2.create_vpc(CidrBlock="10.0.0.0/16")["Vpc"]["VpcId"])


@pytest.fixture
def group(ec2: Any, vpc: str) -> str:
    return make(ec2, vpc)


def make(ec2: Any, vpc: str, **more: Any) -> str:
    name = f"group-{next(NUMBER)}"
    return str(
        ec2.create_security_group(GroupName=name, Description="for tests", VpcId=vpc, **more)["GroupId"]
    )


def shown(ec2: Any, group: str) -> dict[str, Any]:
    (found,) = ec2.describe_security_groups(GroupIds=[group])["SecurityGroups"]
    return dict(found)


def rules(ec2: Any, group: str, *, is_egress: bool = False) -> list[dict[str, Any]]:
    found = ec2.describe_security_group_rules(Filters=filters(group_id=group))["SecurityGroupRules"]
    return [one for one in found if one["IsEgress"] == is_egress]


def test_a_new_group_lets_everything_out_and_nothing_in(ec2: Any, vpc: str) -> None:
    made = ec2.create_security_group(
        GroupName="new", Description="a b", VpcId=vpc, TagSpecifications=named("security-group", a="b")
    )
    found = shown(ec2, made["GroupId"])
    assert found["SecurityGroupArn"] == made["SecurityGroupArn"]
    assert made["SecurityGroupArn"].endswith(f":security-group/{made['GroupId']}")
    assert (found["GroupName"], found["Description"], found["VpcId"]) == ("new", "a b", vpc)
    assert found["Tags"] == made["Tags"] == [{"Key": "a", "Value": "b"}]
    assert found["IpPermissions"] == []
    (out,) = found["IpPermissionsEgress"]
    assert (out["IpProtocol"], out["IpRanges"], "FromPort" in out) == ("-1", WORLD, False)


@pytest.mark.parametrize(
    ("changes", "wanted"),
    [
        ({"GroupName": "default"}, "InvalidGroup.Reserved"),
        ({"GroupName": "sg-1"}, "InvalidParameterValue"),
        ({"GroupName": "x" * 256}, "InvalidParameterValue"),
        ({"GroupName": "ö"}, "InvalidParameterValue"),
        ({"Description": "ö"}, "InvalidParameterValue"),
        ({"Description": ""}, "MissingParameter"),
        ({"VpcId": "vpc-00000000000000000"}, "InvalidVpcID.NotFound"),
    ],
)
def test_a_group_that_cannot_be_is_refused(ec2: Any, vpc: str, changes: dict[str, str], wanted: str) -> None:
    asked = {"GroupName": "fine", "Description": "fine", "VpcId": vpc, **changes}
    assert code(lambda: ec2.create_security_group(**asked)) == wanted


def test_names_are_unique_in_a_vpc(ec2: Any, vpc: str) -> None:
    ec2.create_security_group(GroupName="unique", Description="x", VpcId=vpc)
    again = {"GroupName": "unique", "Description": "x", "VpcId": vpc}
    assert refused(lambda: ec2.create_security_group(**again)) == (
        "InvalidGroup.Duplicate",
        f"The security group 'unique' already exists for VPC '{vpc}'",
    )
    elsewhere = ec2.create_security_group(GroupName="unique", Description="x")["GroupId"]
    (found,) = ec2.describe_security_groups(GroupNames=["unique"])["SecurityGroups"]
    assert found["GroupId"] == elsewhere
    assert code(lambda: ec2.describe_security_groups(GroupNames=["nobody"])) == "InvalidGroup.NotFound"
    ec2.delete_security_group(GroupName="unique")
    assert code(lambda: ec2.describe_security_groups(GroupIds=[elsewhere])) == "InvalidGroup.NotFound"


def test_rules_are_added_and_shown_in_both_forms(ec2: Any, vpc: str, group: str) -> None:
    other = make(ec2, vpc)
    answer = ec2.authorize_security_group_ingress(
        GroupId=group,
        IpPermissions=[
            {**SSH, "IpRanges": [{"CidrIp": "10.1.2.3/8", "Description": "home"}]},
            {"IpProtocol": "tcp", "FromPort": 80, "ToPort": 80, "UserIdGroupPairs": [{"GroupId": other}]},
            {"IpProtocol": "-1", "Ipv6Ranges": [{"CidrIpv6": "::/0"}]},
        ],
        TagSpecifications=named("security-group-rule", a="b"),
    )
    assert answer["Return"]
    made = answer["SecurityGroupRules"]
    assert made == rules(ec2, group)
    ssh, web, v6 = made
    assert (ssh["CidrIpv4"], ssh["FromPort"], ssh["ToPort"], ssh["Description"]) == (
        "10.0.0.0/8",
        22,
        22,
        "home",
    )
    assert ssh["Tags"] == [{"Key": "a", "Value": "b"}]
    assert web["ReferencedGroupInfo"] == {"GroupId": other, "UserId": "000000000000"}
    assert (v6["IpProtocol"], v6["FromPort"], v6["ToPort"], v6["CidrIpv6"]) == ("-1", -1, -1, "::/0")
    permissions = shown(ec2, group)["IpPermissions"]
    assert [(one["IpProtocol"], one.get("FromPort")) for one in permissions] == [
        ("tcp", 22),
        ("tcp", 80),
        ("-1", None),
    ]
    assert permissions[0]["IpRanges"] == [{"CidrIp": "10.0.0.0/8", "Description": "home"}]
    assert permissions[1]["UserIdGroupPairs"] == [{"GroupId": other, "UserId": "000000000000"}]


def test_a_rule_that_is_there_is_not_added_and_nothing_beside_it(ec2: Any, group: str) -> None:
    ec2.authorize_security_group_ingress(GroupId=group, IpPermissions=[SSH])
    http = {**SSH, "FromPort": 80, "ToPort": 80}
    both = {"GroupId": group, "IpPermissions": [http, SSH]}
    assert refused(lambda: ec2.authorize_security_group_ingress(**both)) == (
        "InvalidPermission.Duplicate",
        'the specified rule "peer: 0.0.0.0/0, TCP, from port: 22, to port: 22, ALLOW" already exists',
    )
    assert len(rules(ec2, group)) == 1
    twice = {"GroupId": group, "IpPermissions": [http, http]}
    assert code(lambda: ec2.authorize_security_group_ingress(**twice)) == "InvalidParameterValue"
    out = {"IpProtocol": "-1", "IpRanges": WORLD}
    again = {"GroupId": group, "IpPermissions": [out]}
    assert code(lambda: ec2.authorize_security_group_egress(**again)) == "InvalidPermission.Duplicate"


def test_flat_members_add_and_take_away_a_rule(ec2: Any, group: str) -> None:
    flat = {"GroupId": group, "IpProtocol": "tcp", "FromPort": 22, "ToPort": 22, "CidrIp": "0.0.0.0/0"}
    ec2.authorize_security_group_ingress(**flat)
    assert len(rules(ec2, group)) == 1
    ec2.revoke_security_group_ingress(**flat)
    assert rules(ec2, group) == []


def test_groups_refer_to_groups_of_their_vpc_only(ec2: Any, vpc: str, group: str) -> None:
    elsewhere = ec2.describe_security_groups(GroupNames=["default"])["SecurityGroups"][0]["GroupId"]

    def refer(**pair: str) -> str:
        permission = {"IpProtocol": "-1", "UserIdGroupPairs": [pair]}
        asked = {"GroupId": group, "IpPermissions": [permission]}
        return code(lambda: ec2.authorize_security_group_ingress(**asked))

    assert refer(GroupId=elsewhere) == "InvalidGroup.NotFound"
    assert refer(GroupId="sg-00000000000000000") == "InvalidGroup.NotFound"
    assert refer(GroupId="nonsense") == "InvalidGroupId.Malformed"
    assert refer(GroupId=group, UserId="111111111111") == "InvalidGroup.NotFound"
    own = {"IpProtocol": "-1", "UserIdGroupPairs": [{"GroupId": group, "UserId": "000000000000"}]}
    ec2.authorize_security_group_ingress(GroupId=group, IpPermissions=[own])
    assert rules(ec2, group)[0]["ReferencedGroupInfo"]["GroupId"] == group


def test_rules_are_taken_away_by_what_they_say_or_by_their_ids(ec2: Any, group: str) -> None:
    http = {**SSH, "FromPort": 80, "ToPort": 80}
    made = ec2.authorize_security_group_ingress(GroupId=group, IpPermissions=[SSH, http])[
        "SecurityGroupRules"
    ]
    gone = ec2.revoke_security_group_ingress(GroupId=group, IpPermissions=[SSH])
    assert [one["SecurityGroupRuleId"] for one in gone["RevokedSecurityGroupRules"]] == [
        made[0]["SecurityGroupRuleId"]
    ]
    both = {"GroupId": group, "IpPermissions": [SSH, http]}
    assert code(lambda: ec2.revoke_security_group_ingress(**both)) == "InvalidPermission.NotFound"
    assert len(rules(ec2, group)) == 1
    by_id = {"GroupId": group, "SecurityGroupRuleIds": [made[1]["SecurityGroupRuleId"]]}
    wanted = "InvalidSecurityGroupRuleId.NotFound"
    assert code(lambda: ec2.revoke_security_group_egress(**by_id)) == wanted
    ec2.revoke_security_group_ingress(**by_id)
    assert code(lambda: ec2.revoke_security_group_ingress(**by_id)) == wanted
    ec2.revoke_security_group_egress(GroupId=group, IpPermissions=[{"IpProtocol": "-1", "IpRanges": WORLD}])
    assert rules(ec2, group, is_egress=True) == []


def test_in_the_default_vpc_a_missing_rule_is_only_told(ec2: Any) -> None:
    """Source: API Reference, RevokeSecurityGroupIngress."""
    group = ec2.create_security_group(GroupName="lenient", Description="x")["GroupId"]
    told = ec2.revoke_security_group_ingress(GroupId=group, IpPermissions=[SSH])
    assert told["RevokedSecurityGroupRules"] == []
    (unknown,) = told["UnknownIpPermissions"]
    assert (unknown["FromPort"], unknown["IpRanges"]) == (22, WORLD)
    ec2.delete_security_group(GroupId=group)


def test_a_rule_is_changed_and_keeps_its_id_and_tags(ec2: Any, group: str) -> None:
    tags = named("security-group-rule", a="b")
    made = ec2.authorize_security_group_ingress(GroupId=group, IpPermissions=[SSH], TagSpecifications=tags)
    rule_id = made["SecurityGroupRules"][0]["SecurityGroupRuleId"]
    new = {
        "IpProtocol": "tcp",
        "FromPort": 443,
        "ToPort": 443,
        "CidrIpv4": "10.0.0.0/8",
        "Description": "tls",
    }

    def modify(**changes: Any) -> Any:
        update = {"SecurityGroupRuleId": rule_id, "SecurityGroupRule": {**new, **changes}}
        return ec2.modify_security_group_rules(GroupId=group, SecurityGroupRules=[update])

    modify()
    (found,) = rules(ec2, group)
    assert (found["SecurityGroupRuleId"], found["FromPort"], found["CidrIpv4"]) == (
        rule_id,
        443,
        "10.0.0.0/8",
    )
    assert (found["Description"], found["Tags"]) == ("tls", [{"Key": "a", "Value": "b"}])
    modify()
    http = {**SSH, "FromPort": 80, "ToPort": 80}
    ec2.authorize_security_group_ingress(GroupId=group, IpPermissions=[http])
    taken = {"FromPort": 80, "ToPort": 80, "CidrIpv4": "0.0.0.0/0"}
    assert code(lambda: modify(**taken)) == "InvalidPermission.Duplicate"
    assert code(lambda: modify(CidrIpv6="::/0")) == "InvalidParameterCombination"


def test_descriptions_are_changed_by_what_rules_say_or_by_their_ids(ec2: Any, group: str) -> None:
    made = ec2.authorize_security_group_ingress(GroupId=group, IpPermissions=[SSH])["SecurityGroupRules"]
    told = {**SSH, "IpRanges": [{**WORLD[0], "Description": "by words"}]}
    ec2.update_security_group_rule_descriptions_ingress(GroupId=group, IpPermissions=[told])
    assert rules(ec2, group)[0]["Description"] == "by words"
    by_id = {"SecurityGroupRuleId": made[0]["SecurityGroupRuleId"], "Description": "by id"}
    ec2.update_security_group_rule_descriptions_ingress(GroupId=group, SecurityGroupRuleDescriptions=[by_id])
    assert rules(ec2, group)[0]["Description"] == "by id"
    other = {"GroupId": group, "IpPermissions": [{**SSH, "FromPort": 1}]}
    wanted = "InvalidPermission.NotFound"
    assert code(lambda: ec2.update_security_group_rule_descriptions_ingress(**other)) == wanted


def test_a_group_in_use_is_not_deleted(ec2: Any, vpc: str, group: str) -> None:
    other = make(ec2, vpc)
    permission = {"IpProtocol": "-1", "UserIdGroupPairs": [{"GroupId": group}]}
    ec2.authorize_security_group_ingress(GroupId=other, IpPermissions=[permission])
    assert refused(lambda: ec2.delete_security_group(GroupId=group)) == (
        "DependencyViolation",
        f"resource {group} has a dependent object",
    )
    ec2.delete_security_group(GroupId=other)
    subnet = ec2.create_subnet(VpcId=vpc, CidrBlock=f"10.0.{next(NUMBER)}.0/24")["Subnet"]["SubnetId"]
    made = ec2.create_network_interface(SubnetId=subnet, Groups=[group])["NetworkInterface"]
    assert code(lambda: ec2.delete_security_group(GroupId=group)) == "DependencyViolation"
    ec2.delete_network_interface(NetworkInterfaceId=made["NetworkInterfaceId"])
    assert ec2.delete_security_group(GroupId=group)["GroupId"] == group
    assert code(lambda: ec2.delete_security_group(GroupId=group)) == "InvalidGroup.NotFound"
    assert rules(ec2, group) == []


def test_a_vpcs_own_group_is_not_deleted(ec2: Any, vpc: str) -> None:
    own = filters(vpc_id=vpc, group_name="default")
    (default,) = ec2.describe_security_groups(Filters=own)["SecurityGroups"]
    gone = default["GroupId"]
    assert refused(lambda: ec2.delete_security_group(GroupId=gone)) == (
        "CannotDelete",
        f'the specified group: "{gone}" name: "default" cannot be deleted by a user',
    )


def test_a_group_has_sixty_rules_in_each_direction(ec2: Any, group: str) -> None:
    """Source: VPC user guide, "Amazon VPC quotas"."""
    many = [{**SSH, "FromPort": port, "ToPort": port} for port in range(100, 160)]
    ec2.authorize_security_group_ingress(GroupId=group, IpPermissions=many)
    more = {"GroupId": group, "IpPermissions": [SSH]}
    assert code(lambda: ec2.authorize_security_group_ingress(**more)) == "RulesPerSecurityGroupLimitExceeded"
    ec2.authorize_security_group_egress(**more)


def test_groups_are_found_by_their_rules(ec2: Any, vpc: str, group: str) -> None:
    other = make(ec2, vpc)
    named_peer = shown(ec2, other)["GroupName"]
    ec2.authorize_security_group_ingress(
        GroupId=group,
        IpPermissions=[
            {**SSH, "IpRanges": [{"CidrIp": "192.0.2.0/24"}]},
            {"IpProtocol": "udp", "FromPort": 53, "ToPort": 54, "UserIdGroupPairs": [{"GroupId": other}]},
        ],
    )

    def found(**asked: str) -> bool:
        given = [
            {"Name": f"ip-permission.{name.replace('_', '-')}", "Values": [value]}
            for name, value in asked.items()
        ]
        listed = ec2.describe_security_groups(Filters=[*filters(vpc_id=vpc), *given])["SecurityGroups"]
        return group in {one["GroupId"] for one in listed}

    assert found(cidr="192.0.2.0/24")
    assert found(protocol="udp", to_port="54")
    assert found(group_id=other, user_id="000000000000")
    assert found(group_name=named_peer)
    assert not found(cidr="198.51.100.0/24")
    assert not found(ipv6_cidr="*")
    out = [{"Name": "egress.ip-permission.cidr", "Values": ["0.0.0.0/0"]}]
    listed = ec2.describe_security_groups(Filters=[*filters(group_id=group), *out])["SecurityGroups"]
    assert len(listed) == 1
