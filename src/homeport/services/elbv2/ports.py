"""What Elastic Load Balancing needs from others, in its own words."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Protocol

from homeport.dataplane.model import Balancer
from homeport.services.elbv2.model.balancers import LoadBalancer
from homeport.services.elbv2.model.groups import TargetHealth

TARGETS_CHANGED = "elb.targets"
"""The change feed's kind for news of targets and their health; the key is the target group's ARN."""

BALANCERS_CHANGED = "elb.balancer"
"""The change feed's kind for news of what a balancer is to do; the key is the load balancer's ARN."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Vpc:
    """A virtual network and its ranges."""

    vpc_id: str
    cidrs: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Subnet:
    """A part of a VPC in one zone. `has_ipv6`: it has a range of IPv6 addresses, too.

    `closed`: why none of its addresses can be used; empty: they can.
    """

    subnet_id: str
    vpc_id: str
    zone: str
    cidr: str
    has_ipv6: bool = False
    closed: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class SecurityGroup:
    """A security group and where it is."""

    group_id: str
    vpc_id: str
    name: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Instance:
    """An instance. `state` as EC2 says it; `address` is its private one."""

    instance_id: str
    vpc_id: str
    zone: str
    address: str
    state: str = "running"


class Network(Protocol):
    """The virtual network. What is not there is left out of the answers."""

    async def vpcs(self, account_id: str, region: str, ids: Collection[str]) -> Mapping[str, Vpc]:
        """Those of the VPCs that exist."""
        ...

    async def subnets(self, account_id: str, region: str, ids: Collection[str]) -> Mapping[str, Subnet]:
        """Those of the subnets that exist."""
        ...

    async def subnets_of(self, account_id: str, region: str, vpc_id: str) -> Collection[Subnet]:
        """All subnets of a VPC."""
        ...

    async def security_groups(
        self, account_id: str, region: str, ids: Collection[str]
    ) -> Mapping[str, SecurityGroup]:
        """Those of the security groups that exist."""
        ...

    async def default_security_group(self, account_id: str, region: str, vpc_id: str) -> str | None:
        """The VPC's own security group."""
        ...

    async def instances(self, account_id: str, region: str, ids: Collection[str]) -> Mapping[str, Instance]:
        """Those of the instances that exist."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Certificate:
    """A certificate that may be shown to clients. `names` are what it is good for.

    `unusable`: why a balancer cannot show it.
    """

    arn: str
    names: tuple[str, ...]
    unusable: str = ""


class Certificates(Protocol):
    """Where certificates are kept (ACM, IAM)."""

    async def find(self, account_id: str, region: str, arns: Collection[str]) -> Mapping[str, Certificate]:
        """Those of the certificates that exist and are issued."""
        ...


class NoCertificates:
    """Nobody keeps any."""

    async def find(self, account_id: str, region: str, arns: Collection[str]) -> Mapping[str, Certificate]:
        """None."""
        del account_id, region, arns
        return {}


@dataclass(frozen=True, slots=True, kw_only=True)
class BalancerState:
    """How a balancer is doing. `code`: provisioning, active, active_impaired or failed."""

    code: str
    reason: str = ""


PROVISIONING = BalancerState(code="provisioning")


class Addresses(Protocol):
    """Where balancers get the addresses that they listen on: one in each of their subnets."""

    async def of(self, balancer: LoadBalancer) -> Mapping[str, str]:
        """The address by subnet, guarded by the balancer's security groups. The same each time.

        One that cannot be had yet is left out, and those in subnets that it left are given back.
        """
        ...

    async def release(self, balancer_arn: str) -> None:
        """The balancer is gone. A balancer that has none does not matter."""
        ...

    async def holders(self) -> Collection[str]:
        """The ARNs of all that have addresses, balancers that are gone among them."""
        ...


class DataPlane(Protocol):
    """What carries the traffic, on this machine."""

    def serve(self, balancers: Collection[Balancer]) -> None:
        """These balancers from now on, and no others."""
        ...

    def state(self, balancer_id: str) -> BalancerState | None:
        """How it serves one of them; `None` while it does not yet."""
        ...

    @property
    def is_settled(self) -> bool:
        """Whether it has everything that it was last given."""
        ...

    def health(self, group_id: str) -> Mapping[str, TargetHealth]:
        """What the health checks of a group found, by `address:port`."""
        ...


class Balancing(Protocol):
    """What really balances. It says what it has seen; what it has not seen yet it leaves out."""

    async def states(self, balancer_arns: Collection[str]) -> Mapping[str, BalancerState]:
        """How these balancers are doing."""
        ...

    async def health(self, group_arn: str) -> Mapping[str, TargetHealth]:
        """What the health checks of a group's targets have found, by `address:port`."""
        ...

    async def in_force(self, balancer_arns: Collection[str]) -> bool:
        """Whether all that these balancers are to do by now is what carries the traffic."""
        ...


class NothingBalances:
    """No data plane: balancers stay provisioning, and no health check has been made."""

    async def states(self, balancer_arns: Collection[str]) -> Mapping[str, BalancerState]:
        """None has been set up."""
        del balancer_arns
        return {}

    async def health(self, group_arn: str) -> Mapping[str, TargetHealth]:
        """None has been checked."""
        del group_arn
        return {}

    async def in_force(self, balancer_arns: Collection[str]) -> bool:
        """Nothing is."""
        del balancer_arns
        return False
