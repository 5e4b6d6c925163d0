"""A deployment with stages against a store: whoever is killed in the middle, the next one goes on."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

import msgspec
import pytest
from tests.kit.strategies import function
from tests.repo import nouns
from tests.unit.ecs.test_task_set_steps import BODY, Placing

from homeport.core.ids import SeededIds
from homeport.services.ecs.control.replicas import ReplicaController
from homeport.services.ecs.control.stages import Outside
from homeport.services.ecs.errors import ClientException
from homeport.services.ecs.model import (
    DeploymentStrategy,
    HookAnswer,
    LifecycleHook,
    LoadBalancer,
    Service,
    ServiceDeployment,
    TargetPlace,
    Task,
)
from homeport.services.ecs.plan.history import opened, revision_of
from homeport.services.ecs.plan.strategy_begin import begun
from homeport.services.ecs.ports import RuleShares
from homeport.services.ecs.repo.clusters import ClusterRepo
from homeport.services.ecs.repo.history import HistoryRepo
from homeport.services.ecs.repo.services import ServiceRepo
from homeport.services.ecs.repo.task_definitions import TaskDefinitionRepo
from homeport.services.ecs.repo.tasks import TaskRepo
from homeport.store import Store, Tx, open_memory_store


class KilledError(Exception):
    """The process ends here: what was done outside is done, and nobody noted it."""


class Clock:
    def __init__(self) -> None:
        self.at = nouns.NOON

    def now(self) -> datetime:
        return self.at


class Traffic:
    """What is in force; it answers as it is told to, and is killed at first as often as it is told to be."""

    def __init__(self, *, kills: int = 0, late: int = 0, refuses: int = 0) -> None:
        self.production: list[dict[str, float]] = []
        self.test: list[dict[str, float]] = []
        self.kills, self.late, self.refuses = kills, late, refuses

    async def forwards(
        self, account_id: str, region: str, rules: Collection[str]
    ) -> Mapping[str, Collection[str]]:
        del account_id, region
        return dict.fromkeys(rules, PAIR)

    async def shift(
        self, service: Service, rules: Sequence[RuleShares], wanted: Callable[[Tx], bool]
    ) -> bool:
        del service, wanted
        if self.refuses:
            self.refuses -= 1
            raise ClientException("no such rule")
        assert [(one.rule, one.role) for one in rules] == [("test", ROLE), ("production", ROLE)]
        self.test.append(dict(rules[0].shares))
        self.production.append(dict(rules[1].shares))
        if self.kills:
            self.kills -= 1
            raise KilledError
        self.late -= 1
        return self.late < 0


class Functions:
    """Says what it is told to say, then SUCCEEDED; keeps the events."""

    def __init__(self, *answers: str, kills: int = 0) -> None:
        self.answers = list(answers)
        self.kills = kills
        self.events: list[Mapping[str, Any]] = []

    async def invoke(self, hook: LifecycleHook, event: Mapping[str, Any]) -> HookAnswer:
        del hook
        self.events.append(event)
        if self.kills:
            self.kills -= 1
            raise KilledError
        said = self.answers.pop(0) if self.answers else "SUCCEEDED"
        if said == "gone":
            raise ClientException("no such function")
        return HookAnswer(status=said, details={"turn": len(self.events)})


PAIR = ("group/one", "group/two")
ROLE = "arn:aws:iam::000000000000:role/shifts"


def balancer(group: str) -> LoadBalancer:
    """One of the pair is what was asked for, `group` is what the deployment uses."""
    place = TargetPlace(target_group=PAIR[0], container="app", port=80)
    rules = {"productionListenerRule": "production", "testListenerRule": "test", "roleArn": ROLE}
    asked = LoadBalancer(place=place, advanced={"alternateTargetGroupArn": PAIR[1], **rules})
    return asked.using(group)


class World:
    """A service of two tasks whose second deployment begins; every look is a new process's first."""

    def __init__(self, store: Store, traffic: Traffic, functions: Functions) -> None:
        self.store, self.clock, self.placer = store, Clock(), Placing(store)
        self.placer.room = 1000
        self.outside = Outside(shifter=traffic, invoker=functions)
        self.ids = SeededIds(1)
        self.lives = 0

    def controller(self) -> ReplicaController:
        """A fresh process's."""
        return ReplicaController(
            self.store,
            self.clock,
            self.ids,
            self.placer,
            outside=self.outside,
        )

    async def make(self, strategy: DeploymentStrategy) -> None:
        def work(tx: Tx) -> Service:
            cluster = ClusterRepo(tx).add(nouns.cluster())
            ids = [
                TaskDefinitionRepo(tx).add(nouns.definition("web", number, body=BODY)).id for number in (1, 2)
            ]
            first, second = (
                msgspec.structs.replace(
                    nouns.deployment(number),
                    task_definition_id=row,
                    revision=f"{number:019d}",
                    load_balancers=(balancer(PAIR[number - 1]),),
                )
                for number, row in zip((1, 2), ids, strict=True)
            )
            first = msgspec.structs.replace(first, status="ACTIVE", rollout_state="COMPLETED")
            service = nouns.service(
                cluster.id, "web", desired_count=2, deployments=(second, first), last_completed=first
            )
            service = msgspec.structs.replace(service, deployment_strategy=strategy)
            added = ServiceRepo(tx).add(begun(service, nouns.NOON))
            for number in (1, 2):
                early = nouns.NOON - timedelta(hours=1)
                TaskRepo(tx).add_all([self.task(added, number, "ecs-svc/1", early)])
            history = HistoryRepo(tx)
            history.add_revision(revision_of(added, added.primary))
            history.add(opened(added, "second"))
            return added

        self.id = (await self.store.write(work)).id

    def task(self, service: Service, number: int, of: str, started_at: datetime) -> Task:
        return nouns.task(
            service.cluster_id,
            number,
            service_id=service.id,
            started_by=of,
            last_status="RUNNING",
            started_at=started_at,
        )

    async def look(self) -> tuple[Service, ServiceDeployment, tuple[Task, ...]]:
        def work(tx: Tx) -> Any:
            record = HistoryRepo(tx).find_many(["second"])["second"]
            return ServiceRepo(tx).get(self.id), record, TaskRepo(tx).live_of_service(self.id)

        found: tuple[Service, ServiceDeployment, tuple[Task, ...]] = await self.store.read(work)
        return found

    async def agents_work(self) -> None:
        def work(tx: Tx) -> None:
            tasks = TaskRepo(tx)
            for task in tasks.live_of_service(self.id):
                if task.desired_status == "STOPPED":
                    tasks.save(msgspec.structs.replace(task, last_status="STOPPED", stopped_at=self.clock.at))
                elif task.last_status != "RUNNING":
                    tasks.save(msgspec.structs.replace(task, last_status="RUNNING", started_at=self.clock.at))

        await self.store.write(work)

    async def run(self) -> ServiceDeployment:
        """Until the deployment has ended."""
        for _ in range(200):
            controller = self.controller()
            wake_at = None
            try:
                wake_at = (await controller.reconcile(str(self.id))).wake_at
            except KilledError:
                self.lives += 1
            await self.agents_work()
            _, record, _ = await self.look()
            if not record.is_open:
                return record
            if wake_at is not None:
                self.clock.at = max(self.clock.at, wake_at)
        raise AssertionError(f"never ended: {record.staging}")


