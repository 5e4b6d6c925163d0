"""Which tasks of a service stop first. Source: reference of scale-in selection; ties by dice."""

from __future__ import annotations

from collections import Counter

from hypothesis import given, settings
from hypothesis import strategies as st
from tests.kit.placement import AZS, STRATEGIES, World, fleet_of, instance, worlds

from homeport.services.ecs.plan.fleet import Fleet
from homeport.services.ecs.plan.placement import ServiceTask, pick_for_scale_in
from homeport.services.ecs.plan.placement_types import Demand, Strategy

WEB = Demand(cpu=100, memory=100, group="service:web")


def service(fleet: Fleet, *where: int) -> list[ServiceTask]:
    """Tasks 1, 2, ... on the instances named."""
    tasks = [ServiceTask(id=number, instance_id=at) for number, at in enumerate(where, 1)]
    for task in tasks:
        fleet.assign(task.id, task.instance_id, WEB, last_status="RUNNING")
    return tasks


def changed(task: ServiceTask, **members: bool) -> ServiceTask:
    return ServiceTask(id=task.id, instance_id=task.instance_id, **members)


def test_pending_then_unhealthy_then_draining_then_the_rest_and_protected_never() -> None:
    fleet = fleet_of(instance(1), instance(2, status="DRAINING"))
    a, b, c, d, e = service(fleet, 1, 1, 2, 1, 1)
    tasks = [changed(a, protected=True), b, c, changed(d, healthy=False), changed(e, running=False)]
    assert pick_for_scale_in(fleet, tasks, (), 9, dice=1) == (5, 4, 3, 2)


def test_by_default_the_fullest_zone_then_its_fullest_instance() -> None:
    fleet = fleet_of(instance(1, az="a"), instance(2, az="a"), instance(3, az="b"))
    tasks = service(fleet, 1, 2, 2, 3, 3)
    for dice in range(20):
        first, second = pick_for_scale_in(fleet, tasks, (), 2, dice=dice)
        assert first in (2, 3)
        # Two in each zone now: the instances with two tasks are those of zone b.
        assert second in (4, 5)


def test_spread_within_a_zone_is_by_dice() -> None:
    fleet = fleet_of(instance(1, az="a"), instance(2, az="a"))
    tasks = service(fleet, 1, 2, 2)
    spread = (Strategy("spread", "attribute:ecs.availability-zone"),)
    picked = {pick_for_scale_in(fleet, tasks, spread, 1, dice=dice) for dice in range(40)}
    assert picked == {(1,), (2,), (3,)}


def test_binpack_stops_where_most_will_be_left() -> None:
    fleet = fleet_of(instance(1, cpu=1000, memory=900), instance(2, cpu=900, memory=1000))
    tasks = service(fleet, 1, 2, 2, 2)
    assert pick_for_scale_in(fleet, tasks, (Strategy("binpack", "cpu"),), 1, dice=1) == (1,)
    by_memory = pick_for_scale_in(fleet, tasks, (Strategy("binpack", "memory"),), 4, dice=1)
    # Free: 800 and 700. The first leaves instance 1; then instance 2 has less than 1 had.
    assert by_memory[0] == 1
    assert set(by_memory[1:]) == {2, 3, 4}


def test_binpack_goes_on_where_it_began() -> None:
    fleet = fleet_of(instance(1, memory=1000), instance(2, memory=1000))
    tasks = service(fleet, 1, 1, 1, 2, 2)
    assert set(pick_for_scale_in(fleet, tasks, (Strategy("binpack", "memory"),), 2, dice=3)) == {4, 5}


def test_random_is_by_dice() -> None:
    fleet = fleet_of(instance(1), instance(2))
    tasks = service(fleet, 1, 2, 2)
    picked = {
        pick_for_scale_in(fleet, tasks, (Strategy("random"), Strategy("spread", "host")), 1, dice=dice)
        for dice in range(40)
    }
    assert picked == {(1,), (2,), (3,)}


def test_tasks_that_the_fleet_does_not_know_stop_first() -> None:
    fleet = fleet_of(instance(1, az="a"))
    tasks = [*service(fleet, 1, 1), ServiceTask(id=9), ServiceTask(id=10, instance_id=77)]
    assert set(pick_for_scale_in(fleet, tasks, (), 2, dice=1)) == {9, 10}


@settings(max_examples=40, deadline=None)
@given(
    worlds(),
    st.lists(st.sampled_from(STRATEGIES), max_size=3),
    st.integers(-1, 15),
    st.integers(0, 99),
    st.data(),
)
def test_as_many_stop_as_asked_and_the_order_of_tasks_does_not_matter(
    world: World, strategy: list[Strategy], count: int, dice: int, data: st.DataObject
) -> None:
    numbers = sorted(world.slow.machines)
    tasks = [
        ServiceTask(id=task_id, instance_id=at, protected=protected)
        for task_id, (at, protected) in enumerate(
            data.draw(st.lists(st.tuples(st.sampled_from(numbers), st.booleans()), max_size=12))
        )
    ]
    picked = pick_for_scale_in(world.fleet, tasks, strategy, count, dice=dice)
    free = {task.id for task in tasks if not task.protected}
    assert len(set(picked)) == len(picked) == max(0, min(count, len(free)))
    assert set(picked) <= free
    shuffled = data.draw(st.permutations(tasks))
    assert pick_for_scale_in(world.fleet, shuffled, strategy, count, dice=dice) == picked


@settings(max_examples=40, deadline=None)
@given(st.lists(st.sampled_from(range(1, 7)), min_size=1, max_size=30), st.integers(1, 30), st.integers(0, 9))
def test_what_is_left_of_a_spread_service_is_as_even_as_it_can_be(
    where: list[int], count: int, dice: int
) -> None:
    fleet = fleet_of(*(instance(number, az=AZS[number % 3]) for number in range(1, 7)))
    tasks = service(fleet, *where)
    before = Counter(AZS[at % 3] for at in where)
    gone = pick_for_scale_in(fleet, tasks, (), count, dice=dice)
    after = before - Counter(AZS[where[task_id - 1] % 3] for task_id in gone)
    touched = [az for az in AZS if after[az] < before[az]]
    # A zone that lost a task had the most, so none has now more than one more than it.
    assert all(max(after.values(), default=0) <= after[az] + 1 for az in touched)
