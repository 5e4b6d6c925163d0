"""Placement, slow and obvious: the sequential rule in plain Python, and worlds to try it on."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

import numpy as np
from hypothesis import strategies as st

from homeport.services.ecs.plan.fleet import Fleet
from homeport.services.ecs.plan.placement_types import (
    AZ_ATTRIBUTE,
    Constraint,
    Demand,
    InstanceView,
    Reason,
    Strategy,
)
from homeport.services.ecs.plan.query import Facts, compile_query

EPOCH = datetime(2030, 1, 1, tzinfo=UTC)
GROUPS = ("service:web", "service:db", "family:job")
AZS = ("us-east-1a", "us-east-1b", "us-east-1c")


def instance(number: int, **members: object) -> InstanceView:
    """An instance of 4 vCPU and 8 GiB; `number` decides id and uid."""
    given = {"uid": f"{number:032x}", "cpu": 4096, "memory": 8192, "registered_at": EPOCH} | members
    return InstanceView(id=number, **given)


def fleet_of(*views: InstanceView) -> Fleet:
    fleet = Fleet()
    for view in views:
        fleet.upsert_instance(view)
    return fleet


@dataclass
class SlowTask:
    """A task on a machine."""

    id: int
    demand: Demand
    desired: str = "RUNNING"
    pending: bool = True


@dataclass
class Machine:
    """An instance and its tasks."""

    view: InstanceView
    tasks: list[SlowTask] = field(default_factory=list)

    @property
    def attributes(self) -> dict[str, str]:
        zone = {AZ_ATTRIBUTE: self.view.az} if self.view.az else {}
        return zone | {name: value or "" for name, value in self.view.attributes.items()}

    @property
    def counted(self) -> list[SlowTask]:
        return [task for task in self.tasks if task.desired == "RUNNING"]

    def count(self, group: str) -> int:
        return sum(task.demand.group == group for task in self.counted)

    def free(self, resource: str) -> int:
        totals = {
            "cpu": self.view.cpu,
            "memory": self.view.memory,
            "gpus": len(self.view.gpu_ids),
            "enis": 2**30 if self.view.enis is None else self.view.enis,
        }
        left = totals[resource] - sum(getattr(task.demand, resource) for task in self.tasks)
        return max(left, 0) if resource == "gpus" else left  # GPUs have names: none is held twice

    def ports(self, protocol: str) -> list[int]:
        own = list(getattr(self.view, protocol))
        return own + [port for task in self.tasks for port in getattr(task.demand, protocol)]

    def facts(self) -> Facts:
        return Facts(
            agent_connected=self.view.agent_connected,
            agent_version=self.view.agent_version,
            ec2_instance_id=self.view.ec2_instance_id,
            registered_at=self.view.registered_at,
            running_tasks_count=len(self.counted),
            attributes=self.attributes,
            task_groups=frozenset(task.demand.group for task in self.counted),
        )

    def failures(self, demand: Demand) -> Iterator[Reason]:
        """Every check that fails, in the order of checks."""
        if self.view.status != "ACTIVE":
            yield Reason.INACTIVE
        if not self.view.agent_connected:
            yield Reason.AGENT
        for wanted in demand.attributes:
            name, equals, value = wanted.partition("=")
            if name not in self.attributes or (equals and self.attributes[name] != value):
                yield Reason.ATTRIBUTE
                break
        members = [c.expression for c in demand.constraints if c.kind == "memberOf"]
        if not all(compile_query(text).matches(self.facts()) for text in members):
            yield Reason.MEMBER_OF
        distinct = any(c.kind == "distinctInstance" for c in demand.constraints)
        if distinct and self.count(demand.group):
            yield Reason.DISTINCT_INSTANCE
        if demand.azs is not None and self.attributes.get(AZ_ATTRIBUTE) not in demand.azs:
            yield Reason.LOCATION
        if set(demand.ports_tcp) & set(self.ports("ports_tcp")):
            yield Reason.PORTS
        if set(demand.ports_udp) & set(self.ports("ports_udp")):
            yield Reason.PORTS_UDP
        for reason, resource in (
            (Reason.CPU, "cpu"),
            (Reason.MEMORY, "memory"),
            (Reason.GPU, "gpus"),
            (Reason.ENI, "enis"),
        ):
            asked = getattr(demand, resource)
            if asked and self.free(resource) < asked:
                yield reason


@dataclass
class SlowFleet:
    """A cluster, place by place."""

    machines: dict[int, Machine] = field(default_factory=dict)

    def ordered(self) -> list[Machine]:
        return sorted(self.machines.values(), key=lambda machine: machine.view.uid)

    def add(self, task: SlowTask, instance_id: int) -> None:
        self.machines[instance_id].tasks.append(task)

    def place(self, demand: Demand, count: int, dice: int) -> list[int]:
        """The sequential rule: each task goes by itself, and is there for the next."""
        start = [m for m in self.ordered() if not any(m.failures(demand))]
        arrivals = _Arrivals(dice, [m.view.id for m in start])
        chosen = []
        for number in range(count):
            able = [m for m in start if not any(m.failures(demand))]
            if not able:
                break
            for strategy in demand.rules:
                keys = {m.view.id: self._key(m, strategy, demand, able, arrivals) for m in able}
                best = min(keys.values())
                able = [m for m in able if keys[m.view.id] == best]
            machine = able[0]
            machine.tasks.append(SlowTask(-1 - number, demand))
            arrivals.serve(machine.view.id)
            chosen.append(machine.view.id)
        return chosen

    def _key(
        self, machine: Machine, strategy: Strategy, demand: Demand, able: list[Machine], arrivals: _Arrivals
    ) -> object:
        if strategy.kind == "random":
            return arrivals.next(machine.view.id)
        if strategy.kind == "binpack":
            return machine.free(strategy.field)
        if not strategy.attribute:
            return machine.count(demand.group)
        value = machine.attributes.get(strategy.attribute)
        if value is None:
            return (1, 0)
        alike = [
            m
            for m in self.machines.values()
            if m.attributes.get(strategy.attribute) == value and m.view.status == "ACTIVE"
        ]
        return (0, sum(m.count(demand.group) for m in alike))


class _Arrivals:
    """Exponential times between a machine's tasks, one draw per machine and task, in the order of uids."""

    def __init__(self, dice: int, ids: list[int]) -> None:
        self._dice = np.random.default_rng(dice)
        self._ids = ids
        self._layers: list[list[float]] = []
        self._served = dict.fromkeys(ids, 0)
        self._at = dict.fromkeys(ids, 0.0)

    def next(self, machine: int) -> float:
        layer = self._served[machine]
        while len(self._layers) <= layer:
            drawn = self._dice.random(len(self._ids), dtype=np.float32).astype(np.float64)
            self._layers.append((-np.log1p(-drawn)).tolist())
        return self._at[machine] + self._layers[layer][self._ids.index(machine)]

    def serve(self, machine: int) -> None:
        self._at[machine] = self.next(machine) if self._layers else 0.0
        self._served[machine] += 1


