"""The data plane serves what the state says, and nothing else."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from datetime import timedelta

import pytest

from homeport.core.clock import FixedClock
from homeport.dataplane.model import Balancer
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

    def serve(self, balancers: Collection[Balancer]) -> None:
        """These and no others."""
        self.served.append(tuple(balancers))

    def refused(self) -> Mapping[str, str]:
        """What a test says."""
        return self.refuses

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

    async def of(self, balancer: LoadBalancer) -> Mapping[str, str]:
        """The same each time."""
        return {
            zone.subnet_id: self.known[zone.subnet_id]
            for zone in balancer.zones
            if zone.subnet_id in self.known
        }

    async def release(self, balancer_arn: str) -> None:
        """Remembered."""
        self.released.append(balancer_arn)


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
