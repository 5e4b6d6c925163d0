"""A service with the EXTERNAL controller in the world of `sim_services`, and somebody who deploys it.

Task sets come, get another share, become the primary one and go, by force or not, at random.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from typing import Any

from homeport.core.clock import Clock
from homeport.services.ecs.model import Service, Task, TaskSet
from homeport.services.ecs.plan.rollout_health import CONTAINER_REASON, is_protected, verdict
from homeport.services.ecs.plan.task_sets import (
    TaskSetsPlan,
    TaskSetsSnapshot,
    plan_task_sets,
    share_of,
)
from homeport.services.ecs.repo.instances import InstanceRepo
from homeport.services.ecs.repo.services import ServiceRepo
from homeport.services.ecs.repo.task_sets import TaskSetRepo
from homeport.services.ecs.repo.tasks import TaskRepo
from homeport.store import Tx
from tests.kit.sim_services import CHARACTERS, PEACE_SECONDS, WRONG_SECONDS, World
from tests.kit.sim_store import Watch

SCALES = (0.0, 10.0, 50.0, 100.0, 100.0)


class TaskSetWatch(Watch):
    """Tasks are of task sets that are there; each of these keeps its floor and its ceiling."""

    def __init__(self, clock: Clock) -> None:
        super().__init__(clock)
        self.known: dict[str, TaskSet] = {}
        self.gone: dict[str, TaskSet] = {}
        """As they were last seen, those that are there included."""

    def committed(self, tx: Tx) -> None:
        kinds = {kind for kind, _ in tx.touched}
        self.commits += bool(kinds)
        if not self.service_id or not kinds & {"ecs.task", "ecs.service"}:
            return
        service = ServiceRepo(tx).get(self.service_id)
        assert service is not None
        before, self.live = self.live, {t.id: t for t in TaskRepo(tx).live_of_service(self.service_id)}
        self.gone |= self.known
        self.known = {one.uid: one for one in TaskSetRepo(tx).of_service(self.service_id)}
        primary = [one.uid for one in self.known.values() if one.status == "PRIMARY"]
        if len(primary) > 1:
            self._note(f"{len(primary)} task sets are PRIMARY: {primary}")
        for task_id in self.live.keys() - before.keys():
            self._check_start(self.live[task_id])
        for uid, task_set in (self.gone | self.known).items():
            self._check_task_set(service, task_set, uid, before)

    def _check_start(self, task: Task) -> None:
        task_set = self.known.get(task.started_by or "")
        if task_set is None:
            self._note(f"{task.uid} is started by {task.started_by}, which is not there")
        elif task_set.deployment.task_definition_id != task.task_definition_id:
            self._note(f"{task.uid} of {task_set.uid} is made of {task.task_definition_arn}")
        elif task_set.status == "DRAINING":
            self._note(f"{task.uid} is started by {task_set.uid}, which is DRAINING")

    def _check_task_set(self, service: Service, task_set: TaskSet, uid: str, before: dict[int, Task]) -> None:
        """ECS lets it have 100 and 200 percent, and no others. Source: botocore, DeploymentConfiguration."""
        now, share = self._clock.now(), task_set.computed_desired_count
        mine = [task for task in self.live.values() if task.started_by == uid]
        active = sum(task.desired_status == "RUNNING" for task in mine)
        if active > 2 * share and any(task.id not in before for task in mine):
            self._note(f"{active} tasks of {uid} after a start, at most {2 * share} were promised")
        stopped = [
            before[task.id]
            for task in mine
            if task.desired_status == "STOPPED"
            and task.stop_code == "ServiceSchedulerInitiated"
            and task.id in before
            and before[task.id].desired_status == "RUNNING"
        ]
        if not stopped or service.status != "ACTIVE" or task_set.forced:
            return
        earlier = [t for t in before.values() if t.started_by == uid and t.desired_status == "RUNNING"]
        healthy = {t.id for t in earlier if verdict(t, service, {}, now).is_healthy(now)}
        left = len(healthy - {task.id for task in stopped})
        if left < min(len(healthy), share):
            self._note(f"stops left {uid} {left} of {len(healthy)}, {share} were promised")
        reasons = {task.id: task.stopped_reason for task in mine}
        for task in stopped:
            if is_protected(task, now) and reasons[task.id] != CONTAINER_REASON:
                self._note(f"protected task {task.uid} was stopped: {reasons[task.id]}")


class TaskSetWorld(World):
    """The same troubles; and a deployer's deeds instead of UpdateService's."""

    def __post_init__(self) -> None:
        super().__post_init__()
        self.watch = TaskSetWatch(self.clock)
        self.violations = self.watch.violations

    async def call(self, operation: str, **members: Any) -> Any:
        if operation == "CreateService":
            members = {
                "serviceName": members["serviceName"],
                "desiredCount": members["desiredCount"],
                "deploymentController": {"type": "EXTERNAL"},
            }
        answer = await super().call(operation, **members)
        if operation == "CreateService":
            await self._until_done("CreateTaskSet", **self._new_task_set())
        return answer

    def _new_task_set(self) -> dict[str, Any]:
        return {
            "cluster": "default",
            "service": "web",
            "taskDefinition": self.dice.choice(list(CHARACTERS)),
            "scale": {"unit": "PERCENT", "value": self.dice.choice(SCALES)},
        }

    async def task_sets(self) -> tuple[TaskSet, ...]:
        return await self.look(lambda tx: TaskSetRepo(tx).of_service(self.watch.service_id))

    async def _do(self, deed: str) -> None:
        match deed:
            case "definition":
                await self.call("CreateTaskSet", **self._new_task_set())
            case "force" | "percent" | "grace" | "breaker" | "stop deployment":
                await self._deploy(deed)
            case _:
                await super()._do(deed)

    async def _deploy(self, deed: str) -> None:
        """Something is done to one of the task sets."""
        there = await self.task_sets()
        if not there:
            return
        name = {"cluster": "default", "service": "web"}
        uid = self.dice.choice(there).uid
        if deed in ("force", "stop deployment"):
            await self.call("DeleteTaskSet", **name, taskSet=uid, force=self.dice.random() < 0.5)
        elif deed in ("percent", "grace"):
            scale = {"unit": "PERCENT", "value": self.dice.choice(SCALES)}
            await self.call("UpdateTaskSet", **name, taskSet=uid, scale=scale)
        else:
            await self.call("UpdateServicePrimaryTaskSet", **name, primaryTaskSet=uid)

    # ---- peace ------------------------------------------------------------------------------

    async def put_it_right(self) -> None:
        """One good task set is the primary one, with the whole count; all others go by force."""
        name = {"cluster": "default", "service": "web"}
        before = await self.task_sets()
        for old in before:
            if old.status != "PRIMARY":
                await self._until_done("DeleteTaskSet", **name, taskSet=old.uid, force=True)
        while len(await self.task_sets()) > 1:  # noqa: ASYNC110 - no event tells, and time is virtual
            await asyncio.sleep(5)  # it may have as many as a service can have
        chosen = {**self._new_task_set(), "taskDefinition": self.dice.choice(("good", "better"))}
        chosen["scale"] = {"unit": "PERCENT", "value": 100.0}
        await self._until_done("CreateTaskSet", **chosen, clientToken="right")
        newest = (await self.task_sets())[-1]
        await self._until_done("UpdateServicePrimaryTaskSet", **name, primaryTaskSet=newest.uid)
        for old in await self.task_sets():
            if old.uid != newest.uid:
                await self._until_done("DeleteTaskSet", **name, taskSet=old.uid, force=True)
        await self._until_done("UpdateService", service="web", desiredCount=self.dice.randint(0, 4))

    async def watch_it(self) -> None:
        loop, seconds = asyncio.get_running_loop(), PEACE_SECONDS if self.put_right else WRONG_SECONDS
        start, commits = loop.time(), -1
        while loop.time() < start + seconds:
            await asyncio.sleep(300)
            plan = await self.next_steps()
            idle = not any(step.start or step.stop or step.gone for step in plan.steps)
            if commits == self.watch.commits and idle and plan.service.steady_at is not None:
                break
            commits = self.watch.commits

    async def next_steps(self) -> TaskSetsPlan:
        def snapshot(tx: Tx) -> TaskSetsSnapshot:
            service = ServiceRepo(tx).get(self.watch.service_id)
            assert service is not None
            tasks, task_sets = TaskRepo(tx), TaskSetRepo(tx).of_service(service.id)
            since = min((one.deployment.counted_until for one in task_sets), default=self.clock.now())
            return TaskSetsSnapshot(
                service=service,
                task_sets=task_sets,
                live=tasks.live_of_service(service.id),
                stopped=tasks.stopped_of_service(service.id, after=since),
                draining_instances=InstanceRepo(tx).draining_ids(service.cluster_id),
            )

        return plan_task_sets(await self.look(snapshot), self.clock.now())

    # ---- judgement --------------------------------------------------------------------------

    async def judge(self) -> None:
        plan, live, there = await self.next_steps(), await self.live(), await self.task_sets()
        service, wrong = plan.service, self.violations
        steady = service.steady_at is not None
        if self.put_right and (not steady or len(there) != 1):
            told = [event.message for event in service.events[:3]]
            wrong.append(f"never steady: {[(t.uid, t.status, t.stability_status) for t in there]} {told}")
        for task_set in there:
            share = share_of(service.desired_count, task_set.scale)
            if task_set.status != "DRAINING" and task_set.computed_desired_count != share:
                wrong.append(f"{task_set.uid}: {task_set.computed_desired_count} instead of {share}")
            mine = Counter(task.last_status for task in live if task.started_by == task_set.uid)
            wanted = {"RUNNING": share} if share else {}
            if task_set.stability_status == "STEADY_STATE" and mine != wanted:
                wrong.append(f"{task_set.uid} is steady with {dict(mine)} instead of {wanted}")
        if strays := {task.started_by for task in live} - {one.uid for one in there}:
            wrong.append(f"tasks are left of {strays}")
        self._judge_tasks(service, live, calm=steady and self.put_right)


async def task_set_drama(seed: int) -> list[str]:
    """The violations of one world's whole history."""
    return await TaskSetWorld(seed).whole()
