"""A service whose deployments shift traffic, in the world of `sim_targets`: its rules have moods as well."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from random import Random
from typing import Any

from homeport.app.control_plane import ControlPlane
from homeport.app.wiring import build_control_plane
from homeport.core.clock import Clock
from homeport.core.ids import SeededIds
from homeport.services.ecs.errors import ServerException
from homeport.services.ecs.model import Service, Task
from homeport.services.ecs.plan.daemon import plan_either
from homeport.services.ecs.plan.rollout import ServicePlan, ServiceSnapshot
from homeport.services.ecs.plan.rollout_health import verdict
from homeport.services.ecs.plan.target_health import target_health
from homeport.services.ecs.plan.traffic import shifts_traffic, weights_of
from homeport.services.ecs.ports import RuleShares
from homeport.services.ecs.repo.instances import InstanceRepo
from homeport.services.ecs.repo.services import ServiceRepo
from homeport.services.ecs.repo.targets import TargetRepo
from homeport.services.ecs.repo.tasks import TaskRepo
from homeport.store.base import Store
from homeport.store.tx import Tx
from homeport.store.vault import Vault
from tests.kit.sim_store import MoodyStore
from tests.kit.sim_targets import TargetWatch, TargetWorld

PRODUCTION, TEST = "rule/production", "rule/test"
ROLE = "arn:aws:iam::000000000000:role/shifts"
LATE_SECONDS = 150.0
STEPS = (3.0, 12.5, 33.4, 50.0, 100.0)


@dataclass
class FakeRules:
    """Rules and their weights. Calls are slow, answers are lost, and what a dead process asked arrives later.

    `seen` is told of each change before it is made: of the transaction, the rule, and both weights.
    """

    store: Store
    dice: Random
    seen: Callable[[Tx, str, Mapping[str, int], Mapping[str, int]], None]
    weights: dict[str, dict[str, int]] = field(default_factory=dict)
    slow_seconds: float = 0.0
    trouble: float = 0.0
    live_at: float = 0.0
    """When the last change is in force, on the loop's clock."""
    under_way: list[tuple[float, Sequence[RuleShares], Callable[[Tx], bool]]] = field(default_factory=list)
    """What processes that have died had asked for, with when it arrives."""

    async def forwards(
        self, account_id: str, region: str, rules: Collection[str]
    ) -> Mapping[str, Collection[str]]:
        del account_id, region
        return {rule: tuple(self.weights[rule]) for rule in rules if rule in self.weights}

    async def shift(
        self, service: Service, rules: Sequence[RuleShares], wanted: Callable[[Tx], bool]
    ) -> bool:
        del service
        loop = asyncio.get_running_loop()
        try:
            await asyncio.sleep(self.dice.uniform(0, self.slow_seconds))
        except asyncio.CancelledError:
            self.under_way.append((loop.time() + self.dice.uniform(0, LATE_SECONDS), rules, wanted))
            raise
        if self.dice.random() < self.trouble:
            raise ServerException("The load balancers' control does not answer.")
        if not await self.store.write(lambda tx: self._set(tx, rules, wanted)):
            return False
        if self.dice.random() < self.trouble:
            raise ServerException("The answer is lost.")
        return loop.time() >= self.live_at

    def _set(self, tx: Tx, rules: Sequence[RuleShares], wanted: Callable[[Tx], bool]) -> bool:
        if not wanted(tx):
            return False
        for one in rules:
            old, asked = self.weights[one.rule], weights_of(one.shares)
            is_settled = any(asked.values())
            new = {**dict.fromkeys(old, 0), **asked} if is_settled else {**asked, **old}
            if new != old:
                self.seen(tx, one.rule, old, new)
                self.weights[one.rule] = new
                self.live_at = asyncio.get_running_loop().time() + self.dice.uniform(0, self.slow_seconds)
        return True

    async def run(self) -> None:
        """What was asked by processes that are gone arrives, until cancelled."""
        while True:
            await asyncio.sleep(1)
            now = asyncio.get_running_loop().time()
            due = [one for one in self.under_way if one[0] <= now]
            self.under_way = [one for one in self.under_way if one[0] > now]
            for _, rules, wanted in due:
                await self.store.write(lambda tx, r=rules, w=wanted: self._set(tx, r, w))  # type: ignore[misc]


