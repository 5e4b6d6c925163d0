"""A service behind two target groups in the world of `sim_services`: its load balancer has moods as well."""

from __future__ import annotations

import asyncio
import random
import re
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

from homeport.agentproto.messages import PayloadMessage
from homeport.app.control_plane import ControlPlane
from homeport.app.wiring import build_control_plane
from homeport.core.clock import Clock
from homeport.core.ids import SeededIds
from homeport.services.ecs.control.explainer import Explainer
from homeport.services.ecs.model import Service, Task
from homeport.services.ecs.plan.explain import Explanation
from homeport.services.ecs.plan.rollout import ServicePlan, ServiceSnapshot, healthy_floor, plan_service
from homeport.services.ecs.plan.rollout_health import TargetHealth, verdict
from homeport.services.ecs.plan.target_health import target_health
from homeport.services.ecs.plan.targets import is_wanted
from homeport.services.ecs.ports import TargetAddress
from homeport.services.ecs.repo.instances import InstanceRepo
from homeport.services.ecs.repo.services import ServiceRepo
from homeport.services.ecs.repo.targets import TargetRepo
from homeport.services.ecs.repo.tasks import TaskRepo
from homeport.store import Tx
from homeport.store.vault import Vault
from tests.kit.balancer import DRAINS, FakeAlarms, FakeTargetGroups
from tests.kit.sim_node import SimNode, SimTask
from tests.kit.sim_services import World
from tests.kit.sim_store import MoodyStore, Watch

FIRST_PORT = 49153
DRAIN_SECONDS = 30.0
ROUNDING_SECONDS = 1e-6
"""The loop's clock is a float, the control plane's has whole microseconds."""


class TargetNode(SimNode):
    """A machine that gives each task the lowest free host port."""

    def __init__(self, world: TargetWorld, registered: Any) -> None:
        super().__init__(world, registered["containerInstanceArn"], world.group)
        self._world = world
        self.ec2_id: str = registered["ec2InstanceId"]
        self.ports: dict[str, int] = {}

    def bindings(self, arn: str, status: str) -> dict[str, Any]:
        if status != "RUNNING" and arn not in self.ports:
            return {}
        if arn not in self.ports:
            taken = {port for other, port in self.ports.items() if self.tasks[other].status != "STOPPED"}
            self.ports[arn] = next(n for n in range(FIRST_PORT, FIRST_PORT + 1000) if n not in taken)
        binding = {"containerPort": 80, "hostPort": self.ports[arn], "protocol": "tcp", "bindIP": "0.0.0.0"}
        return {"networkBindings": [binding]}

    def at(self, port: int) -> SimTask | None:
        """Who listens there."""
        mine = (self.tasks[arn] for arn, taken in self.ports.items() if taken == port)
        return next((task for task in mine if task.status == "RUNNING" and not self.gone), None)

    def _take(self, payload: PayloadMessage) -> None:
        for told in payload.tasks:
            task = self.tasks.get(told.arn)
            if told.desired_status == "STOPPED" and task is not None and task.status == "RUNNING":
                self._world.stops(told.arn, (self.ec2_id, self.ports.get(told.arn, 0)))
        super()._take(payload)


class TargetWatch(Watch):
    """Health is what the load balancer was last heard to say."""

    targets: dict[int, TargetHealth]

    def __init__(self, clock: Clock) -> None:
        super().__init__(clock)
        self.served: set[str] = set()
        """Tasks that belong to a load balancer and were known to run, and meant to."""

    def committed(self, tx: Tx) -> None:
        if self.service_id:
            live = self.live.values()
            self.targets = target_health(live, TargetRepo(tx).of_service(self.service_id))
        super().committed(tx)
        self.served |= {task.arn for task in self.live.values() if task.target_places and is_wanted(task)}

    def rival(self, tx: Tx, dice: random.Random) -> bool:
        rows = TargetRepo(tx).of_service(self.service_id)
        if not rows or dice.random() < 0.5:
            return super().rival(tx, dice)
        TargetRepo(tx).save(dice.choice(rows))
        return True

    def _check_events(self, service: Service) -> None:
        """Two registrations of as many targets are told in the same words."""

    def _healthy(self, service: Service, tasks: list[Task]) -> set[int]:
        now = self._clock.now()
        return {task.id for task in tasks if verdict(task, service, self.targets, now).is_healthy(now)}

    def _check_stops(self, service: Service, before: dict[int, Task]) -> None:
        stopped = {
            task_id
            for task_id, task in before.items()
            if task.desired_status == "RUNNING"
            and (after := self.live.get(task_id)) is not None
            and after.stop_code == "ServiceSchedulerInitiated"
        }
        if not stopped or service.status != "ACTIVE":
            return
        healthy = self._healthy(service, [t for t in before.values() if t.desired_status == "RUNNING"])
        left = len(healthy - stopped)
        if left < min(len(healthy), healthy_floor(service)):
            self._note(f"stops left {left} of {len(healthy)}, {healthy_floor(service)} were promised")


