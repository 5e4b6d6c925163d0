"""Classic Load Balancing for tests, over a network of dictionaries."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from homeport.app.control_plane import ControlPlane
from homeport.core.pages import Pages
from homeport.gateway.stages import MountedService
from homeport.services.elb import manifest as elb
from homeport.services.elbv2.ports import Subnet
from tests.kit.elbv2 import VPC, FakeCertificates, FakeNetwork

HTTP = {"Protocol": "HTTP", "LoadBalancerPort": 80, "InstancePort": 8080}


@dataclass
class ClassicFakeNetwork(FakeNetwork):
    """The first VPC is the default one, with a default subnet in each zone."""

    async def default_subnets(self, account_id: str, region: str) -> Mapping[str, Subnet]:
        """The first three."""
        del account_id, region
        found = [self.subnet_table[f"subnet-0{letter}"] for letter in "abc"]
        return {one.zone: one for one in found if one.vpc_id == VPC}


@dataclass
class FakeChecks:
    """What a test says that health checks found, by instance."""

    states: dict[str, str] = field(default_factory=dict)

    def health(self, balancer: elb.LoadBalancer) -> Mapping[str, str]:
        """The same for every balancer."""
        del balancer
        return self.states


def mount_elb(plane: ControlPlane, pages: Pages) -> tuple[MountedService, ...]:
    """The service over the fakes; `MountedService.context` holds them."""
    context = elb.Elb(
        store=plane.store,
        clock=plane.clock,
        ids=plane.ids,
        pages=pages,
        network=ClassicFakeNetwork(),
        certificates=FakeCertificates(),
        balancing=FakeChecks(),
    )
    mounted = MountedService(
        name=elb.name,
        operations=elb.operations,
        context=context,
        invalid_input=elb.invalid_input,
        internal_error="InternalFailure",
        facts=elb.facts,
    )
    return (mounted,)


def classic(client: Any, name: str = "old", **changes: Any) -> str:
    """A balancer's DNS name."""
    request = {"LoadBalancerName": name, "Listeners": [HTTP], "Subnets": ["subnet-0a"], **changes}
    return str(client.create_load_balancer(**request)["DNSName"])
