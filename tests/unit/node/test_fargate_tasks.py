"""Tasks of Fargate on a node: what they are told and show, and what they may write. In virtual time.

Sources: developer guide, "Task metadata available for Amazon ECS tasks on Fargate", "Fargate task ephemeral
storage". That a task which wrote too much is stopped is ours: there, writing fails.
"""

from __future__ import annotations

import asyncio
import re
from typing import Any

import pytest

from homeport.agentproto.messages import HostVolume, MountPoint, Task, Volume
from homeport.node.fargate import EPHEMERAL_STORAGE, GIBIBYTE, fargate_id
from homeport.node.metadata import view
from tests.kit.node import container, task
from tests.kit.sandboxes import interface, with_sandboxes
from tests.unit.node.conftest import World

pytestmark = pytest.mark.looptime
CLUSTER = "arn:aws:ecs:us-east-1:000000000000:cluster/shop"


def fargate_task(name: str, *, gib: int = 20, **members: Any) -> Task:
    base: dict[str, Any] = {
        "launch_type": "FARGATE",
        "network_mode": "awsvpc",
        "elastic_network_interfaces": (interface("10.99.0.20"),),
        "cpu": 0.25,
        "memory": 512,
        "attachments": (
            {
                "attachmentType": EPHEMERAL_STORAGE,
                "attachmentProperties": [{"name": "sizeInGiB", "value": str(gib)}],
            },
        ),
        **members,
    }
    made = task(name, *base.pop("containers", ()), **base)
    return Task(**{**{f: getattr(made, f) for f in made.__struct_fields__}, "task_cluster_arn": CLUSTER})


async def until(world: World, wanted: Task, status: str) -> dict[str, Any]:
    async with asyncio.timeout(300):  # virtual: what never comes is no endless test
        return await world.plane.until(wanted.arn, status)


async def test_its_ids_are_fargates_everywhere(world: World) -> None:
    drivers, _ = with_sandboxes(world.machine)
    async with world.node(drivers=drivers, fargate=True, cluster=".fargate") as node:
        wanted = fargate_task("a")
        world.plane.run_task(wanted)
        report = await until(world, wanted, "RUNNING")
        own = fargate_id(wanted, "app")
        assert re.fullmatch(r"a-\d{10}", own)
        assert report["containers"][0]["runtimeId"] == own
        assert node.source is not None
        found = node.source.by_endpoint(own)
        assert found is not None
        shown = view.task_v4(found[0])
        assert (shown["Cluster"], shown["LaunchType"]) == (CLUSTER, "FARGATE")
        (inside,) = shown["Containers"]
        assert (inside["DockerId"], inside["DockerName"]) == (own, "app")
        assert inside["Labels"]["com.amazonaws.ecs.cluster"] == CLUSTER
        (name,) = world.names("app")
        env = world.machine.containers[name].spec.config["Env"]
        assert any(each.endswith(f"/v4/{own}") for each in env)


async def test_its_whole_size_is_a_limit_of_its_own(world: World) -> None:
    drivers, _ = with_sandboxes(world.machine)
    async with world.node(drivers=drivers, fargate=True):
        wanted = fargate_task("a")
        world.plane.run_task(wanted)
        await until(world, wanted, "RUNNING")
        (limits,) = world.machine.cgroups.values()
        assert (limits["cpus"], limits["memory_bytes"]) == (0.25, 512 << 20)


async def test_who_writes_more_than_there_is_has_to_go_and_is_told_the_numbers(world: World) -> None:
    drivers, _ = with_sandboxes(world.machine)
    async with world.node(drivers=drivers, fargate=True) as node:
        wanted = fargate_task("a", gib=21)
        world.plane.run_task(wanted)
        await until(world, wanted, "RUNNING")
        (name,) = world.names("app")
        world.machine.written[name] = 21 * GIBIBYTE
        await asyncio.sleep(30)
        assert world.plane.tasks[wanted.arn].status == "RUNNING"
        assert node.source is not None
        found = node.source.by_endpoint(fargate_id(wanted, "app"))
        assert found is not None
        metrics = view.task_v4(found[0])["EphemeralStorageMetrics"]
        assert metrics == {"Utilized": 21 * 1024, "Reserved": 21 * 1024}
        world.machine.written[name] += 1
        reason = (await until(world, wanted, "STOPPED"))["reason"]
        assert reason.startswith("EphemeralStorageExceededError: ")
        assert "21.0 GiB, and its ephemeral storage is 21 GiB" in reason


async def test_what_is_in_its_volumes_counts(world: World) -> None:
    drivers, _ = with_sandboxes(world.machine)
    async with world.node(drivers=drivers, fargate=True):
        wanted = fargate_task(
            "a",
            containers=(
                container(
                    "app", mount_points=(MountPoint(source_volume="scratch", container_path="/scratch"),)
                ),
            ),
            volumes=(Volume(name="scratch", type="host", host=HostVolume(source_path="")),),
        )
        world.plane.run_task(wanted)
        await until(world, wanted, "RUNNING")
        (volume,) = world.machine.volumes
        (name,) = world.names("app")
        world.machine.written = {volume: 15 * GIBIBYTE, name: 6 * GIBIBYTE}
        assert "21.0 GiB" in (await until(world, wanted, "STOPPED"))["reason"]


async def test_nobody_watches_what_ordinary_tasks_write(world: World) -> None:
    async with world.node():
        wanted = task("a")
        world.plane.run_task(wanted)
        await until(world, wanted, "RUNNING")
        (name,) = world.names("app")
        world.machine.written[name] = 1000 * GIBIBYTE
        await asyncio.sleep(3600)
        assert world.plane.tasks[wanted.arn].status == "RUNNING"


async def test_an_engine_that_is_away_stops_nobody(world: World) -> None:
    drivers, _ = with_sandboxes(world.machine)
    async with world.node(drivers=drivers, fargate=True):
        wanted = fargate_task("a")
        world.plane.run_task(wanted)
        await until(world, wanted, "RUNNING")
        (name,) = world.names("app")
        world.machine.go_down()
        world.machine.written[name] = 30 * GIBIBYTE
        await asyncio.sleep(120)
        assert world.plane.tasks[wanted.arn].status == "RUNNING"
        world.machine.come_up()
        assert "30.0 GiB" in (await until(world, wanted, "STOPPED"))["reason"]


async def test_a_task_that_never_ran_is_not_said_to_run_while_its_network_goes(world: World) -> None:
    drivers, _ = with_sandboxes(world.machine)
    world.machine.slow = {"sandboxes.remove": 5.0}
    async with world.node(drivers=drivers, fargate=True):
        wanted = fargate_task("a", containers=(container("app", "missing"),))
        record = world.plane.run_task(wanted)
        await until(world, wanted, "STOPPED")
        assert [report["status"] for report in record.reports if report["status"] == "RUNNING"] == []
