"""Placement's documented rules, one by one.

Source, where no other is named: ECS Developer Guide, task placement strategies and constraints.
"""

from __future__ import annotations

from collections import Counter

import pytest
from tests.kit.placement import AZS, fleet_of, instance

from homeport.services.ecs.plan.fleet import Fleet
from homeport.services.ecs.plan.placement import check, place
from homeport.services.ecs.plan.placement_types import (
    Constraint,
    Demand,
    InstanceView,
    Reason,
    Refusal,
    Strategy,
)
from homeport.services.ecs.plan.query import QuerySyntaxError

SPREAD_AZ = Strategy("spread", "attribute:ecs.availability-zone")
SPREAD_INSTANCE = Strategy("spread", "instanceId")
DISTINCT = Constraint("distinctInstance")


def chosen(fleet: Fleet, demand: Demand, count: int = 1) -> list[int]:
    return list(place(fleet, demand, count, dice=1).chosen)


def zones(*azs: str) -> Fleet:
    return fleet_of(*(instance(number, az=az) for number, az in enumerate(azs, 1)))


class TestSpread:
    def test_over_zones_then_the_least_uid(self) -> None:
        fleet = zones("a", "a", "b", "c")
        demand = Demand(strategy=(SPREAD_AZ,), group="service:web")
        assert chosen(fleet, demand, 6) == [1, 3, 4, 1, 3, 4]

    def test_only_tasks_of_the_same_group_count(self) -> None:
        fleet = zones("a", "b")
        fleet.assign(7, 1, Demand(group="service:db"))
        fleet.assign(8, 2, Demand(group="service:web"))
        assert chosen(fleet, Demand(strategy=(SPREAD_AZ,), group="service:web")) == [1]

    def test_zones_then_instances_is_what_services_get_by_default(self) -> None:
        fleet = zones("a", "a", "b", "b")
        assert chosen(fleet, Demand(group="service:web"), 4) == [1, 3, 2, 4]

    def test_zones_then_the_least_memory(self) -> None:
        fleet = fleet_of(
            *(instance(n, az=az, memory=m) for n, az, m in ((1, "a", 900), (2, "a", 800), (3, "b", 700)))
        )
        demand = Demand(memory=100, strategy=(SPREAD_AZ, Strategy("binpack", "memory")), group="service:web")
        assert chosen(fleet, demand, 4) == [3, 2, 3, 2]

    def test_host_is_another_name_of_the_instance(self) -> None:
        assert Strategy("spread", "host") == SPREAD_INSTANCE

    def test_instances_without_the_attribute_come_last(self) -> None:
        """Our choice: AWS documents nothing."""
        fleet = fleet_of(instance(1), *(instance(n, attributes={"rack": "r"}, cpu=1) for n in (2, 3)))
        demand = Demand(cpu=1, strategy=(Strategy("spread", "attribute:rack"),), group="service:web")
        assert chosen(fleet, demand, 4) == [2, 3, 1, 1]

    def test_tasks_on_draining_instances_do_not_count_for_zones(self) -> None:
        """Our choice: they are about to leave, and their replacement must not tip the balance."""
        fleet = zones("a", "a", "b")
        for task_id, number in ((7, 1), (8, 2), (9, 3)):
            fleet.assign(task_id, number, Demand(group="service:web"))
        fleet.upsert_instance(instance(1, az="a", status="DRAINING"))
        fleet.assign(10, 3, Demand(group="service:web"))
        assert chosen(fleet, Demand(strategy=(SPREAD_AZ,), group="service:web")) == [2]

    def test_more_zones_than_masks_are_made_for(self) -> None:
        fleet = fleet_of(*(instance(n, attributes={"rack": f"r{n}"}) for n in range(1, 51)), instance(99))
        demand = Demand(strategy=(Strategy("spread", "attribute:rack"),), group="service:web")
        for number in range(1, 50):
            fleet.assign(number, number, demand)
        assert chosen(fleet, demand) == [50]


