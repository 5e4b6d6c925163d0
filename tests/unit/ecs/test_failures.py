"""stopCode and stoppedReason, against recorded reports of the real agent."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from homeport.services.ecs.plan.failures import (
    ContainerReport,
    Stop,
    StopCode,
    scaling_reason,
    stop_of,
    user_stop,
)

WIRE = Path(__file__).parents[2] / "data" / "agent-wire"
EXITED = Stop(code=StopCode.ESSENTIAL_CONTAINER_EXITED, reason="Essential container in task exited")


def failed(reason: str) -> Stop:
    return Stop(code=StopCode.TASK_FAILED_TO_START, reason=reason)


def recorded(name: str, task: str) -> Stop:
    """The verdict over all recorded reports of one task; every container counts as essential."""
    known: dict[str, ContainerReport] = {}
    verdict: Stop | None = None
    for line in (WIRE / f"{name}.jsonl").read_text().splitlines():
        event = json.loads(line)
        if event.get("op") != "SubmitTaskStateChange" or event["kind"] != "api-in":
            continue
        body = event["body"]
        if not body["task"].endswith(task):
            continue
        for entry in body.get("containers", ()):
            before = known.get(entry["containerName"])
            known[entry["containerName"]] = ContainerReport(
                name=entry["containerName"],
                was_running=entry["status"] == "RUNNING" or (before is not None and before.was_running),
                exit_code=entry.get("exitCode"),
                reason=entry.get("reason", ""),
                runtime_id=entry.get("runtimeId"),
            )
        if body["status"] == "STOPPED":
            verdict = stop_of(initiated=None, task_reason=body["reason"], containers=tuple(known.values()))
    assert verdict is not None
    return verdict


@pytest.mark.parametrize(
    ("name", "task", "start"),
    [
        ("07-secrets-cgroup-failures", "003f", "CannotStartContainerError: "),
        ("07-secrets-cgroup-failures", "0040", "CannotPullImageManifestError: "),
        ("07-secrets-cgroup-failures", "0041", "HostConfigError: Invalid volume referenced: zz"),
        ("07-secrets-cgroup-failures", "0042", "Task dependencies cannot be resolved, taskArn: arn:aws:ecs:"),
        ("07-secrets-cgroup-failures", "0043", "CannotStartContainerError: "),
        ("07-secrets-cgroup-failures", "0044", "UnrecogniedTaskError: Error loading task - "),
        ("07-secrets-cgroup-failures", "0045", "Task failed to start"),
        ("04-errors-dups", "0032", "CannotPullImageManifestError: Error response from daemon: "),
        ("08-awsvpc-acs-messages", "0050", "CannotCreateContainerError: "),
    ],
)
def test_a_recorded_task_that_never_ran_failed_to_start(name: str, task: str, start: str) -> None:
    verdict = recorded(name, task)
    assert verdict.code is StopCode.TASK_FAILED_TO_START
    assert verdict.reason.startswith(start)


@pytest.mark.parametrize(
    ("name", "task"),
    [
        ("01-first-task", "000c"),
        ("02-lifecycle", "0014"),
        ("07-secrets-cgroup-failures", "003d"),
        ("07-secrets-cgroup-failures", "003e"),
        ("07-secrets-cgroup-failures", "0046"),
        ("08-awsvpc-acs-messages", "0051"),
    ],
)
def test_a_recorded_task_that_ran_ended_by_its_container(name: str, task: str) -> None:
    """003d's containers carry a sticky pull error of an image that started after all."""
    assert recorded(name, task) == EXITED


def test_a_process_that_is_over_before_the_first_report_has_run() -> None:
    quick = ContainerReport(name="a", exit_code=0, runtime_id="4f3a")
    assert stop_of(initiated=None, task_reason="", containers=[quick]) == EXITED


