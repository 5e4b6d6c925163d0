"""Elastic Load Balancing for tests, while `app` does not serve it, over a network of dictionaries."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import Any

from homeport.app.control_plane import ControlPlane
from homeport.core.clock import Clock
from homeport.core.pages import Pages
from homeport.gateway.stages import MountedService
from homeport.services.elbv2 import manifest as elbv2
from homeport.services.elbv2.model.groups import TargetHealth
from homeport.services.elbv2.ports import BalancerState, Certificate, Instance, SecurityGroup, Subnet, Vpc

VPC, OTHER_VPC = "vpc-0a", "vpc-0b"
SUBNETS = ("subnet-0a", "subnet-0b", "subnet-0c")
GROUP, DEFAULT_GROUP = "sg-0a", "sg-0d"
CERTIFICATE = "arn:aws:acm:us-east-1:000000000000:certificate/{}"


@dataclass
class FakeNetwork:
    """Two VPCs; the first has a subnet in each of three zones and two more."""

    vpc_table: dict[str, Vpc] = field(
        default_factory=lambda: {
            VPC: Vpc(vpc_id=VPC, cidrs=("172.31.0.0/16",)),
            OTHER_VPC: Vpc(vpc_id=OTHER_VPC, cidrs=("10.9.0.0/16",)),
        }
    )
    subnet_table: dict[str, Subnet] = field(
        default_factory=lambda: {
            one.subnet_id: one
            for one in (
                Subnet(subnet_id="subnet-0a", vpc_id=VPC, zone="us-east-1a", cidr="172.31.0.0/20"),
                Subnet(subnet_id="subnet-0b", vpc_id=VPC, zone="us-east-1b", cidr="172.31.16.0/20"),
                Subnet(subnet_id="subnet-0c", vpc_id=VPC, zone="us-east-1c", cidr="172.31.32.0/20"),
                Subnet(subnet_id="subnet-1a", vpc_id=VPC, zone="us-east-1a", cidr="172.31.48.0/20"),
                Subnet(subnet_id="subnet-9b", vpc_id=OTHER_VPC, zone="us-east-1b", cidr="10.9.0.0/24"),
            )
        }
    )
    group_table: dict[str, SecurityGroup] = field(
        default_factory=lambda: {
            GROUP: SecurityGroup(group_id=GROUP, vpc_id=VPC),
            DEFAULT_GROUP: SecurityGroup(group_id=DEFAULT_GROUP, vpc_id=VPC, name="default"),
            "sg-9": SecurityGroup(group_id="sg-9", vpc_id=OTHER_VPC),
        }
    )
    instance_table: dict[str, Instance] = field(
        default_factory=lambda: {
            f"i-{number}": Instance(
                instance_id=f"i-{number}",
                vpc_id=OTHER_VPC if number == 9 else VPC,
                zone=f"us-east-1{'abc'[number % 3]}",
                address=f"172.31.0.{10 + number}",
                state="stopped" if number == 8 else "running",
            )
            for number in range(10)
        }
    )

    async def vpcs(self, account_id: str, region: str, ids: Collection[str]) -> Mapping[str, Vpc]:
        """Those of the VPCs that exist."""
        del account_id, region
        return {one: self.vpc_table[one] for one in ids if one in self.vpc_table}

    async def subnets(self, account_id: str, region: str, ids: Collection[str]) -> Mapping[str, Subnet]:
        """Those of the subnets that exist."""
        del account_id, region
        return {one: self.subnet_table[one] for one in ids if one in self.subnet_table}

    async def subnets_of(self, account_id: str, region: str, vpc_id: str) -> Collection[Subnet]:
        """All subnets of a VPC."""
        del account_id, region
        return [one for one in self.subnet_table.values() if one.vpc_id == vpc_id]

    async def security_groups(
        self, account_id: str, region: str, ids: Collection[str]
    ) -> Mapping[str, SecurityGroup]:
        """Those of the security groups that exist."""
        del account_id, region
        return {one: self.group_table[one] for one in ids if one in self.group_table}

    async def default_security_group(self, account_id: str, region: str, vpc_id: str) -> str | None:
        """The VPC's own security group."""
        del account_id, region
        return DEFAULT_GROUP if vpc_id == VPC else None

    async def instances(self, account_id: str, region: str, ids: Collection[str]) -> Mapping[str, Instance]:
        """Those of the instances that exist."""
        del account_id, region
        return {one: self.instance_table[one] for one in ids if one in self.instance_table}


class FakeCertificates:
    """Every certificate whose id begins with `good`."""

    async def find(self, account_id: str, region: str, arns: Collection[str]) -> Mapping[str, Certificate]:
        """Those of the certificates that exist."""
        del account_id, region
        return {arn: Certificate(arn=arn, names=()) for arn in arns if "/good" in arn}


@dataclass
class FakeBalancing:
    """What a test says that the data plane has seen."""

    states_seen: dict[str, BalancerState] = field(default_factory=dict)
    health_seen: dict[str, dict[str, TargetHealth]] = field(default_factory=dict)

    async def states(self, balancer_arns: Collection[str]) -> Mapping[str, BalancerState]:
        """How these balancers are doing."""
        return {arn: self.states_seen[arn] for arn in balancer_arns if arn in self.states_seen}

    async def health(self, group_arn: str) -> Mapping[str, TargetHealth]:
        """What the health checks found."""
        return self.health_seen.get(group_arn, {})

    async def in_force(self, balancer_arns: Collection[str]) -> bool:
        """At once."""
        del balancer_arns
        return True


def mount_elbv2(
    plane: ControlPlane, pages: Pages, *, clock: Clock | None = None
) -> tuple[MountedService, ...]:
    """The service over the fakes; `MountedService.context` holds them."""
    context = elbv2.Elbv2(
        store=plane.store,
        clock=clock or plane.clock,
        ids=plane.ids,
        pages=pages,
        vault=plane.vault,
        network=FakeNetwork(),
        certificates=FakeCertificates(),
        balancing=FakeBalancing(),
    )
    mounted = MountedService(
        name=elbv2.name,
        operations=elbv2.operations,
        context=context,
        invalid_input=elbv2.invalid_input,
        internal_error="InternalFailure",
        facts=elbv2.facts,
    )
    return (mounted,)


def mounted(plane: ControlPlane) -> elbv2.Elbv2:
    """The context of the mounted service."""
    found: elbv2.Elbv2 = next(one for one in plane.services if one.name == "elbv2").context
    return found


def application(client: Any, name: str = "web", **changes: Any) -> Any:
    """A load balancer."""
    request = {"Name": name, "Subnets": ["subnet-0a", "subnet-0b"], **changes}
    return client.create_load_balancer(**request)["LoadBalancers"][0]


def group(client: Any, name: str = "app", **changes: Any) -> Any:
    """A target group."""
    request = {"Name": name, "Protocol": "HTTP", "Port": 80, "VpcId": VPC, **changes}
    return client.create_target_group(**request)["TargetGroups"][0]


def listener(client: Any, balancer: Any, actions: Any, **changes: Any) -> Any:
    """A listener; `actions` is a target group or a list."""
    if isinstance(actions, dict):
        actions = [{"Type": "forward", "TargetGroupArn": actions["TargetGroupArn"]}]
    request = {
        "LoadBalancerArn": balancer["LoadBalancerArn"],
        "Protocol": "HTTP",
        "Port": 80,
        "DefaultActions": actions,
        **changes,
    }
    return client.create_listener(**request)["Listeners"][0]
