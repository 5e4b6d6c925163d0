"""Local instances have their places in the default VPC: as rows, and as EC2 shows them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from homeport.app.networks.ground import NoGround, missing_means
from homeport.app.networks.instances import Place, settle_places
from homeport.services.ec2 import manifest
from tests.api.ec2.conftest import code, refused
from tests.kit.server import ACCOUNT, REGION, Live, live_server

PLACES = (
    Place(instance_id=f"i-{0:017x}", zone="us-east-1a", address="172.31.0.4"),
    Place(instance_id=f"i-{1:017x}", zone="us-east-1b", address="172.31.16.4"),
)


@pytest.fixture
def live() -> Iterator[Live]:
    with live_server() as server:
        yield server


def settle(live: Live, *places: Place) -> dict[str, str]:
    context = next(one.context for one in live.plane.services if one.name == "ec2")
    live.run(manifest.open_here(context, ACCOUNT, REGION))
    plane = live.plane
    found = live.run(
        settle_places(plane.store, plane.clock, plane.ids, account_id=ACCOUNT, region=REGION, places=places)
    )
    return dict(found)


def test_an_instance_shows_its_interface_and_its_groups_can_be_changed(live: Live) -> None:
    held = settle(live, *PLACES)
    assert held == {one.instance_id: one.address for one in PLACES}
    ec2 = live.client("ec2")
    live.client("ecs").create_cluster(clusterName="default")
    live.add_node()
    (one,) = ec2.describe_instances()["Reservations"][0]["Instances"]
    (vpc,) = ec2.describe_vpcs()["Vpcs"]
    (default,) = ec2.describe_security_groups()["SecurityGroups"]
    assert (one["PrivateIpAddress"], one["VpcId"]) == ("172.31.0.4", vpc["VpcId"])
    assert one["SecurityGroups"] == [{"GroupId": default["GroupId"], "GroupName": "default"}]
    (shown,) = one["NetworkInterfaces"]
    (interface,) = ec2.describe_network_interfaces(NetworkInterfaceIds=[shown["NetworkInterfaceId"]])[
        "NetworkInterfaces"
    ]
    assert interface["Attachment"]["InstanceId"] == one["InstanceId"]
    assert (shown["MacAddress"], shown["SubnetId"]) == (interface["MacAddress"], one["SubnetId"])
    assert shown["Attachment"]["DeviceIndex"] == 0

    group = ec2.create_security_group(GroupName="web", Description="web")["GroupId"]
    ec2.modify_instance_attribute(InstanceId=one["InstanceId"], Groups=[group])
    (again,) = ec2.describe_instances()["Reservations"][0]["Instances"]
    assert again["SecurityGroups"] == [{"GroupId": group, "GroupName": "web"}]
    ec2.modify_network_interface_attribute(
        NetworkInterfaceId=shown["NetworkInterfaceId"], Groups=[group, default["GroupId"]]
    )
    asked = {"InstanceId": one["InstanceId"], "Attribute": "groupSet"}
    assert [held["GroupId"] for held in ec2.describe_instance_attribute(**asked)["Groups"]] == [
        group,
        default["GroupId"],
    ]
    lost = {"InstanceId": one["InstanceId"], "Groups": ["sg-0123456789abcdef0"]}
    assert code(lambda: ec2.modify_instance_attribute(**lost)) == "InvalidGroup.NotFound"
    assert code(lambda: ec2.modify_instance_attribute(InstanceId=one["InstanceId"])) == "MissingParameter"


def test_an_interface_stays_as_long_as_its_instance(live: Live) -> None:
    settle(live, *PLACES)
    ec2 = live.client("ec2")
    before = ec2.describe_network_interfaces()["NetworkInterfaces"]
    group = ec2.create_security_group(GroupName="web", Description="web")["GroupId"]
    mine = {"NetworkInterfaceId": before[0]["NetworkInterfaceId"]}
    ec2.modify_network_interface_attribute(**mine, Groups=[group])
    settle(live, *PLACES)
    after = ec2.describe_network_interfaces()["NetworkInterfaces"]
    assert [one["NetworkInterfaceId"] for one in after] == [one["NetworkInterfaceId"] for one in before]
    assert [one["GroupId"] for one in after[0]["Groups"]] == [group]
    settle(live, PLACES[0])
    assert len(ec2.describe_network_interfaces()["NetworkInterfaces"]) == 1
    settle(live)
    assert ec2.describe_network_interfaces()["NetworkInterfaces"] == []


def test_who_comes_later_takes_nobodys_address_away(live: Live) -> None:
    settle(live, PLACES[0])
    ec2 = live.client("ec2")
    zone = [{"Name": "availability-zone", "Values": ["us-east-1b"]}]
    subnet = ec2.describe_subnets(Filters=zone)["Subnets"][0]["SubnetId"]
    ec2.create_network_interface(SubnetId=subnet, PrivateIpAddress=PLACES[1].address)
    held = settle(live, *PLACES)
    assert held[PLACES[0].instance_id] == PLACES[0].address
    assert held[PLACES[1].instance_id] == "172.31.16.5"
    assert settle(live, *PLACES) == held


def test_an_instance_of_another_machine_has_no_groups(live: Live) -> None:
    live.client("ecs").create_cluster(clusterName="default")
    live.add_node()
    ec2 = live.client("ec2")
    (one,) = ec2.describe_instances()["Reservations"][0]["Instances"]
    assert (one["NetworkInterfaces"], one["SecurityGroups"]) == ([], [])
    (default,) = ec2.describe_security_groups()["SecurityGroups"]
    asked = {"InstanceId": one["InstanceId"], "Groups": [default["GroupId"]]}
    assert code(lambda: ec2.modify_instance_attribute(**asked)) == "IncorrectState"


def test_where_packets_cannot_be_made_to_obey_every_request_says_why() -> None:
    why = "networks need root. Run `sudo homeport up`."
    with live_server(ground=NoGround(why=why)) as live:
        ec2, elb = live.client("ec2"), live.client("elbv2")
        for ask in (ec2.describe_vpcs, elb.describe_load_balancers):
            wanted, text = refused(ask)
            assert wanted == "NotImplemented"
            assert text.endswith(f"is not served here: {why}")
        assert live.client("ecs").list_clusters()["clusterArns"] == []


@pytest.mark.parametrize(
    ("is_root", "tools", "says"),
    [
        (True, {"ip", "nft"}, None),
        (False, {"ip", "nft"}, "sudo homeport up"),
        (True, {"ip"}, "apt-get install nftables"),
        (True, set(), "apt-get install iproute2 nftables"),
    ],
)
def test_what_is_missing_is_said_with_what_to_do(is_root: bool, tools: set[str], says: str | None) -> None:
    found: Any = missing_means(is_root=is_root, which=lambda tool: tool if tool in tools else None)
    assert found is None if says is None else says in found.why
