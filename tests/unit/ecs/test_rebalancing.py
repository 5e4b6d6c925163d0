"""A steady service spreads its tasks evenly over the zones: safely, never for ever, and says so."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from datetime import timedelta
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.kit.rollout import NOW, Behaviour, World, deployment, protected, service, task

from homeport.core.ids import SeededIds
from homeport.services.ecs.control.service_steps import told_moves, told_stops, with_events
from homeport.services.ecs.errors import InvalidParameterException
from homeport.services.ecs.model import Rebalancing, Service, Task
from homeport.services.ecs.plan.events import service_happenings
from homeport.services.ecs.plan.rebalancing import is_rebalanced, plan_with_zones
from homeport.services.ecs.plan.rollout import ServicePlan, ServiceSnapshot, count_ceiling, healthy_floor
from homeport.services.ecs.plan.rollout_health import is_protected, verdict
from homeport.services.ecs.ports import PlacementOutcome

A, B, C = "us-east-1a", "us-east-1b", "us-east-1c"
ALL = frozenset({A, B, C})
COMPLETED = {"rollout_state": "COMPLETED"}


def spread_out(counts: dict[str, int], **members: Any) -> tuple[Task, ...]:
    """So many healthy tasks in each zone."""
    zones = [zone for zone, count in counts.items() for _ in range(count)]
    return tuple(task(n, availability_zone=zone, **members) for n, zone in enumerate(zones, 1))


def steady(desired: int, **members: Any) -> Service:
    given = {"az_rebalancing": True, "steady_at": NOW, **members}
    known = {"has_run": True, "healthy_until": NOW}
    return service(desired, deployment(1, **COMPLETED, **known), **given)


def look(wanted: Service, live: tuple[Task, ...], zones: frozenset[str] = ALL) -> ServicePlan:
    return plan_with_zones(ServiceSnapshot(service=wanted, live=live, zones=zones), NOW)


@dataclass
class ZoneWorld(World):
    """A world with zones, each with room for so many tasks; starts go to the emptiest zone with room."""

    room: dict[str, int] = field(default_factory=lambda: dict.fromkeys(ALL, 100))

    def active(self) -> list[Task]:
        return [t for t in self.tasks.values() if t.stopped_at is None and t.desired_status == "RUNNING"]

    def counts(self) -> dict[str, int]:
        here = [t.availability_zone for t in self.active()]
        return {zone: here.count(zone) for zone in sorted(self.room)}

    def snapshot(self) -> ServiceSnapshot:
        zones = frozenset(zone for zone, room in self.room.items() if room)
        return replace(super().snapshot(), zones=zones)

    def step(self) -> ServicePlan:
        snapshot = self.snapshot()
        plan = plan_with_zones(snapshot, self.now)
        self.plans.append((snapshot, plan, self.now))
        before, self.service = self.service, plan.service
        messages = [*told_stops("(service web)", plan.stop), *plan.events]
        for stop in plan.stop:
            self.change(stop.task, desired_status="STOPPED", stopped_reason=stop.reason)
        started = [made for _ in range(plan.start) if (made := self._place(plan.zones)) is not None]
        if plan.start and plan.zones:
            outcome = PlacementOutcome(tasks=tuple(started))
            self.service, told = told_moves(self.service, outcome, plan.zones, plan.begins)
            messages += told
        noted = with_events(self.service, messages, ids=SeededIds(len(self.plans)), now=self.now)
        known = {event.id for event in before.events}
        self.events += [event.message for event in reversed(noted.events) if event.id not in known]
        self.service = noted
        return replace(plan, start=len(started))

    def _place(self, zones: tuple[str, ...]) -> Task | None:
        counts = self.counts()
        able = [zone for zone in zones or sorted(self.room) if counts[zone] < self.room[zone]]
        if not able:
            return None
        zone = min(able, key=lambda zone: (counts[zone], zone))
        number = int(self.service.primary.id.rpartition("/")[2])
        made = task(len(self.tasks) + 1, number, last_status="PENDING", availability_zone=zone)
        checked = self.behaviour(made).checked
        containers = tuple(msgspec.structs.replace(c, has_health_check=checked) for c in made.containers)
        self.tasks[made.id] = msgspec.structs.replace(made, containers=containers)
        return self.tasks[made.id]


def world(counts: dict[str, int], **members: Any) -> ZoneWorld:
    made = ZoneWorld(steady(sum(counts.values()), **members))
    made.tasks = {t.id: t for t in spread_out(counts)}
    return made


def safe(plans: list[tuple[ServiceSnapshot, ServicePlan, Any]]) -> None:
    for snapshot, plan, now in plans:
        active = [t for t in snapshot.live if t.desired_status == "RUNNING"]
        stopped = {stop.task.id for stop in plan.stop}
        healthy = [t for t in active if verdict(t, snapshot.service, {}, now).is_healthy(now)]
        left = [t for t in healthy if t.id not in stopped]
        assert len(active) + plan.start <= max(count_ceiling(snapshot.service), len(active))
        assert len(left) >= min(len(healthy), healthy_floor(snapshot.service))
        if any(stop.zone for stop in plan.stop):
            assert len(left) >= snapshot.service.desired_count, "a move takes nothing from the desired tasks"
        assert not any(stop.zone and is_protected(stop.task, now) for stop in plan.stop)


@settings(max_examples=150, deadline=None)
@given(
    counts=st.tuples(*[st.integers(0, 6)] * 3),
    rooms=st.tuples(*[st.sampled_from((0, 1, 3, 100))] * 3),
    maximum=st.sampled_from((110, 134, 150, 200)),
    checked=st.booleans(),
    guarded=st.integers(0, 4),
    seed=st.integers(0, 1000),
)
def test_moves_are_safe_come_to_an_end_and_leave_the_tasks_as_even_as_there_is_room(
    counts: tuple[int, ...], rooms: tuple[int, ...], maximum: int, checked: bool, guarded: int, seed: int
) -> None:
    w = world(dict(zip((A, B, C), counts, strict=True)), maximum_percent=maximum)
    w.dice.seed(seed)
    w.behaviours = {"ecs-svc/1": Behaviour(checked=checked)}
    w.room = {z: max(room, count) for z, room, count in zip((A, B, C), rooms, counts, strict=True)}
    for number in range(1, guarded + 1):
        if number in w.tasks:
            w.change(w.tasks[number], protection=protected(10_000_000))
    w.run()
    safe(w.plans)
    after = w.counts()
    assert sum(after.values()) == sum(counts)
    if guarded or count_ceiling(w.service) == w.service.desired_count:
        return
    most = max(after.values(), default=0)
    assert all(after[zone] >= min(most - 1, room) for zone, room in w.room.items() if room)
    rests = w.snapshot()
    plan = plan_with_zones(rests, w.now)
    assert plan.service == w.service, "a fixed point"
    assert not plan.stop
    assert not plan.events


@settings(max_examples=100, deadline=None)
@given(seed=st.integers(0, 10_000), deeds=st.lists(st.integers(0, 4), max_size=6))
def test_whatever_comes_between_moves_stay_safe_and_the_service_gets_where_it_should(
    seed: int, deeds: list[int]
) -> None:
    w = world({A: 4, B: 1, C: 0})
    w.dice.seed(seed)
    for deed in deeds:
        for _ in range(w.dice.randint(0, 8)):
            w.step()
            w.agents_work()
        if deed == 0:
            w.service = msgspec.structs.replace(w.service, desired_count=w.dice.randint(1, 6))
        elif deed == 1:
            older = msgspec.structs.replace(w.service.primary, status="ACTIVE")
            number = int(older.id.rpartition("/")[2]) + 1
            fresh = deployment(number, counted_until=w.now)
            w.service = msgspec.structs.replace(w.service, deployments=(fresh, older))
        elif deed == 2 and (running := w.active()):
            ended = {"last_status": "STOPPED", "stopped_at": w.now, "execution_stopped_at": w.now}
            w.change(w.dice.choice(running), desired_status="STOPPED", **ended)
        elif deed == 3:
            w.service = msgspec.structs.replace(w.service, az_rebalancing=w.dice.random() < 0.5)
        else:
            w.room[B] = w.dice.choice((0, 1, 100))
    w.service = msgspec.structs.replace(w.service, az_rebalancing=True)
    w.room = dict.fromkeys(ALL, 100)
    w.run()
    safe(w.plans)
    after = w.counts()
    assert sum(after.values()) == w.service.desired_count
    assert max(after.values()) - min(after.values()) <= 1
    assert w.service.rebalancing is None


def test_two_tasks_in_one_of_two_zones_are_told_started_and_stopped_in_ecs_own_words() -> None:
    w = world({A: 2, B: 0})
    w.room = {A: 100, B: 100}
    w.run()
    (new,) = (t for t in w.tasks.values() if t.availability_zone == B)
    (gone,) = (t for t in w.tasks.values() if t.stopped_at is not None)
    assert w.events == [
        f"(service web) is not AZ balanced with 2 tasks in {A}, 0 tasks in {B}. AZ Rebalancing in progress.",
        f"(service web) has started 1 tasks in {B} to AZ Rebalance: (task {new.uid}).",
        f"(service web) has stopped 1 running tasks in {A} due to AZ rebalancing: (task {gone.uid}).",
        f"(service web) is AZ balanced with 1 tasks in {A}, 1 tasks in {B}.",
        "(service web) has reached a steady state.",
    ]
    assert gone.stopped_reason == "Availability-zone rebalancing initiated by (deployment ecs-svc/1)"
    named = [h.event_name for h in service_happenings(steady(2), w.service)]
    assert named == [
        "SERVICE_REBALANCING_STARTED",
        "TASKS_STARTED",
        "TASKS_STOPPED",
        "SERVICE_REBALANCING_COMPLETED",
        "SERVICE_STEADY_STATE",
    ]


@pytest.mark.parametrize(
    ("counts", "zones"),
    [((2, 1), 2), ((2, 2, 1), 3), ((1, 1, 0), 3), ((1, 0, 0), 3), ((5, 5, 4), 3)],
    ids=str,
)
def test_what_is_as_even_as_it_can_be_is_left_alone(counts: tuple[int, ...], zones: int) -> None:
    """Source: developer guide, "How Amazon ECS detects uneven task distribution"."""
    names = (A, B, C)[:zones]
    live = spread_out(dict(zip(names, counts, strict=True)))
    plan = look(steady(sum(counts)), live, frozenset(names))
    assert (plan.start, plan.stop, plan.events) == (0, (), ())


def test_all_moves_that_are_needed_are_begun_at_once_as_far_as_the_ceiling_goes() -> None:
    live = spread_out({A: 6, B: 0, C: 0})
    plan = look(steady(6), live)
    assert (plan.start, plan.zones) == (4, (B, C))
    assert look(steady(6, maximum_percent=150), live).start == 3
    none = look(steady(6, maximum_percent=110), live)
    assert none.start == 0
    assert "maximumPercent 110 leaves no room" in none.waits_for[0]


def test_nothing_is_stopped_before_what_was_started_is_healthy() -> None:
    wanted = steady(2, rebalancing=Rebalancing(surplus=1))
    old = spread_out({A: 2})
    pending = task(3, last_status="PENDING", availability_zone=B)
    assert look(wanted, (*old, pending)).stop == ()
    young = task(3, availability_zone=B, started_at=NOW - timedelta(seconds=30))
    waiting = look(wanted, (*old, young))
    assert (waiting.stop, waiting.wake_at) == ((), NOW + timedelta(seconds=10))
    ready = look(wanted, (*old, task(3, availability_zone=B)))
    assert [(stop.task.availability_zone, stop.zone) for stop in ready.stop] == [(A, A)]


def test_a_service_that_is_still_rolled_out_is_not_rebalanced() -> None:
    rolling = service(2, deployment(1), az_rebalancing=True)
    first, second = spread_out({A: 2})
    young = msgspec.structs.replace(second, last_status="PENDING", started_at=None)
    assert look(rolling, (first, young)).start == 0
    assert look(rolling, (first, second)).start == 1


def test_a_new_deployment_stops_the_rebalancing() -> None:
    wanted = msgspec.structs.replace(
        steady(2, rebalancing=Rebalancing(surplus=1)),
        deployments=(deployment(2), deployment(1, status="ACTIVE", **COMPLETED)),
    )
    pending = task(3, last_status="PENDING", availability_zone=B)
    plan = look(wanted, (*spread_out({A: 2}), pending))
    assert plan.events[0] == "(service web) stopped AZ Rebalancing."
    assert plan.service.rebalancing is None
    assert [stop.task.id for stop in plan.stop] == [3]


def test_a_count_that_is_lowered_meanwhile_stops_the_rebalancing() -> None:
    lowered = steady(2, rebalancing=Rebalancing(surplus=1))
    plan = look(lowered, spread_out({A: 3, B: 1}))
    assert plan.events[0] == "(service web) stopped AZ Rebalancing."
    assert [stop.reason for stop in plan.stop] == ["Scaling activity initiated by (deployment ecs-svc/1)"] * 2


def test_starts_that_keep_failing_are_paused_like_those_of_a_rollout() -> None:
    paused = steady(2)
    later = NOW + timedelta(seconds=8)
    primary = msgspec.structs.replace(paused.primary, retry_at=later, failed_starts=4)
    plan = look(msgspec.structs.replace(paused, deployments=(primary,)), spread_out({A: 2}))
    assert (plan.start, plan.wake_at) == (0, later)


def test_protected_tasks_stay_where_they_are_and_that_is_told() -> None:
    live = spread_out({A: 2}, protection=protected(60))
    plan = look(steady(2), live)
    assert plan.start == 0
    assert plan.events == (
        "(service web) was unable to AZ Rebalance because (taskSet ecs-svc/1) was unable to scale in due to "
        "(reason 2 tasks under protection).",
    )
    assert plan.wake_at == NOW + timedelta(seconds=60)
    told = with_events(plan.service, plan.events, ids=SeededIds(1), now=NOW)
    (happening,) = service_happenings(plan.service, told)
    assert happening.event_name == "TASKSET_SCALE_IN_FAILURE_BY_TASK_PROTECTION"


def test_without_room_in_the_zone_it_is_told_once_and_tried_again_in_silence() -> None:
    wanted = steady(3)
    snapshots = [wanted]
    for _ in range(3):
        plan = look(wanted, spread_out({A: 3}), frozenset({A, B}))
        assert (plan.start, plan.zones) == (1, (B,))
        noted, told = told_moves(plan.service, PlacementOutcome(tasks=()), plan.zones, plan.begins)
        wanted = with_events(noted, [*plan.events, *told], ids=SeededIds(2), now=NOW)
        snapshots.append(wanted)
    assert [event.message for event in reversed(wanted.events)] == [
        f"(service web) is not AZ balanced with 3 tasks in {A}, 0 tasks in {B}. AZ Rebalancing in progress.",
        f"(service web) is unable to place a task in {B} because no container instance met all of its "
        "requirements.",
        "(service web) stopped AZ Rebalancing.",
    ]
    assert snapshots[-1] == snapshots[-2], "nothing to write, so nothing to wake for"
    names = [h.event_name for h in service_happenings(snapshots[0], wanted)]
    assert names == [
        "SERVICE_REBALANCING_STARTED",
        "SERVICE_TASK_PLACEMENT_FAILURE",
        "SERVICE_REBALANCING_STOPPED",
    ]
    made = task(7, availability_zone=B)
    noted, told = told_moves(wanted, PlacementOutcome(tasks=(made,)), plan.zones, plan.begins)
    assert told[0].endswith("AZ Rebalancing in progress.")
    assert noted.rebalancing == Rebalancing(surplus=1)


def test_one_zone_costs_nothing() -> None:
    plan = look(steady(3), spread_out({A: 3}), frozenset({A}))
    assert plan.service == steady(3)
    assert (plan.start, plan.stop, plan.events) == (0, (), ())


UNFIT: list[tuple[dict[str, Any], str]] = [
    ({"scheduling_strategy": "DAEMON"}, "DAEMON services"),
    ({"controller": "EXTERNAL"}, "EXTERNAL"),
    ({"maximum_percent": 100}, "maximumPercent <= 100 %"),
    ({"placement_strategy": ({"type": "binpack", "field": "cpu"},)}, "placement strategies"),
    ({"placement_strategy": ({"type": "spread", "field": "instanceId"},)}, "placement strategies"),
    (
        {
            "placement_constraints": (
                {"type": "memberOf", "expression": f"attribute:ecs.availability-zone == {A}"},
            )
        },
        "placement constraints",
    ),
]


@pytest.mark.parametrize(("members", "text"), UNFIT, ids=[text for _, text in UNFIT])
def test_a_service_that_cannot_be_rebalanced_is_not_by_default_and_says_why_when_asked(
    members: dict[str, Any], text: str
) -> None:
    """Source: developer guide, "Considerations for configuring Availability Zone rebalancing"."""
    unfit = service(2, **members)
    assert not is_rebalanced(unfit, None, created=True)
    assert not is_rebalanced(unfit, None, created=False)
    assert not is_rebalanced(unfit, "DISABLED", created=True)
    for already, asked in ((False, "ENABLED"), (True, None)):
        changed = msgspec.structs.replace(unfit, az_rebalancing=already)
        with pytest.raises(InvalidParameterException) as refused:
            is_rebalanced(changed, asked, created=False)
        assert text in refused.value.message
    with pytest.raises(InvalidParameterException):
        is_rebalanced(unfit, "ENABLED", created=True)


def test_a_new_service_is_rebalanced_unless_it_says_otherwise_and_stays_as_it_is() -> None:
    """Source: botocore ecs, CreateServiceRequest and UpdateServiceRequest availabilityZoneRebalancing."""
    by_zone = {"type": "spread", "field": "attribute:ecs.availability-zone"}
    for strategy in ((), (by_zone,), (by_zone, {"type": "binpack", "field": "memory"})):
        assert is_rebalanced(service(2, placement_strategy=strategy), None, created=True)
    assert not is_rebalanced(service(2), "DISABLED", created=True)
    assert not is_rebalanced(service(2), None, created=False), "a service that never had it set"
    on = service(2, az_rebalancing=True)
    assert is_rebalanced(on, None, created=False)
    assert not is_rebalanced(on, "DISABLED", created=False)
