"""The next steps of a task, decided purely.

(rules, what is known, what is under way, now) -> actions. Asked again before anything changed it
answers the same. Source: the ECS agent's container lifecycle (dependsOn, essential, startTimeout,
stopTimeout, restartPolicy in the ECS API Reference, ContainerDefinition).

Rules:
- a container is pulled, created and started only while all its conditions hold;
- a condition that can never hold any more stops its container with exit code 143;
- an essential container that is stopped stops the task;
- on the way down a container is stopped after everything that depends on it;
- images are pulled while the node makes its own containers;
- a network is removed whenever any of it may be there, and one that is lost stops the task.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from homeport.node.model import (
    Action,
    Cancel,
    Condition,
    ContainerRule,
    ContainerState,
    Create,
    Dependency,
    Desired,
    MarkStopped,
    Phase,
    Plan,
    Preparation,
    Prepare,
    Pull,
    Restart,
    Start,
    Step,
    Stop,
    StopTask,
    TaskRules,
    TaskState,
    TaskStatus,
)

UNREACHABLE_EXIT_CODE = 143
"""What a container reports that never started because its dependency failed it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Gate:
    """Whether a container may go on: `open`, or waiting (until `wake_at`), or `never`."""

    open: bool = False
    never: str = ""
    wake_at: datetime | None = None


OPEN = Gate(open=True)
WAIT = Gate()


def plan_progress(
    rules: TaskRules,
    state: TaskState,
    *,
    busy: Mapping[str, Step],
    preparing: bool,
    now: datetime,
    pull_upfront: bool = False,
) -> Plan:
    """Decide what to do next for a task.

    `busy` names the containers that a step is working on, `preparing` says the
    same of the task's shared resources.
    """
    if state.desired is Desired.STOPPED:
        return _plan_down(rules, state, busy)
    if any(
        rule.essential and _of(state, name).phase is Phase.STOPPED for name, rule in rules.containers.items()
    ):
        return Plan(actions=(StopTask(),))
    for name, rule in rules.containers.items():
        known = _of(state, name)
        if rule.sandbox and known.phase is Phase.RUNNING and known.reason:
            return Plan(actions=(StopTask(known.reason),))
    if not state.admitted:
        return Plan()
    return _plan_up(rules, state, busy=busy, preparing=preparing, now=now, pull_upfront=pull_upfront)


def task_status(rules: TaskRules, state: TaskState) -> TaskStatus:
    """STOPPED when all containers are; RUNNING when all run or ran their course.

    A task whose essential container never ran is not RUNNING because a network is still held for it.
    """
    phases = {name: _of(state, name).phase for name in rules.containers}
    if all(phase is Phase.STOPPED for phase in phases.values()):
        return TaskStatus.STOPPED
    failed = any(
        rule.essential and phases[name] is Phase.STOPPED and not _of(state, name).ran
        for name, rule in rules.containers.items()
    )
    if not failed and all(phase >= Phase.RUNNING for phase in phases.values()):
        return TaskStatus.RUNNING
    return TaskStatus.PENDING


def gate(rules: TaskRules, state: TaskState, rule: ContainerRule, now: datetime) -> Gate:
    """Whether all conditions of `rule` hold now."""
    wake_at: datetime | None = None
    waiting = False
    for dependency in rule.depends_on:
        one = _condition(
            rules.containers[dependency.container], _of(state, dependency.container), dependency, now
        )
        if one.never:
            return one
        if not one.open:
            waiting = True
            wake_at = earliest(wake_at, one.wake_at)
    return Gate(wake_at=wake_at) if waiting else OPEN


def earliest(one: datetime | None, other: datetime | None) -> datetime | None:
    """The earlier of two instants, either of which may be absent."""
    if one is None or other is None:
        return one or other
    return min(one, other)


def _of(state: TaskState, name: str) -> ContainerState:
    return state.containers.get(name) or ContainerState()


