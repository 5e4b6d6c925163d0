"""What requests to EC2 make of the machine's firewall."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import msgspec
import pytest

from homeport.app.networks.firewall import KEY, VpcFirewall
from homeport.app.networks.instances import Place, settle_places
from homeport.node.commands import CommandError
from homeport.node.firewall.kernel import Firewall
from homeport.node.firewall.table import Table
from homeport.node.sandbox.layout import Block
from homeport.services.ec2 import manifest
from homeport.services.ec2.plan.cidrs import network4
from tests.kit.server import ACCOUNT, GROUND, REGION, Live, live_server

PLACE = Place(instance_id=f"i-{0:017x}", zone="us-east-1a", address="172.31.0.4")
BLOCK = Block(instance_address=PLACE.address, network=network4("100.64.0.0/22"))


class SilentNft:
    """Takes transactions; refuses while a test says so."""

    def __init__(self) -> None:
        self.said: list[str] = []
        self.refuses = False

    async def __call__(self, commands: str) -> None:
        if self.refuses:
            raise CommandError("nft: no")
        self.said.append(commands)


@dataclass(slots=True)
class World:
    live: Live
    nft: SilentNft
    kernel: Firewall
    firewall: VpcFirewall

    @property
    def ec2(self) -> Any:
        return self.live.client("ec2")

    def reconcile(self) -> str:
        """The commands of one more look."""
        before = len(self.nft.said)
        self.live.run(self.firewall.reconcile(KEY))
        return "".join(self.nft.said[before:])

    def table(self) -> Table:
        self.reconcile()
        found = self.kernel._there
        assert found is not None
        return found

    def interface(self, *groups: str) -> Any:
        subnet = self.ec2.describe_subnets()["Subnets"][0]["SubnetId"]
        made = self.ec2.create_network_interface(
            SubnetId=subnet, **({"Groups": list(groups)} if groups else {})
        )
        return made["NetworkInterface"]


@pytest.fixture
def world() -> Iterator[World]:
    with live_server() as live:
        nft = SilentNft()
        kernel = Firewall(nft, "h")
        plane = live.plane
        firewall = VpcFirewall(plane.store, plane.clock, kernel, home_range=GROUND.home_range)
        context = next(one.context for one in plane.services if one.name == "ec2")
        live.run(manifest.open_here(context, ACCOUNT, REGION))
        live.run(
            settle_places(
                plane.store, plane.clock, plane.ids, account_id=ACCOUNT, region=REGION, places=[PLACE]
            )
        )
        yield World(live, nft, kernel, firewall)


def test_at_first_it_is_made_whole_and_then_nothing_is_done(world: World) -> None:
    assert world.reconcile().startswith("add table ip homeport-firewall-")
    assert world.reconcile() == ""
    held = world.table().held
    assert set(held["instances"].elements) == set(held["known"].elements) == {PLACE.address}
    assert set(held["networks"].elements) == {GROUND.home_range}
    assert "172.31.0.2" in held["resolvers"].elements


def test_containers_that_become_known_are_in_the_next_table(world: World) -> None:
    assert "100.64.0" not in world.reconcile()
    world.firewall.know([BLOCK])
    assert "100.64.0.0/22" in world.reconcile()


def test_containers_of_an_instance_are_in_its_groups(world: World) -> None:
    world.firewall.know([BLOCK])
    (default,) = world.ec2.describe_security_groups()["SecurityGroups"]
    held = world.table().held
    assert set(held[f"members-{default['GroupId']}"].elements) == {PLACE.address}
    assert set(held[f"inner-{default['GroupId']}"].elements) == {"100.64.0.0/22"}
    assert set(held["leaving-inner"].elements) == {"100.64.0.0/22"}


def test_a_new_interface_is_a_difference_and_a_deleted_one_is_gone(world: World) -> None:
    world.reconcile()
    made = world.interface()
    told = world.reconcile()
    assert made["PrivateIpAddress"] in told
    assert "delete" not in told
    world.ec2.delete_network_interface(NetworkInterfaceId=made["NetworkInterfaceId"])
    assert "delete element" in world.reconcile()
    assert set(world.table().held["known"].elements) == {PLACE.address}


def test_a_rule_is_obeyed_as_long_as_it_is_there(world: World) -> None:
    group = world.ec2.create_security_group(GroupName="web", Description="web")["GroupId"]
    world.interface(group)
    rule = {"GroupId": group, "IpProtocol": "tcp", "FromPort": 80, "ToPort": 81, "CidrIp": "10.9.0.0/16"}

    def rules() -> set[str]:
        return {one for some in world.table().chains.values() for one in some}

    before = rules()
    world.ec2.authorize_security_group_ingress(**rule)
    assert rules() - before == {"tcp dport 80-81 ip saddr 10.9.0.0/16 return"}
    world.ec2.revoke_security_group_ingress(**rule)
    assert rules() == before


def test_another_vpc_is_guarded_and_apart(world: World) -> None:
    world.ec2.create_vpc(CidrBlock="10.7.0.0/16")
    held = world.table().held
    assert set(held["networks"].elements) == {GROUND.home_range, "10.7.0.0/16"}
    assert "10.7.0.0/16 . 10.7.0.0/16" in held["within"].elements
    assert f"{GROUND.home_range} . 10.7.0.0/16" not in held["within"].elements
    assert "10.7.0.2" in held["resolvers"].elements


def test_an_interface_without_groups_is_open(world: World) -> None:
    """As those of network load balancers may be: nobody else's can."""
    world.reconcile()
    made = world.interface()

    def bare(tx: Any) -> None:
        shelf = manifest.Shelf(tx, ACCOUNT, REGION)
        one = shelf.get(manifest.NetworkInterface, made["NetworkInterfaceId"])
        shelf.save(msgspec.structs.replace(one, groups=()))

    world.live.run(world.live.plane.store.write(bare))
    held = world.table().held
    assert held["from-machine"].elements[made["PrivateIpAddress"]] == "accept"
    assert made["PrivateIpAddress"] not in held["entering"].elements


def test_what_the_kernel_refuses_is_tried_again_as_a_whole(world: World) -> None:
    world.reconcile()
    world.interface()
    world.nft.refuses = True
    with pytest.raises(CommandError):
        world.reconcile()
    world.nft.refuses = False
    assert world.reconcile().startswith("add table")
    assert world.reconcile() == ""


def test_what_somebody_else_changed_is_made_anew(world: World) -> None:
    world.firewall.know()
    world.reconcile()
    assert world.reconcile() == ""
    world.firewall.doubt()
    assert world.reconcile().startswith("add table")