class TrafficWatch(TargetWatch):
    """Nobody gets traffic who cannot serve it, and nobody is stopped who still gets some."""

    rules: FakeRules

    def __init__(self, clock: Clock) -> None:
        super().__init__(clock)
        self.draining: frozenset[int] = frozenset()

    def committed(self, tx: Tx) -> None:
        service = ServiceRepo(tx).get(self.service_id) if self.service_id else None
        if service is not None:
            self.draining = InstanceRepo(tx).draining_ids(service.cluster_id)
        super().committed(tx)

    def changes(self, tx: Tx, rule: str, old: Mapping[str, int], new: Mapping[str, int]) -> None:
        """A rule is about to forward otherwise."""
        if any(asked != old.get(arn, 0) for arn, asked in new.items()) and sum(new.values()) not in (
            100,
            1000,
        ):
            self._note(f"{rule} forwards {dict(new)}")
        if rule != PRODUCTION:
            return
        service = ServiceRepo(tx).get(self.service_id)
        if service is None or not service.desired_count:
            return  # nobody is to serve
        healthy = self._healthy_of(tx)
        share = {arn: weight / sum(new.values()) for arn, weight in new.items()}
        before = {arn: weight / sum(old.values()) for arn, weight in old.items()}
        gains = [arn for arn in new if share[arn] > before.get(arn, 0)]
        loses = [arn for arn in new if share[arn] < before.get(arn, 0)]
        if any(not healthy[arn] for arn in gains) and any(healthy[arn] for arn in loses):
            self._note(f"{rule} goes from {dict(old)} to {dict(new)} with {healthy} healthy tasks")

    def _healthy_of(self, tx: Tx) -> dict[str, int]:
        service = ServiceRepo(tx).get(self.service_id)
        assert service is not None
        live = TaskRepo(tx).live_of_service(service.id)
        health, now = target_health(live, TargetRepo(tx).of_service(service.id)), self._clock.now()
        found = dict.fromkeys(self.rules.weights[PRODUCTION], 0)
        for task in live:
            if task.desired_status == "RUNNING" and verdict(task, service, health, now).is_healthy(now):
                for place in task.target_places:
                    found[place.target_group] = found.get(place.target_group, 0) + 1
        return found

    def _check_starts(self, service: Service, before: dict[int, Task]) -> None:
        if service.primary.staging is None:
            super()._check_starts(service, before)

    def _check_stops(self, service: Service, before: dict[int, Task]) -> None:
        staging = service.primary.staging
        if staging is None or staging.stage != "CLEAN_UP" or service.status != "ACTIVE":
            return
        stays = staging.blue if staging.returns else staging.green
        kept = {
            place.target_group
            for one in service.deployments
            if one.id == stays
            for place in one.target_places
        }
        weights = self.rules.weights[PRODUCTION]
        for task_id, task in before.items():
            after = self.live.get(task_id)
            is_stopped = (
                task.desired_status == "RUNNING"
                and after is not None
                and after.desired_status == "STOPPED"
                and (after.stopped_reason or "").startswith("Scaling activity")
                and task.started_by != stays
            )
            groups = {place.target_group for place in task.target_places} - kept
            if is_stopped and any(weights.get(arn) for arn in groups):
                self._note(f"{task.uid} is stopped while the rule forwards {weights}")


