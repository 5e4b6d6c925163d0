"""A DAEMON service in the world of `sim_services`: its instances change, and so does where it belongs."""

from __future__ import annotations

from collections import Counter
from typing import Any

from homeport.services.ecs.control.daemons import daemon_snapshot
from homeport.services.ecs.model import ContainerInstance, Service, Task
from homeport.services.ecs.plan.daemon import plan_daemon
from homeport.services.ecs.plan.rollout import ServicePlan, ServiceSnapshot, healthy_floor
from homeport.services.ecs.plan.rollout_health import verdict
from homeport.services.ecs.repo.instances import InstanceRepo
from homeport.services.ecs.repo.services import ServiceRepo
from homeport.services.ecs.repo.task_definitions import TaskDefinitionRepo
from homeport.services.ecs.repo.tasks import TaskRepo
from homeport.store import Tx
from tests.kit.sim_services import World
from tests.kit.sim_store import Watch

ROLE = {"name": "role", "value": "edge"}


def is_wanted(instance: ContainerInstance | None) -> bool:
    return instance is not None and instance.status == "ACTIVE" and instance.attribute("role") == "edge"


class DaemonWatch(Watch):
    """Never two on an instance, none starts where it does not belong, and stops keep the floor."""

    def committed(self, tx: Tx) -> None:
        kinds = {kind for kind, _ in tx.touched}
        self.commits += bool(kinds)
        if not self.service_id or not kinds & {"ecs.task", "ecs.service"}:
            return
        service = ServiceRepo(tx).get(self.service_id)
        assert service is not None
        before, self.live = self.live, {t.id: t for t in TaskRepo(tx).live_of_service(self.service_id)}
        homes = {i.id: i for i in InstanceRepo(tx).of_cluster(service.cluster_id)}
        for instance_id, count in Counter(t.instance_id for t in self.live.values()).items():
            if count > 1:
                self._note(f"{count} tasks on instance {instance_id}")
        for task_id in self.live.keys() - before.keys():
            if not is_wanted(homes.get(self.live[task_id].instance_id or 0)):
                self._note(f"task {task_id} started where it is not wanted")
        self._check_floor(service, before, homes)

    def _check_floor(
        self, service: Service, before: dict[int, Task], homes: dict[int, ContainerInstance]
    ) -> None:
        now = self._clock.now()
        here = [
            task
            for task in before.values()
            if task.desired_status == "RUNNING" and is_wanted(homes.get(task.instance_id or 0))
        ]
        stopped = {
            task.id
            for task in here
            if (after := self.live.get(task.id)) is not None
            and after.desired_status == "STOPPED"
            and after.stop_code == "ServiceSchedulerInitiated"
        }
        if not stopped or service.status != "ACTIVE":
            return
        healthy = {task.id for task in here if verdict(task, service, {}, now).is_healthy(now)}
        left = len(healthy - stopped)
        if left < min(len(healthy), healthy_floor(service)):
            self._note(f"stops left {left} of {len(healthy)}, {healthy_floor(service)} were promised")


class DaemonWorld(World):
    """The same troubles; and instances that begin and cease to qualify, and tasks of others on them."""

    def __post_init__(self) -> None:
        super().__post_init__()
        self.watch = DaemonWatch(self.clock)
        self.violations = self.watch.violations
        self.others: list[str] = []

    async def call(self, operation: str, **members: Any) -> Any:
        if operation in ("CreateService", "UpdateService"):
            members.pop("desiredCount", None)
            if "maximumPercent" in members.get("deploymentConfiguration", {}):
                given = {**members["deploymentConfiguration"], "maximumPercent": 100}
                if members.get("forceNewDeployment"):
                    given["minimumHealthyPercent"] = 0  # who puts it right leaves it room to move
                members["deploymentConfiguration"] = given
        if operation == "CreateService":
            members["schedulingStrategy"] = "DAEMON"
            members["placementConstraints"] = [{"type": "memberOf", "expression": "attribute:role == edge"}]
        return await super().call(operation, **members)

    async def join(self) -> None:
        await super().join()
        if self.dice.random() < 0.8:
            await self._until_done("PutAttributes", attributes=[{**ROLE, "targetId": self.nodes[-1].arn}])

    async def _do(self, deed: str) -> None:
        if deed != "count":
            await super()._do(deed)
        elif self.dice.random() < 0.5:
            arn = self.dice.choice([node for node in self.nodes if not node.gone]).arn
            name = self.dice.choice(("PutAttributes", "DeleteAttributes"))
            await self.call(name, attributes=[{**ROLE, "targetId": arn}])
        else:
            await self._leave_others()
            answer = await self.call("RunTask", taskDefinition="good")
            self.others += [task["taskArn"] for task in answer["tasks"]]

    async def _leave_others(self) -> None:
        while self.others:
            await self._until_done("StopTask", task=self.others.pop())

    async def peace(self) -> None:
        self.calm.set()
        self._mood()
        await self._up.wait()
        for arn in await self.look(self._strangers):
            await self._until_done("StopTask", task=arn)
        await super().peace()

    def _strangers(self, tx: Tx) -> list[str]:
        """Tasks of others, those included whose start was never answered."""
        found = TaskRepo(tx).placed_after(1, 0)
        return [task.arn for task in found if task.service_id is None]

    async def plan(self) -> ServicePlan:
        def snapshot(tx: Tx) -> Any:
            service = ServiceRepo(tx).get(self.watch.service_id)
            assert service is not None
            tasks = TaskRepo(tx)
            seen = ServiceSnapshot(
                service=service,
                live=tasks.live_of_service(service.id),
                stopped=tasks.stopped_of_service(service.id, after=service.primary.counted_until),
            )
            number = service.primary.task_definition_id
            return daemon_snapshot(tx, seen, TaskDefinitionRepo(tx).by_ids([number]).get(number))

        return plan_daemon(await self.look(snapshot), self.clock.now())


async def daemon_drama(seed: int) -> list[str]:
    """The violations of one world's whole history."""
    return await DaemonWorld(seed).whole()