def test_a_made_up_exit_code_is_no_run() -> None:
    """The agent reports 143 for a container whose dependencies can never be met."""
    init = ContainerReport(name="init", essential=False, was_running=True, exit_code=1, runtime_id="4f3a")
    app = ContainerReport(name="app", exit_code=143)
    assert stop_of(initiated=None, task_reason="", containers=[init, app]) == failed("Task failed to start")


def test_the_culprit_explains_and_not_what_it_dragged_along() -> None:
    culprit = ContainerReport(name="b", reason="CannotPullContainerError: no such image")
    killed = ContainerReport(name="a", was_running=True, exit_code=137, runtime_id="4f3a")
    waiting = ContainerReport(
        name="c", reason="TaskStoppedBeforePullBeginError: Task stopped before pull begin"
    )
    for order in ([culprit, killed, waiting], [waiting, killed, culprit]):
        verdict = stop_of(initiated=None, task_reason="", containers=order)
        assert verdict == failed("CannotPullContainerError: no such image")


def test_the_culprit_explains_and_not_those_that_waited_for_it() -> None:
    """Seen with amazon-ecs-agent 1.105.1: a dependent's reason only names its dependency."""
    init = ContainerReport(name="init", essential=False, reason="CannotStartContainerError: no such file")
    app = ContainerReport(
        name="app", exit_code=143, reason="CannotStartContainerError: dependency graph: failed to resolve"
    )
    for order in ([init, app], [app, init]):
        verdict = stop_of(initiated=None, task_reason="", containers=order)
        assert verdict == failed("CannotStartContainerError: no such file")
    assert stop_of(initiated=None, task_reason="", containers=[app]) == failed(app.reason)


def test_an_essential_container_that_ends_while_another_waits_has_exited() -> None:
    done = ContainerReport(name="a", was_running=True, exit_code=1, runtime_id="4f3a")
    waiting = ContainerReport(
        name="b", reason="TaskStoppedBeforePullBeginError: Task stopped before pull begin"
    )
    assert stop_of(initiated=None, task_reason="", containers=[done, waiting]) == EXITED


def test_an_essential_containers_reason_comes_first() -> None:
    helper = ContainerReport(name="a", essential=False, reason="CannotPullContainerError: helper")
    main = ContainerReport(name="b", reason="CannotPullContainerError: main")
    verdict = stop_of(initiated=None, task_reason="", containers=[helper, main])
    assert verdict.reason == "CannotPullContainerError: main"


def test_stops_by_users_and_services_are_worded_as_aws_words_them() -> None:
    """Source: StopTaskRequest.reason; developer guide, "Stopped tasks error codes"."""
    assert user_stop(None) == Stop(code=StopCode.USER_INITIATED, reason="Task stopped by user")
    assert user_stop("bored").reason == "bored"
    assert scaling_reason("deployment ecs-svc/1") == "Scaling activity initiated by (deployment ecs-svc/1)"


reports = st.lists(
    st.builds(
        ContainerReport,
        name=st.sampled_from("abc"),
        essential=st.booleans(),
        was_running=st.booleans(),
        exit_code=st.none() | st.integers(0, 255),
        reason=st.sampled_from(["", "CannotPullContainerError: x", "OutOfMemoryError: y"]),
        runtime_id=st.none() | st.just("id"),
    ),
    max_size=4,
)


@given(reports, st.sampled_from(["", "resource failed"]))
def test_who_asked_for_the_stop_keeps_the_word(containers: list[ContainerReport], reason: str) -> None:
    asked = user_stop("mine")
    assert stop_of(initiated=asked, task_reason=reason, containers=containers) == asked


@given(reports, st.sampled_from(["", "resource failed", "x" * 3000]))
def test_every_stop_has_a_reason_of_at_most_1024_characters(
    containers: list[ContainerReport], reason: str
) -> None:
    verdict = stop_of(initiated=None, task_reason=reason, containers=containers)
    assert 1 <= len(verdict.reason) <= 1024
    if not any(container.ran and container.essential for container in containers):
        assert verdict.code is StopCode.TASK_FAILED_TO_START
    if reason:
        assert verdict.reason == reason[:1024]
