"""Load balancers in EC2's own network: both services mounted over one store, as they will be served."""

from __future__ import annotations

import asyncio
import dataclasses
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import pytest
from botocore.exceptions import ClientError

from homeport.app.balancers.network import Ec2Addresses, Ec2Network
from homeport.app.control_plane import ControlPlane
from homeport.core.pages import Pages
from homeport.dataplane.model import Balancer
from homeport.gateway.stages import MountedService
from homeport.services.elbv2.manifest import BalancerController
from homeport.services.elbv2.model.groups import TargetHealth
from homeport.services.elbv2.ports import BalancerState
from homeport.store.base import Store
from tests.kit.ec2 import SomeInstances, instance, mount_ec2
from tests.kit.elbv2 import FakeCertificates, application, group, mount_elbv2, mounted
from tests.kit.server import Live, live_server


class SilentPlane:
    """Takes whatever it is to serve."""

    def __init__(self) -> None:
        self.served: tuple[Balancer, ...] = ()

    def serve(self, balancers: Collection[Balancer]) -> None:
        """These and no others."""
        self.served = tuple(balancers)

    def state(self, balancer_id: str) -> BalancerState | None:
        """At once."""
        return BalancerState(code="active") if balancer_id in {one.id for one in self.served} else None

    def health(self, group_id: str) -> Mapping[str, TargetHealth]:
        """Nothing was checked."""
        del group_id
        return {}


def mount(plane: ControlPlane, pages: Pages) -> tuple[MountedService, ...]:
    """EC2, and Elastic Load Balancing over it."""
    network = Ec2Network(plane.store, SomeInstances(instance(0)))
    controller = BalancerController(
        plane.store,
        plane.clock,
        network=network,
        certificates=FakeCertificates(),
        addresses=Ec2Addresses(plane.store, plane.clock, plane.ids),
        plane=SilentPlane(),
    )
    (service,) = mount_elbv2(plane, pages)
    context = dataclasses.replace(service.context, network=network, balancing=controller)
    return (*mount_ec2(plane, pages), dataclasses.replace(service, context=context))


@pytest.fixture(scope="module")
def live() -> Iterator[Live]:
    with live_server(mount=mount) as server:
        yield server


def interfaces(live: Live) -> list[Any]:
    mine = [{"Name": "requester-id", "Values": ["amazon-elb"]}]
    found = live.client("ec2").describe_network_interfaces(Filters=mine)["NetworkInterfaces"]
    return sorted(found, key=lambda one: str(one["AvailabilityZone"]))


def test_a_balancer_has_an_interface_in_each_of_its_subnets_until_it_is_gone(live: Live) -> None:
    ec2, elb = live.client("ec2"), live.client("elbv2")
    subnets = sorted(ec2.describe_subnets()["Subnets"], key=lambda one: one["AvailabilityZone"])
    ids = [one["SubnetId"] for one in subnets]
    made = application(elb, Subnets=ids[:2])
    arn, (guard,) = made["LoadBalancerArn"], made["SecurityGroups"]
    assert ec2.describe_security_groups(GroupIds=[guard])["SecurityGroups"][0]["GroupName"] == "default"
    controller: Any = mounted(live.plane).balancing

    live.run(controller.reconcile(arn))
    live.run(controller.reconcile(arn))
    found = interfaces(live)
    assert [one["SubnetId"] for one in found] == ids[:2]
    assert {one["Status"] for one in found} == {"in-use"}
    assert [group["GroupId"] for one in found for group in one["Groups"]] == [guard, guard]
    assert found[0]["Description"] == f"ELB {arn.partition('loadbalancer/')[2]}"
    assert elb.describe_load_balancers()["LoadBalancers"][0]["State"] == {"Code": "active"}

    elb.set_subnets(LoadBalancerArn=arn, Subnets=ids[1:])
    live.run(controller.reconcile(arn))
    moved = interfaces(live)
    assert [one["SubnetId"] for one in moved] == ids[1:]
    assert moved[0]["PrivateIpAddress"] == found[1]["PrivateIpAddress"]

    elb.delete_load_balancer(LoadBalancerArn=arn)
    live.run(controller.reconcile(arn))
    assert interfaces(live) == []


def test_a_balancer_is_refused_where_no_address_can_be_used(live: Live) -> None:
    """Of two VPCs that overlap, the other has addresses in use."""
    ec2, elb = live.client("ec2"), live.client("elbv2")
    vpcs = [ec2.create_vpc(CidrBlock="10.9.0.0/16")["Vpc"]["VpcId"] for _ in range(2)]
    subnets = [
        [
            ec2.create_subnet(VpcId=vpc, CidrBlock=f"10.9.{number}.0/24", AvailabilityZone=zone)["Subnet"][
                "SubnetId"
            ]
            for number, zone in enumerate(("us-east-1a", "us-east-1b"))
        ]
        for vpc in vpcs
    ]
    made = ec2.create_network_interface(SubnetId=subnets[0][0])["NetworkInterface"]["NetworkInterfaceId"]
    with pytest.raises(ClientError, match=f"overlaps with 10.9.0.0/16 of {vpcs[0]}") as caught:
        application(elb, Subnets=subnets[1])
    assert caught.value.response["Error"]["Code"] == "InvalidSubnet"
    ec2.delete_network_interface(NetworkInterfaceId=made)
    elb.delete_load_balancer(LoadBalancerArn=application(elb, Subnets=subnets[1])["LoadBalancerArn"])


