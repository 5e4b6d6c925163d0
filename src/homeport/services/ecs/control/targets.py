"""Keeps services' tasks registered with their load balancers; one key is one service's row.

The load balancers are asked outside of transactions, and what they say is written down as facts
(`ecs_target`): the rollout reads these with everything else in its one transaction, on every replica and
after every crash.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from functools import partial

import msgspec

from homeport.core.clock import Clock
from homeport.core.errors import StaleWriteError
from homeport.core.ids import Ids
from homeport.core.log import get_logger
from homeport.runtime.changes import Change
from homeport.runtime.retry import decide_again
from homeport.runtime.runner import Next
from homeport.services.ecs.control.service_steps import with_events
from homeport.services.ecs.model import Service, Target, Task
from homeport.services.ecs.plan.targets import (
    GroupSeen,
    TargetPlan,
    TargetSnapshot,
    answered,
    asked,
    is_wanted,
    leaving_of,
    plan_targets,
    register_before,
    told_answers,
    told_problem,
)
from homeport.services.ecs.ports import TargetGroups, TargetGroupsError, TargetUse
from homeport.services.ecs.repo.instances import InstanceRepo
from homeport.services.ecs.repo.services import ServiceRepo
from homeport.services.ecs.repo.targets import TargetRepo
from homeport.services.ecs.repo.tasks import TaskRepo
from homeport.store.base import Store
from homeport.store.tx import Tx

log = get_logger("ecs.targets")

_HELD = ("REGISTERING", "REGISTERED")


@dataclass(frozen=True, slots=True, kw_only=True)
class _Unanswered:
    """Targets of one group that the load balancer would not do as asked."""

    targets: Sequence[Target]
    doing: str
    problem: str


class TargetController:
    """Looks, plans, writes, asks. Whoever is asked and does not answer is asked again by the runtime."""

    name = "ecs.targets"

    def __init__(self, store: Store, clock: Clock, ids: Ids, groups: TargetGroups) -> None:
        self._store = store
        self._clock = clock
        self._ids = ids
        self._groups = groups
        self._services: dict[str, set[str]] = {}
        """Services that have targets in a group, as far as this process has looked."""

    async def keys(self) -> Iterable[str]:
        """Every service with tasks or targets."""
        ids = await self._store.read(lambda tx: TaskRepo(tx).service_ids() | TargetRepo(tx).service_ids())
        return [str(service_id) for service_id in ids]

    def keys_of(self, change: Change) -> Iterable[str]:
        """The service that changed, or those with targets in the group (or classic balancer) that did."""
        if change.kind == "ecs.service":
            return (change.key,)
        return tuple(self._services.get(change.key, ()))

    async def reconcile(self, key: str) -> Next:
        """One step of one service. Raise `TargetGroupsError` when a load balancer gave no answer."""
        loaded = await self._store.read(lambda tx: _load(tx, int(key)))
        if loaded is None:
            return Next()
        arns = sorted({target.target_group for target in loaded.targets})
        for arn in arns:
            self._services.setdefault(arn, set()).add(key)
        snapshot = replace(loaded, groups=await self._look(loaded.service, arns))
        plan = plan_targets(snapshot, self._clock.now())
        targets = snapshot.targets
        if not plan.is_empty:
            targets = await self._store.write(lambda tx: self._apply(tx, snapshot, plan))
        missing = {arn for arn, seen in snapshot.groups.items() if not seen.exists}
        problems = [seen.problem for seen in snapshot.groups.values() if seen.problem]
        problems += await self._ask(snapshot.service, [t for t in targets if t.target_group not in missing])
        if problems:
            raise TargetGroupsError(problems[0])
        return Next(wake_at=plan.wake_at)

    async def _look(self, service: Service, arns: Sequence[str]) -> dict[str, GroupSeen]:
        """The target groups as they are now."""
        if not arns:
            return {}
        try:
            await self._permit(service, [(use, arn) for arn in arns for use in ("find", "health")])
            found = await self._groups.find(service.account_id, service.region, arns)
        except TargetGroupsError as error:
            return {arn: GroupSeen(problem=str(error)) for arn in arns}
        seen = {arn: GroupSeen(exists=False) for arn in arns}
        for arn, group in found.items():
            known = GroupSeen(
                delay_seconds=group.deregistration_delay_seconds, instance_ports=group.instance_ports
            )
            try:
                seen[arn] = replace(known, health=await self._groups.health(arn))
            except TargetGroupsError as error:
                seen[arn] = replace(known, problem=str(error))
        return seen

    async def _permit(self, service: Service, uses: Sequence[TargetUse]) -> None:
        """Raise `TargetGroupsError` where the service's role does not let ECS do that."""
        if service.role:
            await self._groups.permit(service.role, uses)

    def _apply(self, tx: Tx, snapshot: TargetSnapshot, plan: TargetPlan) -> tuple[Target, ...]:
        """Everything of the step; the service's targets afterwards.

        Raise `StaleWriteError` when others' targets, to which ours may be left, went meanwhile.
        """
        repo, tasks = TargetRepo(tx), TaskRepo(tx)
        if (
            snapshot.elsewhere
            and _elsewhere(tx, snapshot.service.id, leaving_of(snapshot.live, snapshot.targets))
            != snapshot.elsewhere
        ):
            raise StaleWriteError(f"targets that {snapshot.service.arn} shares changed")
        for target in plan.remove:
            repo.remove(target)
        saved = {target.id: repo.save(target) for target in plan.save}
        for task in plan.tasks:
            tasks.save(task)
        known = {(t.target_group, t.problem) for t in snapshot.targets}
        problems = {
            told_problem(snapshot.service, "describe target health on", t.target_group, t.problem)
            for t in plan.save
            if t.problem and (t.target_group, t.problem) not in known
        }
        self._tell(tx, snapshot.service, [*plan.events, *sorted(problems)])
        gone = {target.id for target in plan.remove}
        kept = [saved.get(target.id, target) for target in snapshot.targets if target.id not in gone]
        return (*kept, *(repo.add(target) for target in plan.add))

    def _tell(self, tx: Tx, service: Service, messages: Sequence[str]) -> None:
        services = ServiceRepo(tx)
        current = services.get(service.id) if messages else None
        if current is not None:
            told = with_events(current, messages, ids=self._ids, now=self._clock.now())
            services.save(told)

    # ---- asking -----------------------------------------------------------------------------

    async def _ask(self, service: Service, targets: Sequence[Target]) -> list[str]:
        """Register and deregister what is written down to be; the problems there were."""
        problems = []
        for (arn, status), mine in asked(targets).items():
            registers = status == "REGISTERING"
            addresses = [target.address for target in mine]
            try:
                await self._permit(service, [("register" if registers else "deregister", arn)])
                if registers:
                    before = register_before(mine, self._clock.now())
                    await self._groups.register(arn, addresses, before=before)
                else:
                    await self._groups.deregister(arn, addresses)
            except TargetGroupsError as error:
                problems.append(str(error))
                doing = "register targets in" if registers else "deregister targets in"
                trouble = _Unanswered(targets=mine, doing=doing, problem=str(error))
                await self._write(partial(self._note_problem, service=service, trouble=trouble))
                continue
            await self._write(partial(self._note_answer, service=service, targets=tuple(mine), status=status))
        return problems

    async def _write(self, work: Callable[[Tx], None]) -> None:
        await decide_again(lambda: self._store.write(work))

    def _note_answer(self, tx: Tx, *, service: Service, targets: Sequence[Target], status: str) -> None:
        """What was asked is done. What was meant to become of a target may be another thing by now."""
        repo, now, done = TargetRepo(tx), self._clock.now(), []
        for target in targets:
            current = repo.get(target.id)
            if current is None:
                if status == "REGISTERING":
                    # Deregistered and forgotten while the load balancer took its time: it is there again.
                    repo.add(msgspec.structs.replace(target, id=0, status="DEREGISTERING"))
                continue
            after = answered(current, status, now)
            if after != current:
                repo.save(after)
            if after.status in ("REGISTERED", "DRAINING") and current.status == status:
                done.append(after)
        self._tell(tx, service, told_answers(service, status, done))

    def _note_problem(self, tx: Tx, *, service: Service, trouble: _Unanswered) -> None:
        repo, arn = TargetRepo(tx), trouble.targets[0].target_group
        rows = [row for row in repo.of_service(service.id) if row.target_group == arn]
        asked_for = {target.id for target in trouble.targets}
        for row in rows:
            if row.id in asked_for and row.problem != trouble.problem:
                repo.save(msgspec.structs.replace(row, problem=trouble.problem))
        if all(row.problem != trouble.problem for row in rows):
            self._tell(tx, service, [told_problem(service, trouble.doing, arn, trouble.problem)])