class TrafficWorld(TargetWorld):
    """Its users like strategies; what was asked of rules is answered late, lost, or asked by the dead."""

    def __post_init__(self) -> None:
        super().__post_init__()
        watch = TrafficWatch(self.clock)
        self.seen = self.watch = watch
        self.violations = watch.violations
        self.rules = FakeRules(store=self.inner, dice=self.dice, seen=watch.changes)
        self.rules.slow_seconds = self.dice.choice((0.0, 0.1, 5.0))
        self.rules.weights = {rule: {self.arns[0]: 1} for rule in (PRODUCTION, TEST)}
        watch.rules = self.rules

    def build(self, store: MoodyStore, ids: SeededIds) -> ControlPlane:
        return build_control_plane(
            store,
            self.clock,
            ids,
            page_key=bytes(32),
            vault=Vault(bytes(32), ids),
            target_groups=self.balancer,
            shifter=self.rules,
            alarms=self.alarms,
        )

    async def join(self) -> None:
        """Two machines where there is one otherwise: two revisions need the room."""
        await super().join()
        if not self.watch.service_id:
            await super().join()

    def shifting(self) -> list[dict[str, Any]]:
        """The service's load balancer: both groups, both rules."""
        (one,) = self.wanted([0])
        advanced = {
            "alternateTargetGroupArn": self.arns[1],
            "productionListenerRule": PRODUCTION,
            "testListenerRule": TEST,
            "roleArn": ROLE,
        }
        return [{**one, "advancedConfiguration": advanced}]

    def _strategy(self) -> dict[str, Any]:
        dice = self.dice
        kind = dice.choice(("ROLLING", "BLUE_GREEN", "LINEAR", "CANARY", "LINEAR", "CANARY"))
        if kind == "ROLLING":
            return {"strategy": kind}
        more: dict[str, Any] = {"bakeTimeInMinutes": dice.choice((0, 0, 1))}
        if kind == "LINEAR":
            more["linearConfiguration"] = {
                "stepPercent": dice.choice(STEPS[1:]),
                "stepBakeTimeInMinutes": dice.choice((0, 1)),
            }
        if kind == "CANARY":
            more["canaryConfiguration"] = {
                "canaryPercent": dice.choice(STEPS),
                "canaryBakeTimeInMinutes": dice.choice((0, 1)),
            }
        return {"strategy": kind, **more}

    async def begin(self) -> None:
        self.group.create_task(self.rules.run())
        await super().begin()

    async def call(self, operation: str, **members: Any) -> Any:
        if operation == "CreateService":
            members["loadBalancers"] = self.shifting()
            members["deploymentConfiguration"] |= self._strategy()
        return await super().call(operation, **members)

    async def _do(self, deed: str) -> None:
        self.rules.trouble = 0.1
        if deed in ("breaker", "percent"):
            self.balancer.trouble, self.balancer.flaps = 0.1, 0.02
            again = self.dice.random() < 0.5
            await self._update(deploymentConfiguration=self._strategy(), forceNewDeployment=again)
        else:
            await super()._do(deed)

    async def peace(self) -> None:
        self.rules.trouble = 0.0
        await super().peace()

    async def plan(self) -> ServicePlan:
        def snapshot(tx: Tx) -> ServiceSnapshot:
            service = ServiceRepo(tx).get(self.watch.service_id)
            assert service is not None
            until = min(one.counted_until for one in service.deployments)
            tasks = TaskRepo(tx)
            live = tasks.live_of_service(service.id)
            return ServiceSnapshot(
                service=service,
                live=live,
                stopped=tasks.stopped_of_service(service.id, after=until),
                draining_instances=InstanceRepo(tx).draining_ids(service.cluster_id),
                targets=target_health(live, TargetRepo(tx).of_service(service.id)),
                has_target_groups=shifts_traffic(service),
            )

        return plan_either(await self.look(snapshot), self.clock.now())

    def _judge_targets(self, service: Service, live: tuple[Task, ...]) -> None:
        """All of production goes where the tasks are."""
        super()._judge_targets(service, live)
        (wanted,) = {place.target_group for place in service.primary.target_places}
        gets = {arn for arn, weight in self.rules.weights[PRODUCTION].items() if weight}
        if gets != {wanted}:
            self.violations.append(f"production goes to {gets}, the tasks are in {wanted}")


async def traffic_drama(seed: int) -> list[str]:
    """The violations of one world's whole history."""
    return await TrafficWorld(seed).whole()
