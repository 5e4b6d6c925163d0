"""A service, its nodes and its users on bad days, and then in peace: what `tests/sim` plays with services.

`sim_stage` has the control plane and the machines.
"""

from __future__ import annotations

import asyncio
import re
from collections import Counter
from dataclasses import dataclass
from typing import Any

from homeport.core.errors import AwsError
from homeport.services.ecs.model import OPEN_DEPLOYMENTS, Service, ServiceDeployment, Task
from homeport.services.ecs.plan.rollout import ServicePlan, ServiceSnapshot, plan_service
from homeport.services.ecs.repo.history import HistoryRepo
from homeport.services.ecs.repo.instances import InstanceRepo
from homeport.services.ecs.repo.services import ServiceRepo
from homeport.services.ecs.repo.tasks import TaskRepo
from homeport.store import Tx
from tests.kit.sim_node import Character
from tests.kit.sim_stage import Stage

CHARACTERS = {
    "good": Character(),
    "better": Character(checked=True),
    "broken": Character(starts=False),
    "sick": Character(checked=True, healthy=False),
    "brief": Character(lives_seconds=3),
    "tired": Character(lives_seconds=70),
}
PERCENTAGES = ((100, 200), (50, 100), (0, 100), (50, 150), (75, 134), (100, 150), (100, 100), (50, 200))
TROUBLE_SECONDS = 300.0
PEACE_SECONDS = 3600.0
WHOLE_SECONDS = 4 * 3600.0
"""A world that is not over by then is stuck: somebody asks for ever for what is never done."""
WRONG_SECONDS = 900.0
"""How long a service that nobody puts right is watched."""