class TestBinpack:
    def test_fills_the_fullest_instance_that_still_has_room(self) -> None:
        fleet = fleet_of(instance(1, memory=4000), instance(2, memory=2000), instance(3, memory=500))
        demand = Demand(memory=600, strategy=(Strategy("binpack", "memory"),))
        assert chosen(fleet, demand, 5) == [2, 2, 2, 1, 1]

    def test_by_cpu_and_by_memory_differ(self) -> None:
        fleet = fleet_of(instance(1, cpu=100, memory=900), instance(2, cpu=900, memory=100))
        assert chosen(fleet, Demand(cpu=10, strategy=(Strategy("binpack", "cpu"),))) == [1]
        assert chosen(fleet, Demand(cpu=10, strategy=(Strategy("binpack", "MEMORY"),))) == [2]

    def test_ties_go_to_the_least_uid_not_to_the_least_id(self) -> None:
        fleet = fleet_of(instance(1, uid="b" * 32), instance(2, uid="a" * 32))
        assert chosen(fleet, Demand(cpu=10, strategy=(Strategy("binpack", "cpu"),))) == [2]


class TestConstraints:
    def test_distinct_instance_is_about_the_group(self) -> None:
        fleet = fleet_of(instance(1), instance(2), instance(3))
        fleet.assign(7, 1, Demand(group="service:web"))
        fleet.assign(8, 2, Demand(group="service:db"))
        placement = place(fleet, Demand(constraints=(DISTINCT,), group="service:web"), 3, dice=1)
        assert placement.chosen == (2, 3)
        assert {refusal.reason for refusal in placement.refusals} == {Reason.DISTINCT_INSTANCE}

    def test_distinct_instance_looks_at_the_desired_status(self) -> None:
        fleet = fleet_of(instance(1))
        fleet.assign(7, 1, Demand(group="service:web"), desired_status="STOPPED", last_status="RUNNING")
        assert chosen(fleet, Demand(constraints=(DISTINCT,), group="service:web")) == [1]

    def test_all_member_of_constraints_must_hold(self) -> None:
        fleet = fleet_of(
            instance(1, attributes={"stack": "prod", "ecs.instance-type": "t3.large"}),
            instance(2, attributes={"stack": "prod", "ecs.instance-type": "m7i.large"}),
            instance(3, attributes={"stack": "test", "ecs.instance-type": "t3.large"}),
        )
        constraints = (
            Constraint("memberOf", "attribute:stack == prod"),
            Constraint("memberOf", "attribute:ecs.instance-type =~ t3.*"),
        )
        placement = place(fleet, Demand(constraints=constraints, cpu=4096), 2, dice=1)
        assert placement.chosen == (1,)
        assert [(r.reason, r.detail) for r in placement.refusals] == [
            (Reason.CPU, ""),
            (Reason.MEMBER_OF, "attribute:ecs.instance-type =~ t3.*"),
            (Reason.MEMBER_OF, "attribute:stack == prod"),
        ]

    def test_affinity_and_anti_affinity_to_a_group(self) -> None:
        fleet = fleet_of(instance(1), instance(2))
        fleet.assign(7, 1, Demand(group="service:production"))
        near = Demand(constraints=(Constraint("memberOf", "task:group == service:production"),))
        apart = Demand(constraints=(Constraint("memberOf", "not(task:group == service:production)"),))
        assert chosen(fleet, near) == [1]
        assert chosen(fleet, apart) == [2]

    def test_anti_affinity_to_the_own_group_is_one_task_per_instance(self) -> None:
        fleet = fleet_of(instance(1), instance(2))
        constraint = Constraint("memberOf", "not(task:group == service:web)")
        placement = place(fleet, Demand(constraints=(constraint,), group="service:web"), 5, dice=1)
        assert placement.chosen == (1, 2)
        assert [r.reason for r in placement.refusals] == [Reason.MEMBER_OF, Reason.MEMBER_OF]

    def test_a_limit_of_running_tasks_counts_those_just_placed(self) -> None:
        fleet = fleet_of(instance(1), instance(2))
        fleet.assign(7, 1, Demand(group="service:db"))
        constraint = Constraint("memberOf", "runningTasksCount < 3")
        placement = place(fleet, Demand(constraints=(constraint,), group="service:web"), 50, dice=1)
        assert Counter(placement.chosen) == {1: 2, 2: 3}

    def test_an_expression_that_is_none_is_told(self) -> None:
        with pytest.raises(QuerySyntaxError):
            place(fleet_of(instance(1)), Demand(constraints=(Constraint("memberOf", "x"),)), 1, dice=1)

    def test_a_changed_attribute_counts_at_once(self) -> None:
        fleet = fleet_of(instance(1))
        demand = Demand(constraints=(Constraint("memberOf", "attribute:stack == prod"),))
        assert chosen(fleet, demand) == []
        fleet.upsert_instance(instance(1, attributes={"stack": "prod"}))
        assert chosen(fleet, demand) == [1]
        fleet.upsert_instance(instance(1, attributes={"stack": "prod"}, agent_connected=False))
        assert chosen(fleet, demand) == []


