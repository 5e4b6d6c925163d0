"""Which targets should be registered, and which tasks may stop. Pure.

Level-triggered: a task that should run and runs is registered in its target groups, everything else
is not. What is asked of a load balancer is written down before it is asked, so that a crash
in between leaves nothing behind: the question is put again. A question of a process that has died may
still be on its way: registrations have a deadline, and a target is remembered until that has passed. A
task that is told to stop is DEACTIVATING until no target at its address drains, or their delay has
passed; only then its agent hears of it.

Sources: developer guide, "Amazon ECS task lifecycle" (DEACTIVATING) and "Service event messages";
Elastic Load Balancing guides, "Target health status" and "Deregistration delay".
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta

import msgspec

from homeport.services.ecs.model import Service, Target, TargetPlace, Task, classic_name
from homeport.services.ecs.ports import TargetAddress, TargetState

DRAINING = ("draining", "unhealthy.draining")
REGISTERED = ("initial", "healthy", "unhealthy")
MISSING = "TARGET GROUP IS NOT FOUND"
UNHEARD = "the load balancer has no listener with the instance port {}"
ASKED = ("REGISTERING", "DEREGISTERING")
REGISTER_WITHIN = timedelta(seconds=60)
"""A registration that was asked for takes effect within this, or not at all [our choice]."""
CLOCKS_DIFFER = timedelta(seconds=30)
"""At most, those of the replicas and of the load balancers' control."""


@dataclass(frozen=True, slots=True, kw_only=True)
class GroupSeen:
    """What a target group looked like just now. `problem`: why it could not be looked at.

    `instance_ports`: of a Classic Load Balancer, where its listeners send traffic to.
    """

    exists: bool = True
    delay_seconds: float | None = None
    health: Mapping[TargetAddress, TargetState] = field(default_factory=dict)
    problem: str = ""
    instance_ports: frozenset[int] = frozenset()


@dataclass(frozen=True, slots=True, kw_only=True)
class TargetSnapshot:
    """A service's tasks and targets as one transaction saw them, then its target groups.

    `live`: its tasks that are not STOPPED. `instances`: EC2 ids by instance row. `elsewhere`: keys that
    tasks of other services hold, with the newest row of each.
    """

    service: Service
    live: tuple[Task, ...]
    targets: tuple[Target, ...]
    instances: Mapping[int, str] = field(default_factory=dict)
    elsewhere: Mapping[tuple[str, str, int], int] = field(default_factory=dict)
    groups: Mapping[str, GroupSeen] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class TargetPlan:
    """The step, all of it in one transaction; then every target in `ASKED` is asked for.

    `tasks`: with a later status: on their way out, or free to be stopped by their agents.
    """

    add: tuple[Target, ...] = ()
    save: tuple[Target, ...] = ()
    remove: tuple[Target, ...] = ()
    tasks: tuple[Task, ...] = ()
    events: tuple[str, ...] = ()
    wake_at: datetime | None = None

    @property
    def is_empty(self) -> bool:
        """Whether there is nothing to write."""
        return not (self.add or self.save or self.remove or self.tasks or self.events)


def address_of(task: Task, place: TargetPlace, instances: Mapping[int, str]) -> TargetAddress | None:
    """Where a task listens for a target group; `None`: that is not known yet."""
    container = next((c for c in task.containers if c.name == place.container), None)
    if container is None:
        return None
    if place.target_type == "ip":
        return None if task.interface is None else (task.interface.address, place.port)
    instance = None if task.instance_id is None else instances.get(task.instance_id)
    if place.on_host:  # agents report no bindings of what they did not publish
        return None if instance is None else (instance, place.port)
    for binding in container.network_bindings:
        if binding.get("containerPort") == place.port and binding.get("hostPort") and instance:
            return instance, int(binding["hostPort"])
    return None


def is_wanted(task: Task) -> bool:
    """Whether the task's targets should be registered."""
    return task.desired_status == "RUNNING" and task.last_status == "RUNNING"


def leaving_of(live: Iterable[Task], targets: Iterable[Target]) -> tuple[Target, ...]:
    """The targets whose tasks should not be registered any more."""
    known = {task.id for task in live if is_wanted(task)}
    return tuple(target for target in targets if target.task_id not in known)


def plan_targets(snapshot: TargetSnapshot, now: datetime) -> TargetPlan:
    """Decide the next step. Once nothing changes any more, it is empty."""
    step = _Step(snapshot, now)
    for task in snapshot.live:
        if is_wanted(task):
            step.register(task)
    for target in snapshot.targets:
        step.look_at(target)
    for task in snapshot.live:
        if task.is_held:
            step.move_on(task)
    return step.plan()


