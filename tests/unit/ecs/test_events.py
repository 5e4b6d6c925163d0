"""What services' versions tell, and the first version of a task told from its last."""

from __future__ import annotations

from datetime import timedelta

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.kit.rollout import NOW, deployment, service, task

from homeport.services.ecs.model import Service, ServiceEvent, Task
from homeport.services.ecs.plan.events import as_born, service_happenings
from homeport.services.ecs.plan.lifecycle import apply_health, apply_report
from homeport.services.ecs.plan.placement_types import Reason, Refusal, clause_reason
from homeport.services.ecs.plan.rollout import ServiceSnapshot, plan_service

REPORTS = st.fixed_dictionaries(
    {"status": st.sampled_from(["PENDING", "RUNNING", "STOPPED"])},
    optional={
        "reason": st.just("why"),
        "pullStartedAt": st.just(NOW),
        "pullStoppedAt": st.just(NOW),
        "executionStoppedAt": st.just(NOW),
        "containers": st.lists(
            st.fixed_dictionaries(
                {
                    "containerName": st.just("app"),
                    "status": st.sampled_from(["PENDING", "RUNNING", "STOPPED"]),
                },
                optional={
                    "runtimeId": st.just("r"),
                    "exitCode": st.integers(0, 255),
                    "imageDigest": st.just("sha256:0"),
                    "reason": st.just("why"),
                    "networkBindings": st.just([{"hostPort": 1}]),
                },
            ),
            max_size=2,
        ),
    },
)


@given(st.lists(REPORTS, max_size=5), st.sampled_from(["HEALTHY", "UNHEALTHY"]))
def test_whatever_becomes_of_a_task_its_first_version_is_known(reports: list[dict], health: str) -> None:
    placed: Task = task(1, last_status="PENDING")
    after = placed
    for report in reports:
        after = apply_health(apply_report(after, report, NOW + timedelta(seconds=1)), {"app": health})
    assert as_born(msgspec.structs.replace(after, version=len(reports) + 1)) == placed


def with_event(held: Service, message: str) -> Service:
    event = ServiceEvent(id=message, created_at=NOW, message=message)
    return msgspec.structs.replace(held, events=(event, *held.events))


@pytest.mark.parametrize(
    ("message", "kind", "name"),
    [
        ("(service web) has reached a steady state.", "INFO", "SERVICE_STEADY_STATE"),
        ("(service web) has started 1 tasks: (task a).", "INFO", "TASKS_STARTED"),
        ("(service web) has stopped 1 running tasks: (task a).", "INFO", "TASKS_STOPPED"),
        ("(service web) stopped 2 pending tasks.", "INFO", "TASKS_STOPPED"),
        (
            "(service web) is unable to consistently start tasks successfully.",
            "WARN",
            "SERVICE_TASK_START_IMPAIRED",
        ),
        (
            "(service web) was unable to place a task because no container instance met all of its "
            "requirements. Reason: No Container Instances were found in your cluster.",
            "ERROR",
            "SERVICE_TASK_PLACEMENT_FAILURE",
        ),
        (
            "(service web) failed to launch a task with (error ECS was unable to assume the role 'r'.).",
            "ERROR",
            "SERVICE_TASK_CONFIGURATION_FAILURE",
        ),
    ],
)
def test_an_event_of_a_service_is_an_action_once(message: str, kind: str, name: str) -> None:
    before = service(1)
    after = with_event(before, message)
    assert [(h.event_type, h.event_name) for h in service_happenings(before, after)] == [(kind, name)]
    assert service_happenings(after, after) == ()


def test_a_launch_that_failed_says_its_error() -> None:
    before = service(1)
    after = with_event(before, "(service web) failed to launch a task with (error It may not (yet).).")
    (told,) = service_happenings(before, after)
    assert told.members["reason"] == "It may not (yet)."


def test_a_new_service_begins_its_first_deployment() -> None:
    (began,) = service_happenings(None, service(1))
    assert (began.event_name, began.members["reason"]) == (
        "SERVICE_DEPLOYMENT_IN_PROGRESS",
        "ECS deployment ecs-svc/1 in progress.",
    )


def test_a_deployment_that_completes_is_told_before_the_steady_state() -> None:
    before = service(1)
    plan = plan_service(ServiceSnapshot(service=before, live=(task(1),)), NOW)
    after = plan.service
    for message in plan.events:
        after = with_event(after, message)
    assert [h.event_name for h in service_happenings(before, after)] == [
        "SERVICE_DEPLOYMENT_COMPLETED",
        "SERVICE_STEADY_STATE",
    ]


def test_a_rollback_tells_the_failure_and_the_new_beginning_even_when_the_failed_one_is_gone() -> None:
    good = deployment(1, rollout_state="COMPLETED")
    before = service(1, deployment(2), good, last_completed=good)
    again = msgspec.structs.replace(
        good,
        rollout_state="IN_PROGRESS",
        rollout_state_reason="ECS deployment circuit breaker: rolling back to deploymentId ecs-svc/1.",
    )
    after = with_event(
        msgspec.structs.replace(before, deployments=(again,)),
        "(service web) (deployment ecs-svc/2) deployment failed: tasks failed to start.",
    )
    told = service_happenings(before, after)
    assert [(h.event_name, h.members["deploymentId"]) for h in told] == [
        ("SERVICE_DEPLOYMENT_FAILED", "ecs-svc/2"),
        ("SERVICE_DEPLOYMENT_IN_PROGRESS", "ecs-svc/1"),
    ]
    assert told[1].members["reason"] == again.rollout_state_reason


@pytest.mark.parametrize("reason", [r for r in Reason if r is not Reason.PORTS_UDP])
def test_a_clause_is_read_back_as_its_reason(reason: Reason) -> None:
    assert clause_reason(Refusal(instance_uid="a", reason=reason).clause) is reason
