"""A service on bad days whose deployments go through stages: users who change the strategy, and pauses."""

from __future__ import annotations

from collections import Counter
from typing import Any

from homeport.services.ecs.model import Service, Task
from homeport.services.ecs.plan.daemon import plan_either
from homeport.services.ecs.plan.rollout import ServicePlan, ServiceSnapshot, count_ceiling
from homeport.services.ecs.plan.rollout_health import CONTAINER_REASON, is_protected, verdict
from homeport.services.ecs.repo.instances import InstanceRepo
from homeport.services.ecs.repo.services import ServiceRepo
from homeport.services.ecs.repo.tasks import TaskRepo
from homeport.store import Tx
from tests.kit.sim_services import World
from tests.kit.sim_store import Watch

PAUSE_STAGES = ("PRE_SCALE_UP", "POST_SCALE_UP", "POST_PRODUCTION_TRAFFIC_SHIFT")


class StagedWatch(Watch):
    """While there are stages, each revision has its own ceiling, and blue stays until the last one."""

    def committed(self, tx: Tx) -> None:
        self.draining: frozenset[int] = frozenset()
        service = ServiceRepo(tx).get(self.service_id) if self.service_id else None
        if service is not None:
            self.draining = InstanceRepo(tx).draining_ids(service.cluster_id)
        super().committed(tx)

    def _check_starts(self, service: Service, before: dict[int, Task]) -> None:
        if service.primary.staging is None:
            super()._check_starts(service, before)
            return
        fresh = {self.live[task_id].started_by for task_id in self.live.keys() - before.keys()}
        active = Counter(t.started_by for t in self.live.values() if t.desired_status == "RUNNING")
        for name in fresh:
            if active[name] > count_ceiling(service):
                self._note(f"{active[name]} tasks of {name}, at most {count_ceiling(service)} were promised")

    def _check_stops(self, service: Service, before: dict[int, Task]) -> None:
        staging = service.primary.staging
        if staging is None and service.primary.rollout_state != "COMPLETED":
            super()._check_stops(service, before)
            return
        now = self._clock.now()
        if staging is None or staging.returns or staging.stage == "CLEAN_UP":
            return
        blue = [t for t in before.values() if t.started_by == staging.blue and t.desired_status == "RUNNING"]
        stopped = [
            t
            for t in blue
            if t.id in self.live
            and self.live[t.id].desired_status == "STOPPED"
            and self.live[t.id].stop_code == "ServiceSchedulerInitiated"
            and self.live[t.id].stopped_reason != CONTAINER_REASON
            and t.instance_id not in self.draining
        ]
        if len(stopped) > max(len(blue) - service.desired_count, 0):
            self._note(f"{len(stopped)} of {len(blue)} tasks of blue are stopped at {staging.stage}")
        for task in stopped:
            if is_protected(task, now) or (
                verdict(task, service, {}, now).failed and not task.stopped_reason
            ):
                self._note(f"protected task {task.uid} was stopped")


class StagedWorld(World):
    """Its users like blue/green."""

    def __post_init__(self) -> None:
        super().__post_init__()
        self.watch = StagedWatch(self.clock)
        self.violations = self.watch.violations

    async def begin(self) -> None:
        await super().begin()
        await self._until_done("UpdateService", service="web", deploymentConfiguration=self._configuration())

    async def join(self) -> None:
        """Two machines where there is one otherwise: two revisions need the room."""
        await super().join()
        if not self.watch.service_id:
            await super().join()

    def _configuration(self) -> dict[str, Any]:
        dice = self.dice
        if dice.random() < 0.2:
            return {"strategy": "ROLLING"}
        pause = {
            "targetType": "PAUSE",
            "lifecycleStages": [dice.choice(PAUSE_STAGES)],
            "timeoutConfiguration": {"timeoutInMinutes": 1, "action": "CONTINUE"},
        }
        return {
            "strategy": "BLUE_GREEN",
            "bakeTimeInMinutes": dice.choice((0, 0, 1)),
            "lifecycleHooks": [pause] if dice.random() < 0.5 else [],
        }

    async def _do(self, deed: str) -> None:
        if deed == "percent":
            await self._update(
                deploymentConfiguration=self._configuration(), forceNewDeployment=self.dice.random() < 0.5
            )
        elif deed == "grace":
            await self._decide()
        else:
            await super()._do(deed)

    async def _decide(self) -> None:
        """Somebody answers a pause."""
        for record in await self.records():
            runs = record.staging.hooks if record.staging is not None and record.is_open else ()
            for run in runs:
                action = self.dice.choice(("CONTINUE", "ROLLBACK"))
                await self.call(
                    "ContinueServiceDeployment",
                    serviceDeploymentArn=record.arn,
                    hookId=run.id,
                    action=action,
                )

    async def plan(self) -> ServicePlan:
        def snapshot(tx: Tx) -> ServiceSnapshot:
            service = ServiceRepo(tx).get(self.watch.service_id)
            assert service is not None
            until = min(one.counted_until for one in service.deployments)
            tasks = TaskRepo(tx)
            return ServiceSnapshot(
                service=service,
                live=tasks.live_of_service(service.id),
                stopped=tasks.stopped_of_service(service.id, after=until),
                draining_instances=InstanceRepo(tx).draining_ids(service.cluster_id),
            )

        return plan_either(await self.look(snapshot), self.clock.now())


async def staged_drama(seed: int) -> list[str]:
    """The violations of one world's whole history."""
    return await StagedWorld(seed).whole()
