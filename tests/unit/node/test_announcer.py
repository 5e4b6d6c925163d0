"""When a task's news goes out."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

from homeport.node.announcer import Announcer
from homeport.node.model import TaskStatus
from homeport.node.report import ContainerReport, TaskReport, first_report

NOW = datetime(2030, 1, 1, tzinfo=UTC)
SECOND = timedelta(seconds=1)
FIRST = first_report("arn")
RUNNING = ContainerReport(name="app", status=TaskStatus.RUNNING, runtime_id="1")


def report(status: TaskStatus, *containers: ContainerReport) -> TaskReport:
    return replace(FIRST, status=status, containers=containers)


def test_a_status_that_moved_is_said_at_once_and_once() -> None:
    announcer = Announcer(FIRST, interim=SECOND)
    now_running = report(TaskStatus.RUNNING, RUNNING)
    assert announcer.hears(now_running, NOW) == (now_running, None)
    assert announcer.hears(now_running, NOW) == (None, None)


def test_lesser_news_waits_for_company() -> None:
    announcer = Announcer(FIRST, interim=SECOND)
    one = report(TaskStatus.PENDING, RUNNING)
    two = report(TaskStatus.PENDING, RUNNING, replace(RUNNING, name="side"))
    assert announcer.hears(one, NOW) == (None, NOW + SECOND)
    assert announcer.hears(two, NOW + SECOND / 2) == (None, NOW + SECOND)
    assert announcer.hears(two, NOW + SECOND) == (two, None)


def test_that_a_container_exists_and_has_not_started_is_no_news() -> None:
    announcer = Announcer(FIRST, interim=SECOND)
    created = ContainerReport(name="app", status=TaskStatus.PENDING, runtime_id="1")
    assert announcer.hears(report(TaskStatus.PENDING, created), NOW) == (None, None)
    failed = report(TaskStatus.PENDING, replace(created, reason="CannotStartContainerError: no"))
    assert announcer.hears(failed, NOW) == (None, NOW + SECOND)


def test_nothing_follows_the_end() -> None:
    announcer = Announcer(report(TaskStatus.STOPPED), interim=SECOND)
    assert announcer.hears(report(TaskStatus.RUNNING, RUNNING), NOW) == (None, None)