REFUSALS = [
    (
        instance(1, agent_connected=False, cpu=0),
        Demand(cpu=1, attributes=frozenset({"x"})),
        Refusal(instance_uid="", reason=Reason.AGENT),
    ),
    (
        instance(1, attributes={"stack": "test", "b": None}, cpu=0),
        Demand(cpu=1, attributes=frozenset({"a", "b", "stack=prod"})),
        Refusal(instance_uid="", reason=Reason.ATTRIBUTE, asked=3, free=1, detail="a, stack=prod"),
    ),
    (
        instance(1, attributes={"stack": "test"}, az="z", cpu=0),
        Demand(cpu=1, azs=frozenset({"a"}), constraints=(Constraint("memberOf", "attribute:stack == prod"),)),
        Refusal(instance_uid="", reason=Reason.MEMBER_OF, asked=1, free=0, detail="attribute:stack == prod"),
    ),
    (
        instance(1, az="z", ports_tcp=(80,)),
        Demand(azs=frozenset({"a"}), ports_tcp=(80,)),
        Refusal(instance_uid="", reason=Reason.LOCATION, detail="z"),
    ),
    (
        instance(1, ports_tcp=(22, 80, 443), ports_udp=(53,)),
        Demand(ports_tcp=(443, 8080, 80), ports_udp=(53,)),
        Refusal(instance_uid="", reason=Reason.PORTS, asked=3, free=1, detail="443, 80"),
    ),
    (
        instance(1, ports_udp=(53,), cpu=0),
        Demand(ports_udp=(53,), cpu=1),
        Refusal(instance_uid="", reason=Reason.PORTS_UDP, asked=1, free=0, detail="53"),
    ),
    (
        instance(1, cpu=100, memory=100),
        Demand(cpu=101, memory=101),
        Refusal(instance_uid="", reason=Reason.CPU, asked=101, free=100),
    ),
    (
        instance(1, memory=100),
        Demand(memory=101, gpus=1),
        Refusal(instance_uid="", reason=Reason.MEMORY, asked=101, free=100),
    ),
    (
        instance(1, gpu_ids=("a",), enis=0),
        Demand(gpus=2, enis=1),
        Refusal(instance_uid="", reason=Reason.GPU, asked=2, free=1),
    ),
    (instance(1, enis=0), Demand(enis=1), Refusal(instance_uid="", reason=Reason.ENI, asked=1, free=0)),
]


@pytest.mark.parametrize(
    ("view", "demand", "expected"), REFUSALS, ids=lambda value: getattr(value, "reason", "")
)
def test_the_first_check_that_fails_is_the_reason(
    view: InstanceView, demand: Demand, expected: Refusal
) -> None:
    """Order of checks: our choice, see Reason. Reasons: ECS Developer Guide, API failure reasons."""
    placement = place(fleet_of(view), demand, 1, dice=1)
    (refusal,) = placement.refusals
    assert refusal.instance_uid == view.uid
    got = (refusal.reason, refusal.asked, refusal.free, set(refusal.detail.split(", ")))
    assert got == (expected.reason, expected.asked, expected.free, set(expected.detail.split(", ")))
    assert placement.closest() == refusal