@dataclass
class World(Stage):
    """Everything, and what must hold of it."""

    def __post_init__(self) -> None:
        super().__post_init__()
        self.put_right = False

    def character(self, family: str, revision: str) -> Character:
        del revision
        return CHARACTERS[family]

    async def play(self, done: asyncio.Event) -> None:
        """The whole history; then everything goes on until it is cancelled."""
        try:
            async with asyncio.TaskGroup() as self.group:
                await self.begin()
                await self.trouble()
                await self.peace()
                await self.judge()
                await self._judge_machines()
                done.set()
                await asyncio.Event().wait()
        finally:
            done.set()

    async def whole(self) -> list[str]:
        """Play it all; what was violated."""
        done = asyncio.Event()
        try:
            async with asyncio.timeout(WHOLE_SECONDS), asyncio.TaskGroup() as group:
                stage = group.create_task(self.play(done))
                await done.wait()
                stage.cancel()
        except TimeoutError:
            self.violations.append(f"not over after {WHOLE_SECONDS:g} seconds")
        await self.inner.close()
        return self.violations

    # ---- before anything happens ------------------------------------------------------------

    async def begin(self) -> None:
        self.group.create_task(self.keep_plane())
        for family, character in CHARACTERS.items():
            check = {"healthCheck": {"command": ["CMD", "true"]}} if character.checked else {}
            container = {"name": "app", "image": "app:1", "memory": 100, **check}
            await self.call("RegisterTaskDefinition", family=family, containerDefinitions=[container])
        for _ in range(self.dice.randint(2, 3)):
            await self.join()
        minimum, maximum = self.dice.choice(PERCENTAGES)
        configuration = {"minimumHealthyPercent": minimum, "maximumPercent": maximum}
        if self.dice.random() < 0.5:
            configuration["deploymentCircuitBreaker"] = self._breaker()
        await self.call(
            "CreateService",
            serviceName="web",
            taskDefinition=self.dice.choice(("good", "good", "better", "broken")),
            desiredCount=self.dice.randint(1, 5),
            deploymentConfiguration=configuration,
        )
        found = await self.look(lambda tx: ServiceRepo(tx).live_ids())
        (self.watch.service_id,) = found
        # What it has started by now was not watched.
        self.watch.live = {task.id: task for task in await self.live()}
        self._mood()

    def _breaker(self) -> Any:
        return {"enable": self.dice.random() < 0.7, "rollback": self.dice.random() < 0.7}

    # ---- trouble ----------------------------------------------------------------------------

    async def trouble(self) -> None:
        """One misfortune, or one user with an idea, after the other."""
        end = asyncio.get_running_loop().time() + TROUBLE_SECONDS
        deeds = (
            *("count", "count", "definition", "definition", "force", "percent", "breaker", "stop deployment"),
            *("drop", "drop", "crash", "crash", "vanish", "drain", "activate", "protect", "stop task"),
            *("restart", "grace"),
        )
        while asyncio.get_running_loop().time() < end:
            await asyncio.sleep(self.dice.choice((0.05, 1.0, 10.0, 30.0, 60.0)) * self.dice.random())
            try:
                await self._do(self.dice.choice(deeds))
            except AwsError:
                pass  # refused, which is an answer
            except Exception as error:  # noqa: BLE001 - the process or the store went; users try again
                del error

    async def _do(self, deed: str) -> None:
        dice = self.dice
        match deed:
            case "count":
                await self._update(desiredCount=dice.randint(0, 6))
            case "definition":
                await self._update(taskDefinition=dice.choice(list(CHARACTERS)))
            case "force":
                await self._update(forceNewDeployment=True)
            case "percent":
                minimum, maximum = dice.choice(PERCENTAGES)
                given = {"minimumHealthyPercent": minimum, "maximumPercent": maximum}
                await self._update(deploymentConfiguration=given)
            case "breaker":
                await self._update(deploymentConfiguration={"deploymentCircuitBreaker": self._breaker()})
            case "grace":
                await self._update(healthCheckGracePeriodSeconds=dice.choice((0, 30, 300)))
            case "stop deployment":
                await self._stop_deployment()
            case "protect" | "stop task":
                await self._meddle(deed)
            case _:
                await self._befall(deed)

    async def _stop_deployment(self) -> None:
        open_ = [record.arn for record in await self.records() if record.status in OPEN_DEPLOYMENTS]
        if open_:
            kind = self.dice.choice(("ABORT", "ROLLBACK"))
            await self.call("StopServiceDeployment", serviceDeploymentArn=open_[-1], stopType=kind)

    async def _meddle(self, deed: str) -> None:
        live = await self.live()
        if not live:
            return
        arn = self.dice.choice(live).arn
        if deed == "stop task":
            await self.call("StopTask", task=arn)
            return
        await self.call(
            "UpdateTaskProtection",
            cluster="default",
            tasks=[arn],
            protectionEnabled=self.dice.random() < 0.8,
            expiresInMinutes=self.dice.choice((1, 30)),
        )

    async def _befall(self, deed: str) -> None:
        """What happens to machines and processes."""
        dice = self.dice
        there = [node for node in self.nodes if not node.gone]
        match deed:
            case "drop":
                self.faults["agent drops"] += 1
                dice.choice(there).drop()
            case "crash":
                running = [t for node in there for t in node.tasks.values() if t.status == "RUNNING"]
                if running:
                    self.faults["task crashes"] += 1
                    dice.choice(running).wake.set()
            case "vanish" if len(there) > 1 and dice.random() < 0.5:
                self.faults["instance vanishes"] += 1
                node = dice.choice(there)
                node.vanish()
                await asyncio.sleep(dice.uniform(0, 60))
                await self._until_done("DeregisterContainerInstance", containerInstance=node.arn, force=True)
                await self.join()
            case "drain" | "activate":
                status = "DRAINING" if deed == "drain" else "ACTIVE"
                arn = dice.choice(there).arn
                await self.call("UpdateContainerInstancesState", containerInstances=[arn], status=status)
            case "restart" if self._plane is not None and dice.random() < 0.5:
                self.faults["control plane restarts"] += 1
                self._kill.set()
                await asyncio.sleep(0)

    async def _update(self, **members: Any) -> None:
        await self.call("UpdateService", service="web", **members)

    # ---- peace ------------------------------------------------------------------------------

    async def peace(self) -> None:
        """No more bad luck. Mostly somebody puts the service right; else it must say what is wrong."""
        self.calm.set()
        self._mood()
        await self._up.wait()
        for node in [node for node in self.nodes if not node.gone]:
            await self._until_done(
                "UpdateContainerInstancesState", containerInstances=[node.arn], status="ACTIVE"
            )
        self.put_right = self.dice.random() < 0.7
        if self.put_right:
            await self.put_it_right()
        await self.watch_it()

    async def put_it_right(self) -> None:
        """Somebody asks for what can be had."""
        await self._until_done(
            "UpdateService",
            service="web",
            taskDefinition=self.dice.choice(("good", "better")),
            desiredCount=self.dice.randint(0, 4),
            forceNewDeployment=True,
            deploymentConfiguration={"minimumHealthyPercent": 50, "maximumPercent": 200},
        )

    async def watch_it(self) -> None:
        """Until nothing happens any more, or for long enough."""
        loop, seconds = asyncio.get_running_loop(), PEACE_SECONDS if self.put_right else WRONG_SECONDS
        start, commits = loop.time(), -1
        while loop.time() < start + seconds:
            await asyncio.sleep(300)
            plan = await self.plan()
            if commits == self.watch.commits and not plan.start and not plan.stop:
                service = plan.service
                if service.steady_at is not None or service.primary.rollout_state == "FAILED":
                    break
            commits = self.watch.commits

    # ---- what there is ----------------------------------------------------------------------

    async def live(self) -> tuple[Task, ...]:
        return await self.look(lambda tx: TaskRepo(tx).live_of_service(self.watch.service_id))

    async def records(self) -> tuple[ServiceDeployment, ...]:
        return await self.look(
            lambda tx: HistoryRepo(tx).page(
                self.watch.service_id,
                statuses=(),
                created_after=None,
                created_before=None,
                before_id=None,
                limit=1000,
            )
        )

    async def service(self) -> Service:
        return await self.look(lambda tx: ServiceRepo(tx).get(self.watch.service_id))

    async def plan(self) -> ServicePlan:
        """What the scheduler would do next."""

        def snapshot(tx: Tx) -> ServiceSnapshot:
            service = ServiceRepo(tx).get(self.watch.service_id)
            assert service is not None
            tasks = TaskRepo(tx)
            return ServiceSnapshot(
                service=service,
                live=tasks.live_of_service(service.id),
                stopped=tasks.stopped_of_service(service.id, after=service.primary.counted_until),
                draining_instances=InstanceRepo(tx).draining_ids(service.cluster_id),
            )

        return plan_service(await self.look(snapshot), self.clock.now())

    # ---- judgement --------------------------------------------------------------------------

    async def judge(self) -> None:
        """What must hold in the end."""
        plan, live = await self.plan(), await self.live()
        service, wrong = plan.service, self.violations
        steady = service.steady_at is not None
        if self.put_right and not steady:
            told = [event.message for event in service.events[:3]]
            wrong.append(f"never steady: {service.primary.rollout_state} {plan.waits_for} {told}")
        if not steady and not self._explained(plan):
            wrong.append(f"not steady, and does not say why: {service.primary} {service.events[:2]}")
        if steady:
            standing = Counter((task.started_by, task.last_status) for task in live)
            wanted = {(service.primary.id, "RUNNING"): service.desired_count} if service.desired_count else {}
            if standing != wanted:
                wrong.append(f"steady with {dict(standing)} instead of {wanted}")
            if len(service.deployments) != 1:
                wrong.append(f"steady with {len(service.deployments)} deployments")
        if steady and self.put_right:
            await self._judge_zones(service, live)
        await self._judge_history(service)
        self._judge_tasks(service, live, calm=steady and self.put_right)

    async def _judge_machines(self) -> None:
        """Each registered once, although answers were lost."""
        there = await self.look(lambda tx: InstanceRepo(tx).of_cluster(1))
        known = {one.arn for one in there if one.status != "INACTIVE"}
        if strangers := known - {node.arn for node in self.nodes}:
            self.violations.append(f"instances of no machine: {strangers}")

    async def _judge_zones(self, service: Service, live: tuple[Task, ...]) -> None:
        """A service that is rebalanced is spread evenly: every node has room for all its tasks."""
        instances = await self.look(
            lambda tx: InstanceRepo(tx).of_cluster(service.cluster_id, status="ACTIVE")
        )
        zones = Counter({one.attribute("ecs.availability-zone"): 0 for one in instances})
        zones.update(task.availability_zone for task in live)
        uneven = max(zones.values()) - min(zones.values()) > 1
        if service.az_rebalancing and service.maximum_percent == 200 and uneven:
            told = [event.message for event in service.events[:4]]
            self.violations.append(f"spread unevenly: {dict(zones)} {told}")

    def _explained(self, plan: ServicePlan) -> bool:
        last = [event.message for event in plan.service.events[:20]]
        texts = ("unable to place", "unable to consistently start", "unable to stop or start")
        # Tasks that start and end again and again are no scheduler's fault: their ends are told one by one.
        flutter = any("has started" in message for message in last)
        told = any(text in message for message in last for text in texts)
        return bool(plan.waits_for) or told or flutter

    async def _judge_history(self, service: Service) -> None:
        records = await self.records()
        open_ = [record for record in records if record.status in OPEN_DEPLOYMENTS]
        if len(open_) > 1:
            self.violations.append(f"{len(open_)} service deployments are open")
        for record in open_:
            current = record.deployment_id == service.primary.id
            back = record.rollback is not None and record.rollback.revision == service.primary.revision
            if not current and not back:
                self.violations.append(f"{record.uid} is {record.status}: not the service's deployment")
            if service.primary.rollout_state != "IN_PROGRESS":
                self.violations.append(
                    f"{record.uid} is {record.status}: its deployment {service.primary.rollout_state}"
                )

    def _judge_tasks(self, service: Service, live: tuple[Task, ...], *, calm: bool) -> None:
        told = [event.message for event in service.events if "has started" in event.message]
        names = Counter(name for message in told for name in re.findall(r"\(task (\w+)\)", message))
        if doubles := [name for name, count in names.items() if count > 1]:
            self.violations.append(f"started twice: {doubles}")
        if calm:
            on_nodes = set().union(*(node.running for node in self.nodes if not node.gone))
            known = {task.arn for task in live if task.last_status == "RUNNING"}
            if on_nodes != known:
                self.violations.append(
                    f"runs and is not known: {on_nodes - known}; does not run: {known - on_nodes}"
                )


async def drama(seed: int) -> list[str]:
    """The violations of one world's whole history."""
    return await World(seed).whole()
