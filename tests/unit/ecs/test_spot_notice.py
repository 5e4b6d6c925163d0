"""What a notice makes of a task. Source: developer guide, "Handling Fargate Spot termination notices"."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import msgspec

from homeport.services.ecs.model import TargetPlace, Task
from homeport.services.ecs.plan.lifecycle import apply_report, noticed

NOW = datetime(2030, 1, 1, tzinfo=UTC)


def running(**members: object) -> Task:
    base = Task(
        cluster_id=1,
        cluster_name="default",
        account_id="000000000000",
        region="us-east-1",
        uid="a" * 32,
        task_definition_id=1,
        family="app",
        revision=1,
        group="family:app",
        capacity_provider="FARGATE_SPOT",
        last_status="RUNNING",
        created_at=NOW,
        started_at=NOW,
    )
    return msgspec.structs.replace(base, **members)


def test_notice_is_given_once_and_ends_as_an_interruption() -> None:
    warned = noticed(running(), NOW)
    assert warned is not None
    assert (warned.stop_code, warned.desired_status, warned.last_status) == (
        "TerminationNotice",
        "STOPPED",
        "RUNNING",
    )
    assert noticed(warned, NOW + timedelta(seconds=60)) is warned
    ended = apply_report(warned, {"status": "STOPPED"}, NOW + timedelta(seconds=119))
    assert (ended.stop_code, ended.stopped_reason) == (
        "SpotInterruption",
        "Your Spot Task was interrupted.",
    )
    assert ended.stopping_at == NOW
    assert noticed(ended, NOW + timedelta(seconds=130)) is ended


def test_who_ends_already_gets_no_notice() -> None:
    assert noticed(running(desired_status="STOPPED", stop_code="UserInitiated"), NOW) is None


def test_containers_hear_of_it_before_load_balancers_have_let_go() -> None:
    """They have two minutes at most; a user's stop waits until nobody sends them anything."""
    place = TargetPlace(target_group="arn:tg", container="app", port=80)
    behind = running(target_places=(place,))
    warned = noticed(behind, NOW)
    assert warned is not None
    assert not warned.is_held
    assert msgspec.structs.replace(behind, desired_status="STOPPED", stop_code="UserInitiated").is_held
