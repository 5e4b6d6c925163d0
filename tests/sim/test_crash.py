"""The control plane dies at any commit, seeded: before it, or after it and before anybody was told.

A real gateway, real agents and fake machines on one SQLite file, whose store dies at the nth commit: every
call under way fails, as if the process had gone, and the next life begins with what was committed. Machines
and the agents' journals outlive it. Callers repeat under their client token what nobody acknowledged.
"""

from __future__ import annotations

import math
import os
import random
import threading
import time
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, TypeVar

import pytest
from botocore.exceptions import BotoCoreError, ClientError

from homeport.store import StoreClosedError, Tx
from homeport.store.migrations import upgrade
from homeport.store.sqlite import SqliteStore
from tests.kit.server import Live, Node, live_server

T = TypeVar("T")

SEEDS = range(int(os.environ.get("CRASH_SEEDS", "3")))
LIVES = 3
CALLS = 15
"""New ones in every life."""
CALLERS = 4
PATIENCE_SECONDS = 40.0
POLL_SECONDS = 0.02
DESIRED = 3
SLOTS = 30
"""Tasks of `small` that one machine has CPU for."""


class MortalStore(SqliteStore):
    """Dies at its nth commit, which is kept or lost: from then on nobody gets anything from it."""

    def __init__(self, path: Path, *, keep: bool) -> None:
        super().__init__(path)
        self._commits_left = math.inf
        self._keep = keep
        self.dead = threading.Event()

    def live_for(self, commits: float) -> None:
        """Die at that commit, counted from now."""
        self._commits_left = commits

    def _commit(self) -> BaseException | None:
        self._commits_left -= 1
        if self._commits_left > 0:
            return super()._commit()
        if self._commits_left == 0 and self._keep:
            super()._commit()
        self.dead.set()
        self._undo()
        return StoreClosedError()

    async def read(self, fn: Callable[[Tx], T], *, bulk: bool = False) -> T:
        if self.dead.is_set():
            raise StoreClosedError
        return await super().read(fn, bulk=bulk)

    async def write(self, fn: Callable[[Tx], T], *, bulk: bool = False) -> T:
        if self.dead.is_set():
            raise StoreClosedError
        return await super().write(fn, bulk=bulk)


@dataclass(slots=True)
class World:
    """What outlives the control plane: the file, the machines, and what callers were told."""

    path: Path
    dice: random.Random
    nodes: list[Node] = field(default_factory=list)
    to_do: dict[str, dict[str, Any]] = field(default_factory=dict)
    """Token -> RunTask's members, of calls that nobody has acknowledged."""
    told: dict[str, tuple[str, ...]] = field(default_factory=dict)
    stopped: set[str] = field(default_factory=set)
    subnets: list[str] = field(default_factory=list)
    service_made: bool = False
    deaths: int = 0

    def live(
        self, *, commits: float = math.inf, keep: bool = False, then: Callable[[Life], None] | None = None
    ) -> None:
        """One life of the control plane, up to its death or, if it does not die, until all is settled."""
        store: list[MortalStore] = []

        def open_store() -> MortalStore:
            store.append(MortalStore(self.path, keep=keep))
            store[0].prepare(upgrade)
            return store[0]

        with live_server(open_store) as live:
            self._bring_up(live)
            store[0].live_for(commits)
            life = Life(self, live, store[0])
            life.call_all()
            life.settle()
            self.deaths += store[0].dead.is_set()
            if then is not None:
                then(life)

    def _bring_up(self, live: Live) -> None:
        if not self.nodes:
            self.nodes = [live.add_node(networks=True), live.add_node(networks=True)]
            define(live.client("ecs"))
            found = live.client("ec2").describe_subnets()["Subnets"]
            self.subnets = [one["SubnetId"] for one in found]
            return
        for number, node in enumerate(self.nodes):
            settings = replace(node.settings, endpoint_url=live.endpoint, credentials=live.keys.nodes)

            async def again(node: Node = node, settings: Any = settings) -> Node:
                fresh = live._start(node.machine, settings, node.disk, node.drivers, node.sandboxes)
                live.nodes.append(fresh)
                await live._connected(fresh)
                return fresh

            self.nodes[number] = live.run(again())