class TestInstances:
    def test_draining_ones_are_not_examined(self) -> None:
        fleet = fleet_of(instance(1, status="DRAINING"))
        placement = place(fleet, Demand(), 2, dice=1)
        assert (placement.chosen, placement.refusals, placement.unplaced) == ((), (), 2)
        assert (placement.examined, placement.not_active, placement.closest()) == (0, 1, None)

    def test_none_at_all(self) -> None:
        placement = place(Fleet(), Demand(group="service:web"), 2, dice=1)
        assert (placement.chosen, placement.examined, placement.not_active) == ((), 0, 0)

    @pytest.mark.parametrize("count", [0, -1])
    def test_nothing_to_place(self, count: int) -> None:
        placement = place(fleet_of(instance(1)), Demand(), count, dice=1)
        assert (placement.chosen, placement.unplaced, placement.refusals) == ((), 0, ())

    def test_numbers_count_what_was_just_placed(self) -> None:
        placement = place(fleet_of(instance(1, cpu=1000)), Demand(cpu=300, group="service:web"), 9, dice=1)
        (refusal,) = placement.refusals
        assert (len(placement.chosen), placement.unplaced) == (3, 6)
        assert (refusal.asked, refusal.free) == (300, 100)

    def test_a_refusal_outlives_later_changes_of_the_fleet(self) -> None:
        fleet = fleet_of(instance(1, cpu=100, az="a"), instance(2, az="b"))
        placement = place(fleet, Demand(cpu=300, azs=frozenset({"a"})), 1, dice=1)
        fleet.remove_instance(2)
        fleet.upsert_instance(instance(3, az="c"))
        fleet.upsert_instance(instance(1, cpu=9999, az="d"))
        assert [(r.reason, r.free, r.detail) for r in placement.refusals] == [
            (Reason.CPU, 100, ""),
            (Reason.LOCATION, 0, "b"),
        ]


class TestClosest:
    """Our choice: AWS does not say which instance is the closest match."""

    def test_is_the_one_that_passed_most_checks_then_lacks_least(self) -> None:
        fleet = fleet_of(
            instance(1, agent_connected=False),
            instance(2, memory=100),
            instance(3, memory=900),
            instance(4, cpu=0),
        )
        closest = place(fleet, Demand(cpu=1, memory=1000), 1, dice=1).closest()
        assert closest == Refusal(instance_uid=instance(3).uid, reason=Reason.MEMORY, asked=1000, free=900)

    def test_says_it_with_numbers(self) -> None:
        refusal = Refusal(instance_uid="i", reason=Reason.PORTS, asked=2, free=1, detail="80")
        assert refusal.explanation == "i: RESOURCE:PORTS (80): asked 2, free 1"

    def test_has_a_clause_for_every_reason(self) -> None:
        clauses = {Refusal(instance_uid="i", reason=reason).clause for reason in Reason}
        # Source: events quoted in aws/containers-roadmap issue 1201.
        assert 'encountered error "DistinctInstance placement constraint unsatisfied."' in clauses
        assert all(clauses)


class TestCheck:
    def test_start_task_bypasses_constraints_but_not_resources(self) -> None:
        fleet = fleet_of(instance(1, cpu=100))
        constraint = Constraint("memberOf", "attribute:stack == prod")
        assert check(fleet, Demand(cpu=100, constraints=(constraint,)), 1) is None
        refusal = check(fleet, Demand(cpu=101, constraints=(constraint,)), 1)
        assert refusal is not None
        assert refusal.reason == Reason.CPU
        told = check(fleet, Demand(constraints=(constraint,)), 1, constraints=True)
        assert told is not None
        assert told.reason == Reason.MEMBER_OF

    def test_unknown_and_draining_instances(self) -> None:
        fleet = fleet_of(instance(1, status="DRAINING"))
        missing, draining = (check(fleet, Demand(), number) for number in (2, 1))
        assert missing is not None
        assert draining is not None
        assert (missing.reason, draining.reason) == ("MISSING", "INACTIVE")


@pytest.mark.parametrize(
    "build",
    [
        lambda: Strategy("spread", ""),
        lambda: Strategy("spread", "zone"),
        lambda: Strategy("spread", "attribute:"),
        lambda: Strategy("binpack", "disk"),
        lambda: Strategy("random", "cpu"),
        lambda: Strategy("stack", "cpu"),
        lambda: Constraint("distinctInstance", "attribute:x exists"),
        lambda: Constraint("memberOf"),
        lambda: Constraint("near"),
        lambda: Demand(cpu=-1),
        lambda: Demand(memory=2**31),
        lambda: Demand(ports_tcp=(0,)),
        lambda: instance(1, cpu=-1),
    ],
)
def test_what_makes_no_sense_cannot_be_asked(build: object) -> None:
    with pytest.raises(ValueError, match=r"."):
        build()


def test_a_task_with_two_zones_goes_to_those_only() -> None:
    fleet = zones(*AZS)
    demand = Demand(azs=frozenset(AZS[1:]), group="service:web")
    assert chosen(fleet, demand, 4) == [2, 3, 2, 3]
