"""A service on Fargate, in the world of `sim_services`: its machines are nobody's to see.

Tasks have sizes, interfaces and the zones of these; users share them among FARGATE and FARGATE_SPOT, and
operators interrupt those on Spot.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections import Counter
from collections.abc import AsyncIterator, Mapping
from itertools import islice
from typing import Any

from homeport.core.clock import Clock
from homeport.core.errors import AwsError
from homeport.services.ecs.control.spot import SpotInterruptions
from homeport.services.ecs.model import FARGATE, FARGATE_PROVIDERS, FARGATE_SPOT, FLEET, Service, Task
from homeport.services.ecs.plan.capacity_strategy import row
from homeport.services.ecs.repo.clusters import ClusterRepo
from homeport.services.ecs.repo.instances import InstanceRepo
from homeport.services.ecs.repo.services import ServiceRepo
from homeport.store import Tx
from tests.kit.sim_networks import NetworkWorld
from tests.kit.sim_node import SimNode
from tests.kit.sim_stage import ACCOUNT, REGION
from tests.kit.sim_store import Watch

SIZES = {"good": (1024, 2048), "better": (512, 1024), "brief": (256, 512)}
"""CPU units and MiB of the tasks of a family, of Fargate's table; the others' are the largest of these."""
NO_SIZES = ((300, 512), (256, 4096), (1024, 1024))
"""Not in the table. Source: developer guide, "Task definition differences for Fargate", CPU and memory."""
MACHINE = (4096, 8192)
SHARES = ((1, 0, 0), (0, 1, 0), (1, 1, 0), (1, 3, 1))
"""Weights of FARGATE and FARGATE_SPOT, and the base of FARGATE."""


def strategy(regular: int, spot: int, base: int) -> list[dict[str, Any]]:
    """As a request has it."""
    return [
        {"capacityProvider": FARGATE, "weight": regular, "base": base},
        {"capacityProvider": FARGATE_SPOT, "weight": spot, "base": 0},
    ]


class FargateWatch(Watch):
    """Every task is on a hidden machine that has room for it, and only those on Spot are interrupted."""

    def __init__(self, clock: Clock) -> None:
        super().__init__(clock)
        self.sizes: dict[str, tuple[int, int]] = {}

    def committed(self, tx: Tx) -> None:
        before = dict(self.live)
        super().committed(tx)
        service = ServiceRepo(tx).get(self.service_id) if self.service_id else None
        if service is None or before == self.live:
            return
        self._check_room(tx)
        for task_id in self.live.keys() - before.keys():
            self._check_begun(service, self.live[task_id])
        for task in self.live.values():
            if task.stop_code == "SpotInterruption" and task.capacity_provider != FARGATE_SPOT:
                self._note(f"{task.uid} of {task.capacity_provider} was interrupted")

    def _check_room(self, tx: Tx) -> None:
        used: dict[int, Counter[str]] = {}
        for task in self.live.values():
            if task.instance_id is None:
                self._note(f"{task.uid} is on no machine")
                continue
            held = used.setdefault(task.instance_id, Counter())
            held.update(cpu=task.demand.cpu, memory=task.demand.memory)
        for instance_id, held in used.items():
            machine = InstanceRepo(tx).get(instance_id)
            if machine is None or not machine.is_hidden:
                self._note(f"tasks are on {machine}, which is none of Fargate's machines")
            elif held["cpu"] > machine.cpu or held["memory"] > machine.memory:
                self._note(f"{machine.uid} holds {dict(held)} of {machine.cpu} and {machine.memory}")

    def _check_begun(self, service: Service, task: Task) -> None:
        size = (task.demand.cpu, task.demand.memory)
        if size != self.sizes.get(task.family):
            self._note(f"{task.uid} of {task.family} has the size {size}")
        if (task.launch_type, task.platform_version) != (FARGATE, "1.4.0"):
            self._note(f"{task.uid} is of {task.launch_type} {task.platform_version}")
        named = {item["capacityProvider"] for one in service.deployments for item in one.strategy}
        if task.capacity_provider not in named:
            self._note(f"{task.uid} is of {task.capacity_provider}, not of {sorted(named)}")
        networks = [one.network for one in service.deployments if one.network is not None]
        places = {place.subnet_id: place.zone for one in networks for place in one.subnets}
        subnet = "" if task.interface is None else task.interface.subnet_id
        if places.get(subnet) != task.availability_zone:
            self._note(f"{task.uid} is in {task.availability_zone}, its interface in {places.get(subnet)}")


class FargateWorld(NetworkWorld):
    """The world of services without a container instance, and with a fleet that nobody manages."""

    def __post_init__(self) -> None:
        super().__post_init__()
        self.watch = self.sizes = FargateWatch(self.clock)
        self.violations = self.watch.violations
        self.begins_as = ""
        """EC2's id of the machine that begins: one that had burned down, or a new one."""

    async def more(self, operation: str, members: Mapping[str, Any]) -> dict[str, Any]:
        """What such requests say besides."""
        match operation:
            case "RegisterTaskDefinition":
                return self._sized(members["family"])
            case "RegisterContainerInstance":
                identity = json.dumps({"instanceId": self.begins_as})
                more = {"cluster": FLEET, "instanceIdentityDocument": identity}
                return {**more, **await super().more(operation, members)}
            case "SubmitTaskStateChange":
                return {"cluster": FLEET}
            case "CreateService":
                shares = {"capacityProviderStrategy": strategy(*self.dice.choice(SHARES))}
                return {**shares, **await super().more(operation, members)}
            case _:
                return {}

    def _sized(self, family: str) -> dict[str, Any]:
        cpu, memory = self.sizes.sizes[family] = SIZES.get(family, SIZES["good"])
        return {
            "networkMode": "awsvpc",
            "requiresCompatibilities": [FARGATE],
            "cpu": str(cpu),
            "memory": str(memory),
        }

    def machine(self, registered: Any) -> SimNode:
        node = super().machine(registered)
        node.cluster, node.name = FLEET, self.begins_as
        return node

    async def join(self) -> None:
        """A machine of Fargate's; the first comes with the cluster, and with sizes that there are not."""
        if not self.registered:
            await self.call("CreateCluster", clusterName="default", capacityProviders=list(FARGATE_PROVIDERS))
            for cpu, memory in NO_SIZES:
                await self._try_size(cpu, memory)
        self.begins_as = self.begins_as or f"i-{self.registered:017x}"
        await super().join()
        self.begins_as = ""

    async def _try_size(self, cpu: int, memory: int) -> None:
        container = {"name": "app", "image": "app:1"}
        given = {"networkMode": "awsvpc", "requiresCompatibilities": [FARGATE]}
        asked = {**given, "family": "odd", "cpu": str(cpu), "memory": str(memory)}
        try:
            await super(NetworkWorld, self).call(
                "RegisterTaskDefinition", containerDefinitions=[container], **asked
            )
        except AwsError:
            return
        self.violations.append(f"there is a size of {cpu} and {memory}")

    async def registered_as(self, total: list[Any], attributes: list[Any]) -> Any:
        """The instance of a new machine, of the size that Fargate's have here."""
        for resource, value in zip(total, MACHINE, strict=True):
            resource["integerValue"] = value
        kept = [one for one in attributes if one["name"] != "ecs.availability-zone"]
        capability = {"name": "ecs.capability.task-cpu-mem-limit"}
        return await super().registered_as(total, [*kept, capability])

    # ---- trouble ----------------------------------------------------------------------------

    async def _befall(self, deed: str) -> None:
        if deed in ("drain", "activate"):  # nobody manages its machines; Spot has ends of its own
            await self._interrupt()
        elif deed == "vanish":
            await self._begin_anew()
        else:
            await super()._befall(deed)

    async def _begin_anew(self) -> None:
        """A machine loses all that it had, and comes back: nobody else can say that its tasks have ended."""
        if self.dice.random() < 0.5:
            return
        self.faults["machine begins anew"] += 1
        node = self.dice.choice([node for node in self.nodes if not node.gone])
        node.vanish()
        await asyncio.sleep(self.dice.uniform(0, 60))
        self.begins_as = node.name
        await self.join()

    async def _interrupt(self) -> None:
        live, plane = await self.live(), self.plane()
        if not live or plane is None:
            return
        task = self.dice.choice(live)
        spot = SpotInterruptions(plane.store, self.clock)
        try:
            await spot.interrupt(ACCOUNT, REGION, task.arn)
        except AwsError:
            return
        self.faults["spot interruption"] += 1
        if task.capacity_provider != FARGATE_SPOT:
            self.violations.append(f"{task.uid} of {task.capacity_provider} could be interrupted")

    async def _update(self, **members: Any) -> None:
        if self.dice.random() < 0.2:
            shares = strategy(*self.dice.choice(SHARES))
            members |= {"capacityProviderStrategy": shares, "forceNewDeployment": True}
        await super()._update(**members)

    # ---- judgement --------------------------------------------------------------------------

    async def judge(self) -> None:
        """In peace everybody has its share, and nobody has seen a machine."""
        await super().judge()
        plan, live = await self.plan(), await self.live()
        service = plan.service
        if service.steady_at is not None and self.put_right:
            wanted = Counter(islice(row(service.primary.strategy), service.desired_count))
            held = Counter(task.capacity_provider for task in live)
            if held != wanted:
                self.violations.append(f"shared as {dict(held)} instead of {dict(wanted)}")
        shown = await self.call("ListContainerInstances", cluster="default")
        if shown["containerInstanceArns"]:
            self.violations.append(f"machines are shown: {shown}")
        if live:
            told = await self.call("DescribeTasks", tasks=[task.arn for task in live])
            if seen := [one for one in told["tasks"] if b"containerInstanceArn" in bytes(one)]:
                self.violations.append(f"tasks tell their machines: {seen}")

    async def _judge_machines(self) -> None:
        def fleet(tx: Tx) -> set[str]:
            found = ClusterRepo(tx).fleet(ACCOUNT, REGION)
            there = () if found is None else InstanceRepo(tx).of_cluster(found.id)
            return {one.arn for one in there if one.status != "INACTIVE"}

        if strangers := await self.look(fleet) - {node.arn for node in self.nodes}:
            self.violations.append(f"instances of no machine: {strangers}")

    async def _judge_zones(self, service: Service, live: tuple[Task, ...]) -> None:
        """A service that is rebalanced is spread evenly over the zones of its subnets."""
        network = service.primary.network
        assert network is not None
        zones = Counter(dict.fromkeys(network.zones, 0))
        zones.update(task.availability_zone or "" for task in live)
        uneven = max(zones.values()) - min(zones.values()) > 1
        if service.az_rebalancing and service.maximum_percent == 200 and uneven:
            told = [event.message for event in service.events[:4]]
            self.violations.append(f"spread unevenly: {dict(zones)} {told}")


class _Over(Exception):
    """The test is done: everything ends."""


@contextlib.asynccontextmanager
async def quiet_fargate() -> AsyncIterator[FargateWorld]:
    """One machine, the definitions, and nothing that goes wrong by itself."""
    world = FargateWorld(1)
    world.calm.set()
    try:
        async with asyncio.TaskGroup() as world.group:
            world.group.create_task(world.keep_plane())
            await world.call("CreateCluster", clusterName="bare")
            for family in SIZES:
                container = {"name": "app", "image": "app:1"}
                await world.call("RegisterTaskDefinition", family=family, containerDefinitions=[container])
            await world.join()
            await asyncio.sleep(15)  # it connects
            yield world
            raise _Over  # noqa: TRY301
    except* _Over:
        pass
    await world.inner.close()


async def fargate_drama(seed: int) -> list[str]:
    """The violations of one world's whole history."""
    return await FargateWorld(seed).whole()
