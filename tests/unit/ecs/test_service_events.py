"""A log tells what lasts when it begins, every six hours, and again once it was over; the rest always."""

from __future__ import annotations

from datetime import timedelta

import msgspec
from tests.kit.rollout import NOW, deployment, protected, service, task

from homeport.core.ids import SeededIds
from homeport.services.ecs.control.service_steps import with_events
from homeport.services.ecs.model import Service
from homeport.services.ecs.plan.events import service_happenings
from homeport.services.ecs.plan.rollout import ServiceSnapshot, plan_service

FULL = "(service web) was unable to place a task because no container instance met all of its requirements."
STEADY = "(service web) has reached a steady state."
STARTED = "(service web) has started 1 tasks: (task {})."
OLD = deployment(1, created_at=NOW - timedelta(days=9))


def log(*told: tuple[float, str], of: Service | None = None) -> list[str]:
    """The log, oldest first, after so many hours' messages."""
    held = of or service(2, OLD)
    for number, (hours, message) in enumerate(told):
        held = with_events(held, [message], ids=SeededIds(number), now=NOW + timedelta(hours=hours))
    return [event.message for event in reversed(held.events)]


def test_a_steady_state_is_told_again_although_nothing_else_was_meanwhile() -> None:
    assert log((0, STEADY), (6, STEADY)) == [STEADY, STEADY]
    assert log((0, STEADY), (5, STEADY)) == [STEADY], "unless it was only in doubt"
    assert log((0, STEADY), (1, FULL), (2, STEADY)) == [STEADY, FULL, STEADY]


def test_what_lasts_is_told_once_in_six_hours() -> None:
    assert log((0, FULL), (1, FULL), (5.9, FULL)) == [FULL]
    assert log((0, FULL), (5, FULL), (6.1, FULL)) == [FULL, FULL]


def test_other_news_in_between_does_not_make_it_new_but_a_steady_state_does() -> None:
    started = STARTED.format("1")
    assert log((0, FULL), (1, started), (2, FULL)) == [FULL, started]
    assert log((0, FULL), (1, STEADY), (2, FULL)) == [FULL, STEADY, FULL]


def test_a_new_deployment_is_told_what_stands_in_its_way() -> None:
    newer = service(2, deployment(2, created_at=NOW + timedelta(hours=1)))
    before = with_events(service(2, OLD), [FULL], ids=SeededIds(1), now=NOW)
    held = msgspec.structs.replace(newer, events=before.events)
    assert log((2, FULL), of=held) == [FULL, FULL]


def test_what_happened_twice_is_told_twice() -> None:
    pending = "(service web) stopped 1 pending tasks."
    assert log((0, pending), (0, pending)) == [pending, pending]


def test_a_task_set_that_is_steady_has_overcome_nothing_for_another() -> None:
    one, two = "(service web, taskSet ecs-svc/1)", "(service web, taskSet ecs-svc/2)"
    stands, steady = f"{one} was unable to place a task", " updated state to STEADY_STATE."
    assert log((0, stands), (1, two + steady), (2, stands)) == [stands, two + steady]
    assert log((0, stands), (1, one + steady), (2, stands)) == [stands, one + steady, stands]


def test_protected_tasks_that_should_go_are_told_with_how_many_there_are() -> None:
    wanted = service(1, deployment(1, rollout_state="COMPLETED"))
    live = tuple(task(n, protection=protected()) for n in (1, 2, 3))
    plan = plan_service(ServiceSnapshot(service=wanted, live=live), NOW)
    text = (
        "(service web) was unable to reach steady state because (taskSet ecs-svc/1) was unable to scale in "
        "due to (reason 3 tasks under protection)"
    )
    assert plan.events == (text,)
    told = with_events(plan.service, plan.events, ids=SeededIds(1), now=NOW)
    (happening,) = service_happenings(wanted, told)
    assert (happening.event_type, happening.event_name) == (
        "INFO",
        "TASKSET_SCALE_IN_FAILURE_BY_TASK_PROTECTION",
    )
    again = plan_service(ServiceSnapshot(service=told, live=live), NOW)
    assert with_events(again.service, again.events, ids=SeededIds(2), now=NOW) == told


def test_protected_tasks_of_an_older_deployment_are_told_of_that_deployment() -> None:
    wanted = service(1, deployment(2), deployment(1, status="ACTIVE"))
    live = (task(1, protection=protected()), task(2, 2))
    plan = plan_service(ServiceSnapshot(service=wanted, live=live), NOW)
    assert plan.stop == ()
    assert (
        "(taskSet ecs-svc/1) was unable to scale in due to (reason 1 tasks under protection)"
        in plan.events[-1]
    )