class TargetWorld(World):
    """The same troubles; and a load balancer that is slow, flaps, and loses calls and answers."""

    def __post_init__(self) -> None:
        super().__post_init__()
        self.seen = TargetWatch(self.clock)
        self.watch = self.seen
        self.violations = self.watch.violations
        self.balancer = FakeTargetGroups(
            store=self.inner, clock=self.clock, answers=self._answers, dice=self.dice
        )
        self.arns = [self.balancer.add(name, delay_seconds=DRAIN_SECONDS) for name in ("one", "two")]
        self.alarms = FakeAlarms(store=self.inner)
        self.balancer.slow_seconds = self.dice.choice((0.0, 0.1, 5.0))

    def build(self, store: MoodyStore, ids: SeededIds) -> ControlPlane:
        vault = Vault(bytes(32), ids)
        return build_control_plane(
            store,
            self.clock,
            ids,
            page_key=bytes(32),
            vault=vault,
            target_groups=self.balancer,
            alarms=self.alarms,
        )

    def machine(self, registered: Any) -> SimNode:
        return TargetNode(self, registered)

    def _answers(self, address: TargetAddress) -> bool | None:
        nodes = (node for node in self.nodes if isinstance(node, TargetNode) and node.ec2_id == address[0])
        node = next(nodes, None)
        task = None if node is None else node.at(address[1])
        return None if task is None else task.character.healthy

    def stops(self, arn: str, address: TargetAddress) -> None:
        """An agent is told to stop a task that runs: nobody may send it anything any more.

        Unless nobody knows what it gets: it was stopped before it was known to run, and with that on which
        port, or it belongs to no load balancer and has the port of one that did, or a process that died
        long ago has registered it again since.
        """
        if arn not in self.seen.served or address in self.balancer.haunted:
            return
        for group in self.arns:
            state = self.balancer.targets.get(group, {}).get(address)
            if state is None:
                continue
            left = self.balancer.ends.get((group, address), 0.0) - asyncio.get_running_loop().time()
            if state != DRAINS or left > ROUNDING_SECONDS:
                self.violations.append(f"{self.clock.now()} {arn} is stopped while {address} is {state}")

    async def call(self, operation: str, **members: Any) -> Any:
        if operation == "RegisterTaskDefinition":
            for container in members["containerDefinitions"]:
                container.setdefault("portMappings", [{"containerPort": 80}])
        if operation == "CreateService" and "loadBalancers" not in members:
            members["loadBalancers"] = self.wanted(self.dice.choice(([0], [0, 1])))
        return await super().call(operation, **members)

    def settle(self) -> None:
        """The store takes no time."""
        self._delays = (0.0,)

    def kill(self) -> None:
        """The control plane's process ends; another begins before long."""
        self._kill.set()

    async def one(self) -> Any:
        """The service `web` as it is described."""
        (found,) = (await self.call("DescribeServices", services=["web"]))["services"]
        return found

    async def told(self) -> list[str]:
        """Its events, oldest first."""
        return [event["message"] for event in reversed((await self.one())["events"])]

    async def until(self, what: Callable[[], Awaitable[bool]], seconds: float = 600) -> None:
        """Wait, on virtual time."""
        async with asyncio.timeout(seconds):
            while not await what():  # noqa: ASYNC110 - it is asked of an API
                await asyncio.sleep(0.5)

    async def until_told(self, text: str, seconds: float = 600) -> None:
        """Until one of its events says so."""

        async def is_told() -> bool:
            return any(text in message for message in await self.told())

        await self.until(is_told, seconds)

    async def until_serving(self, arn: str, count: int) -> None:
        """Until so many targets are registered and told of."""

        async def is_so() -> bool:
            told = re.findall(
                rf" registered (\d+) targets in \(target-group {arn}\)$", "\n".join(await self.told()), re.M
            )
            return sum(map(int, told)) == count == len(self.balancer.serving(arn))

        await self.until(is_so)

    async def explained(self) -> Explanation:
        """What `homeport explain` says of it."""
        arn = (await self.one())["serviceArn"]
        return await Explainer(self.inner, self.clock).explain(self.account_id, self.region, arn)

    def wanted(self, which: list[int]) -> list[dict[str, Any]]:
        return [
            {"targetGroupArn": self.arns[index], "containerName": "app", "containerPort": 80}
            for index in which
        ]

    async def begin(self) -> None:
        self.group.create_task(self.balancer.run())
        await super().begin()

    async def _do(self, deed: str) -> None:
        self.balancer.trouble, self.balancer.flaps = 0.1, 0.02
        if deed == "breaker":
            which = self.dice.choice(([], [0], [1], [0, 1]))
            await self._update(loadBalancers=self.wanted(which))
        else:
            await super()._do(deed)

    async def peace(self) -> None:
        self.balancer.trouble, self.balancer.flaps = 0.0, 0.0
        await super().peace()

    async def plan(self) -> ServicePlan:
        def snapshot(tx: Tx) -> ServiceSnapshot:
            service = ServiceRepo(tx).get(self.watch.service_id)
            assert service is not None
            tasks = TaskRepo(tx)
            live = tasks.live_of_service(service.id)
            return ServiceSnapshot(
                service=service,
                live=live,
                stopped=tasks.stopped_of_service(service.id, after=service.primary.counted_until),
                draining_instances=InstanceRepo(tx).draining_ids(service.cluster_id),
                targets=target_health(live, TargetRepo(tx).of_service(service.id)),
            )

        return plan_service(await self.look(snapshot), self.clock.now())

    async def judge(self) -> None:
        await super().judge()
        service = await self.service()
        if service.steady_at is not None and self.put_right:
            self._judge_targets(service, await self.live())
        await self._until_done("DeleteService", service="web", force=True)
        await asyncio.sleep(600)
        left = {arn: targets for arn, targets in self.balancer.targets.items() if targets}
        rows = await self.look(lambda tx: TargetRepo(tx).of_service(self.watch.service_id))
        if left or rows:
            self.violations.append(f"left after the service was deleted: {left} {rows}")
        if live := await self.live():
            self.violations.append(f"tasks left: {[(t.uid, t.last_status, t.is_held) for t in live]}")

    def _judge_targets(self, service: Service, live: tuple[Task, ...]) -> None:
        """Exactly the tasks that run are registered, exactly where the service says."""
        wanted = {place.target_group for place in service.primary.target_places}
        for arn in self.arns:
            count = len(live) if arn in wanted else 0
            if len(self.balancer.targets[arn]) != count:
                self.violations.append(f"{arn} has {self.balancer.targets[arn]}, {count} tasks run")


async def target_drama(seed: int) -> list[str]:
    """The violations of one world's whole history."""
    return await TargetWorld(seed).whole()


class _Over(Exception):
    """The test is done: everything ends."""


@asynccontextmanager
async def quiet_world() -> AsyncIterator[TargetWorld]:
    """Two machines, the definition `web`, and nothing that goes wrong by itself; 30 seconds to drain."""
    world = TargetWorld(1)
    world.calm.set()
    world.balancer.slow_seconds = 0.0
    world.settle()
    try:
        async with asyncio.TaskGroup() as world.group:
            world.group.create_task(world.keep_plane())
            world.group.create_task(world.balancer.run())
            container = {"name": "app", "image": "app:1", "memory": 100}
            await world.call("RegisterTaskDefinition", family="good", containerDefinitions=[container])
            for _ in range(2):
                await world.join()
            await asyncio.sleep(15)  # they connect
            yield world
            raise _Over  # noqa: TRY301
    except* _Over:
        pass
