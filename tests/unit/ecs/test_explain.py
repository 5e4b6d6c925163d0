"""Explanations of tasks and services, from the values that the planners decide with."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import msgspec
import pytest
from tests.kit.rollout import NOW, deployment, service, task

from homeport.services.ecs.model import ContainerInstance, Protection, Service, Task
from homeport.services.ecs.plan.explain import Explanation, explain_task
from homeport.services.ecs.plan.explain_service import ServiceCase, explain_service
from homeport.services.ecs.plan.fleet import Fleet
from homeport.services.ecs.plan.placement import place
from homeport.services.ecs.plan.placement_types import Demand, InstanceView
from homeport.services.ecs.plan.rollout import ServiceSnapshot, plan_service


def instance(**members: Any) -> ContainerInstance:
    given: dict[str, Any] = {"agent_connected": True}
    return ContainerInstance(
        cluster_id=1,
        cluster_name="default",
        account_id="000000000000",
        region="us-east-1",
        uid="a" * 32,
        ec2_instance_id="i-1",
        registered_at=NOW,
        **{**given, **members},
    )


def pending(**members: Any) -> Task:
    return task(1, **{"last_status": "PENDING", **members})


@pytest.mark.parametrize(
    ("held", "on", "verdict"),
    [
        (pending(instance_id=None), None, "It has no container instance yet."),
        (pending(), instance(agent_connected=False), "It waits for the agent of its instance."),
        (pending(), instance(), "Its agent has been told to start it."),
        (
            pending(pull_started_at=NOW - timedelta(seconds=70)),
            instance(),
            "It pulls its images, for 70 s now.",
        ),
        (
            pending(pull_started_at=NOW - timedelta(seconds=70), pull_stopped_at=NOW),
            instance(),
            "Its containers are being started.",
        ),
        (task(1, health="UNHEALTHY"), instance(), "It runs but is unhealthy: the health check of app fails."),
        (task(1, health="UNKNOWN"), instance(), "It runs; its health check has not answered yet."),
        (task(1), instance(agent_connected=False), "It runs, as far as is known: its agent is away."),
        (
            task(1, desired_status="STOPPED", stopping_at=NOW),
            instance(agent_connected=False),
            "It should stop, but its agent cannot be told.",
        ),
    ],
)
def test_a_task_says_what_it_waits_for(held: Task, on: ContainerInstance | None, verdict: str) -> None:
    assert explain_task(held, on, NOW).verdict == verdict


def test_a_slow_pull_has_a_remedy_and_a_quick_one_has_none() -> None:
    slow = explain_task(pending(pull_started_at=NOW - timedelta(seconds=70)), instance(), NOW)
    quick = explain_task(pending(pull_started_at=NOW - timedelta(seconds=7)), instance(), NOW)
    assert (len(slow.remedies), quick.remedies) == (1, ())


@pytest.mark.parametrize(
    ("exit_code", "reason", "word"),
    [
        (137, "OutOfMemoryError: Container killed due to memory usage", "memory limit"),
        (137, None, "SIGKILL"),
        (127, None, "not found"),
        (1, None, "homeport logs"),
    ],
)
def test_an_exit_has_its_remedy(exit_code: int, reason: str | None, word: str) -> None:
    held = task(1, last_status="STOPPED", desired_status="STOPPED", stopped_at=NOW)
    ended = msgspec.structs.replace(held.containers[0], exit_code=exit_code, reason=reason)
    held = msgspec.structs.replace(
        held, stop_code="EssentialContainerExited", stopped_reason="It ended", containers=(ended,)
    )
    told = explain_task(held, instance(), NOW)
    assert any(word in remedy for remedy in told.remedies)
    assert told.containers[0].exit_code == exit_code


@pytest.mark.parametrize(
    ("reason", "word"),
    [
        ("secret X: AccessDeniedException: User: Y is not authorized", "explain denied REQUEST-ID"),
        ("StatusCode: 400, RequestID: 1a-2b, api error AccessDeniedException: no", "explain denied 1a-2b"),
        ("invalid parameters: /a", "Make the parameters"),
        ("retrieved secret from Secrets Manager did not contain json key k", "that key"),
        ("secret X: ResourceNotFoundException: it is not there", "Make the secret"),
        ("an invalid ARN format", "Correct the secret's ARN"),
        ("RequestID: , request send failed, X", "does not reach"),
    ],
)
def test_a_secret_that_was_not_fetched_has_a_remedy(reason: str, word: str) -> None:
    held = task(1, last_status="STOPPED", desired_status="STOPPED", stopped_at=NOW)
    reason = f"Fetching secret data from SSM Parameter Store in us-east-1: {reason}"
    held = msgspec.structs.replace(held, stop_code="TaskFailedToStart", stopped_reason=reason)
    assert any(word in remedy for remedy in explain_task(held, instance(), NOW).remedies)


def fleet(*free: int) -> Fleet:
    made = Fleet()
    for number, memory in enumerate(free, 1):
        made.upsert_instance(
            InstanceView(id=number, uid=f"{number:032x}", cpu=1024, memory=memory, registered_at=NOW)
        )
    return made


def told_of(held: Service, *live: Task, room: Fleet, **members: Any) -> Explanation:
    case = ServiceCase(
        snapshot=ServiceSnapshot(service=held, live=live),
        fleet=room,
        demand=Demand(memory=100, group="service:web"),
        **members,
    )
    return explain_service(case, NOW)


def test_the_instances_that_refuse_are_those_that_placement_refuses() -> None:
    room = fleet(50, 99, 100)
    told = told_of(service(1), room=room)
    refused = {one.container_instance for one in told.instances if not one.fits}
    placement = place(room, Demand(memory=100, group="service:web"), 9, dice=1)
    assert {room.view(row).uid for row in range(3)} - refused == {f"{i:032x}" for i in placement.chosen}
    assert [(one.fits, one.asked, one.free) for one in told.instances] == [
        (True, 0, 0),
        (False, 100, 99),
        (False, 100, 50),
    ]
    assert told.verdict == "1 tasks are missing and about to start: 1 of 3 instances have room."


def test_a_role_that_cannot_be_assumed_is_told_although_there_is_room() -> None:
    arn = "arn:aws:iam::000000000000:role/ghost"
    told = told_of(service(1), room=fleet(100), refused_role=arn)
    assert told.verdict == f"1 tasks are missing, and cannot be launched: ECS cannot assume {arn}."
    assert "ecs-tasks.amazonaws.com" in told.remedies[0]


def test_a_cluster_without_instances_is_told_so() -> None:
    told = told_of(service(2), room=Fleet())
    assert told.verdict == "2 tasks are missing, and the cluster has no container instances."


def test_a_steady_service_is_steady() -> None:
    held = service(1, deployment(1, rollout_state="COMPLETED"), steady_at=NOW)
    told = told_of(held, task(1), room=fleet(100))
    assert told.verdict == "It is steady: 1 of 1 tasks are healthy."
    assert told.because == ()


def test_a_task_in_its_first_seconds_is_counted_down() -> None:
    young = task(1, started_at=NOW - timedelta(seconds=10))
    held = service(1, deployment(1, rollout_state="COMPLETED"), steady_at=NOW)
    told = told_of(held, young, room=fleet(100))
    assert told.verdict == "It is steady: 0 of 1 tasks count as healthy so far."
    assert f"task {young.uid} counts as healthy in 30 s" in told.because


def test_a_service_that_is_not_steady_waits_for_its_last_health_check() -> None:
    unchecked = task(1, health="UNKNOWN", started_at=NOW - timedelta(seconds=10))
    told = told_of(service(1), unchecked, room=fleet(100))
    assert told.verdict == "Its tasks are there; it waits until all of them are healthy."
    assert f"task {unchecked.uid} has not passed its health check yet" in told.because


def test_surplus_that_is_protected_is_what_a_service_waits_for() -> None:
    """That it is young as well is not what keeps it."""
    protection = Protection(expires_at=NOW + timedelta(hours=1))
    young = task(1, started_at=NOW - timedelta(seconds=10), protection=protection)
    told = told_of(service(0, deployment(1, rollout_state="COMPLETED")), young, room=fleet(100))
    assert told.verdict == "It waits."
    assert "1 tasks are too many, 1 are protected from scale-in" in told.because


def test_what_the_plan_waits_for_is_told_in_its_own_words() -> None:
    held = service(
        2, deployment(2), deployment(1, status="ACTIVE"), minimum_healthy_percent=100, maximum_percent=100
    )
    old = (task(1), task(2))
    waits = plan_service(ServiceSnapshot(service=held, live=old), NOW).waits_for
    told = told_of(held, *old, room=fleet(100))
    assert waits
    assert set(waits) <= set(told.because)
    assert (told.numbers["atLeastHealthy"], told.numbers["atMost"]) == (2, 2)


def test_a_pause_after_failed_starts_is_told_with_the_last_reason() -> None:
    held = service(1, deployment(1, failed_starts=4, retry_at=NOW + timedelta(seconds=8)))
    dead = task(
        9,
        last_status="STOPPED",
        started_at=None,
        stop_code="TaskFailedToStart",
        stopped_reason="CannotPullContainerError: no such image",
    )
    told = told_of(held, room=fleet(100), failed=(dead,))
    assert told.verdict == "It waits before it tries again: 4 starts in a row failed."
    assert "1 tasks stopped lately: CannotPullContainerError: no such image" in told.because
    assert f"The last one says more: homeport explain {dead.arn}" in told.remedies


def test_a_steady_service_that_is_spread_unevenly_says_where_its_tasks_are_to_go() -> None:
    zones = ("us-east-1a", "us-east-1b")
    uneven = Fleet()
    for number, (zone, memory) in enumerate(zip(zones, (512, 1), strict=True), 1):
        uneven.upsert_instance(
            InstanceView(id=number, uid=f"{number:032x}", cpu=1024, memory=memory, registered_at=NOW, az=zone)
        )
    held = service(2, deployment(1, rollout_state="COMPLETED"), steady_at=NOW, az_rebalancing=True)
    live = tuple(task(n, availability_zone=zones[0]) for n in (1, 2))
    case = ServiceCase(
        snapshot=ServiceSnapshot(service=held, live=live, zones=frozenset(zones)),
        fleet=uneven,
        demand=Demand(cpu=1, memory=16, group="service:web"),
    )
    told = explain_service(case, NOW)
    assert told.verdict == ("It is steady, but spread unevenly: 1 of its tasks are to move to us-east-1b.")
    assert told.because[0] == "no container instance in us-east-1b can take one"
    assert [one.reason for one in told.instances] == ["RESOURCE:MEMORY", "LOCATION"]