class _Step:
    def __init__(self, snapshot: TargetSnapshot, now: datetime) -> None:
        self._snapshot = snapshot
        self._now = now
        self._tasks = {task.id: task for task in snapshot.live}
        self._known = {(t.task_id, t.target_group, t.container_port): t for t in snapshot.targets}
        self._add: list[Target] = []
        self._save: list[Target] = []
        self._remove: list[Target] = []
        self._moved: list[Task] = []
        self._events: list[str] = []
        self._wakes: list[datetime] = []
        self._wanted_keys: set[tuple[str, str, int]] = set()
        self._there: list[Target] = []
        """What may bring somebody requests, as it stands after the step."""

    def register(self, task: Task) -> None:
        for place in task.target_places:
            known = self._known.get((task.id, place.target_group, place.port))
            if known is not None:
                self._wanted_keys.add(known.key)
                continue
            address = address_of(task, place, self._snapshot.instances)
            if address is None:
                continue
            new = Target(
                service_id=self._snapshot.service.id,
                task_id=task.id,
                task_uid=task.uid,
                started_by=task.started_by or "",
                target_group=place.target_group,
                target=address[0],
                port=address[1],
                container_port=place.port,
                register_by=self._now + REGISTER_WITHIN,
            )
            self._wanted_keys.add(new.key)
            self._add.append(new)

    def look_at(self, target: Target) -> None:
        task = self._tasks.get(target.task_id)
        seen = self._snapshot.groups[target.target_group]
        if task is not None and is_wanted(task):
            after = self._told(self._kept(target, seen), task)
        else:
            left = self._left(target, seen)
            if left is None:
                self._remove.append(target)
                return
            after = left
        if after.status != "DRAINED":
            self._there.append(after)
        if after != target:
            self._save.append(after)

    def _kept(self, target: Target, seen: GroupSeen) -> Target:
        """A target that should be registered, with what its load balancer says of it."""
        if target.status not in ("REGISTERED", "REGISTERING"):
            target = msgspec.structs.replace(target, status="REGISTERING", health="", deregistered_at=None)
        if not seen.exists:
            return self._with_state(target, TargetState(state="unused", description=MISSING))
        if seen.problem:
            return self._timed(msgspec.structs.replace(target, problem=seen.problem))
        if target.status != "REGISTERED":
            return self._timed(target)
        state = seen.health.get(target.address, TargetState(state="unused"))
        gone = state.state in DRAINING or (state.state == "unused" and state.reason in _NOT_THERE)
        if gone:
            # Somebody deregistered it, or another task that was there before went late.
            target = msgspec.structs.replace(target, status="REGISTERING")
        if seen.delay_seconds is not None:
            target = msgspec.structs.replace(target, delay_seconds=seen.delay_seconds)
        if not gone and classic_name(target.target_group) and target.port not in seen.instance_ports:
            state = TargetState(state="unused", reason="ELB", description=UNHEARD.format(target.port))
        return self._with_state(self._timed(target), state)

    def _timed(self, target: Target) -> Target:
        """With time enough for the registration that is about to be asked for."""
        at, now = target.register_by, self._now
        if target.status != "REGISTERING" or (at is not None and at - now >= REGISTER_WITHIN / 2):
            return target
        return msgspec.structs.replace(target, register_by=now + REGISTER_WITHIN)

    def _with_state(self, target: Target, state: TargetState) -> Target:
        return msgspec.structs.replace(
            target,
            health=state.state,
            reason=state.reason,
            description=state.description,
            problem="",
            told=target.told and state.state == "unhealthy",
        )

    def _told(self, target: Target, task: Task) -> Target:
        """An unhealthy target is told in an event, as soon as its grace period is over."""
        if target.health != "unhealthy" or target.told or task.started_at is None or target.problem:
            return target
        grace_ends = task.started_at + timedelta(seconds=self._snapshot.service.health_check_grace_seconds)
        if grace_ends > self._now:
            self._wakes.append(grace_ends)
            return target
        self._events.append(f"{self._subject} {_told_unhealthy(target)}")
        return msgspec.structs.replace(target, told=True)

    def _left(self, target: Target, seen: GroupSeen) -> Target | None:
        """A target that should not be registered any more; `None`: nothing is left of it."""
        other = self._snapshot.elsewhere.get(target.key, 0)
        if target.key in self._wanted_keys or other > target.id or not seen.exists:
            return None  # another task took its place, or the place is gone
        if other and classic_name(target.target_group):
            # A balancer knows an instance once, whoever's tasks are there: it stays for the others.
            left_at = target.deregistered_at or self._now
            return self._remembered(msgspec.structs.replace(target, deregistered_at=left_at), seen)
        if target.status in ("REGISTERED", "REGISTERING"):
            delay = target.delay_seconds if seen.delay_seconds is None else seen.delay_seconds
            target = msgspec.structs.replace(target, status="DEREGISTERING", delay_seconds=delay)
        if target.status == "DEREGISTERING" or target.deregistered_at is None:
            # Why the last question had no answer stays until it has: who forgets it asks without a rest.
            return msgspec.structs.replace(target, problem=seen.problem or target.problem)
        ends = target.deregistered_at + timedelta(seconds=target.delay_seconds)
        if seen.problem:
            state = TargetState(state="draining")
        else:
            state = seen.health.get(target.address, TargetState(state="unused"))
        if state.state in REGISTERED:
            # Registered again by a process that was late.
            return msgspec.structs.replace(target, status="DEREGISTERING", deregistered_at=None)
        if target.status == "DRAINED" or state.state not in DRAINING or ends <= self._now:
            return self._remembered(target, seen)
        self._wakes.append(ends)
        return msgspec.structs.replace(target, health=state.state, problem=seen.problem)

    def _remembered(self, target: Target, seen: GroupSeen) -> Target | None:
        """A target that has drained; `None`: it is not there, and no registration of it can be on its way."""
        last = self._now if target.register_by is None else target.register_by + CLOCKS_DIFFER
        if not seen.problem:
            if last <= self._now:
                return None
            self._wakes.append(last)
        return msgspec.structs.replace(target, status="DRAINED", problem=seen.problem)

    def move_on(self, task: Task) -> None:
        """A task on its way out: DEACTIVATING as long as it has targets, then its agent may stop it."""
        is_served = any(self._is_served(task, target) for target in self._there)
        is_found = bool(task.registries) and not task.has_left
        status = "DEACTIVATING" if is_served or is_found else "STOPPING"
        if status != task.last_status:
            self._moved.append(msgspec.structs.replace(task, last_status=status))

    def _is_served(self, task: Task, target: Target) -> bool:
        """Whether the task may get requests by a target: its own, or that of one that listened there before.

        A crashed task's target is still there when the next task gets its port.
        """
        if target.task_id == task.id:
            return True
        owner = self._tasks.get(target.task_id)
        if owner is not None and is_wanted(owner):
            return False
        found = (address_of(task, place, self._snapshot.instances) for place in task.target_places)
        return (target.target, target.port) in found

    @property
    def _subject(self) -> str:
        return f"(service {self._snapshot.service.name})"

    def plan(self) -> TargetPlan:
        return TargetPlan(
            add=tuple(self._add),
            save=tuple(self._save),
            remove=tuple(self._remove),
            tasks=tuple(self._moved),
            events=tuple(self._events),
            wake_at=min(self._wakes, default=None),
        )


