"""What Classic Load Balancing needs from others, in its own words."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Protocol

from homeport.dataplane.model import Balancer
from homeport.services.elb.model import LoadBalancer

CHANGED = "elb.classic"
"""The change feed's kind for news of a balancer and its instances' health; the key is the balancer's ARN."""


class Subnet(Protocol):
    """A part of a VPC in one zone."""

    @property
    def subnet_id(self) -> str: ...

    @property
    def vpc_id(self) -> str: ...

    @property
    def zone(self) -> str: ...

    @property
    def closed(self) -> str:
        """Why none of its addresses can be used; empty: they can."""
        ...


class SecurityGroup(Protocol):
    """A security group and where it is."""

    @property
    def group_id(self) -> str: ...

    @property
    def vpc_id(self) -> str: ...

    @property
    def name(self) -> str: ...


class Instance(Protocol):
    """An instance. `state` as EC2 says it; `address` is its private one."""

    @property
    def instance_id(self) -> str: ...

    @property
    def vpc_id(self) -> str: ...

    @property
    def zone(self) -> str: ...

    @property
    def address(self) -> str: ...

    @property
    def state(self) -> str: ...


class Network(Protocol):
    """The virtual network. What is not there is left out of the answers."""

    async def subnets(self, account_id: str, region: str, ids: Collection[str]) -> Mapping[str, Subnet]:
        """Those of the subnets that exist."""
        ...

    async def default_subnets(self, account_id: str, region: str) -> Mapping[str, Subnet]:
        """The default VPC's own subnet in each zone."""
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


class Certificate(Protocol):
    """A certificate that may be shown to clients. `unusable`: why a balancer cannot show it."""

    @property
    def names(self) -> tuple[str, ...]: ...

    @property
    def unusable(self) -> str: ...


class Certificates(Protocol):
    """Where certificates are kept."""

    async def find(self, account_id: str, region: str, arns: Collection[str]) -> Mapping[str, Certificate]:
        """Those of the certificates that exist."""
        ...


class Addresses(Protocol):
    """Where balancers get the addresses that they listen on: one in each of their subnets."""

    async def of(self, balancer: LoadBalancer) -> Mapping[str, str]:
        """The address by subnet, guarded by the balancer's security groups. The same each time."""
        ...

    async def release(self, balancer_arn: str) -> None:
        """The balancer is gone. A balancer that has none does not matter."""
        ...

    async def holders(self) -> Collection[str]:
        """The ARNs of all that have addresses, balancers that are gone among them."""
        ...


class Health(Protocol):
    """What the checks of an instance found: `initial`, `healthy`, `unhealthy`."""

    @property
    def state(self) -> str: ...


class DataPlane(Protocol):
    """What carries the traffic, on this machine."""

    def serve(self, balancers: Collection[Balancer]) -> None:
        """These balancers from now on, and no others of this service."""
        ...

    def health(self, group_id: str) -> Mapping[str, Health]:
        """What the health checks of a group found, by `address:port`."""
        ...


class Balancing(Protocol):
    """What really balances."""

    def health(self, balancer: LoadBalancer) -> Mapping[str, str]:
        """The states of the instances that were checked, by their ids."""
        ...


class NothingBalances:
    """No data plane: no health check has been made."""

    def health(self, balancer: LoadBalancer) -> Mapping[str, str]:
        """None has been checked."""
        del balancer
        return {}
