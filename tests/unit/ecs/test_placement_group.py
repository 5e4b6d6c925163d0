"""A group is placed as its tasks one by one would be, under the rule written in `placement_order`."""

from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.kit.placement import World, demands, worlds

from homeport.services.ecs.plan import placement
from homeport.services.ecs.plan.placement import place
from homeport.services.ecs.plan.placement_admission import admit, capacities
from homeport.services.ecs.plan.placement_order import order_group, order_steps
from homeport.services.ecs.plan.placement_types import Demand

COUNTS = st.one_of(st.integers(1, 4), st.integers(1, 60))


@settings(max_examples=400, deadline=None)
@given(worlds(), demands(), COUNTS, st.integers(0, 2**32))
def test_a_group_goes_where_its_tasks_would_go_one_by_one(
    world: World, demand: Demand, count: int, dice: int
) -> None:
    fast = place(world.fleet, demand, count, dice=dice)
    assert list(fast.chosen) == world.slow.place(demand, count, dice)


@settings(max_examples=400, deadline=None)
@given(worlds(), demands(), COUNTS, st.integers(0, 2**32))
def test_in_one_pass_and_step_by_step_are_the_same(
    world: World, demand: Demand, count: int, dice: int
) -> None:
    rows = placement._in_uid_order(world.fleet, admit(world.fleet, demand))
    if not len(rows):
        return
    most = capacities(world.fleet, demand, rows, count)
    passes, steps = (
        placement._rules(world.fleet, demand, rows, np.random.default_rng(dice)) for _ in range(2)
    )
    order = order_group(passes, most, count)
    if order is not None:
        assert order.tolist() == order_steps(steps, most, count).tolist()
