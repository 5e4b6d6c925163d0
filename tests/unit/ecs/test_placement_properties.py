"""What no placement may ever do, and what every refusal must be able to prove."""

from __future__ import annotations

from collections import Counter

from hypothesis import given, settings
from hypothesis import strategies as st
from tests.kit.placement import (
    AZS,
    GROUPS,
    Machine,
    SlowTask,
    World,
    demands,
    fleet_of,
    instance,
    worlds,
)

from homeport.services.ecs.plan.placement import check, place
from homeport.services.ecs.plan.placement_types import AZ_ATTRIBUTE, Demand, Reason, Refusal, Strategy

COUNTS = st.one_of(st.integers(1, 3), st.integers(1, 40))
SEEDS = st.integers(0, 2**32)


@settings(max_examples=40, deadline=None)
@given(worlds(), demands(), COUNTS, SEEDS)
def test_every_task_is_placed_where_every_check_holds(
    world: World, demand: Demand, count: int, dice: int
) -> None:
    for number, chosen in enumerate(place(world.fleet, demand, count, dice=dice).chosen):
        machine = world.slow.machines[chosen]
        assert list(machine.failures(demand)) == []
        machine.tasks.append(SlowTask(-number, demand))
        assert not (demand.cpu and machine.free("cpu") < 0)
        assert not (demand.memory and machine.free("memory") < 0)
        assert not (demand.ports_tcp and max(Counter(machine.ports("ports_tcp")).values()) > 1)


@settings(max_examples=40, deadline=None)
@given(worlds(), demands(), COUNTS, SEEDS)
def test_a_task_waits_only_if_every_active_instance_refuses_it_for_a_true_reason(
    world: World, demand: Demand, count: int, dice: int
) -> None:
    placement = place(world.fleet, demand, count, dice=dice)
    assert len(placement.chosen) + placement.unplaced == count
    if not placement.unplaced:
        assert placement.refusals == ()
        return
    for number, chosen in enumerate(placement.chosen):
        world.slow.machines[chosen].tasks.append(SlowTask(-number, demand))
    active = [machine for machine in world.slow.ordered() if machine.view.status == "ACTIVE"]
    assert [refusal.instance_uid for refusal in placement.refusals] == [m.view.uid for m in active]
    assert placement.examined == len(active)
    for machine, refusal in zip(active, placement.refusals, strict=True):
        prove(machine, demand, refusal)
    if active:
        assert placement.closest() in placement.refusals


def prove(machine: Machine, demand: Demand, refusal: Refusal) -> None:
    assert refusal.reason == next(machine.failures(demand))
    resource = {Reason.CPU: "cpu", Reason.MEMORY: "memory", Reason.GPU: "gpus", Reason.ENI: "enis"}.get(
        refusal.reason
    )
    if resource:
        assert (refusal.asked, refusal.free) == (getattr(demand, resource), machine.free(resource))
        assert refusal.free < refusal.asked
    if refusal.reason in (Reason.PORTS, Reason.PORTS_UDP):
        protocol = "ports_tcp" if refusal.reason is Reason.PORTS else "ports_udp"
        taken = sorted(set(getattr(demand, protocol)) & set(machine.ports(protocol)))
        assert refusal.detail == ", ".join(map(str, taken))
    if refusal.reason is Reason.LOCATION:
        assert refusal.detail == machine.attributes.get(AZ_ATTRIBUTE, "")


@settings(max_examples=40, deadline=None)
@given(worlds(), demands())
def test_check_answers_for_one_instance_what_the_checks_say(world: World, demand: Demand) -> None:
    for number, machine in world.slow.machines.items():
        refusal = check(world.fleet, demand, number, constraints=True)
        assert (refusal and refusal.reason) == next(machine.failures(demand), None)
        bare = check(world.fleet, demand, number)
        bypassed = (Reason.MEMBER_OF, Reason.DISTINCT_INSTANCE)
        expected = next((f for f in machine.failures(demand) if f not in bypassed), None)
        assert (bare and bare.reason) == expected


@settings(max_examples=40, deadline=None)
@given(worlds(), demands(), COUNTS, SEEDS)
def test_the_same_dice_give_the_same_placement_and_the_fleet_is_not_changed(
    world: World, demand: Demand, count: int, dice: int
) -> None:
    before = {n: world.fleet.remaining(n) for n in world.slow.machines}
    version = world.fleet.version
    first, second = (place(world.fleet, demand, count, dice=dice) for _ in range(2))
    assert (first.chosen, first.refusals) == (second.chosen, second.refusals)
    assert {n: world.fleet.remaining(n) for n in world.slow.machines} == before
    assert world.fleet.version == version


@settings(max_examples=40, deadline=None)
@given(worlds(), demands(), COUNTS, SEEDS, st.randoms(use_true_random=False))
def test_the_order_of_registration_does_not_matter(
    world: World, demand: Demand, count: int, dice: int, shuffler: object
) -> None:
    machines = list(world.slow.machines.values())
    shuffler.shuffle(machines)
    rebuilt = fleet_of(*(machine.view for machine in machines))
    for machine in machines:
        for task in machine.tasks:
            rebuilt.assign(task.id, machine.view.id, task.demand, desired_status=task.desired)
    ours = place(world.fleet, demand, count, dice=dice)
    theirs = place(rebuilt, demand, count, dice=dice)
    assert (ours.chosen, ours.refusals) == (theirs.chosen, theirs.refusals)


@settings(max_examples=40, deadline=None)
@given(
    st.lists(st.sampled_from(AZS), min_size=1, max_size=12),
    st.integers(1, 80),
    st.sampled_from([(), (Strategy("binpack", "cpu"),), (Strategy("random"),)]),
    st.sampled_from(GROUPS),
)
def test_a_spread_differs_by_at_most_one_while_there_is_room(
    zones: list[str], count: int, then: tuple[Strategy, ...], group: str
) -> None:
    fleet = fleet_of(*(instance(n, az=az) for n, az in enumerate(zones, 1)))
    spread = Strategy("spread", f"attribute:{AZ_ATTRIBUTE}")
    demand = Demand(cpu=51, strategy=(spread, *then), group=group)  # 80 fit an instance
    chosen = place(fleet, demand, count, dice=5).chosen
    tasks = Counter(zones[number - 1] for number in chosen)
    counts = [tasks[az] for az in set(zones)]
    assert sum(counts) == count
    assert max(counts) - min(counts) <= 1


@settings(max_examples=40, deadline=None)
@given(st.integers(1, 12), st.integers(1, 60), SEEDS, st.sampled_from(GROUPS))
def test_without_strategy_tasks_are_spread_over_instances(
    instances: int, count: int, dice: int, group: str
) -> None:
    fleet = fleet_of(*(instance(n, az=AZS[0]) for n in range(1, instances + 1)))
    counts = Counter(place(fleet, Demand(group=group), count, dice=dice).chosen)
    assert max(counts.values()) - min(counts[n] for n in range(1, instances + 1)) <= 1
