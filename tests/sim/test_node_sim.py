"""A node on bad days: random tasks, a machine and a control plane that fail, an agent that is killed.

Real engine, real sockets' code, real journal; virtual time, no threads. What must hold is recorded while
it runs and asserted outside. A failure prints its seed: run it alone with `SIM_SEEDS=<seed>-<seed>`.
"""

from __future__ import annotations

import asyncio
import os
import random
from collections import Counter
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import pytest

from homeport.agentproto.messages import (
    Container,
    ContainerDependency,
    HostVolume,
    MountPoint,
    PortMapping,
    RestartPolicy,
    Task,
    Volume,
)
from homeport.core.clock import LoopClock
from homeport.node.names import NETWORK_PAUSE, container_name, sandbox_part
from homeport.node.ports import Drivers, RunState
from homeport.node.state import VolatileDisk
from tests.kit.machine import FakeContainer
from tests.kit.node import FakeControlPlane, FakeMachine, container, make_agent, task
from tests.kit.sandboxes import FakeSandboxes, address_in, interface, with_sandboxes


def seeds() -> range:
    first, _, last = os.environ.get("SIM_SEEDS", "0-49").rpartition("-")
    return range(int(first or 0), int(last) + 1)


@dataclass
class World:
    seed: int
    clock: LoopClock
    dice: random.Random = field(init=False)
    machine: FakeMachine = field(init=False)
    plane: FakeControlPlane = field(init=False)
    disk: VolatileDisk = field(default_factory=VolatileDisk)
    wanted: dict[str, Task] = field(default_factory=dict)
    violations: list[str] = field(default_factory=list)
    rebooted: bool = False
    meddled: set[str] = field(default_factory=set)
    calm: bool = False
    with_networks: bool = False
    """Networks are sandboxes, so that tasks may be awsvpc, too."""
    sandboxes: FakeSandboxes = field(init=False)
    drivers: Drivers = field(init=False)
    interfaces: int = 0

    def __post_init__(self) -> None:
        self.dice = random.Random(self.seed)
        self.machine = FakeMachine(
            self.clock, images=("app:1", "pause:1"), latency=self._latency, dice=random.Random(self.seed + 1)
        )
        self.machine.registry = {"slow:1": 40.0, "quick:1": 1.0}
        self.machine.event_loss = 0.1
        self.machine.on_start = self._started
        sandboxed, self.sandboxes = with_sandboxes(self.machine)
        self.drivers = sandboxed if self.with_networks else self.machine.drivers
        self.plane = FakeControlPlane(self.clock, seed=self.seed)
        self.plane.frame_loss = 0.1
        self.plane.frame_repeat = 0.2
        self.plane.answer_loss = 0.1
        self.plane.on_final = self._over

    def _latency(self) -> float:
        return 0.0 if self.calm else self.dice.choice((0.0, 0.01, 0.1, 1.0))

    # ---- what is asked of it ----------------------------------------------------------------

    def some_task(self, index: int) -> Task:
        names = [f"c{i}" for i in range(self.dice.randint(1, 4))]
        containers = [self._some_container(name, names[:i]) for i, name in enumerate(names)]
        volumes = (Volume(name="v", host=HostVolume()),)
        if self.with_networks and self.dice.random() < 0.4:
            return self._with_interface(f"t{index}", containers, volumes)
        if self.dice.random() < 0.1:
            return task(f"t{index}", *containers, network_mode="awsvpc")
        return task(f"t{index}", *containers, volumes=volumes, pid_mode=self.dice.choice(("", "", "task")))

    def _with_interface(self, name: str, containers: list[Container], volumes: tuple[Volume, ...]) -> Task:
        """An awsvpc task. The control plane gives an address to others once it heard that a task stopped."""
        held = {
            address_in(self.wanted[arn])
            for arn, record in self.plane.tasks.items()
            if record.status != "STOPPED"
        }
        address = next(one for n in range(10, 50) if (one := f"10.99.0.{n}") not in held)
        self.interfaces += 1
        return task(
            name,
            *containers,
            volumes=volumes,
            network_mode="awsvpc",
            elastic_network_interfaces=(interface(address, self.interfaces),),
            pid_mode=self.dice.choice(("", "task")),
        )

    def _some_container(self, name: str, before: list[str]) -> Container:
        command = self.dice.choice(
            (
                ("stay",),
                ("deaf",),
                ("exit", "0"),
                ("exit", "3"),
                ("run", "20", "0"),
                ("run", "90", "1"),
                ("missing",),
            )
            if self.dice.random() < 0.5
            else (("stay",), ("run", "30", "0"))
        )
        members: dict[str, Any] = {}
        if before and self.dice.random() < 0.7:
            other = self.dice.choice(before)
            condition = self.dice.choice(("START", "COMPLETE", "SUCCESS", "HEALTHY"))
            members["depends_on"] = (ContainerDependency(container_name=other, condition=condition),)
        if self.dice.random() < 0.3:
            members["health"] = self.dice.choice((("after", "7"), ("never",)))
        if self.dice.random() < 0.2:
            members["restart_policy"] = RestartPolicy(enabled=True, restart_attempt_period=15)
        if self.dice.random() < 0.3:
            members["port_mappings"] = (
                PortMapping(container_port=80, host_port=self.dice.choice((0, 0, 0 if before else 8080))),
            )
        if self.dice.random() < 0.3:
            members["mount_points"] = (MountPoint(source_volume="v", container_path="/v"),)
        image = self.dice.choice(("app:1", "app:1", "app:1", "quick:1", "slow:1", "nothing:1"))
        return container(
            name,
            *command,
            essential=not before or self.dice.random() < 0.6,
            image=image,
            start_timeout=self.dice.choice((None, 10, 60)),
            stop_timeout=self.dice.choice((None, 2, 20)),
            **members,
        )

    # ---- what must hold ---------------------------------------------------------------------

    def _started(self, started: FakeContainer) -> None:
        labels = started.spec.config["Labels"]
        wanted = self.wanted[labels["com.amazonaws.ecs.task-arn"]]
        mine = next(
            (c for c in wanted.containers if c.name == labels["com.amazonaws.ecs.container-name"]), None
        )
        if mine is None:
            return
        if started.starts > 1 and mine.restart_policy is None:
            self.violations.append(f"{started.spec.name} was started {started.starts} times")
        for dependency in mine.depends_on:
            self._met(wanted, mine, dependency)

    def _over(self, ended: Task) -> None:
        """Whoever hears that a task is over gives its address and its ports to others."""
        names = {container_name(ended, sandbox_part(each.name)) for each in ended.containers}
        names.add(container_name(ended, NETWORK_PAUSE))
        if left := names & self.sandboxes.namespaces.keys():
            self.violations.append(f"{ended.arn} is over, and there still is {left}")

    def _met(self, wanted: Task, mine: Container, dependency: ContainerDependency) -> None:
        name = container_name(wanted, dependency.container_name)
        other = self.machine.containers.get(name)
        if name in self.meddled:
            return
        ended = other is not None and other.state is RunState.EXITED
        met = {
            "START": other is not None and other.starts > 0,
            "COMPLETE": ended,
            "SUCCESS": ended and other is not None and other.exit_code == 0,
            "HEALTHY": other is not None and other.health is not None and other.health.status == "HEALTHY",
        }[dependency.condition]
        if not met:
            self.violations.append(f"{mine.name} of {wanted.arn} started before {dependency}")

    def judge(self) -> list[str]:
        found = [*self.violations, *self.plane.violations, *self.sandboxes.violations]
        for arn, record in self.plane.tasks.items():
            finals = {repr(report) for report in record.final}
            if len(finals) != 1:
                found.append(f"{arn} has {len(finals)} final reports: {record.final}")
            elif record.final:
                found += self._lies(record.final[0])
        networks = set(self.sandboxes.made)
        made = Counter(n for kind, n in self.machine.history if kind == "create" and n not in networks)
        found += [f"{name} was made {count} times" for name, count in made.items() if count > 1]
        for what, left in (
            ("containers", self.machine.containers),
            ("volumes", self.machine.volumes),
            ("cgroups", self.machine.cgroups),
            ("networks", self.sandboxes.namespaces),
        ):
            if left:
                found.append(f"{what} are left: {sorted(left)}")
        if b'"task ' in self.disk.data and self._live_records():
            found.append(f"the journal still holds {self._live_records()}")
        return found

    def _lies(self, report: dict[str, Any]) -> list[str]:
        found = []
        wanted = self.wanted[report["task"]]
        for entry in report.get("containers", ()):
            name = container_name(wanted, entry["containerName"])
            exits = self.machine.exits.get(name, [])
            code = entry.get("exitCode")
            ran = ("start", name) in self.machine.history
            if entry["status"] != "STOPPED":
                found.append(f"{name} is {entry['status']} in a final report")
            if ran and name not in self.meddled and code != exits[-1]:
                found.append(f"{name} ended with {exits}, and {code} was reported ({entry})")
            if not ran and code not in (None, 143):
                found.append(f"{name} never ran and has exit code {code}")
        return found

    def _live_records(self) -> list[str]:
        from homeport.node.state import Journal

        return sorted(Journal(self.disk).saved.tasks)


