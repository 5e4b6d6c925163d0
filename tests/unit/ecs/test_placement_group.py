"""A group is placed as its tasks one by one would be, under the rule written in `placement_order`."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from tests.kit.placement import AZS, STRATEGIES, World, demands, fleet_of, instance, worlds

from homeport.services.ecs.plan import placement, placement_order
from homeport.services.ecs.plan.placement import place
from homeport.services.ecs.plan.placement_admission import admit, capacities
from homeport.services.ecs.plan.placement_order import Arrivals, order_group, order_steps
from homeport.services.ecs.plan.placement_types import Demand, Strategy

SPREAD_AZ, SPREAD_RACK, _, SPREAD_INSTANCE, PACK_CPU, PACK_MEMORY, RANDOM = STRATEGIES
COUNTS = st.one_of(st.integers(1, 4), st.integers(1, 60))
SEEDS = st.integers(0, 2**32)


@settings(max_examples=40, deadline=None)
@given(worlds(), demands(), COUNTS, SEEDS)
def test_a_group_goes_where_its_tasks_would_go_one_by_one(
    world: World, demand: Demand, count: int, dice: int
) -> None:
    fast = place(world.fleet, demand, count, dice=dice)
    assert list(fast.chosen) == world.slow.place(demand, count, dice)


@settings(max_examples=80, deadline=None)
@given(worlds(), demands(), COUNTS, SEEDS)
def test_in_one_pass_and_step_by_step_are_the_same(
    world: World, demand: Demand, count: int, dice: int
) -> None:
    rows = placement._in_uid_order(world.fleet, admit(world.fleet, demand))
    assume(len(rows))
    most = capacities(world.fleet, demand, rows, count)
    passes, steps = (
        placement._rules(world.fleet, demand, rows, np.random.default_rng(dice)) for _ in range(2)
    )
    order = order_group(passes, most, count)
    assume(order is not None)
    assert order.tolist() == order_steps(steps, most, count).tolist()


IN_ONE_PASS = [
    (),
    (SPREAD_AZ,),
    (SPREAD_AZ, PACK_MEMORY),
    (SPREAD_AZ, SPREAD_INSTANCE),
    (SPREAD_AZ, SPREAD_INSTANCE, PACK_CPU),
    (SPREAD_AZ, RANDOM),
    (SPREAD_INSTANCE, RANDOM),
    (PACK_CPU, PACK_MEMORY),
    (PACK_MEMORY, SPREAD_INSTANCE),
    (RANDOM,),
]


@pytest.mark.parametrize("group", ["service:web", "family:job"])
@pytest.mark.parametrize("strategy", IN_ONE_PASS, ids=lambda s: "+".join(r.kind + r.field for r in s))
@pytest.mark.parametrize("count", [1, 2, 100, 1000, 3000])
def test_large_groups_with_the_usual_strategies_take_one_pass(
    strategy: tuple[Strategy, ...], count: int, group: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    views = [instance(n, az=AZS[n * n % 3], memory=4096 + n % 4 * 512) for n in range(1, 120)]
    fleet = fleet_of(*views)
    demand = Demand(cpu=100, memory=300, strategy=strategy, group=group)
    fleet.assign_many(range(40), [view.id for view in views[:40]], demand)
    rows = placement._in_uid_order(fleet, admit(fleet, demand))
    steps = order_steps(
        placement._rules(fleet, demand, rows, np.random.default_rng(7)),
        capacities(fleet, demand, rows, count),
        count,
    )
    expected = tuple(fleet.rows.ids[rows[steps]].tolist())
    monkeypatch.setattr(placement, "order_steps", None)
    monkeypatch.setattr(placement, "STEPS_MAX", 1)
    assert place(fleet, demand, count, dice=7).chosen == expected


@pytest.mark.parametrize(
    "strategy",
    [(SPREAD_INSTANCE, SPREAD_AZ), (PACK_CPU, SPREAD_AZ), (SPREAD_AZ, SPREAD_RACK), (PACK_CPU, RANDOM)],
    ids=lambda s: "+".join(r.kind + r.field for r in s),
)
def test_strategies_that_depend_on_each_other_go_step_by_step(strategy: tuple[Strategy, ...]) -> None:
    views = [instance(n, az=AZS[n % 3], attributes={"rack": f"r{n % 2}"}) for n in range(1, 8)]
    fleet = fleet_of(*views)
    demand = Demand(memory=300, strategy=strategy, group="service:web")
    rows = placement._in_uid_order(fleet, admit(fleet, demand))
    rules = placement._rules(fleet, demand, rows, np.random.default_rng(1))
    assert order_group(rules, np.full(7, 9), 20) is None
    assert len(place(fleet, demand, 20, dice=1).chosen) == 20


def test_a_spread_within_a_spread_is_filled_in_one_pass() -> None:
    racks = {n: f"{AZS[n % 3]}-r{n % 6}" for n in range(1, 31)}
    fleet = fleet_of(*(instance(n, az=AZS[n % 3], attributes={"rack": racks[n]}) for n in racks))
    demand = Demand(cpu=64, strategy=(SPREAD_AZ, SPREAD_RACK, PACK_CPU), group="service:web")
    rows = placement._in_uid_order(fleet, admit(fleet, demand))
    most = capacities(fleet, demand, rows, 300)
    passes, steps = (placement._rules(fleet, demand, rows, np.random.default_rng(1)) for _ in range(2))
    order = order_group(passes, most, 300)
    assert order is not None
    assert order.tolist() == order_steps(steps, most, 300).tolist()


def test_random_times_rise_beyond_the_layers_that_are_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(placement_order, "LAYER_NUMBERS_MAX", 40)
    arrivals = Arrivals(np.random.default_rng(3), 2)
    times = arrivals.keys(np.zeros(500, dtype=np.int64), np.arange(500))
    assert (np.diff(times) > 0).all()
    assert arrivals._times.shape == (20, 2)


@pytest.mark.parametrize("dice", range(5))
def test_random_draws_until_nobody_else_can_arrive_earlier(dice: int) -> None:
    """Zone a has few instances, so that each takes more tasks than were drawn at first."""
    fleet = fleet_of(*(instance(n, az=AZS[n > 2]) for n in range(1, 33)))
    demand = Demand(strategy=(SPREAD_AZ, RANDOM), group="service:web")
    rows = placement._in_uid_order(fleet, admit(fleet, demand))
    passes, steps = (placement._rules(fleet, demand, rows, np.random.default_rng(dice)) for _ in range(2))
    most = np.full(32, 1000)
    order = order_group(passes, most, 104)
    assert order is not None
    assert order.tolist() == order_steps(steps, most, 104).tolist()


def test_random_is_as_likely_for_every_instance() -> None:
    fleet = fleet_of(*(instance(n) for n in range(1, 11)))
    demand = Demand(strategy=(RANDOM,), group="family:job")
    chosen = place(fleet, demand, 20_000, dice=11).chosen
    counts = np.bincount(chosen, minlength=11)[1:]
    # 2,000 each; a standard deviation is 42.
    assert 1_800 < counts.min() <= counts.max() < 2_200
    firsts = [place(fleet, demand, 1, dice=seed).chosen[0] for seed in range(2_000)]
    assert np.bincount(firsts, minlength=11)[1:].min() > 140
