"""Placements per second on 10,000 instances: a group of identical tasks, and tasks one by one.

Run as `python -m bench.placement [--json]`. Times are the best of several rounds, since the
machine may be busy with other things; each round decides on a fleet of its own.
"""

from __future__ import annotations

import sys
import time
import tracemalloc
from collections.abc import Callable
from datetime import UTC, datetime

from bench.kit import Figure, arguments, tell
from homeport.services.ecs.plan.fleet import Fleet
from homeport.services.ecs.plan.placement import place
from homeport.services.ecs.plan.placement_types import (
    AZ_ATTRIBUTE,
    SERVICE_DEFAULT,
    STANDALONE_DEFAULT,
    Constraint,
    Demand,
    InstanceView,
    Strategy,
)

INSTANCES = 10_000
GROUP = 10_000
ONE_BY_ONE = 500
ZONES = ("us-east-1a", "us-east-1b", "us-east-1c")
SPREAD_AZ = Strategy("spread", f"attribute:{AZ_ATTRIBUTE}")
BINPACK = Strategy("binpack", "memory")
CAPABILITIES = tuple(f"com.amazonaws.ecs.capability.docker-remote-api.1.{n}" for n in range(17, 45))


def fleet_of(instances: int) -> Fleet:
    fleet = Fleet()
    for number in range(1, instances + 1):
        fleet.upsert_instance(
            InstanceView(
                id=number,
                uid=f"{number * 2654435761 % 2**128:032x}",
                cpu=16384,
                memory=32768 + number % 5 * 1024,
                registered_at=datetime(2030, 1, 1, tzinfo=UTC),
                agent_version="1.88.0",
                ec2_instance_id=f"i-{number:017x}",
                az=ZONES[number % 3],
                ports_tcp=(22, 2375, 2376, 51678, 51679),
                attributes={
                    **dict.fromkeys(CAPABILITIES),
                    "ecs.instance-type": ("m7i.4xlarge", "c7i.4xlarge")[number % 2],
                    "stack": ("prod", "test")[number % 7 == 0],
                },
            )
        )
    return fleet


def group_round(strategy: tuple[Strategy, ...]) -> Callable[[], float]:
    fleet = fleet_of(INSTANCES)
    demand = Demand(cpu=256, memory=512, strategy=strategy, group="service:web")

    def once() -> float:
        start = time.perf_counter()
        placement = place(fleet, demand, GROUP, dice=1)
        elapsed = time.perf_counter() - start
        assert len(placement.chosen) == GROUP
        return GROUP / elapsed

    return once


def assign_round() -> Callable[[], float]:
    def once() -> float:
        fleet = fleet_of(INSTANCES)
        demand = Demand(cpu=256, memory=512, strategy=(SPREAD_AZ, BINPACK), group="service:web")
        place(fleet, demand, GROUP, dice=1)
        start = time.perf_counter()
        placement = place(fleet, demand, GROUP, dice=1)
        fleet.assign_many(range(1, GROUP + 1), placement.chosen, demand)
        return GROUP / (time.perf_counter() - start)

    return once


def single_round(strategy: tuple[Strategy, ...], *, constrained: bool) -> Callable[[], float]:
    fleet = fleet_of(INSTANCES)
    first = [1]
    constraints = (
        Constraint("memberOf", "attribute:ecs.instance-type =~ m7i.* and attribute:stack != test"),
    )

    def once() -> float:
        first[0] += ONE_BY_ONE
        asked = [
            Demand(
                cpu=64 + n % 64,
                memory=128 + n % 100,
                strategy=strategy,
                group=f"family:job-{n % 500}",
                attributes=frozenset(CAPABILITIES[n % 3 : n % 3 + 8]) if constrained else frozenset(),
                constraints=constraints if constrained else (),
            )
            for n in range(ONE_BY_ONE)
        ]
        start = time.perf_counter()
        for task_id, demand in enumerate(asked, first[0]):
            placement = place(fleet, demand, 1, dice=task_id)
            fleet.assign(task_id, placement.chosen[0], demand)
        return ONE_BY_ONE / (time.perf_counter() - start)

    return once


def memory_mib() -> float:
    """Of a fleet of 10,000 instances and 100,000 tasks."""
    tracemalloc.start()
    fleet = fleet_of(INSTANCES)
    for service in range(100):
        demand = Demand(cpu=64, memory=128, strategy=(SPREAD_AZ,), group=f"service:s{service}")
        placement = place(fleet, demand, 1000, dice=1)
        fleet.assign_many(range(service * 1000, service * 1000 + 1000), placement.chosen, demand)
    mib = tracemalloc.get_traced_memory()[0] / 2**20
    tracemalloc.stop()
    return mib


def best(once: Callable[[], float], rounds: int) -> float:
    return max(once() for _ in range(rounds))


def measure() -> list[Figure]:
    spread_binpack = (SPREAD_AZ, BINPACK)
    rates = [
        ("10,000 identical tasks, spread(AZ)+binpack", group_round(spread_binpack), 20, "1,000,000"),
        ("10,000 identical tasks, default of services", group_round(SERVICE_DEFAULT), 20, ""),
        ("10,000 identical tasks, default of RunTask", group_round(STANDALONE_DEFAULT), 10, ""),
        ("10,000 identical tasks, random", group_round((Strategy("random"),)), 10, ""),
        ("10,000 identical tasks, placed and assigned", assign_round(), 5, ""),
        (
            "distinct tasks with memberOf and attributes, each placed and assigned",
            single_round(spread_binpack, constrained=True),
            30,
            "20,000",
        ),
        ("the same, default of services", single_round(SERVICE_DEFAULT, constrained=True), 30, ""),
        ("the same, default of RunTask", single_round(STANDALONE_DEFAULT, constrained=True), 30, ""),
    ]
    figures = [
        Figure(name=name, ours=best(once, rounds), unit="placements/s", target=target)
        for name, once, rounds, target in rates
    ]
    return [*figures, Figure(name="10,000 instances and 100,000 tasks", ours=memory_mib(), unit="MiB")]


def main() -> int:
    options = arguments("Placements per second on 10,000 instances.")
    tell(measure(), as_json=options.json)
    return 0


if __name__ == "__main__":
    sys.exit(main())
