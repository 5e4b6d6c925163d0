"""A daemon in the world of `sim_services`: its instances come and go, its revisions are good and bad."""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from typing import Any

from homeport.core.errors import AwsError
from homeport.services.ecs.model import ContainerInstance, Task
from homeport.services.ecs.model.daemon_snapshot import ManagedSnapshot
from homeport.services.ecs.plan.managed_daemon import batch_size, plan_managed, standing
from homeport.services.ecs.repo.daemons import DaemonRepo
from homeport.services.ecs.repo.hosts import load_managed
from homeport.services.ecs.repo.instances import InstanceRepo
from homeport.services.ecs.repo.tasks import TaskRepo
from homeport.store import Tx
from tests.kit.sim_services import CHARACTERS, PEACE_SECONDS, TROUBLE_SECONDS, World
from tests.kit.sim_stage import ACCOUNT, REGION
from tests.kit.sim_store import Watch

GROUP = "homeport.auto-scaling-group"
FAMILIES = ("good", "better", "broken", "sick")
HEAD = f"arn:aws:ecs:{REGION}:{ACCOUNT}"
ARN = f"{HEAD}:daemon/default/agent"


def is_wanted(instance: ContainerInstance | None) -> bool:
    return instance is not None and instance.status == "ACTIVE" and instance.attribute(GROUP) == "edge"


class ManagedWatch(Watch):
    """Never two on an instance, nothing before the first, and no more than a batch is taken away."""

    def __init__(self, clock: Any) -> None:
        super().__init__(clock)
        self.daemon_id = 0
        self.served: set[int] = set()
        """Instances on which the daemon has run once."""
        self.others: set[int] = set()

    def committed(self, tx: Tx) -> None:
        kinds = {kind for kind, _ in tx.touched}
        self.commits += bool(kinds)
        if not self.daemon_id or "ecs.task" not in kinds:
            return
        daemon = DaemonRepo(tx).get(self.daemon_id)
        assert daemon is not None
        snapshot = load_managed(tx, daemon)
        before, self.live = self.live, {task.id: task for task in snapshot.live}
        for instance_id, count in Counter(t.instance_id for t in self.live.values()).items():
            if count > 1:
                self._note(f"{count} tasks on instance {instance_id}")
        homes = {one.id: one for one in InstanceRepo(tx).of_cluster(daemon.cluster_id)}
        for task_id in self.live.keys() - before.keys():
            if not is_wanted(homes.get(self.live[task_id].instance_id or 0)):
                self._note(f"task {task_id} started where it is not wanted")
        self.served |= {t.instance_id or 0 for t in self.live.values() if t.last_status == "RUNNING"}
        self._check_others(tx, daemon.cluster_id, homes)
        self._check_batch(snapshot, before)

    def rival(self, tx: Tx, dice: random.Random) -> bool:
        repo = DaemonRepo(tx)
        daemon, live = repo.get(self.daemon_id), TaskRepo(tx).live_of_daemon(self.daemon_id)
        if live and dice.random() < 0.5:
            TaskRepo(tx).save(dice.choice(live))
        elif daemon is not None:
            repo.save(daemon)
        return bool(live) or daemon is not None

    def _check_others(self, tx: Tx, cluster_id: int, homes: dict[int, ContainerInstance]) -> None:
        for task in TaskRepo(tx).placed_after(cluster_id, 0):
            if task.daemon_id is not None or task.id in self.others:
                continue
            self.others.add(task.id)
            home = homes.get(task.instance_id or 0)
            if home is not None and home.attribute(GROUP) == "edge" and home.id not in self.served:
                self._note(f"task {task.id} was placed before the daemon ran on instance {home.id}")

    def _check_batch(self, snapshot: ManagedSnapshot, before: dict[int, Task]) -> None:
        now, wanted = self._clock.now(), snapshot.wanted
        served = {t.instance_id for t in before.values() if standing(t).is_healthy(now)} & wanted.keys()
        taken = {
            task.instance_id
            for task in self.live.values()
            if task.desired_status == "STOPPED"
            and task.stop_code == "ServiceSchedulerInitiated"
            and task.id in before
            and before[task.id].desired_status == "RUNNING"
        }
        if not taken or snapshot.daemon.status != "ACTIVE":
            return
        without = len(wanted) - len(served)
        most = max(batch_size(len(wanted), snapshot.deployment.drain_percent), without)
        if len(wanted) - len(served - taken) > most:
            self._note(f"{len(taken & served)} taken away while {without} of {len(wanted)} were without it")


