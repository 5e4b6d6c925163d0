"""Whose deregistration delay is over, by what was served before and is served now."""

from __future__ import annotations

from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from homeport.dataplane.leaving import Leaver, leavers, overdue
from homeport.dataplane.model import Balancer, BalancerKind, BindAddress, Target, TargetGroup


def balancer(*groups: TargetGroup, kind: BalancerKind = BalancerKind.APPLICATION) -> Balancer:
    addresses = (BindAddress(address="10.0.0.1"), BindAddress(address="10.0.16.1"))
    return Balancer(id="app/web/1", kind=kind, addresses=addresses, groups=groups)


def group(*targets: Target, name: str = "g", delay: int = 300) -> TargetGroup:
    return TargetGroup(id=f"targetgroup/{name}/1", targets=targets, deregistration_delay_seconds=delay)


STAYS = Target(address="10.0.1.1", port=80)
LEAVES = Target(address="10.0.1.2", port=80, draining=True)
LEAVER = Leaver(
    balancer_id="app/web/1",
    group_id="targetgroup/g/1",
    sources=("10.0.0.1", "10.0.16.1"),
    address="10.0.1.2",
    port=80,
)


def after(before: Balancer, *now: Balancer) -> frozenset[Leaver]:
    return overdue(leavers([before]), now)


def test_who_drained_and_is_gone_is_cut_off() -> None:
    draining = balancer(group(STAYS, LEAVES))
    assert leavers([draining]) == {LEAVER}
    assert after(draining, draining) == frozenset()
    assert after(draining, balancer(group(STAYS))) == {LEAVER}


def test_who_came_back_or_is_in_another_group_is_not() -> None:
    draining = balancer(group(STAYS, LEAVES), group(name="other"))
    back = replace(LEAVES, draining=False)
    assert after(draining, balancer(group(STAYS, back))) == frozenset()
    for there in (back, LEAVES):
        assert after(draining, balancer(group(STAYS), group(there, name="other"))) == frozenset()


def test_a_group_that_is_not_used_any_more_takes_nothing_from_its_targets() -> None:
    draining = balancer(group(STAYS, LEAVES))
    assert after(draining, balancer(group(name="other"))) == frozenset()
    assert after(draining) == frozenset()


def test_without_a_delay_whoever_is_gone_is_cut_off_at_once() -> None:
    assert after(balancer(group(STAYS)), balancer(group())) == frozenset()
    (cut,) = after(balancer(group(STAYS, delay=0)), balancer(group(delay=0)))
    assert (cut.address, cut.port) == (STAYS.address, STAYS.port)


def test_connections_of_a_network_balancer_go_on() -> None:
    draining = balancer(group(LEAVES, delay=0), kind=BalancerKind.NETWORK)
    assert after(draining, balancer(group(delay=0), kind=BalancerKind.NETWORK)) == frozenset()


targets = st.builds(
    Target,
    address=st.sampled_from(["10.0.1.1", "10.0.1.2", "10.0.1.3"]),
    port=st.sampled_from([80, 81]),
    draining=st.booleans(),
)
groups = st.lists(
    st.tuples(st.sampled_from("abc"), st.lists(targets, max_size=4), st.sampled_from([0, 300])),
    max_size=3,
    unique_by=lambda one: one[0],
)
worlds = groups.map(lambda found: balancer(*(group(*t, name=n, delay=d) for n, t, d in found)))


@given(worlds, worlds)
def test_nobody_who_is_served_is_ever_cut_off(before: Balancer, now: Balancer) -> None:
    here = {(target.address, target.port) for one in now.groups for target in one.targets}
    cut = after(before, now)
    assert not here & {(one.address, one.port) for one in cut}
    assert cut <= leavers([before])
