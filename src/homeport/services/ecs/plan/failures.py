"""Why a task stopped: `stopCode` and `stoppedReason` from the agent's reports. Pure.

The agent's own task reason is usually empty: these two are the control plane's to
compute. Sources: API reference, Task.stopCode; developer guide, "Stopped tasks error
codes"; recorded state reports.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

REASON_MOST = 1024
"""Characters of a container's or a task's reason."""

ESSENTIAL_EXITED = "Essential container in task exited"
FAILED_TO_START = "Task failed to start"
STOPPED_BY_USER = "Task stopped by user"
CONSEQUENCE = "TaskStoppedBeforePullBeginError"
"""The agent's name for a container that another one's end kept from starting."""


class StopCode(StrEnum):
    """AWS's spelling."""

    TASK_FAILED_TO_START = "TaskFailedToStart"
    ESSENTIAL_CONTAINER_EXITED = "EssentialContainerExited"
    USER_INITIATED = "UserInitiated"
    SERVICE_SCHEDULER_INITIATED = "ServiceSchedulerInitiated"
    SPOT_INTERRUPTION = "SpotInterruption"
    TERMINATION_NOTICE = "TerminationNotice"


@dataclass(frozen=True, slots=True, kw_only=True)
class Stop:
    """A stop's code and reason, as DescribeTasks shows them."""

    code: StopCode
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ContainerReport:
    """The last that is known of a container.

    `was_running`: a RUNNING report was seen. `runtime_id` is absent when it was
    never created, `exit_code` when its process never ran.
    """

    name: str
    essential: bool = True
    was_running: bool = False
    exit_code: int | None = None
    reason: str = ""
    runtime_id: str | None = None

    @property
    def ran(self) -> bool:
        """Whether its process ever ran.

        An exit code without a runtime id (143) is made up by the agent for a
        container whose dependencies can never be met.
        """
        return self.was_running or (self.exit_code is not None and self.runtime_id is not None)


def user_stop(reason: str | None) -> Stop:
    """StopTask, with the caller's words or AWS's."""
    return Stop(code=StopCode.USER_INITIATED, reason=(reason or STOPPED_BY_USER)[:REASON_MOST])


def scaling_reason(who: str) -> str:
    """Why a task stops that `who` (`deployment ecs-svc/1`) no longer wants."""
    return f"Scaling activity initiated by ({who})"


def stop_of(*, initiated: Stop | None, task_reason: str, containers: Sequence[ContainerReport]) -> Stop:
    """What a STOPPED report means.

    Who asked for the stop keeps the word. A task whose essential containers all
    ran has ended by one of them; otherwise it failed to start, for the task's own
    reason, else the first container's that says why.
    """
    if initiated is not None:
        return initiated
    essential = [container for container in containers if container.essential]
    why = task_reason or _why_not_started(containers)
    some_ran = any(container.ran for container in essential)
    all_ran = some_ran and all(container.ran for container in essential)
    if all_ran or (some_ran and not why):
        return Stop(
            code=StopCode.ESSENTIAL_CONTAINER_EXITED,
            reason=(task_reason or ESSENTIAL_EXITED)[:REASON_MOST],
        )
    return Stop(code=StopCode.TASK_FAILED_TO_START, reason=(why or FAILED_TO_START)[:REASON_MOST])


def _why_not_started(containers: Sequence[ContainerReport]) -> str:
    """The first culprit's words, essential ones first.

    The agent keeps a container's first error for good: what sticks to one that ran
    after all explains nothing. Nor does a container that was stopped before its pull,
    and one that waited in vain (a made-up exit code) only says whom it waited for.
    """
    culprits = sorted(
        (container for container in containers if container.reason and not container.ran),
        key=lambda container: (container.exit_code is not None, not container.essential),
    )
    reasons = (container.reason for container in culprits)
    return next((reason for reason in reasons if not reason.startswith(CONSEQUENCE)), "")