def _condition(rule: ContainerRule, known: ContainerState, wanted: Dependency, now: datetime) -> Gate:
    met, impossible = _met(rule, known, wanted.condition)
    if met:
        return OPEN
    if impossible:
        return Gate(never=f"its dependency {rule.name} can no longer be {wanted.condition}: {impossible}")
    timed = wanted.condition in {Condition.COMPLETE, Condition.SUCCESS, Condition.HEALTHY}
    if not timed or rule.start_timeout_seconds is None or known.started_at is None:
        return WAIT
    deadline = known.started_at + timedelta(seconds=rule.start_timeout_seconds)
    if now >= deadline:
        return Gate(
            never=f"its dependency {rule.name} was not {wanted.condition} "
            f"within its startTimeout of {rule.start_timeout_seconds} s"
        )
    return Gate(wake_at=deadline)


def _met(rule: ContainerRule, known: ContainerState, condition: Condition) -> tuple[bool, str]:
    """(holds, why it never will)."""
    stopped = known.phase is Phase.STOPPED
    never_ran = "it never ran" if stopped and not known.ran else ""
    match condition:
        case Condition.CREATE:
            return known.phase >= Phase.CREATED and not never_ran, never_ran
        case Condition.START:
            return known.phase >= Phase.RUNNING and known.ran, never_ran
        case Condition.COMPLETE:
            return stopped and known.ran, never_ran
        case Condition.SUCCESS:
            failed = f"its exit code is {known.exit_code}" if stopped and known.exit_code != 0 else ""
            return stopped and known.ran and not failed, never_ran or failed
        case Condition.HEALTHY:
            if stopped or not rule.health_checked:
                return False, never_ran or ("it stopped" if stopped else "it has no health check")
            return known.phase is Phase.RUNNING and known.health.status == "HEALTHY", ""


def _plan_up(
    rules: TaskRules,
    state: TaskState,
    *,
    busy: Mapping[str, Step],
    preparing: bool,
    now: datetime,
    pull_upfront: bool,
) -> Plan:
    actions: list[Action] = []
    ready = state.preparation is Preparation.READY
    if not ready and not preparing and any(_of(state, n).phase < Phase.CREATED for n in rules.containers):
        actions.append(Prepare())
    wake_at: datetime | None = None
    for name, rule in rules.containers.items():
        known = _of(state, name)
        if name in busy:
            continue
        if known.restart_due:
            actions.append(Restart(name))
            continue
        if known.phase >= Phase.RUNNING:
            continue
        way = gate(rules, state, rule, now)
        wake_at = earliest(wake_at, way.wake_at)
        if way.never:
            actions.append(MarkStopped(name, UNREACHABLE_EXIT_CODE, f"DependencyError: {way.never}"))
        elif known.phase is Phase.NONE and (way.open or pull_upfront or _may_pull(rules, state, rule, now)):
            actions.append(Pull(name))
        elif way.open and known.phase is Phase.PULLED and ready:
            actions.append(Create(name))
        elif way.open and known.phase is Phase.CREATED:
            actions.append(Start(name))
    return Plan(actions=tuple(actions), wake_at=wake_at)


def _may_pull(rules: TaskRules, state: TaskState, rule: ContainerRule, now: datetime) -> bool:
    """Whether it waits for nothing but containers of the node's own."""
    waits = tuple(each for each in rule.depends_on if not rules.containers[each.container].internal)
    return gate(rules, state, replace(rule, depends_on=waits), now).open


def _plan_down(rules: TaskRules, state: TaskState, busy: Mapping[str, Step]) -> Plan:
    actions: list[Action] = []
    for name, rule in rules.containers.items():
        known = _of(state, name)
        if known.phase is Phase.STOPPED:
            continue
        step = busy.get(name)
        if step is Step.PULL:
            actions.append(Cancel(name))
        elif step is not None:
            continue
        elif not _is_there(rule, known):
            actions.append(MarkStopped(name, known.exit_code))
        elif all(_of(state, other).phase is Phase.STOPPED for other in rules.dependents[name]):
            actions.append(Stop(name, rule.stop_timeout_seconds))
    return Plan(actions=tuple(actions))


def _is_there(rule: ContainerRule, known: ContainerState) -> bool:
    """Whether there is something to stop. Of a network that was begun there may be a part."""
    if rule.sandbox:
        return known.start_asked
    return known.phase is Phase.RUNNING and not known.restart_due