class FakeLink:
    """Remembers what it was told to hold."""

    def __init__(self) -> None:
        self.told: list[frozenset[str]] = []

    async def hold(self, addresses: Collection[str]) -> None:
        """Exactly these."""
        self.told.append(frozenset(addresses))


def test_a_fresh_process_holds_what_the_rows_say_and_gives_back_what_nobody_has_any_more(live: Live) -> None:
    elb, plane = live.client("elbv2"), live.plane
    subnets = [one["SubnetId"] for one in live.client("ec2").describe_subnets()["Subnets"]]
    arns = [application(elb, name, Subnets=subnets[:2])["LoadBalancerArn"] for name in ("stays", "goes")]
    controller: Any = mounted(plane).balancing
    for arn in arns:
        live.run(controller.reconcile(arn))
    held = {one["Description"].split("/")[1]: set[str]() for one in interfaces(live)}
    for one in interfaces(live):
        held[one["Description"].split("/")[1]].add(one["PrivateIpAddress"])
    elb.delete_load_balancer(LoadBalancerArn=arns[1])

    link = FakeLink()
    fresh = Ec2Addresses(plane.store, plane.clock, plane.ids, link)
    assert set(live.run(fresh.holders())) == set(arns)  # type: ignore[arg-type]
    assert link.told == [held["stays"] | held["goes"]]
    live.run(fresh.release(arns[1]))
    assert link.told[-1] == held["stays"]
    assert live.run(fresh.holders()) == (arns[0],)  # type: ignore[arg-type]
    elb.delete_load_balancer(LoadBalancerArn=arns[0])
    live.run(fresh.release(arns[0]))
    assert link.told[-1] == frozenset()


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """A balancer, as far as its addresses are concerned."""

    arn: str
    subnet_id: str
    account_id: str = "000000000000"
    region: str = "us-east-1"
    security_groups: tuple[str, ...] = ()
    private_address: str = ""

    @property
    def zones(self) -> tuple[Standing, ...]:
        return (self,)


class SlowStore:
    """The first look at everybody's interfaces is old by the time that it is answered."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self.write = store.write
        self.looked, self.answers = asyncio.Event(), asyncio.Event()

    async def read(self, work: Any) -> Any:
        found = await self._store.read(work)
        if work.__name__ == "_everybodys" and not self.looked.is_set():
            self.looked.set()
            await self.answers.wait()
        return found


def test_an_old_look_takes_no_address_away(live: Live) -> None:
    """Balancers of both kinds are looked at at once, by a controller each."""
    plane, link, region = live.plane, FakeLink(), "us-east-1"
    subnet = live.client("ec2").describe_subnets()["Subnets"][0]["SubnetId"]
    arn = f"arn:aws:elasticloadbalancing:{region}:000000000000:loadbalancer/app/new/1"

    async def both() -> str:
        store: Any = SlowStore(plane.store)
        fresh = Ec2Addresses(store, plane.clock, plane.ids, link)
        async with asyncio.TaskGroup() as group:
            group.create_task(fresh.release(f"{arn}-gone"))
            await store.looked.wait()
            found = await fresh.of(Standing(arn=arn, subnet_id=subnet))
            store.answers.set()
        return found[subnet]

    address = live.run(both())
    assert link.told == [{address}, {address}]


def test_what_ec2_does_not_have_is_refused(live: Live) -> None:
    elb = live.client("elbv2")
    with pytest.raises(ClientError, match="SubnetNotFound"):
        application(elb, Subnets=["subnet-0123456789abcdef0", "subnet-0123456789abcdef1"])
    with pytest.raises(ClientError, match="ValidationError"):
        group(elb, VpcId="vpc-0123456789abcdef0")


def test_an_instance_outside_the_network_is_no_target(live: Live) -> None:
    """The local instance of the test has no place in a subnet."""
    vpc = live.client("ec2").describe_vpcs()["Vpcs"][0]["VpcId"]
    arn = group(live.client("elbv2"), VpcId=vpc)["TargetGroupArn"]
    with pytest.raises(ClientError, match="InvalidTarget"):
        live.client("elbv2").register_targets(TargetGroupArn=arn, Targets=[{"Id": instance(0).instance_id}])
