"""Classic Load Balancers beside the newer ones: one network, one set of addresses, one proxy for both."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Collection, Mapping
from dataclasses import replace

from homeport.app.balancers.network import Ec2Addresses, Ec2Network, Standing
from homeport.core.clock import Clock
from homeport.core.ids import Ids
from homeport.core.pages import Pages
from homeport.dataplane.model import Balancer
from homeport.runtime.runner import Next
from homeport.services.ec2 import manifest as ec2
from homeport.services.elb import manifest as elb
from homeport.services.elbv2 import manifest as elbv2
from homeport.services.elbv2.model.groups import TargetHealth
from homeport.services.elbv2.ports import BalancerState
from homeport.store.base import Store
from homeport.store.tx import Tx

Open = Callable[[str, str], Awaitable[None]]
"""Gives an account its default network in a region, unless it has or had it."""
_TRAFFIC = "clb/"


def is_classic(balancer_arn: str) -> bool:
    """Whether an ARN is a Classic Load Balancer's: `loadbalancer/NAME` and no more."""
    return "/" not in balancer_arn.partition(":loadbalancer/")[2]


class ClassicNetwork(Ec2Network):
    """EC2's network with what zones need that stand for subnets."""

    def __init__(self, store: Store, instances: ec2.Instances, open_account: Open) -> None:
        super().__init__(store, instances)
        self._open = open_account

    async def default_subnets(self, account_id: str, region: str) -> Mapping[str, elbv2.Subnet]:
        """The default VPC's own subnet in each zone."""
        await self._open(account_id, region)

        def work(tx: Tx) -> list[str]:
            found = ec2.Shelf(tx, account_id, region).all(ec2.Subnet)
            return [one.resource_id for one in found if one.is_default]

        ids = await self._store.read(work)
        return {one.zone: one for one in (await self.subnets(account_id, region, ids)).values()}


class PartAddresses:
    """The addresses of the balancers of one of the two services, out of what both share."""

    def __init__(self, addresses: Ec2Addresses, *, classic: bool) -> None:
        self._addresses, self._classic = addresses, classic

    async def of(self, balancer: Standing) -> Mapping[str, str]:
        """The address by subnet."""
        return await self._addresses.of(balancer)

    async def holders(self) -> Collection[str]:
        """The ARNs of all of the service's that have interfaces."""
        return [arn for arn in await self._addresses.holders() if is_classic(arn) is self._classic]

    async def release(self, balancer_arn: str) -> None:
        """Give the addresses of a balancer back."""
        await self._addresses.release(balancer_arn)


class SharedPlane:
    """A data plane that is told all balancers at once, by two services that each know their own.

    Service Connect is a third, once it was given its part.
    """

    def __init__(self, plane: elbv2.DataPlane) -> None:
        self._plane = plane
        self._parts: dict[bool, tuple[Balancer, ...] | None] = {False: None, True: None}
        self._connect: tuple[Balancer, ...] | None = ()

    def part(self, *, classic: bool) -> PlanePart:
        """What one of the services is given."""
        return PlanePart(self, self._plane, classic=classic)

    def take(self, balancers: Collection[Balancer], *, classic: bool) -> None:
        """One service's balancers. Nothing is passed on before both have said theirs: others would end."""
        self._parts[classic] = tuple(balancers)
        self._pass_on()

    @property
    def is_settled(self) -> bool:
        """Whether the data plane has everything that it was last given."""
        return self._plane.is_settled

    def connect_part(self) -> Callable[[Collection[Balancer]], None]:
        """What Service Connect says its balancers to; nothing is passed on before it has."""
        self._connect = None

        def take(balancers: Collection[Balancer]) -> None:
            self._connect = tuple(balancers)
            self._pass_on()

        return take

    def _pass_on(self) -> None:
        modern, old, connect = self._parts[False], self._parts[True], self._connect
        if modern is not None and old is not None and connect is not None:
            self._plane.serve((*modern, *old, *connect))


class PlanePart:
    """The data plane as one of the services sees it."""

    def __init__(self, shared: SharedPlane, plane: elbv2.DataPlane, *, classic: bool) -> None:
        self._shared, self._plane, self._classic = shared, plane, classic

    def serve(self, balancers: Collection[Balancer]) -> None:
        """These balancers from now on, and no others of this service."""
        self._shared.take(balancers, classic=self._classic)

    def state(self, balancer_id: str) -> BalancerState | None:
        """How it serves one of them."""
        return self._plane.state(balancer_id)

    @property
    def is_settled(self) -> bool:
        """Whether it has everything that it was last given."""
        return self._plane.is_settled

    def health(self, group_id: str) -> Mapping[str, TargetHealth]:
        """What the health checks of a group found."""
        return self._plane.health(group_id)


class Halves:
    """What both services share, and the half of it that each sees."""

    def __init__(self, *, addresses: Ec2Addresses, plane: elbv2.DataPlane) -> None:
        self._addresses, self._plane = addresses, SharedPlane(plane)

    def of_addresses(self, *, classic: bool) -> PartAddresses:
        """One service's addresses."""
        return PartAddresses(self._addresses, classic=classic)

    def of_plane(self, *, classic: bool) -> PlanePart:
        """The data plane as one of the services sees it."""
        return self._plane.part(classic=classic)

    def is_settled(self) -> bool:
        """Whether the proxy has everything that it was last given."""
        return self._plane.is_settled

    def of_connect(self) -> Callable[[Collection[Balancer]], None]:
        """What Service Connect says its balancers to."""
        return self._plane.connect_part()


def build_classic(
    store: Store,
    clock: Clock,
    ids: Ids,
    pages: Pages,
    *,
    network: elb.Network,
    certificates: elb.Certificates,
    halves: Halves | None,
) -> tuple[elb.Elb, elb.ClassicController | None]:
    """The service, and its controller where there is a data plane."""
    service = elb.Elb(
        store=store, clock=clock, ids=ids, pages=pages, network=network, certificates=certificates
    )
    if halves is None:
        return service, None
    controller = elb.ClassicController(
        store,
        clock,
        network=network,
        certificates=certificates,
        addresses=halves.of_addresses(classic=True),
        plane=halves.of_plane(classic=True),
    )
    return replace(service, balancing=controller), controller


class HealthNews:
    """One key is the id of a group of which a target is in another health, of either service."""

    name = "balancers.health"

    def __init__(self, modern: elbv2.BalancerController, classic: elb.ClassicController) -> None:
        self._modern, self._classic = modern, classic

    async def reconcile(self, key: str) -> Next:
        """Tell those who wait for it."""
        if key.startswith(_TRAFFIC):
            await self._classic.tell(key)
        else:
            await self._modern.tell(key)
        return Next()