_NOT_THERE = ("", "Target.NotRegistered", "Target.DeregistrationInProgress")


def _told_unhealthy(target: Target) -> str:
    where, reason = group_word(target.target_group), target.description or target.reason
    if classic_name(target.target_group):
        return f"(instance {target.target}) is unhealthy in {where} due to (reason {reason})"
    return f"(task {target.task_uid}) (port {target.port}) is unhealthy in {where} due to (reason {reason})."


def group_word(arn: str) -> str:
    """A target group, or a classic balancer, in an event."""
    name = classic_name(arn)
    return f"(elb {name})" if name else f"(target-group {arn})"


def _targets_word(arn: str) -> str:
    return "instances" if classic_name(arn) else "targets"


def asked(targets: Iterable[Target]) -> dict[tuple[str, str], list[Target]]:
    """What load balancers are to be asked, by (target group, REGISTERING or DEREGISTERING)."""
    found: dict[tuple[str, str], list[Target]] = {}
    for target in targets:
        if target.status in ASKED:
            found.setdefault((target.target_group, target.status), []).append(target)
    return found


def register_before(targets: Iterable[Target], now: datetime) -> datetime:
    """Until when all of the targets may be registered that are asked for together."""
    return min((target.register_by for target in targets if target.register_by is not None), default=now)


def answered(target: Target, status: str, now: datetime) -> Target:
    """A target once the load balancer has done what it was asked as `status`.

    What should have become of it may have changed meanwhile: then it is as if it had not been asked.
    """
    if status == "REGISTERING":
        if target.status in ("REGISTERING", "REGISTERED"):
            return msgspec.structs.replace(target, status="REGISTERED", problem="")
        return msgspec.structs.replace(target, status="DEREGISTERING", deregistered_at=None)
    if target.status == "DEREGISTERING":
        return msgspec.structs.replace(target, status="DRAINING", deregistered_at=now, problem="")
    if target.status in ("DRAINING", "DRAINED"):
        return target
    return msgspec.structs.replace(target, status="REGISTERING")


def told_answers(service: Service, status: str, targets: Iterable[Target]) -> tuple[str, ...]:
    """What is told of targets of one group that were registered, or deregistered."""
    done = list(targets)
    if not done:
        return ()
    arn = done[0].target_group
    what = f"registered {len(done)} {_targets_word(arn)} in {group_word(arn)}"
    if status == "REGISTERING":
        return (f"(service {service.name}) {what}",)
    told = [f"(service {service.name}) de{what}"]
    owners: dict[str, set[int]] = {}
    for target in done:
        owners.setdefault(target.started_by, set()).add(target.task_id)
    told += [
        f"(service {service.name}, taskSet {owner}) has begun draining connections on {len(tasks)} tasks."
        for owner, tasks in sorted(owners.items())
    ]
    return tuple(told)


def told_problem(service: Service, doing: str, group: str, problem: str) -> str:
    """What is told when a load balancer does not do what it is asked. `doing`: of targets."""
    doing = doing.replace("target", "instance") if classic_name(group) else doing
    return f"(service {service.name}) failed to {doing} {group_word(group)} with (error {problem})"