# Worlds

STRATEGIES = (
    Strategy("spread", f"attribute:{AZ_ATTRIBUTE}"),
    Strategy("spread", "attribute:rack"),
    Strategy("spread", "attribute:stack"),
    Strategy("spread", "instanceId"),
    Strategy("binpack", "cpu"),
    Strategy("binpack", "memory"),
    Strategy("random"),
)

EXPRESSIONS = (
    "attribute:stack == prod",
    "attribute:rack != r1",
    "attribute:gpu exists or attribute:stack not_in [prod, test]",
    "not(task:group == service:db)",
    "task:group == family:job",
    "task:group != service:web",
    "runningTasksCount < 3",
    "runningTasksCount != 1 and agentConnected == true",
    "agentVersion >= 1.70.0 && ec2InstanceId =~ i-0.*",
    "registeredAt < 2030-01-02T12:00:00Z",
)


@st.composite
def instances(draw: st.DrawFn, number: int) -> InstanceView:
    attributes: dict[str, str | None] = {}
    if rack := draw(st.sampled_from(("", "r1", "r2", "r3"))):
        attributes["rack"] = rack
    if stack := draw(st.sampled_from(("", "prod", "test"))):
        attributes["stack"] = stack
    if draw(st.booleans()):
        attributes["gpu"] = None
    return InstanceView(
        id=number,
        # Not in the order of ids, so that ties by uid and by row differ.
        uid=f"{number * 7919 % 97:032x}",
        cpu=draw(st.sampled_from((1024, 2048, 3000))),
        memory=draw(st.sampled_from((1000, 2048, 4096))),
        registered_at=EPOCH + timedelta(days=draw(st.integers(0, 3))),
        status=draw(st.sampled_from(("ACTIVE", "ACTIVE", "ACTIVE", "ACTIVE", "DRAINING"))),
        agent_connected=draw(st.integers(0, 6)) > 0,
        agent_version=draw(st.sampled_from(("1.9.0", "1.70.0", "1.88.1", ""))),
        ec2_instance_id=draw(st.sampled_from(("i-0a", "i-1b", ""))),
        az=draw(st.sampled_from((*AZS, ""))),
        ports_tcp=draw(st.sampled_from(((), (22, 51678)))),
        ports_udp=draw(st.sampled_from(((), (53,)))),
        gpu_ids=draw(st.sampled_from(((), (), ("gpu-0", "gpu-1")))),
        enis=draw(st.sampled_from((None, None, 1, 3))),
        attributes=attributes,
    )