async def live(world: World) -> None:
    """The agent's lives: it is killed now and then, and begun again from its journal."""
    while True:
        # What is appended survives the process: nothing that its last moments do counts.
        agent = make_agent(
            world.machine,
            world.plane,
            disk=world.disk,
            drivers=world.drivers,
            seed=world.dice.randrange(1 << 30),
            pause_image="pause:1",
            cleanup_wait_seconds=30,
            inspect_interval_seconds=60,
            cpu_units=256,
        )
        running = asyncio.ensure_future(agent.run())
        try:
            await asyncio.sleep(3600 * 24 if world.calm else world.dice.uniform(5, 200))
            snapshot = world.disk.data
        finally:
            running.cancel()
            await asyncio.gather(running, return_exceptions=True)
        world.disk = VolatileDisk()
        world.disk.data = snapshot
        await asyncio.sleep(world.dice.uniform(0, 20))


async def trouble(world: World) -> None:
    """One thing goes wrong after the other."""
    while True:
        await asyncio.sleep(world.dice.uniform(1, 60))
        match world.dice.choice(("engine", "plane", "crash", "vanish", "stop", "link", "sockets")):
            case "engine":
                world.machine.go_down()
                await asyncio.sleep(world.dice.uniform(0.5, 20))
                world.machine.come_up()
            case "plane":
                world.plane.go_down()
                await asyncio.sleep(world.dice.uniform(0.5, 60))
                world.plane.come_up()
            case "sockets":
                for wire in list(world.plane.wires):
                    wire.hang_up(None)
            case "crash" if running := _running(world):
                world.machine.end(
                    world.dice.choice(running),
                    world.dice.choice((1, 137, 139)),
                    oom=world.dice.random() < 0.3,
                )
            case "vanish" if world.dice.random() < 0.3 and (running := _running(world)):
                name = world.dice.choice(running).spec.name
                world.meddled.add(name)
                world.machine.vanish(name)
            case "link" if world.dice.random() < 0.3 and world.sandboxes.namespaces:
                world.sandboxes.break_link(world.dice.choice(sorted(world.sandboxes.namespaces)))
            case "stop" if world.plane.tasks:
                world.plane.stop_task(world.dice.choice(sorted(world.plane.tasks)))


