"""When a task's news goes out: at once when its status moved, soon otherwise, never twice."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta

from homeport.node.model import TaskStatus
from homeport.node.report import TaskReport


class Announcer:
    """What was said about one task, and whether there is more to say."""

    def __init__(self, said: TaskReport, *, interim: timedelta) -> None:
        """`said`: the last report that was handed in. `interim`: how long lesser news may wait."""
        self.said = said
        self._interim = interim
        self._due_at: datetime | None = None

    def hears(self, report: TaskReport, now: datetime) -> tuple[TaskReport | None, datetime | None]:
        """(the report to hand in now, when to ask again)."""
        if self.said.final or _news(report) == _news(self.said):
            self._due_at = None
            return None, None
        if report.status is self.said.status:
            self._due_at = self._due_at or now + self._interim
            if now < self._due_at:
                return None, self._due_at
        self._due_at = None
        self.said = report
        return report, None


def _news(report: TaskReport) -> TaskReport:
    """What anybody waits for. That a container exists and has not started yet can wait for its start."""
    told = (each for each in report.containers if each.status is not TaskStatus.PENDING or each.reason)
    return replace(report, containers=tuple(told))