async def played(traffic: Traffic, functions: Functions, *stages: str) -> tuple[World, ServiceDeployment]:
    store = open_memory_store()
    world = World(store, traffic, functions)
    hooks = (function(*stages),) if stages else ()
    await world.make(DeploymentStrategy(name="CANARY", step_percent=5.0, step_bake_minutes=1, hooks=hooks))
    return world, await world.run()


BOTH = ("0000000000000000002", "0000000000000000001")


@pytest.mark.parametrize("kills", [0, 1, 5])
async def test_traffic_that_was_shifted_before_a_kill_is_asked_for_again_and_it_goes_on(kills: int) -> None:
    traffic = Traffic(kills=kills)
    world, ended = await played(traffic, Functions())
    assert (ended.status, world.lives) == ("SUCCESSFUL", kills)
    blue, green = PAIR
    assert traffic.production[kills:] == [
        {green: 0.0, blue: 100.0},
        {green: 0.0, blue: 100.0},
        {green: 5.0, blue: 95.0},
        {green: 100.0, blue: 0.0},
    ]
    assert traffic.test[kills:] == [{green: percent, blue: 100.0 - percent} for percent in (0, 100, 100, 100)]
    service, _, tasks = await world.look()
    assert [d.id for d in service.deployments] == ["ecs-svc/2"]
    assert [(t.started_by, t.task_definition_id) for t in tasks] == [("ecs-svc/2", 2)] * 2
    await world.store.close()


