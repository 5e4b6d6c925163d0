"""What an outcome of a step, or a look at a container, changes. Pure.

Phases only grow, the desired status only falls, the first reason sticks.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta

from homeport.node.model import (
    ContainerRule,
    ContainerState,
    Desired,
    HealthState,
    Phase,
    TaskRules,
    TaskState,
)
from homeport.node.ports import ContainerStatus, RunState

OUT_OF_MEMORY = "OutOfMemoryError: Container killed due to memory usage"
VANISHED = "ContainerVanishedError: the container is gone, and it was not this agent that removed it"
REASON_CHARS_MAX = 1024
"""Source: ECS API Reference, SubmitTaskStateChange, reason."""


def container(state: TaskState, name: str) -> ContainerState:
    """What is known about `name`; nothing yet is a state too."""
    return state.containers.get(name) or ContainerState()


def with_container(state: TaskState, name: str, known: ContainerState) -> TaskState:
    """`state` with one container replaced."""
    return replace(state, containers={**state.containers, name: known})


def failed(known: ContainerState, reason: str) -> ContainerState:
    """An error: noted unless there was one before."""
    return known if known.reason else replace(known, reason=reason[:REASON_CHARS_MAX])


def stopped(
    known: ContainerState, *, exit_code: int | None = None, reason: str = "", at: datetime | None = None
) -> ContainerState:
    """It does not run and never will again."""
    if known.phase is Phase.STOPPED:
        return known
    known = failed(known, reason) if reason else known
    code = known.exit_code if exit_code is None else exit_code
    return replace(
        known, phase=Phase.STOPPED, exit_code=code, finished_at=known.finished_at or at, restart_due=False
    )


def reached(known: ContainerState, phase: Phase) -> ContainerState:
    """At least `phase`."""
    return replace(known, phase=phase) if phase > known.phase else known


def observed(
    known: ContainerState,
    rule: ContainerRule,
    status: ContainerStatus | None,
    *,
    desired: Desired,
    now: datetime,
) -> ContainerState:
    """What a look at the container says about it."""
    if known.phase is Phase.STOPPED:
        return known
    if status is None:
        if known.phase < Phase.CREATED and not known.start_asked:
            return known
        return stopped(known, reason=VANISHED, at=now)
    known = replace(
        reached(known, Phase.CREATED),
        docker_id=status.docker_id,
        docker_name=status.name,
        image_id=status.image_id or known.image_id,
        created_at=status.created_at or known.created_at,
        ip_addresses=status.ip_addresses or known.ip_addresses,
    )
    match status.state:
        case RunState.CREATED:
            return known
        case RunState.RUNNING:
            return _running(known, rule, status, now)
        case RunState.EXITED:
            return _exited(known, rule, status, desired=desired, now=now)


def restarted(known: ContainerState, now: datetime) -> ContainerState:
    """Its policy brought it back."""
    return replace(
        known,
        restart_due=False,
        restarts=known.restarts + 1,
        started_at=now,
        finished_at=None,
        exit_code=None,
        health=HealthState(),
    )


def raised(rules: TaskRules, state: TaskState, *, reason: str = "", now: datetime) -> TaskState:
    """The task is to stop. There is no way back."""
    if state.desired is Desired.STOPPED:
        return state
    state = replace(state, desired=Desired.STOPPED, reason=state.reason or reason[:REASON_CHARS_MAX])
    return noticed(rules, state, now)


def noticed(rules: TaskRules, state: TaskState, now: datetime) -> TaskState:
    """Note when the first essential container was seen stopped, and when all were."""
    phases = {name: container(state, name).phase for name in rules.containers}
    essential_stopped = any(
        phases[name] is Phase.STOPPED for name, rule in rules.containers.items() if rule.essential
    )
    if essential_stopped and state.execution_stopped_at is None:
        state = replace(state, execution_stopped_at=now)
    if state.stopped_at is None and all(phase is Phase.STOPPED for phase in phases.values()):
        state = replace(state, stopped_at=now)
    return state


def _running(
    known: ContainerState, rule: ContainerRule, status: ContainerStatus, now: datetime
) -> ContainerState:
    health = known.health
    if rule.health_checked and status.health is not None and status.health.status != health.status:
        health = HealthState(
            status=status.health.status,
            since=status.health.since or now,
            output=status.health.output,
            exit_code=status.health.exit_code,
        )
    return replace(
        reached(known, Phase.RUNNING),
        ran=True,
        start_asked=True,
        restart_due=False,
        started_at=status.started_at or known.started_at or now,
        ports=status.ports or known.ports,
        health=health,
    )


def _exited(
    known: ContainerState, rule: ContainerRule, status: ContainerStatus, *, desired: Desired, now: datetime
) -> ContainerState:
    if known.restart_due:
        return known
    known = replace(
        known,
        ran=True,
        start_asked=True,
        exit_code=status.exit_code,
        started_at=status.started_at or known.started_at,
        finished_at=status.finished_at or now,
        ports=status.ports or known.ports,
    )
    if desired is Desired.RUNNING and restart_wanted(known, rule):
        return replace(known, phase=Phase.RUNNING, restart_due=True)
    reason = ""
    if status.oom_killed:
        reason = OUT_OF_MEMORY
    elif status.error:
        reason = f"DockerStateError: {status.error}"
    return stopped(known, reason=reason)


def restart_wanted(known: ContainerState, rule: ContainerRule) -> bool:
    """Whether a container that exited comes back: it ran long enough, and its exit code counts.

    Source: ECS developer guide, "Restart individual containers in Amazon ECS tasks".
    """
    policy = rule.restarts
    if policy is None or known.exit_code in policy.ignored_exit_codes:
        return False
    if known.started_at is None or known.finished_at is None:
        return False
    return known.finished_at - known.started_at >= timedelta(seconds=policy.period_seconds)