@st.composite
def demands(draw: st.DrawFn) -> Demand:
    some = st.integers(0, 9)
    return Demand(
        cpu=draw(st.sampled_from((0, 1, 128, 256, 700))),
        memory=draw(st.sampled_from((0, 1, 128, 500, 1024))),
        ports_tcp=draw(st.sampled_from(((), (80,), (22, 80)))) if draw(some) == 0 else (),
        ports_udp=draw(st.sampled_from(((), (53,), (514, 515)))) if draw(some) == 0 else (),
        gpus=1 if draw(some) == 0 else 0,
        enis=1 if draw(some) < 2 else 0,
        attributes=draw(st.frozensets(st.sampled_from(("gpu", "stack=prod")), max_size=1))
        if draw(some) < 2
        else frozenset(),
        constraints=tuple(draw(st.lists(constraints(), max_size=2))) if draw(some) < 4 else (),
        strategy=tuple(draw(st.lists(st.sampled_from(STRATEGIES), max_size=3))),
        group=draw(st.sampled_from(GROUPS)),
        azs=draw(st.frozensets(st.sampled_from(AZS), min_size=1)) if draw(some) == 0 else None,
    )


def constraints() -> st.SearchStrategy[Constraint]:
    member_of = st.sampled_from(EXPRESSIONS).map(lambda text: Constraint("memberOf", text))
    return st.one_of(st.just(Constraint("distinctInstance")), member_of)


@dataclass
class World:
    """The same cluster, fast and slow."""

    fleet: Fleet
    slow: SlowFleet


@st.composite
def worlds(draw: st.DrawFn, most: int = 8) -> World:
    """Instances with some tasks on them, registered in any order, some gone again."""
    world = World(Fleet(), SlowFleet())
    numbers = draw(st.permutations(range(1, draw(st.integers(1, most)) + 1)))
    for number in numbers:
        view = draw(instances(number))
        world.fleet.upsert_instance(view)
        world.slow.machines[number] = Machine(view)
    held = draw(st.lists(st.tuples(demands(), st.sampled_from(numbers), st.integers(0, 4)), max_size=12))
    for task_id, (demand, number, fate) in enumerate(held, start=100):
        desired = "STOPPED" if fate == 0 else "RUNNING"
        world.fleet.assign(task_id, number, demand, desired_status=desired)
        world.slow.add(SlowTask(task_id, demand, desired), number)
    if len(numbers) > 2 and draw(st.booleans()):
        world.fleet.remove_instance(numbers[0])
        del world.slow.machines[numbers[0]]
    return world
