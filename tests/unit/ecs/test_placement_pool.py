"""A task for the instances of one Auto Scaling group: for it, there are no others."""

from __future__ import annotations

from dataclasses import replace

from hypothesis import given, settings
from hypothesis import strategies as st
from tests.kit.placement import World, demands, fleet_of, instance, worlds

from homeport.services.ecs.plan.fleet import Fleet
from homeport.services.ecs.plan.placement import place, weigh
from homeport.services.ecs.plan.placement_types import Demand, InstanceView
from homeport.services.ecs.plan.placing import pool_of

SEEDS = st.integers(0, 2**32)


def grouped(view: InstanceView, group: str | None) -> InstanceView:
    attributes = {**view.attributes, **({pool_of("").rstrip("="): group} if group else {})}
    return replace(view, attributes=attributes)


@settings(max_examples=60, deadline=None)
@given(worlds(), demands(), st.integers(1, 30), SEEDS, st.data())
def test_placing_in_a_group_is_placing_in_a_cluster_of_its_instances(
    world: World, demand: Demand, count: int, dice: int, data: st.DataObject
) -> None:
    views = [world.fleet.view(row) for row in world.fleet.rows.by_uid.tolist()]
    groups = [data.draw(st.sampled_from(("mine", "mine", "other", None))) for _ in views]
    everything = fleet_of(*(grouped(v, g) for v, g in zip(views, groups, strict=True)))
    alone = fleet_of(*(grouped(v, g) for v, g in zip(views, groups, strict=True) if g == "mine"))
    demand = replace(demand, strategy=tuple(s for s in demand.strategy if s.kind != "random"))
    mine = place(everything, replace(demand, pool=pool_of("mine")), count, dice=dice)
    expected = place(alone, demand, count, dice=dice)
    if demand.strategy or demand.group.startswith("service:"):
        assert mine.chosen == expected.chosen
    assert (len(mine.chosen), mine.unplaced) == (len(expected.chosen), expected.unplaced)
    assert (mine.examined, mine.not_active) == (expected.examined, expected.not_active)
    if demand.strategy or demand.group.startswith("service:"):
        assert mine.refusals == expected.refusals


def test_instances_of_other_groups_are_not_even_asked() -> None:
    fleet: Fleet = fleet_of(
        grouped(instance(1, memory=10), "mine"), grouped(instance(2), "other"), instance(3)
    )
    demand = Demand(memory=100, pool=pool_of("mine"))
    assert [refusal.instance_uid for refusal in weigh(fleet, demand)] == [f"{1:032x}"]
    placement = place(fleet, demand, 1, dice=0)
    assert (placement.chosen, placement.examined) == ((), 1)
    assert [str(refusal.reason) for refusal in placement.refusals] == ["RESOURCE:MEMORY"]
    assert place(fleet, replace(demand, pool=pool_of("nobody")), 1, dice=0).examined == 0


def test_an_instance_that_changes_its_group_is_there_for_the_other_one() -> None:
    fleet = fleet_of(grouped(instance(1), "mine"))
    demand = Demand(memory=100, pool=pool_of("other"))
    assert place(fleet, demand, 1, dice=0).chosen == ()
    fleet.upsert_instance(grouped(instance(1), "other"))
    assert place(fleet, demand, 1, dice=0).chosen == (1,)