def _running(world: World) -> list[FakeContainer]:
    return [c for _, c in sorted(world.machine.containers.items()) if c.state is RunState.RUNNING]


async def drama(world: World) -> None:
    async with asyncio.TaskGroup() as group:
        life = group.create_task(live(world))
        pulse = group.create_task(world.plane.run())
        bad_luck = group.create_task(trouble(world))
        for index in range(8):
            wanted = world.some_task(index)
            world.wanted[wanted.arn] = wanted
            world.plane.run_task(wanted)
            await asyncio.sleep(world.dice.uniform(0, 40))
        await asyncio.sleep(300)
        bad_luck.cancel()
        world.machine.come_up()
        world.plane.come_up()
        world.calm = True
        world.plane.frame_loss = world.plane.answer_loss = 0.0
        for arn in world.plane.tasks:
            world.plane.stop_task(arn)
        async with asyncio.timeout(3600):
            while any(record.status != "STOPPED" for record in world.plane.tasks.values()):  # noqa: ASYNC110 - time is virtual
                await asyncio.sleep(10)
        await asyncio.sleep(600)  # everything is cleaned up
        life.cancel()
        pulse.cancel()


@pytest.mark.looptime(noop_cycles=1)  # no I/O to wait for: time may pass at once
@pytest.mark.parametrize("seed", seeds())
async def test_a_node_survives_bad_luck(seed: int) -> None:
    world = World(seed, LoopClock(datetime(2030, 1, 1, tzinfo=UTC)))
    await drama(world)
    assert world.judge() == []


@pytest.mark.looptime(noop_cycles=1)
@pytest.mark.parametrize("seed", seeds())
async def test_a_node_with_networks_of_its_own_survives_bad_luck(seed: int) -> None:
    world = World(seed, LoopClock(datetime(2030, 1, 1, tzinfo=UTC)), with_networks=True)
    await drama(world)
    assert world.judge() == []