async def test_traffic_that_is_late_or_refused_is_asked_for_until_it_is_in_force() -> None:
    traffic = Traffic(late=3, refuses=2)
    world, ended = await played(traffic, Functions())
    assert ended.status == "SUCCESSFUL"
    service, _, _ = await world.look()
    told = [event.message for event in service.events if "shift traffic" in event.message]
    assert [shares[PAIR[1]] for shares in traffic.production] == [0.0, 0.0, 0.0, 0.0, 5.0, 100.0]
    assert told == ["(service web) was unable to shift traffic: no such rule"]
    await world.store.close()


@pytest.mark.parametrize("kills", [0, 2])
async def test_a_function_is_asked_by_the_same_name_again_after_a_kill(kills: int) -> None:
    functions = Functions("IN_PROGRESS", kills=kills)
    world, ended = await played(Traffic(), functions, "PRE_SCALE_UP", "PRODUCTION_TRAFFIC_SHIFT")
    assert (ended.status, world.lives) == ("SUCCESSFUL", kills)
    names = [event["executionId"] for event in functions.events]
    assert len(names) == kills + 4, "in progress once, and at two steps"
    assert len(set(names)) == 3
    first, *_, last = functions.events
    assert first["resourceArn"] == ended.arn
    assert first["executionDetails"]["productionTrafficWeights"] == {}
    head = "arn:aws:ecs:us-east-1:000000000000:service-revision/default/web"
    assert last["lifecycleStage"] == "PRODUCTION_TRAFFIC_SHIFT"
    assert last["executionDetails"]["productionTrafficWeights"] == {
        f"{head}/{BOTH[0]}": 100,
        f"{head}/{BOTH[1]}": 0,
    }
    assert last["executionDetails"]["targetServiceRevisionArn"] == f"{head}/{BOTH[0]}"
    assert functions.events[kills + 1]["hookDetails"] == {"turn": kills + 1}, "what it said comes back"
    await world.store.close()


@pytest.mark.parametrize("answer", ["FAILED", "gone", "nonsense"])
async def test_a_function_that_fails_or_is_not_there_sends_everything_back(answer: str) -> None:
    traffic = Traffic()
    world, ended = await played(traffic, Functions(answer), "POST_PRODUCTION_TRAFFIC_SHIFT")
    assert ended.status == "ROLLBACK_SUCCESSFUL"
    assert ended.rollback is not None
    assert ended.rollback.revision == BOTH[1]
    assert traffic.production[-1] == {PAIR[1]: 0.0, PAIR[0]: 100.0}
    _, _, tasks = await world.look()
    assert [t.uid for t in tasks] == [nouns.uid(1), nouns.uid(2)], "blue was never touched"
    await world.store.close()


async def test_blue_is_kept_up_with_its_own_definition_while_green_is_watched() -> None:
    world = World(open_memory_store(), Traffic(), Functions(*["IN_PROGRESS"] * 100))
    hooks = (function("POST_SCALE_UP"),)
    await world.make(DeploymentStrategy(name="BLUE_GREEN", hooks=hooks))

    def crash(tx: Tx) -> None:
        (first, *_) = TaskRepo(tx).live_of_service(world.id)
        ended = {"desired_status": "STOPPED", "last_status": "STOPPED", "stopped_at": world.clock.at}
        TaskRepo(tx).save(msgspec.structs.replace(first, **ended))

    for turn in range(12):
        controller = world.controller()
        wake_at = (await controller.reconcile(str(world.id))).wake_at
        await world.agents_work()
        world.clock.at = max(world.clock.at, wake_at or world.clock.at)
        if turn == 6:
            await world.store.write(crash)
    service, _, tasks = await world.look()
    assert service.primary.staging is not None
    assert service.primary.staging.stage == "POST_SCALE_UP"
    kinds = sorted((t.started_by or "", t.task_definition_id) for t in tasks)
    assert kinds == [("ecs-svc/1", 1)] * 2 + [("ecs-svc/2", 2)] * 2
    await world.store.close()
