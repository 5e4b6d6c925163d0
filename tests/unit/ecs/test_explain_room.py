"""What keeps container instances from taking a task, each with its numbers."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.kit.rollout import NOW, task

from homeport.services.ecs.model import Attribute, ContainerInstance, Task
from homeport.services.ecs.model import Demand as Held
from homeport.services.ecs.plan.explain_room import Around, exclusions, instance_verdicts
from homeport.services.ecs.plan.fleet import Fleet
from homeport.services.ecs.plan.placement import place
from homeport.services.ecs.plan.placement_types import Constraint, Demand
from homeport.services.ecs.plan.placing import hold, instance_state


def instance(number: int, **members: Any) -> ContainerInstance:
    given: dict[str, Any] = {"agent_connected": True, "cpu": 1024, "memory": 1000, **members}
    attributes = tuple(Attribute(name=k, value=v) for k, v in given.pop("attributes", {}).items())
    return ContainerInstance(
        id=number,
        cluster_id=1,
        cluster_name="default",
        account_id="000000000000",
        region="us-east-1",
        uid=f"{number:032x}",
        ec2_instance_id=f"i-{number}",
        registered_at=NOW,
        attributes=attributes,
        **given,
    )


def holder(number: int, on: int, **demand: Any) -> Task:
    held = task(number, instance_id=on, instance_uid=f"{on:032x}", demand=Held(**demand))
    return msgspec.structs.replace(held, group="service:db")


def seen(instances: list[ContainerInstance], *tasks: Task) -> tuple[Fleet, Around]:
    fleet = Fleet()
    for one in instances:
        fleet.upsert_instance(instance_state(one))
    for one in tasks:
        hold(fleet, one)
    return fleet, Around.of(instances, tasks)


EDGE = Constraint("memberOf", "attribute:role == edge")
SSD = Constraint("memberOf", "attribute:disk == ssd")
DISTINCT = Constraint("distinctInstance")


def test_each_expression_says_how_many_instances_it_excludes_and_why() -> None:
    fleet, around = seen(
        [
            instance(1, attributes={"role": "db", "disk": "ssd"}),
            instance(2, attributes={"disk": "hdd"}),
            instance(3, attributes={"role": "edge"}),
        ]
    )
    demand = Demand(memory=10, constraints=(EDGE, SSD), group="service:web")
    assert exclusions(fleet, demand, around) == (
        "memberOf (attribute:role == edge) excludes 2 of 3 container instances",
        "memberOf (attribute:disk == ssd) excludes 2 of 3 container instances",
    )
    told = {one.container_instance[-1]: one for one in instance_verdicts(fleet, demand, around)}
    assert told["1"].why == "attribute:role == edge does not hold: disk is ssd, role is db"
    assert told["2"].why.endswith("does not hold: disk is hdd, it has no role")
    assert (told["2"].asked, told["2"].free) == (2, 0)
    assert told["1"].remedy.startswith("Relax the memberOf expression")


@pytest.mark.parametrize(
    ("made", "tasks", "demand", "why", "told"),
    [
        (
            {"status": "DRAINING"},
            (),
            Demand(memory=1),
            "it is DRAINING",
            "1 of 1 container instances are DRAINING",
        ),
        (
            {"agent_connected": False},
            (),
            Demand(memory=1),
            "its agent is not connected",
            "the agents of 1 of 1 container instances are not connected",
        ),
        (
            {"attributes": {"os": "linux"}},
            (),
            Demand(attributes=frozenset({"gpu", "os=windows"})),
            "attribute gpu is missing; attribute os is linux, not windows",
            "attribute gpu is missing on 1 of 1 container instances",
        ),
        (
            {},
            (holder(7, 1, ports_tcp=(80,)),),
            Demand(ports_tcp=(80,)),
            f"port 80/tcp is held by task {task(7).uid} (service:db)",
            "port 80/tcp is taken on 1 of 1 container instances",
        ),
        (
            {"ports_udp": (53,)},
            (),
            Demand(ports_udp=(53,)),
            "port 53/udp is reserved there",
            "port 53/udp is taken on 1 of 1 container instances",
        ),
        (
            {},
            (holder(7, 1),),
            Demand(constraints=(DISTINCT,), group="service:db"),
            f"it has a task of service:db already: task {task(7).uid} (service:db)",
            "distinctInstance excludes 1 of 1 container instances: they have a task of service:db",
        ),
        (
            {"gpu_ids": ("g1", "g2", "g3")},
            (holder(7, 1, gpus=2),),
            Demand(gpus=2),
            "it has 1 GPUs free, 2 are asked; of its 3, 1 tasks hold 2",
            "1 of 1 container instances have less than the 2 GPUs asked; the most free is 1",
        ),
        (
            {},
            (holder(7, 1, memory=600),),
            Demand(memory=500),
            "it has 400 MiB free, 500 are asked; of its 1000, 1 tasks hold 600",
            "1 of 1 container instances have less than the 500 MiB asked; the most free is 400",
        ),
    ],
)
def test_what_is_in_the_way_is_told_with_its_numbers(
    made: dict[str, Any], tasks: tuple[Task, ...], demand: Demand, why: str, told: str
) -> None:
    fleet, around = seen([instance(1, **made)], *tasks)
    (verdict,) = instance_verdicts(fleet, demand, around)
    assert verdict.why == why
    assert told in exclusions(fleet, demand, around)


@given(
    memories=st.lists(st.integers(0, 600), min_size=1, max_size=6),
    statuses=st.lists(st.sampled_from(["ACTIVE", "DRAINING"]), min_size=6, max_size=6),
    asked=st.integers(1, 600),
)
def test_an_instance_is_excluded_by_something_exactly_when_placement_refuses_it(
    memories: list[int], statuses: list[str], asked: int
) -> None:
    fleet, around = seen(
        [instance(n, memory=memory, status=statuses[n - 1]) for n, memory in enumerate(memories, 1)]
    )
    demand = Demand(memory=asked, constraints=(DISTINCT,), group="service:web")
    placed = {f"{number:032x}" for number in place(fleet, demand, len(memories), dice=1).chosen}
    told = instance_verdicts(fleet, demand, around)
    assert {one.container_instance for one in told if one.fits} == placed
    assert all(one.why for one in told if not one.fits)
    assert bool(exclusions(fleet, demand, around)) == (len(placed) < len(memories))
