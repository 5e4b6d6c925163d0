"""Who may do what to which network. Source: Service Authorization Reference, Amazon EC2."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest

from tests.api.ec2.conftest import code, filters, named, refused
from tests.kit.iam import fresh
from tests.kit.server import ACCOUNT, Live

ARN = f"arn:aws:ec2:us-east-1:{ACCOUNT}"
Caller = Callable[..., Any]


def allow(action: str | list[str], resource: str | list[str] = "*", **condition: Any) -> dict[str, Any]:
    held = {"Condition": condition} if condition else {}
    return {"Effect": "Allow", "Action": action, "Resource": resource, **held}


@pytest.fixture
def caller(live: Live) -> Caller:
    """An EC2 client of a new user who may what the statements say."""
    iam = live.client("iam")

    def make(*statements: dict[str, Any]) -> Any:
        name = fresh("ec2-user")
        iam.create_user(UserName=name)
        document = json.dumps({"Version": "2012-10-17", "Statement": list(statements)})
        iam.put_user_policy(UserName=name, PolicyName="p", PolicyDocument=document)
        key = iam.create_access_key(UserName=name)["AccessKey"]
        return live.client(
            "ec2", aws_access_key_id=key["AccessKeyId"], aws_secret_access_key=key["SecretAccessKey"]
        )

    return make


@pytest.fixture(scope="module")
def vpc(ec2: Any) -> str:
    return str(ec2.create_vpc(CidrBlock="10.0.0.0/16")["Vpc"]["VpcId"])


def test_who_may_nothing_is_told_in_ec2s_words(caller: Caller) -> None:
    nobody = caller(allow("s3:*"))
    denied, text = refused(nobody.describe_vpcs)
    assert denied == "UnauthorizedOperation"
    assert "ec2:DescribeVpcs" in text
    assert "Encoded authorization failure message: " in text
    assert (
        code(lambda: nobody.delete_vpc(VpcId="vpc-00000000000000000", DryRun=True)) == "UnauthorizedOperation"
    )


def test_a_listing_is_about_nothing_in_particular(caller: Caller) -> None:
    reader = caller(allow("ec2:Describe*"))
    assert reader.describe_vpcs()["Vpcs"]
    only_one = caller(allow("ec2:DescribeVpcs", f"{ARN}:vpc/vpc-1"))
    assert code(only_one.describe_vpcs) == "UnauthorizedOperation"
    assert code(lambda: reader.create_vpc(CidrBlock="10.0.0.0/16")) == "UnauthorizedOperation"


def test_a_subnet_needs_its_vpc_and_subnets_at_all(caller: Caller, ec2: Any, vpc: str) -> None:
    asked = {"VpcId": vpc, "CidrBlock": "10.0.0.0/24", "DryRun": True}
    both = [f"{ARN}:vpc/{vpc}", f"{ARN}:subnet/*"]
    assert code(lambda: caller(allow("ec2:CreateSubnet", both)).create_subnet(**asked)) == "DryRunOperation"
    for some in both:
        half = caller(allow("ec2:CreateSubnet", some))
        assert code(lambda: half.create_subnet(**asked)) == "UnauthorizedOperation"  # noqa: B023
    other = caller(allow("ec2:CreateSubnet", [f"{ARN}:vpc/vpc-1", both[1]]))
    assert code(lambda: other.create_subnet(**asked)) == "UnauthorizedOperation"


def test_a_policy_may_be_about_one_vpc(caller: Caller, ec2: Any, vpc: str) -> None:
    mine = ec2.create_security_group(GroupName=fresh(), Description="x", VpcId=vpc)["GroupId"]
    (others,) = ec2.describe_security_groups(GroupNames=["default"])["SecurityGroups"]
    actions = ["ec2:AuthorizeSecurityGroupIngress", "ec2:DeleteSecurityGroup"]
    one = caller(allow(actions, ArnEquals={"ec2:Vpc": f"{ARN}:vpc/{vpc}"}))
    rule = [{"IpProtocol": "-1", "IpRanges": [{"CidrIp": "0.0.0.0/0"}]}]
    one.authorize_security_group_ingress(GroupId=mine, IpPermissions=rule)
    elsewhere = {"GroupId": others["GroupId"], "IpPermissions": rule}
    assert code(lambda: one.authorize_security_group_ingress(**elsewhere)) == "UnauthorizedOperation"
    one.delete_security_group(GroupId=mine)


def test_a_policy_may_be_about_tags(caller: Caller, ec2: Any, vpc: str) -> None:
    groups = [
        ec2.create_security_group(
            GroupName=fresh(),
            Description="x",
            VpcId=vpc,
            TagSpecifications=named("security-group", team=team),
        )["GroupId"]
        for team in "ab"
    ]
    one = caller(allow("ec2:DeleteSecurityGroup", StringEquals={"aws:ResourceTag/team": "a"}))
    assert code(lambda: one.delete_security_group(GroupId=groups[1])) == "UnauthorizedOperation"
    one.delete_security_group(GroupId=groups[0])


def test_tags_on_creation_need_their_own_permission(caller: Caller, vpc: str) -> None:
    """Source: EC2 user guide, "Grant permission to tag resources during creation"."""
    asked = {"GroupName": fresh(), "Description": "x", "VpcId": vpc, "DryRun": True}
    tagged = {**asked, "TagSpecifications": named("security-group", team="a")}
    plain = caller(allow("ec2:CreateSecurityGroup"))
    assert code(lambda: plain.create_security_group(**asked)) == "DryRunOperation"
    assert code(lambda: plain.create_security_group(**tagged)) == "UnauthorizedOperation"
    only_then = allow("ec2:CreateTags", StringEquals={"ec2:CreateAction": "CreateSecurityGroup"})
    tagger = caller(allow("ec2:CreateSecurityGroup"), only_then)
    assert code(lambda: tagger.create_security_group(**tagged)) == "DryRunOperation"
    later = {"Resources": [vpc], "Tags": [{"Key": "team", "Value": "a"}]}
    assert code(lambda: tagger.create_tags(**later)) == "UnauthorizedOperation"
    some = caller(allow("ec2:*", StringEquals={"aws:RequestTag/team": "b"}))
    assert code(lambda: some.create_security_group(**tagged)) == "UnauthorizedOperation"


def test_a_group_that_is_not_there_is_denied_like_one_that_is(caller: Caller, ec2: Any, vpc: str) -> None:
    (there,) = ec2.describe_security_groups(Filters=filters(vpc_id=vpc, group_name="default"))[
        "SecurityGroups"
    ]
    nobody = caller(allow("ec2:Describe*"))
    for group in (there["GroupId"], "sg-00000000000000000"):
        assert code(lambda: nobody.delete_security_group(GroupId=group)) == "UnauthorizedOperation"  # noqa: B023


def test_a_policy_may_be_about_regions(caller: Caller, vpc: str) -> None:
    one = caller(allow("ec2:*", StringEquals={"ec2:Region": "eu-west-1"}))
    assert code(lambda: one.delete_vpc(VpcId=vpc, DryRun=True)) == "UnauthorizedOperation"


def test_who_may_change_a_group_gives_it_rules_and_a_rule_is_changed_by_its_own_permission(
    caller: Caller, ec2: Any, vpc: str
) -> None:
    """Source: EC2 user guide, example policies, "Control access to security groups"."""
    group = ec2.create_security_group(GroupName=fresh(), Description="x", VpcId=vpc)["GroupId"]
    actions = ["ec2:AuthorizeSecurityGroupIngress", "ec2:ModifySecurityGroupRules"]
    on_groups = allow(actions, f"{ARN}:security-group/*")
    one = caller(on_groups)
    rule = [{"IpProtocol": "-1", "IpRanges": [{"CidrIp": "10.0.0.0/8"}]}]
    made = one.authorize_security_group_ingress(GroupId=group, IpPermissions=rule)["SecurityGroupRules"]
    new = {"IpProtocol": "-1", "CidrIpv4": "192.0.2.0/24"}
    update = {"SecurityGroupRuleId": made[0]["SecurityGroupRuleId"], "SecurityGroupRule": new}
    asked = {"GroupId": group, "SecurityGroupRules": [update]}
    assert code(lambda: one.modify_security_group_rules(**asked)) == "UnauthorizedOperation"
    on_rules = allow("ec2:ModifySecurityGroupRules", f"{ARN}:security-group-rule/*")
    assert caller(on_groups, on_rules).modify_security_group_rules(**asked)["Return"]


def test_an_association_is_its_tables(caller: Caller, ec2: Any, vpc: str) -> None:
    subnet = ec2.create_subnet(VpcId=vpc, CidrBlock="10.0.200.0/24")["Subnet"]["SubnetId"]
    tables = [ec2.create_route_table(VpcId=vpc)["RouteTable"]["RouteTableId"] for _ in range(2)]
    held = {
        "AssociationId": ec2.associate_route_table(RouteTableId=tables[0], SubnetId=subnet)["AssociationId"]
    }
    other = caller(allow("ec2:DisassociateRouteTable", f"{ARN}:route-table/{tables[1]}"))
    assert code(lambda: other.disassociate_route_table(**held)) == "UnauthorizedOperation"
    lost = {"AssociationId": "rtbassoc-00000000000000000"}
    assert code(lambda: other.disassociate_route_table(**lost)) == "UnauthorizedOperation"
    caller(allow("ec2:DisassociateRouteTable", f"{ARN}:route-table/{tables[0]}")).disassociate_route_table(
        **held
    )
