"""The data plane serves what the state says, and nothing else."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from datetime import timedelta

import pytest
from msgspec.structs import replace

from homeport.core.clock import FixedClock
from homeport.dataplane.model import Balancer
from homeport.node.commands import CommandError
from homeport.runtime.runner import Next
from homeport.services.elbv2.control.balancers import BalancerController
from homeport.services.elbv2.model.balancers import LoadBalancer
from homeport.services.elbv2.model.groups import Target, TargetHealth
from homeport.services.elbv2.ports import TARGETS_CHANGED, BalancerState
from homeport.services.elbv2.repo.balancers import BalancerRepo
from homeport.services.elbv2.repo.groups import GroupRepo
from homeport.store import Store, Tx
from homeport.store.feed import last_position, read_page
from tests.kit.elbv2 import FakeCertificates, FakeNetwork
from tests.kit.elbv2_nouns import NOW
from tests.repo.test_load_balancer_repos import HERE, made


@dataclass
class FakePlane:
    """Remembers what it was told to serve."""

    served: list[tuple[Balancer, ...]] = field(default_factory=list)
    refuses: dict[str, str] = field(default_factory=dict)
    is_slow: bool = False

    def serve(self, balancers: Collection[Balancer]) -> None:
        """These and no others."""
        self.served.append(tuple(balancers))

    def state(self, balancer_id: str) -> BalancerState | None:
        """What a test says."""
        if balancer_id in self.refuses:
            return BalancerState(code="failed", reason=self.refuses[balancer_id])
        return None if self.is_slow else BalancerState(code="active")

    def health(self, group_id: str) -> Mapping[str, TargetHealth]:
        """Healthy, whoever asks for the group that there is."""
        return {"172.31.0.10:80": TargetHealth(state="healthy")} if "/app/" in group_id else {}


@dataclass
class FakeAddresses:
    """One address for each subnet that it knows."""

    known: dict[str, str] = field(
        default_factory=lambda: {"subnet-0a": "172.31.0.4", "subnet-0b": "172.31.16.4"}
    )
    released: list[str] = field(default_factory=list)
    left: list[str] = field(default_factory=list)
    trouble: str = ""

    async def of(self, balancer: LoadBalancer) -> Mapping[str, str]:
        """The same each time."""
        if self.trouble:
            raise CommandError(self.trouble)
        return {
            zone.subnet_id: self.known[zone.subnet_id]
            for zone in balancer.zones
            if zone.subnet_id in self.known
        }

    async def release(self, balancer_arn: str) -> None:
        """Remembered."""
        self.released.append(balancer_arn)

    async def holders(self) -> Collection[str]:
        """Those that a test says were not given back."""
        return self.left


@dataclass
class World:
    store: Store
    clock: FixedClock
    plane: FakePlane
    addresses: FakeAddresses
    controller: BalancerController


@pytest.fixture
def world(store: Store) -> World:
    clock, plane, addresses = FixedClock(NOW), FakePlane(), FakeAddresses()
    controller = BalancerController(
        store,
        clock,
        network=FakeNetwork(),
        certificates=FakeCertificates(),
        addresses=addresses,
        plane=plane,
    )
    return World(store, clock, plane, addresses, controller)


def targets(tx: Tx, *found: Target) -> None:
    repo = GroupRepo(tx, *HERE)
    held = repo.named("app")
    assert held is not None
    repo.put(held, found)


async def test_a_balancer_is_served_and_what_did_not_change_is_not_served_again(world: World) -> None:
    one, _, _ = await world.store.write(made)
    assert await world.controller.keys() == (one.arn,)
    assert await world.controller.states([one.arn]) == {}
    assert await world.controller.reconcile(one.arn) == Next()
    assert await world.controller.reconcile(one.arn) == Next()
    ((served,),) = world.plane.served
    assert served.id == one.tail
    assert await world.controller.states([one.arn]) == {one.arn: BalancerState(code="active")}


async def test_a_drained_target_goes_when_its_time_has_come(world: World) -> None:
    one, _, _ = await world.store.write(made)
    end = NOW + timedelta(seconds=60)
    leaving = Target(target_id="i-0", port=80, registered_at=NOW, drained_at=end)
    await world.store.write(lambda tx: targets(tx, leaving))
    assert await world.controller.reconcile(one.arn) == Next(wake_at=end)
    assert [target.draining for target in world.plane.served[-1][0].groups[0].targets] == [True]
    world.clock.instant = end
    assert await world.controller.reconcile(one.arn) == Next()
    assert world.plane.served[-1][0].groups[0].targets == ()

    def left(tx: Tx) -> tuple[Target, ...]:
        held = GroupRepo(tx, *HERE).named("app")
        assert held is not None
        return GroupRepo(tx, *HERE).targets(held)

    assert await world.store.read(left) == ()


async def test_a_deleted_balancer_is_served_no_more_and_gives_its_addresses_back(world: World) -> None:
    one, _, _ = await world.store.write(made)
    await world.controller.reconcile(one.arn)
    await world.store.write(lambda tx: BalancerRepo(tx, *HERE).delete(one))
    assert await world.controller.keys() == (one.arn,)
    assert await world.controller.reconcile(one.arn) == Next()
    assert world.plane.served[-1] == ()
    assert world.addresses.released == [one.arn]
    assert await world.controller.states([one.arn]) == {}
    assert await world.controller.keys() == ()


async def test_a_balancer_is_active_with_all_its_addresses_and_failed_when_it_is_refused(
    world: World,
) -> None:
    one, _, _ = await world.store.write(made)
    del world.addresses.known["subnet-0b"]
    await world.controller.reconcile(one.arn)
    assert await world.controller.states([one.arn]) == {}
    world.addresses.known["subnet-0b"] = "172.31.16.4"
    world.plane.refuses[one.tail] = "the port is taken"
    await world.controller.reconcile(one.arn)
    failed = BalancerState(code="failed", reason="the port is taken")
    assert await world.controller.states([one.arn]) == {one.arn: failed}


async def test_a_balancer_is_provisioning_until_the_data_plane_has_it(world: World) -> None:
    one, _, _ = await world.store.write(made)
    world.plane.is_slow = True
    await world.controller.reconcile(one.arn)
    assert await world.controller.states([one.arn]) == {}
    world.plane.is_slow = False
    assert await world.controller.states([one.arn]) == {one.arn: BalancerState(code="active")}


async def test_a_machine_that_cannot_have_the_addresses_says_so_in_the_balancers_state(world: World) -> None:
    one, _, _ = await world.store.write(made)
    world.addresses.trouble = "ip: Operation not permitted\nand more"
    with pytest.raises(CommandError):
        await world.controller.reconcile(one.arn)
    failed = BalancerState(code="failed", reason="ip: Operation not permitted")
    world.plane.is_slow = True
    assert await world.controller.states([one.arn]) == {one.arn: failed}
    world.addresses.trouble, world.plane.is_slow = "", False
    await world.controller.reconcile(one.arn)
    assert await world.controller.states([one.arn]) == {one.arn: BalancerState(code="active")}


async def test_a_fresh_process_serves_nothing_before_it_has_looked_at_every_balancer(world: World) -> None:
    """A proxy that outlived the last one would end those that are left out."""
    one, _, _ = await world.store.write(made)
    other = replace(one, id=0, name="other", suffix="f" * 16)
    await world.store.write(lambda tx: BalancerRepo(tx, *HERE).add(other))
    world.addresses.left = ["arn:aws:elasticloadbalancing:us-east-1:000000000000:loadbalancer/app/gone/0"]
    first, second, gone = await world.controller.keys()
    await world.controller.reconcile(first)
    await world.controller.reconcile(gone)
    assert world.plane.served == []
    await world.controller.reconcile(second)
    assert [{one.id for one in told} for told in world.plane.served] == [{one.tail, other.tail}]
    assert world.addresses.released == [gone]


async def test_a_balancer_that_cannot_be_looked_at_does_not_hold_up_the_others(world: World) -> None:
    one, _, _ = await world.store.write(made)
    world.addresses.trouble = "ip: no"
    await world.controller.keys()
    with pytest.raises(CommandError):
        await world.controller.reconcile(one.arn)
    assert world.plane.served == [()]


async def test_without_balancers_a_proxy_that_was_left_is_told_to_serve_none(world: World) -> None:
    assert await world.controller.keys() == ()
    assert world.plane.served == [()]


async def test_news_of_health_goes_to_the_feed_by_the_groups_arn(world: World) -> None:
    one, _, default = await world.store.write(made)
    await world.controller.reconcile(one.arn)
    assert await world.controller.health(default.groups[0]) == {
        "172.31.0.10:80": TargetHealth(state="healthy")
    }
    start = await world.store.read(last_position)
    await world.controller.tell(default.groups[0].split(":", 5)[5])
    await world.controller.tell("targetgroup/unknown/0")
    page = await world.store.read(lambda tx: read_page(tx, start))
    assert [(one.kind, one.key) for one in page.changes] == [(TARGETS_CHANGED, default.groups[0])]