def _load(tx: Tx, service_id: int) -> TargetSnapshot | None:
    """What the next step depends on, but for the load balancers themselves; `None`: it has no targets."""
    service = ServiceRepo(tx).get(service_id)
    if service is None or not service.has_targets:
        return None
    live = tuple(task for task in TaskRepo(tx).live_of_service(service_id) if task.target_places)
    targets = TargetRepo(tx).of_service(service_id)
    if not live and not targets:
        return None
    leaving = leaving_of(live, targets)
    return TargetSnapshot(
        service=service,
        live=live,
        targets=targets,
        instances=_instances(tx, live, {target.task_id for target in targets}),
        elsewhere=_elsewhere(tx, service_id, leaving),
    )


def _elsewhere(tx: Tx, service_id: int, leaving: Sequence[Target]) -> dict[tuple[str, str, int], int]:
    """The keys of targets that tasks of other services hold, with the newest row of each."""
    found: dict[tuple[str, str, int], int] = {}
    keys = {target.key for target in leaving}
    for other in TargetRepo(tx).at({target.target for target in leaving}) if leaving else ():
        if other.key in keys and other.service_id != service_id and other.status in _HELD:
            found[other.key] = max(found.get(other.key, 0), other.id)
    return found


def _instances(tx: Tx, live: Sequence[Task], registered: set[int]) -> dict[int, str]:
    """The EC2 ids of the instances of tasks that have yet to be registered, or are on their way out."""
    new = {t.instance_id for t in live if t.is_held or (is_wanted(t) and t.id not in registered)}
    found = (InstanceRepo(tx).get(row_id) for row_id in sorted(filter(None, new)))
    return {instance.id: instance.ec2_instance_id for instance in found if instance is not None}
