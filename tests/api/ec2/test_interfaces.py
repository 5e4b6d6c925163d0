"""Network interfaces, tags and local instances through boto3. Source: EC2 API Reference."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime
from typing import Any

import pytest

from homeport.core.ids import SystemIds
from homeport.services.ec2.manifest import Attachment, Shelf, Subnet, add_interface
from tests.api.ec2.conftest import by_tag, code, filters, named, refused
from tests.kit.server import ACCOUNT, REGION, Live


@pytest.fixture(scope="module")
def vpc(ec2: Any) -> str:
    return str(ec2.create_vpc(CidrBlock="10.0.0.0/16")["Vpc"]["VpcId"])


@pytest.fixture(scope="module")
def subnet(ec2: Any, vpc: str) -> str:
    return str(ec2.create_subnet(VpcId=vpc, CidrBlock="10.0.0.0/24")["Subnet"]["SubnetId"])


def made(ec2: Any, subnet: str, **asked: Any) -> dict[str, Any]:
    return dict(ec2.create_network_interface(SubnetId=subnet, **asked)["NetworkInterface"])


def test_an_interface_has_an_address_and_its_vpcs_group(ec2: Any, vpc: str, subnet: str) -> None:
    one = made(ec2, subnet, Description="mine", TagSpecifications=named("network-interface", a="b"))
    assert (one["Status"], one["RequesterManaged"], one["VpcId"]) == ("available", False, vpc)
    assert one["PrivateIpAddress"].startswith("10.0.0.")
    assert one["PrivateIpAddresses"][0]["Primary"]
    assert [group["GroupName"] for group in one["Groups"]] == ["default"]
    assert one["TagSet"] == [{"Key": "a", "Value": "b"}]
    (shown,) = ec2.describe_network_interfaces(NetworkInterfaceIds=[one["NetworkInterfaceId"]])[
        "NetworkInterfaces"
    ]
    assert shown == one
    ec2.delete_network_interface(NetworkInterfaceId=one["NetworkInterfaceId"])
    lost = {"NetworkInterfaceIds": [one["NetworkInterfaceId"]]}
    assert code(lambda: ec2.describe_network_interfaces(**lost)) == "InvalidNetworkInterfaceID.NotFound"


def test_an_address_may_be_asked_for(ec2: Any, subnet: str) -> None:
    one = made(ec2, subnet, PrivateIpAddress="10.0.0.200")
    assert one["PrivateIpAddress"] == "10.0.0.200"

    def ask(**asked: Any) -> str:
        return code(lambda: made(ec2, subnet, **asked))

    assert ask(PrivateIpAddress="10.0.0.200") == "InvalidIPAddress.InUse"
    assert ask(PrivateIpAddress="10.0.1.1") == "InvalidParameterValue"
    assert ask(PrivateIpAddress="10.0.0.3") == "InvalidParameterValue"
    assert ask(PrivateIpAddress="10.0.0.255") == "InvalidParameterValue"
    assert ask(PrivateIpAddress="nonsense") == "InvalidParameterValue"
    secondary = [{"PrivateIpAddress": "10.0.0.201", "Primary": False}]
    assert ask(PrivateIpAddresses=secondary) == "UnsupportedOperation"
    assert ask(SecondaryPrivateIpAddressCount=1) == "UnsupportedOperation"
    assert ask(InterfaceType="efa") == "UnsupportedOperation"
    ec2.delete_network_interface(NetworkInterfaceId=one["NetworkInterfaceId"])
    assert made(ec2, subnet, PrivateIpAddress="10.0.0.200")["PrivateIpAddress"] == "10.0.0.200"


def test_an_interfaces_groups_are_its_vpcs_and_at_most_five(ec2: Any, vpc: str, subnet: str) -> None:
    groups = [
        ec2.create_security_group(GroupName=f"g{number}", Description="x", VpcId=vpc)["GroupId"]
        for number in range(6)
    ]
    assert code(lambda: made(ec2, subnet, Groups=groups)) == "SecurityGroupsPerInterfaceLimitExceeded"
    elsewhere = ec2.describe_security_groups(GroupNames=["default"])["SecurityGroups"][0]["GroupId"]
    assert code(lambda: made(ec2, subnet, Groups=[elsewhere])) == "InvalidGroup.NotFound"
    one = made(ec2, subnet, Groups=groups[:2])["NetworkInterfaceId"]
    ec2.modify_network_interface_attribute(NetworkInterfaceId=one, Groups=groups[1:3])
    found = ec2.describe_network_interface_attribute(NetworkInterfaceId=one, Attribute="groupSet")["Groups"]
    assert [group["GroupId"] for group in found] == groups[1:3]
    by_group = filters(group_id=groups[2])
    assert len(ec2.describe_network_interfaces(Filters=by_group)["NetworkInterfaces"]) == 1
    ec2.modify_network_interface_attribute(NetworkInterfaceId=one, Description={"Value": "new"})
    asked = {"NetworkInterfaceId": one, "Attribute": "description"}
    assert ec2.describe_network_interface_attribute(**asked)["Description"] == {"Value": "new"}
    unchecked = {"NetworkInterfaceId": one, "SourceDestCheck": {"Value": False}}
    assert code(lambda: ec2.modify_network_interface_attribute(**unchecked)) == "UnsupportedOperation"


def test_a_client_token_makes_one_interface(ec2: Any, subnet: str) -> None:
    both = [made(ec2, subnet, ClientToken="one")["NetworkInterfaceId"] for _ in range(2)]
    assert both[0] == both[1]
    other = {"ClientToken": "one", "Description": "other"}
    assert code(lambda: made(ec2, subnet, **other)) == "IdempotentParameterMismatch"


def test_what_a_service_made_is_its_own(live: Live, ec2: Any, subnet: str) -> None:
    held = Attachment(attachment_id="ela-attach-0", attached_at=datetime(2026, 1, 1, tzinfo=UTC))

    def work(tx: Any) -> str:
        shelf = Shelf(tx, ACCOUNT, REGION)
        return add_interface(
            shelf, SystemIds(), shelf.get(Subnet, subnet), requester_id="ecs.amazonaws.com", attachment=held,
            description="arn:aws:ecs:us-east-1:000000000000:attachment/x",
        ).resource_id  # fmt: skip

    one = live.run(live.plane.store.write(work))
    (shown,) = ec2.describe_network_interfaces(Filters=filters(requester_managed="true"))["NetworkInterfaces"]
    assert (shown["NetworkInterfaceId"], shown["Status"], shown["RequesterManaged"]) == (one, "in-use", True)
    assert shown["Attachment"]["Status"] == "attached"
    groups = shown["Groups"][0]["GroupId"]
    asked = {"NetworkInterfaceId": one, "Groups": [groups]}
    assert code(lambda: ec2.modify_network_interface_attribute(**asked)) == "OperationNotPermitted"
    assert code(lambda: ec2.delete_network_interface(NetworkInterfaceId=one)) == "InvalidParameterValue"


def test_an_address_that_was_given_back_is_not_given_again_at_once(ec2: Any, vpc: str) -> None:
    tiny = ec2.create_subnet(VpcId=vpc, CidrBlock="10.0.2.0/28")["Subnet"]["SubnetId"]
    seen = []
    for _ in range(12):
        one = made(ec2, tiny)
        seen.append(one["PrivateIpAddress"])
        ec2.delete_network_interface(NetworkInterfaceId=one["NetworkInterfaceId"])
    assert seen[:11] == [f"10.0.2.{number}" for number in range(4, 15)]
    assert seen[11] == "10.0.2.4"


def test_claims_at_the_same_time_get_different_addresses(live: Live, ec2: Any, vpc: str) -> None:
    small = ec2.create_subnet(VpcId=vpc, CidrBlock="10.0.1.0/27")["Subnet"]["SubnetId"]

    def claim(tx: Any) -> str:
        shelf = Shelf(tx, ACCOUNT, REGION)
        return add_interface(shelf, SystemIds(), shelf.get(Subnet, small)).address

    from homeport.runtime.retry import decide_again

    async def all_at_once() -> list[str]:
        store = live.plane.store
        return await asyncio.gather(*(decide_again(lambda: store.write(claim), tries=100) for _ in range(27)))

    found = live.run(all_at_once())
    assert sorted(found) == sorted(f"10.0.1.{number}" for number in range(4, 31))
    (full,) = ec2.describe_subnets(SubnetIds=[small])["Subnets"]
    assert full["AvailableIpAddressCount"] == 0


def test_tags_are_put_on_taken_off_and_listed(ec2: Any, vpc: str, subnet: str) -> None:
    tags = [{"Key": "env", "Value": "prod"}, {"Key": "team", "Value": "a"}]
    ec2.create_tags(Resources=[vpc, subnet], Tags=tags)
    (shown,) = ec2.describe_vpcs(Filters=by_tag(env="prod"))["Vpcs"]
    assert (shown["VpcId"], shown["Tags"]) == (vpc, tags)
    listed = ec2.describe_tags(Filters=filters(resource_id=vpc))["Tags"]
    assert listed == [{"ResourceId": vpc, "ResourceType": "vpc", **tag} for tag in tags]
    kinds = {one["ResourceType"] for one in ec2.describe_tags(Filters=filters(key="env"))["Tags"]}
    assert kinds == {"vpc", "subnet"}
    ec2.delete_tags(Resources=[vpc], Tags=[{"Key": "env", "Value": "dev"}, {"Key": "team"}])
    assert ec2.describe_vpcs(VpcIds=[vpc])["Vpcs"][0]["Tags"] == tags[:1]
    ec2.delete_tags(Resources=[vpc])
    assert ec2.describe_vpcs(VpcIds=[vpc])["Vpcs"][0]["Tags"] == []
    lost = {"Resources": [subnet, "vpc-00000000000000000"], "Tags": [{"Key": "x", "Value": "y"}]}
    assert code(lambda: ec2.create_tags(**lost)) == "InvalidVpcID.NotFound"
    assert code(lambda: ec2.create_tags(**{**lost, "Resources": ["thing-1"]})) == "InvalidID"
    reserved = {"Resources": [vpc], "Tags": [{"Key": "aws:x", "Value": "y"}]}
    assert code(lambda: ec2.create_tags(**reserved)) == "InvalidParameterValue"
    assert ec2.describe_tags(Filters=filters(key="x"))["Tags"] == []


def test_local_instances_are_told_with_their_tags(ec2: Any) -> None:
    first = "i-00000000000000000"
    found = ec2.describe_instances()["Reservations"]
    assert [len(one["Instances"]) for one in found] == [1, 1, 1]
    ec2.create_tags(Resources=[first], Tags=[{"Key": "Name", "Value": "one"}])
    (one,) = ec2.describe_instances(Filters=by_tag(Name="one"))["Reservations"][0]["Instances"]
    assert (one["InstanceId"], one["State"]["Name"], one["InstanceType"]) == (first, "running", "m5.large")
    assert one["Placement"]["AvailabilityZone"] == "us-east-1a"
    by_zone = filters(availability_zone="us-east-1b", instance_state_name="running")
    (other,) = ec2.describe_instances(Filters=by_zone)["Reservations"]
    assert other["Instances"][0]["InstanceId"] != first
    assert refused(lambda: ec2.describe_instances(InstanceIds=["i-00000000000000009"])) == (
        "InvalidInstanceID.NotFound",
        "The instance ID 'i-00000000000000009' does not exist",
    )
    assert code(lambda: ec2.describe_instances(InstanceIds=["x"])) == "InvalidInstanceID.Malformed"
    (status, *_) = ec2.describe_instance_status(IncludeAllInstances=True)["InstanceStatuses"]
    assert (status["InstanceId"], status["InstanceState"]["Name"]) == (first, "running")
    impaired = [{"Name": "instance-status.status", "Values": ["impaired"]}]
    (away,) = ec2.describe_instance_status(Filters=impaired)["InstanceStatuses"]
    assert away["InstanceStatus"]["Details"] == [{"Name": "reachability", "Status": "failed"}]
    asked = {"InstanceId": first, "Attribute": "instanceType"}
    assert ec2.describe_instance_attribute(**asked)["InstanceType"] == {"Value": "m5.large"}
    (kind,) = ec2.describe_instance_types(InstanceTypes=["m5.large"])["InstanceTypes"]
    assert (kind["VCpuInfo"]["DefaultVCpus"], kind["MemoryInfo"]["SizeInMiB"]) == (2, 7936)
    assert code(lambda: ec2.describe_instance_types(InstanceTypes=["t2.micro"])) == "InvalidInstanceType"