class ManagedWorld(World):
    """The same troubles; users update the daemon, move its instances, and run tasks beside it."""

    def __post_init__(self) -> None:
        super().__post_init__()
        self.agents = ManagedWatch(self.clock)
        self.watch = self.agents
        self.violations = self.watch.violations

    async def begin(self) -> None:
        self.group.create_task(self.keep_plane())
        for family in FAMILIES:
            check = {"healthCheck": {"command": ["CMD", "true"]}} if CHARACTERS[family].checked else {}
            container = {"name": "app", "image": "app:1", "memory": 100, **check}
            await self.call("RegisterDaemonTaskDefinition", family=family, containerDefinitions=[container])
        container = {"name": "app", "image": "app:1", "memory": 100}
        await self.call("CreateCluster")
        await self.call("RegisterTaskDefinition", family="good", containerDefinitions=[container])
        group = {"autoScalingGroupArn": "edge"}
        await self.call("CreateCapacityProvider", name="edge", autoScalingGroupProvider=group)
        members = self._members(self.dice.choice(("good", "better", "broken")))
        await self.call("CreateDaemon", daemonName="agent", **members)
        (self.agents.daemon_id,) = await self.look(lambda tx: DaemonRepo(tx).live_ids())
        for _ in range(self.dice.randint(2, 4)):
            await self.join()
        self.watch.service_id = 0
        self._mood()

    def _mood(self) -> None:
        super()._mood()
        if self._plane is not None and not self.calm.is_set() and self.agents.daemon_id:
            self._plane[1].trouble = 0.03

    def _members(self, family: str) -> dict[str, Any]:
        percent = self.dice.choice((0.0, 25.0, 50.0, 100.0))
        return {
            "daemonTaskDefinitionArn": f"{HEAD}:daemon-task-definition/{family}:1",
            "capacityProviderArns": [f"{HEAD}:capacity-provider/edge"],
            "deploymentConfiguration": {"drainPercent": percent},
        }

    async def join(self) -> None:
        """A machine of the group from the beginning."""
        self.registered += 1
        attributes = [{"name": f"com.amazonaws.ecs.capability.docker-remote-api.1.{n}"} for n in (18, 24)]
        attributes += [{"name": "ecs.capability.container-health-check"}]
        if self.dice.random() < 0.9:
            attributes.append({"name": GROUP, "value": "edge"})
        total = [
            {"name": "CPU", "type": "INTEGER", "integerValue": 4096},
            {"name": "MEMORY", "type": "INTEGER", "integerValue": 420},
        ]
        node = self.machine(await self.registered_as(total, attributes))
        self.nodes.append(node)
        self.group.create_task(node.run())

    async def trouble(self) -> None:
        end = asyncio.get_running_loop().time() + TROUBLE_SECONDS
        deeds = (
            *("update", "update", "run", "run", "stop", "drop", "drop", "crash", "vanish", "drain"),
            *("activate", "restart", "move"),
        )
        while asyncio.get_running_loop().time() < end:
            await asyncio.sleep(self.dice.choice((0.05, 1.0, 10.0, 30.0)) * self.dice.random())
            try:
                await self._do(self.dice.choice(deeds))
            except AwsError:
                pass  # refused, which is an answer
            except Exception as error:  # noqa: BLE001 - the process or the store went; users try again
                del error

    async def _do(self, deed: str) -> None:
        there = [node for node in self.nodes if not node.gone]
        match deed:
            case "update":
                await self.call("UpdateDaemon", daemonArn=ARN, **self._members(self.dice.choice(FAMILIES)))
            case "run":
                await self.call("RunTask", taskDefinition="good")
            case "stop":
                known = await self.look(lambda tx: TaskRepo(tx).placed_after(1, 0))
                if known:
                    await self.call("StopTask", task=self.dice.choice(known).arn)
            case "move":
                value = self.dice.choice(("edge", "edge", "lab"))
                target = {"name": GROUP, "value": value, "targetId": self.dice.choice(there).arn}
                await self.call("PutAttributes", attributes=[target])
            case _:
                await self._befall(deed)

    async def peace(self) -> None:
        """No more bad luck, and somebody puts it right."""
        self.calm.set()
        self._mood()
        await self._up.wait()
        for node in [node for node in self.nodes if not node.gone]:
            await self._until_done(
                "UpdateContainerInstancesState", containerInstances=[node.arn], status="ACTIVE"
            )
        await self._until_done("UpdateDaemon", daemonArn=ARN, **self._members("good"))
        loop, commits = asyncio.get_running_loop(), -1
        end = loop.time() + PEACE_SECONDS
        while loop.time() < end and commits != self.watch.commits:
            commits = self.watch.commits
            await asyncio.sleep(300)

    async def judge(self) -> None:
        def load(tx: Tx) -> ManagedSnapshot:
            daemon = DaemonRepo(tx).get(self.agents.daemon_id)
            assert daemon is not None
            return load_managed(tx, daemon)

        snapshot = await self.look(load)
        plan = plan_managed(snapshot, self.clock.now())
        deployment = snapshot.deployment
        if deployment.status != "SUCCESSFUL":
            self.violations.append(f"never successful: {deployment.status} {deployment.status_reason} {plan}")
        running = {t.instance_id: t.daemon_revision for t in snapshot.live if t.last_status == "RUNNING"}
        if running != dict.fromkeys(snapshot.wanted, snapshot.daemon.revision):
            self.violations.append(f"runs {running} instead of {sorted(snapshot.wanted)}")
        if plan.stop or plan.start_on:
            self.violations.append("peace, and there is still something to do")
        on_nodes = set().union(*(node.running for node in self.nodes if not node.gone))
        if lost := {t.arn for t in snapshot.live} - on_nodes:
            self.violations.append(f"known and does not run: {lost}")


async def managed_drama(seed: int) -> list[str]:
    """The violations of one world's whole history."""
    return await ManagedWorld(seed).whole()
