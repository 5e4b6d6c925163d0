"""A service that shares its tasks among capacity providers, in the world of `sim_services`.

Machines join one provider's group or the other's; users change the strategy with the rest of the service.
"""

from __future__ import annotations

from collections import Counter
from itertools import islice
from typing import Any

from homeport.core.clock import Clock
from homeport.services.ecs.model import GROUP_ATTRIBUTE, Task
from homeport.services.ecs.plan.capacity_strategy import row
from homeport.services.ecs.repo.instances import InstanceRepo
from homeport.services.ecs.repo.services import ServiceRepo
from homeport.store import Tx
from tests.kit.sim_services import World
from tests.kit.sim_store import Watch

PROVIDERS = ("left", "right")
STRATEGIES = ((1, 1, 0), (1, 4, 0), (1, 4, 2), (0, 1, 1), (3, 1, 1))
"""Weights of left and right, and the base of left."""


def strategy(left: int, right: int, base: int) -> list[dict[str, Any]]:
    """As a request has it."""
    return [
        {"capacityProvider": "left", "weight": left, "base": base},
        {"capacityProvider": "right", "weight": right, "base": 0},
    ]


class CapacityWatch(Watch):
    """What a service starts is where its provider says, and its provider is one of the strategy's."""

    def __init__(self, clock: Clock) -> None:
        super().__init__(clock)
        self.placed: set[int] = set()

    def committed(self, tx: Tx) -> None:
        super().committed(tx)
        if not self.service_id:
            return
        service = ServiceRepo(tx).get(self.service_id)
        for task in self.live.values():
            if task.id in self.placed or service is None:
                continue
            self.placed.add(task.id)
            self._check_place(tx, task)
            named = {item["capacityProvider"] for one in service.deployments for item in one.strategy}
            if task.capacity_provider not in named:
                self.violations.append(f"{task.uid} is of {task.capacity_provider}, not of {sorted(named)}")

    def _check_place(self, tx: Tx, task: Task) -> None:
        instance = None if task.instance_id is None else InstanceRepo(tx).get(task.instance_id)
        group = None if instance is None else instance.attribute(GROUP_ATTRIBUTE)
        if group != f"{task.capacity_provider}-group":
            self.violations.append(f"{task.uid} of {task.capacity_provider} is on an instance of {group}")


class CapacityWorld(World):
    """The world of services, where every machine is of one of two groups."""

    def __post_init__(self) -> None:
        super().__post_init__()
        self.watch = CapacityWatch(self.clock)
        self.violations = self.watch.violations

    async def join(self) -> None:
        """A machine of the group that has fewer of them."""
        if not self.registered:
            await self.call("CreateCluster", clusterName="default")
            for name in PROVIDERS:
                group = {"autoScalingGroupArn": f"{name}-group"}
                await self.call("CreateCapacityProvider", name=name, autoScalingGroupProvider=group)
            await self.call(
                "PutClusterCapacityProviders",
                cluster="default",
                capacityProviders=list(PROVIDERS),
                defaultCapacityProviderStrategy=strategy(*self.dice.choice(STRATEGIES)),
            )
        there = Counter(node.provider for node in self.nodes if not node.gone)  # type: ignore[attr-defined]
        provider = min(PROVIDERS, key=lambda name: there[name])
        await super().join()
        node = self.nodes[-1]
        node.provider = provider  # type: ignore[attr-defined]
        attribute = {"name": GROUP_ATTRIBUTE, "value": f"{provider}-group", "targetId": node.arn}
        await self._until_done("PutAttributes", cluster="default", attributes=[attribute])

    async def _update(self, **members: Any) -> None:
        if self.dice.random() < 0.2:
            chosen = strategy(*self.dice.choice(STRATEGIES))
            members |= {"capacityProviderStrategy": chosen, "forceNewDeployment": True}
        await super()._update(**members)

    async def judge(self) -> None:
        """In peace, everybody has its share."""
        await super().judge()
        plan, live = await self.plan(), await self.live()
        service = plan.service
        if service.steady_at is None or not self.put_right:
            return
        wanted = Counter(islice(row(service.primary.strategy), service.desired_count))
        held = Counter(task.capacity_provider for task in live)
        if held != wanted:
            self.violations.append(f"shared as {dict(held)} instead of {dict(wanted)}")


async def capacity_drama(seed: int) -> list[str]:
    """The violations of one world's whole history."""
    return await CapacityWorld(seed).whole()
