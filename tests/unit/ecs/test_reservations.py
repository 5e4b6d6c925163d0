"""Room that DAEMON services' missing tasks need is nobody else's."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from homeport.services.ecs.plan.fleet import Fleet
from homeport.services.ecs.plan.placement import place
from homeport.services.ecs.plan.placement_each import place_each
from homeport.services.ecs.plan.placement_types import Constraint, Demand, InstanceView, Reason
from homeport.services.ecs.plan.reservations import Reservations

AGENT = Demand(cpu=100, memory=64, ports_tcp=(9100,), group="service:agent")
GREEDY = Demand(cpu=10, memory=64, group="service:greedy")


def instance(number: int, **members: Any) -> InstanceView:
    given = {"cpu": 1024, "memory": 256, "registered_at": datetime(2030, 1, 1, tzinfo=UTC)}
    return InstanceView(id=number, uid=f"{number:032x}", **{**given, **members})


def fleet_of(*instances: InstanceView) -> Fleet:
    fleet = Fleet()
    for one in instances:
        fleet.upsert_instance(one)
    return fleet


def room(fleet: Fleet) -> int:
    return len(place(fleet, GREEDY, 100, dice=1).chosen)


def test_room_and_ports_are_held_wherever_the_task_is_missing() -> None:
    fleet, held = fleet_of(instance(1), instance(2)), Reservations()
    assert room(fleet) == 8
    held.set(fleet, 7, AGENT)
    held.hold(fleet)
    held.hold(fleet)
    assert room(fleet) == 6
    assert place(fleet, Demand(ports_tcp=(9100,), group="service:other"), 2, dice=1).unplaced == 2
    assert int(fleet.running.sum()) == 0, "a stand-in is no task"


def test_the_service_itself_takes_what_is_held_for_it() -> None:
    fleet, held = fleet_of(instance(1), instance(2, memory=32)), Reservations()
    held.set(fleet, 7, AGENT)
    held.hold(fleet)
    held.hold(fleet, but=7)
    placement = place_each(fleet, AGENT, [instance(1).uid, instance(2).uid])
    assert placement.chosen == (1,)
    assert [refusal.reason for refusal in placement.refusals] == [Reason.MEMORY]
    fleet.assign(1001, 1, AGENT)
    held.hold(fleet)
    assert fleet.remaining(1).memory == 256 - 64, "the task's own room is held once"
    assert fleet.remaining(2).memory == 32 - 64, "nobody else gets what is not enough for it either"


def test_nothing_is_held_where_no_task_can_be() -> None:
    wants = Constraint("memberOf", "attribute:role == edge")
    away = instance(1, agent_connected=False)
    draining, other = instance(2, status="DRAINING"), instance(3)
    edge = instance(4, attributes={"role": "edge"})
    fleet, held = fleet_of(away, draining, other, edge), Reservations()
    held.set(fleet, 7, Demand(memory=64, constraints=(wants,), group="service:agent"))
    held.hold(fleet)
    assert [fleet.remaining(number).memory for number in (1, 2, 3, 4)] == [256, 256, 256, 192]
    fleet.upsert_instance(instance(3, attributes={"role": "edge"}))
    fleet.upsert_instance(instance(4))
    held.hold(fleet)
    assert [fleet.remaining(number).memory for number in (3, 4)] == [192, 256]


def test_what_a_service_needs_no_more_is_given_back() -> None:
    fleet, held = fleet_of(instance(1)), Reservations()
    held.learn({7: AGENT})
    held.hold(fleet)
    assert room(fleet) == 3
    held.set(fleet, 7, None)
    held.hold(fleet)
    assert room(fleet) == 4
    held.learn({7: AGENT})
    held.hold(fleet)
    assert room(fleet) == 4, "what was read before its controller spoke is old news"


def test_an_instance_that_goes_and_comes_again_is_held_anew() -> None:
    fleet, held = fleet_of(instance(1)), Reservations()
    held.set(fleet, 7, AGENT)
    held.hold(fleet)
    fleet.remove_instance(1)
    held.hold(fleet)
    fleet.upsert_instance(instance(1))
    held.hold(fleet)
    assert room(fleet) == 3


def test_one_task_each_and_none_beside_another() -> None:
    fleet = fleet_of(instance(1), instance(2))
    fleet.assign(1001, 2, AGENT)
    placement = place_each(fleet, AGENT, [instance(1).uid, instance(2).uid, f"{9:032x}"])
    assert (placement.chosen, placement.unplaced) == ((1,), 0)