def define(ecs: Any) -> None:
    common = {"name": "main", "image": "app:1", "memory": 16, "command": ["stay"]}
    for family, extra in (
        ("small", {"cpu": 4096 // SLOTS}),
        ("port", {"cpu": 1, "portMappings": [{"containerPort": 80, "hostPort": 8080}]}),
        ("ends", {"cpu": 1, "command": ["exit", "3"]}),
        ("web", {"cpu": 1}),
    ):
        ecs.register_task_definition(family=family, containerDefinitions=[{**common, **extra}])
    ecs.register_task_definition(
        family="eni", networkMode="awsvpc", containerDefinitions=[{**common, "cpu": 4096 // SLOTS}]
    )


class Life:
    """The callers of one life."""

    def __init__(self, world: World, live: Live, store: MortalStore) -> None:
        self.world = world
        self.store = store
        self.ecs, self.ec2 = live.client("ecs"), live.client("ec2")

    def call_all(self) -> None:
        work: list[Callable[[], None]] = [self.make_service]
        work += [lambda token=token: self.run_task(token) for token in list(self.world.to_do)]  # type: ignore[misc]
        self.world.dice.shuffle(work)
        with ThreadPoolExecutor(CALLERS) as pool:
            for done in [pool.submit(self.until_acknowledged, each) for each in work]:
                done.result()

    def until_acknowledged(self, work: Callable[[], None]) -> None:
        deadline = time.monotonic() + PATIENCE_SECONDS
        while not self.store.dead.is_set():
            try:
                return work()
            except BotoCoreError:
                pass
            except ClientError as error:
                if error.response["Error"]["Code"] != "ServerException":
                    raise
            assert time.monotonic() < deadline, "nobody acknowledges"
            time.sleep(POLL_SECONDS)
        return None

    def run_task(self, token: str) -> None:
        world = self.world
        asked = world.to_do[token]
        if asked["taskDefinition"] == "eni":
            network = {"awsvpcConfiguration": {"subnets": world.subnets}}
            asked = {**asked, "networkConfiguration": network}
        answer = self.ecs.run_task(**asked, clientToken=token, startedBy=token)
        arns = tuple(task["taskArn"] for task in answer["tasks"])
        world.told[token] = arns
        del world.to_do[token]
        if arns and token.endswith("stop"):
            self.until_acknowledged(lambda: self.stop(arns[0]))

    def stop(self, arn: str) -> None:
        self.ecs.stop_task(task=arn)
        self.world.stopped.add(arn)

    def make_service(self) -> None:
        if not self.world.service_made:
            self.ecs.create_service(
                serviceName="web", taskDefinition="web", desiredCount=DESIRED, clientToken="web"
            )
            self.world.service_made = True

    def settle(self) -> None:
        deadline = time.monotonic() + PATIENCE_SECONDS
        while not self.store.dead.is_set():
            wrong = self.unsettled()
            if not wrong:
                return
            assert time.monotonic() < deadline, wrong
            time.sleep(POLL_SECONDS)

    def unsettled(self) -> list[str]:
        try:
            tasks = self.tasks()
            service = self.ecs.describe_services(services=["web"])["services"]
        except (BotoCoreError, ClientError) as error:
            return [str(error)]
        wrong = [arn for arn, task in tasks.items() if task["lastStatus"] != self.expected(task)]
        if [s["runningCount"] for s in service] != [DESIRED]:
            wrong.append("service")
        return wrong

    def expected(self, task: Any) -> str:
        ends = "/ends:" in task["taskDefinitionArn"] or task["desiredStatus"] == "STOPPED"
        return "STOPPED" if ends else "RUNNING"

    def tasks(self) -> dict[str, Any]:
        arns = [
            arn
            for status in ("RUNNING", "STOPPED")
            for page in self.ecs.get_paginator("list_tasks").paginate(desiredStatus=status)
            for arn in page["taskArns"]
        ]
        found: list[Any] = []
        for start in range(0, len(arns), 100):
            found += self.ecs.describe_tasks(tasks=arns[start : start + 100])["tasks"]
        return {task["taskArn"]: task for task in found}


def new_calls(dice: random.Random, life: int) -> dict[str, dict[str, Any]]:
    calls = {}
    for number in range(CALLS):
        family = dice.choice(("small", "eni", "eni", "port", "ends"))
        stop = family in ("small", "eni") and dice.random() < 0.3
        calls[f"call-{life}-{number:02}{'-stop' if stop else ''}"] = {
            "taskDefinition": family,
            "count": 1 if stop else dice.choice((1, 1, 2, 5)),
        }
    return calls


@pytest.mark.parametrize("seed", SEEDS)
def test_nothing_is_lost_or_done_twice_whenever_it_dies(seed: int, tmp_path: Path) -> None:
    dice = random.Random(seed)
    world = World(tmp_path / "homeport.db", dice)
    for life in range(LIVES):
        world.to_do |= new_calls(dice, life)
        world.live(commits=dice.randrange(1, 20), keep=dice.random() < 0.5)
    assert world.deaths, "every life was too long"
    world.live(then=lambda life: check(world, life))


def check(world: World, life: Life) -> None:
    """Everything that is there against everything that callers were told."""
    assert world.to_do == {}
    tasks = life.tasks()
    check_tokens(world, tasks)
    check_room(life.ecs, tasks)
    check_machines(world, tasks)
    check_interfaces(world, life.ec2, tasks)


def check_tokens(world: World, tasks: dict[str, Any]) -> None:
    made: dict[str, set[str]] = {}
    for arn, task in tasks.items():
        made.setdefault(task["startedBy"], set()).add(arn)
    of_services = [token for token in made if token.startswith("ecs-svc/")]
    assert {token: set(arns) for token, arns in world.told.items() if arns} == {
        token: arns for token, arns in made.items() if token not in of_services
    }
    live_of_service = [
        t for t in tasks.values() if t["group"] == "service:web" and t["lastStatus"] != "STOPPED"
    ]
    assert len(live_of_service) == DESIRED
    for arn in world.stopped:
        assert tasks[arn]["lastStatus"] == "STOPPED"
        assert tasks[arn]["stopCode"] == "UserInitiated"


def check_room(ecs: Any, tasks: dict[str, Any]) -> None:
    """What instances say is left is what their live tasks leave, and never less than nothing."""
    instances = ecs.describe_container_instances(
        containerInstances=ecs.list_container_instances()["containerInstanceArns"]
    )["containerInstances"]
    assert len(instances) == 2, "agents came back as who they were"
    for instance in instances:
        here = [
            task
            for task in tasks.values()
            if task["containerInstanceArn"] == instance["containerInstanceArn"]
            and task["lastStatus"] != "STOPPED"
        ]
        cpu = {
            kind: next(r["integerValue"] for r in instance[kind] if r["name"] == "CPU")
            for kind in ("registeredResources", "remainingResources")
        }
        held = sum(int(container["cpu"]) for task in here for container in task["containers"])
        assert held == cpu["registeredResources"] - cpu["remainingResources"]
        assert cpu["remainingResources"] >= 0
        assert sum("/port:" in task["taskDefinitionArn"] for task in here) <= 1, "one host port, two tasks"


def check_machines(world: World, tasks: dict[str, Any]) -> None:
    starts: Counter[str] = Counter()
    running: set[str] = set()
    for node in world.nodes:
        for container in node.machine.containers.values():
            arn = container.spec.config["Labels"]["com.amazonaws.ecs.task-arn"]
            starts[arn] += container.starts
            if container.state.name == "RUNNING":
                running.add(arn)
        assert max(Counter(name for what, name in node.machine.history if what == "start").values()) == 1
    assert set(starts) <= set(tasks), "a container without a task"
    assert running == {arn for arn, task in tasks.items() if task["lastStatus"] == "RUNNING"}


def check_interfaces(world: World, ec2: Any, tasks: dict[str, Any]) -> None:
    """EC2 has the interfaces of the live tasks, and the machines have networks with their addresses."""
    held = {}
    for task in tasks.values():
        for attachment in task["attachments"]:
            details = {one["name"]: one["value"] for one in attachment["details"]}
            if task["lastStatus"] != "STOPPED":
                held[details["networkInterfaceId"]] = details["privateIPv4Address"]
    found = ec2.describe_network_interfaces(Filters=[{"Name": "requester-id", "Values": ["amazon-ecs"]}])
    assert {one["NetworkInterfaceId"]: one["PrivateIpAddress"] for one in found["NetworkInterfaces"]} == held
    there = []
    for node in world.nodes:
        assert node.sandboxes is not None
        assert node.sandboxes.violations == []
        there += [one.address for one in node.sandboxes.namespaces.values() if one.spec.interface]
    assert sorted(there) == sorted(held.values())
