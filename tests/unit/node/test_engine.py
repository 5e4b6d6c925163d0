"""Tasks on a node, from payload to cleanup, in virtual time."""

from __future__ import annotations

import asyncio
from collections import Counter

import pytest

from homeport.agentproto.messages import (
    ContainerDependency,
    DockerVolume,
    HostVolume,
    MountPoint,
    PortMapping,
    RestartPolicy,
    Task,
    Volume,
)
from homeport.node.ports import RunState, VolumeSpec
from tests.kit.node import container, task, without
from tests.unit.node.conftest import World

pytestmark = pytest.mark.looptime


def after(name: str, condition: str) -> tuple[ContainerDependency, ...]:
    return (ContainerDependency(container_name=name, condition=condition),)


def now() -> float:
    return asyncio.get_running_loop().time()


async def test_a_task_runs_and_says_so_at_once(world: World) -> None:
    async with world.node():
        began = now()
        record = world.plane.run_task(task("a"))
        report = await world.plane.until(record.task.arn, "RUNNING")
        assert now() == began  # no timer between the payload and the report
        (entry,) = report["containers"]
        assert (entry["containerName"], entry["status"]) == ("app", "RUNNING")
        assert entry["runtimeId"] == next(iter(world.machine.containers.values())).id
        assert entry["imageDigest"] == "sha256:digest-app:1"
        assert "exitCode" not in entry
        assert "pullStartedAt" not in report  # nothing was pulled


async def test_an_essential_exit_stops_the_task_with_its_exit_code(world: World) -> None:
    async with world.node():
        wanted = task("a", container("app", "run", "5", "3"), container("side"))
        world.plane.run_task(wanted)
        report = await world.plane.until(wanted.arn, "STOPPED")
        codes = {c["containerName"]: c["exitCode"] for c in report["containers"]}
        assert codes == {"app": 3, "side": 0}
        assert report["reason"] == ""
        assert report["executionStoppedAt"] == pytest.approx(world.clock.now().timestamp(), abs=0.1)


async def test_a_non_essential_exit_is_reported_while_the_task_runs_on(world: World) -> None:
    async with world.node():
        wanted = task("a", container("app"), container("job", "run", "5", "0", essential=False))
        record = world.plane.run_task(wanted)
        await world.plane.until(wanted.arn, "RUNNING")
        await asyncio.sleep(10)
        last = record.reports[-1]
        assert last["status"] == "RUNNING"
        assert [c["status"] for c in last["containers"]] == ["RUNNING", "STOPPED"]
        assert len(record.reports) == 2


async def test_a_stopped_task_stops_in_reverse_order_of_its_dependencies(world: World) -> None:
    async with world.node():
        wanted = task(
            "a",
            container("web", depends_on=after("api", "START")),
            container("api", depends_on=after("db", "START")),
            container("db"),
        )
        world.plane.run_task(wanted)
        await world.plane.until(wanted.arn, "RUNNING")
        world.plane.stop_task(wanted.arn)
        await world.plane.until(wanted.arn, "STOPPED")
    assert world.events("start") == [("start", "db"), ("start", "api"), ("start", "web")]
    assert world.events("die") == [("die", "web"), ("die", "api"), ("die", "db")]


async def test_healthy_is_waited_for(world: World) -> None:
    async with world.node():
        wanted = task(
            "a",
            container("db", health=("after", "12")),
            container("app", depends_on=after("db", "HEALTHY")),
        )
        began = now()
        world.plane.run_task(wanted)
        await world.plane.until(wanted.arn, "RUNNING")
        assert now() - began == pytest.approx(12, abs=0.1)
        assert world.plane.healths()[-1] == "HEALTHY"


async def test_a_failed_dependency_gives_143_and_stops_the_task(world: World) -> None:
    async with world.node():
        wanted = task(
            "a",
            container("migrate", "exit", "2", essential=False),
            container("app", depends_on=after("migrate", "SUCCESS")),
        )
        world.plane.run_task(wanted)
        report = await world.plane.until(wanted.arn, "STOPPED")
        codes = {c["containerName"]: c.get("exitCode") for c in report["containers"]}
        assert codes == {"migrate": 2, "app": 143}
    assert ("start", "app") not in world.events("start")


async def test_start_timeout_belongs_to_the_dependency(world: World) -> None:
    async with world.node():
        wanted = task(
            "a",
            container("db", health=("never",), start_timeout=30, essential=False),
            container("app", depends_on=after("db", "HEALTHY")),
        )
        began = now()
        world.plane.run_task(wanted)
        report = await world.plane.until(wanted.arn, "STOPPED")
        assert now() - began == pytest.approx(30, abs=0.1)
        assert {c["containerName"]: c["exitCode"] for c in report["containers"]} == {"db": 0, "app": 143}


async def test_a_deaf_container_is_killed_after_its_stop_timeout(world: World) -> None:
    async with world.node():
        wanted = task("a", container("app", "deaf", stop_timeout=7))
        world.plane.run_task(wanted)
        await world.plane.until(wanted.arn, "RUNNING")
        began = now()
        world.plane.stop_task(wanted.arn)
        report = await world.plane.until(wanted.arn, "STOPPED")
        assert now() - began == pytest.approx(7, abs=0.1)
        assert report["containers"][0]["exitCode"] == 137


async def test_a_restart_policy_restarts_in_place_and_only_after_its_period(world: World) -> None:
    policy = RestartPolicy(enabled=True, restart_attempt_period=60)
    async with world.node() as agent:
        wanted = task("a", container("app", "run", "100", "1", restart_policy=policy))
        record = world.plane.run_task(wanted)
        await world.plane.until(wanted.arn, "RUNNING")
        await asyncio.sleep(250)
        assert world.events("start") == [("start", "app")] * 3
        assert {r["status"] for r in record.reports} == {"RUNNING"}
        (owner,) = agent.engine.tasks
        assert owner.state.containers["app"].restarts == 2
        (running,) = world.machine.containers.values()
        running.started_at = world.clock.now()
        world.machine.end(running, 9)  # it ran less than its period: this is the end
        report = await world.plane.until(wanted.arn, "STOPPED")
        assert report["containers"][0]["exitCode"] == 9


async def test_an_ignored_exit_code_is_not_restarted(world: World) -> None:
    policy = RestartPolicy(enabled=True, restart_attempt_period=60, ignored_exit_codes=(0,))
    async with world.node():
        wanted = task("a", container("app", "run", "100", "0", restart_policy=policy))
        world.plane.run_task(wanted)
        await world.plane.until(wanted.arn, "STOPPED")
    assert world.events("start") == [("start", "app")]


async def test_a_missing_image_is_pulled_and_timed(world: World) -> None:
    world.machine.registry["big:1"] = 25.0
    async with world.node():
        wanted = task("a", container("app", image="big:1"), container("too", image="big:1"))
        record = world.plane.run_task(wanted)
        report = await world.plane.until(wanted.arn, "RUNNING")
        assert report["pullStoppedAt"] - report["pullStartedAt"] == pytest.approx(25)
        assert record.reports[0]["status"] == "PENDING"  # it is pulling, and that is said meanwhile
    assert world.machine.pulls == 1  # both containers shared one pull


async def test_an_image_that_does_not_exist_is_reported_at_once(world: World) -> None:
    async with world.node():
        wanted = task("a", container("app", image="nothing:1"))
        began = now()
        world.plane.run_task(wanted)
        report = await world.plane.until(wanted.arn, "STOPPED")
        assert now() == began
        (entry,) = report["containers"]
        assert entry["reason"].startswith("CannotPullContainerError: ")
        assert "exitCode" not in entry


async def test_stopping_a_task_cancels_its_pull(world: World) -> None:
    world.machine.registry["big:1"] = 3600.0
    async with world.node():
        wanted = task("a", container("app", image="big:1"))
        world.plane.run_task(wanted)
        await asyncio.sleep(5)
        began = now()
        world.plane.stop_task(wanted.arn)
        await world.plane.until(wanted.arn, "STOPPED")
        assert now() == began


async def test_a_program_that_is_not_there_fails_the_start(world: World) -> None:
    async with world.node():
        wanted = task("a", container("app", "missing"), container("side"))
        world.plane.run_task(wanted)
        report = await world.plane.until(wanted.arn, "STOPPED")
        assert report["containers"][0]["reason"].startswith("CannotStartContainerError: ")


async def test_a_container_killed_for_memory_says_so(world: World) -> None:
    async with world.node():
        wanted = task("a")
        world.plane.run_task(wanted)
        await world.plane.until(wanted.arn, "RUNNING")
        world.machine.end(next(iter(world.machine.containers.values())), 137, oom=True)
        report = await world.plane.until(wanted.arn, "STOPPED")
        (entry,) = report["containers"]
        assert entry["exitCode"] == 137
        assert entry["reason"] == "OutOfMemoryError: Container killed due to memory usage"


async def test_a_container_that_vanishes_is_noticed(world: World) -> None:
    async with world.node():
        wanted = task("a")
        world.plane.run_task(wanted)
        await world.plane.until(wanted.arn, "RUNNING")
        world.machine.vanish(next(iter(world.machine.containers)))
        report = await world.plane.until(wanted.arn, "STOPPED")
        assert report["containers"][0]["reason"].startswith("ContainerVanishedError")


async def test_an_exit_whose_event_was_lost_is_found_by_the_slow_inspection(world: World) -> None:
    async with world.node():
        wanted = task("a")
        world.plane.run_task(wanted)
        await world.plane.until(wanted.arn, "RUNNING")
        world.machine.event_loss = 1.0
        world.machine.end(next(iter(world.machine.containers.values())), 4)
        began = now()
        await world.plane.until(wanted.arn, "STOPPED")
        assert 0 < now() - began <= 330


async def test_a_malformed_task_is_reported_stopped_and_the_message_acknowledged(world: World) -> None:
    async with world.node():
        bad = without(task("bad"), network_mode="awsvpc")
        good = task("good")
        bad_record = world.plane.run_task(bad)
        world.plane.run_task(good)
        report = await world.plane.until(bad.arn, "STOPPED")
        assert "network mode awsvpc" in report["reason"]
        await world.plane.until(good.arn, "RUNNING")
        await asyncio.sleep(1)
        assert bad_record.delivered


async def test_a_stop_of_an_unknown_task_is_reported_stopped(world: World) -> None:
    async with world.node():
        wanted = task("never-seen")
        world.plane.tasks[wanted.arn] = record = world.plane.run_task(wanted)
        await world.plane.until(wanted.arn, "RUNNING")
        ghost = Task(arn=wanted.arn.replace("never-seen", "ghost"), desired_status="STOPPED")
        world.plane.tasks[ghost.arn] = type(record)(task=ghost, desired="STOPPED")
        world.plane.send(ghost)
        report = await world.plane.until(ghost.arn, "STOPPED")
        assert report["reason"].startswith("TaskStateError")


async def test_a_repeated_payload_changes_nothing(world: World) -> None:
    async with world.node():
        wanted = task("a", container("app", "run", "3", "0"))
        record = world.plane.run_task(wanted)
        world.plane.send(wanted)
        await world.plane.until(wanted.arn, "STOPPED")
        world.plane.send(wanted)
        await asyncio.sleep(1000)  # cleaned up long ago
        world.plane.send(wanted)
        await asyncio.sleep(10)
        assert len({str(report) for report in record.final}) == 1
    assert world.events("start") == [("start", "app")]


async def test_what_a_task_left_behind_is_removed_after_the_wait(world: World) -> None:
    async with world.node(cleanup_wait_seconds=60) as agent:
        wanted = task(
            "a",
            container(
                "app", "run", "3", "0", mount_points=(MountPoint(source_volume="v", container_path="/v"),)
            ),
            volumes=(Volume(name="v", host=HostVolume()),),
        )
        world.plane.run_task(wanted)
        await world.plane.until(wanted.arn, "STOPPED")
        await asyncio.sleep(50)
        assert len(world.machine.containers) == len(world.machine.volumes) == len(world.machine.cgroups) == 1
        await asyncio.sleep(20)
        assert not world.machine.containers
        assert not world.machine.volumes
        assert not world.machine.cgroups
        assert agent.engine.tasks == ()


async def test_a_task_that_does_not_fit_waits_and_holds_nobody_up(world: World) -> None:
    async with world.node(cpu_units=1024):
        big, huge, small = (
            task("big", container(cpu=800)),
            task("huge", container(cpu=1000)),
            task("small", container(cpu=100)),
        )
        for wanted in (big, huge, small):
            world.plane.run_task(wanted)
        await world.plane.until(small.arn, "RUNNING")
        assert world.plane.tasks[huge.arn].reports == []
        world.plane.stop_task(small.arn)
        await world.plane.until(small.arn, "STOPPED")
        assert world.plane.tasks[huge.arn].reports == []
        world.plane.stop_task(big.arn)
        await world.plane.until(huge.arn, "RUNNING")


async def test_a_task_that_never_fits_is_refused_with_numbers(world: World) -> None:
    async with world.node(cpu_units=1024):
        wanted = task("big", container(cpu=2000))
        world.plane.run_task(wanted)
        report = await world.plane.until(wanted.arn, "STOPPED")
        assert "2000" in report["reason"]
        assert "1024" in report["reason"]


async def test_dynamic_host_ports_come_from_the_range_and_are_reported(world: World) -> None:
    async with world.node(dynamic_ports=(50000, 50002), host_ip="127.0.0.9"):
        ports = (PortMapping(container_port=80, host_port=0), PortMapping(container_port_range="90-91"))
        wanted = task("a", container(port_mappings=ports))
        world.plane.run_task(wanted)
        report = await world.plane.until(wanted.arn, "RUNNING")
        assert report["containers"][0]["networkBindings"] == [
            {
                "bindIP": "127.0.0.9",
                "containerPortRange": "90-91",
                "hostPortRange": "50001-50002",
                "protocol": "tcp",
            },
            {"bindIP": "127.0.0.9", "containerPort": 80, "hostPort": 50000, "protocol": "tcp"},
        ]
        second = task("b", container(port_mappings=ports[:1]))
        world.plane.run_task(second)
        refused = await world.plane.until(second.arn, "STOPPED")
        assert "50000" in refused["containers"][0]["reason"]


async def test_starts_are_capped_over_all_tasks(world: World) -> None:
    world.machine.latency = lambda: 0.05
    world.machine.slow = {"start": 1.0}
    async with world.node(starts=3):
        wanted = [task(f"t{i}") for i in range(20)]
        for each in wanted:
            world.plane.run_task(each)
        for each in wanted:
            await world.plane.until(each.arn, "RUNNING")
    assert world.machine.starting_max == 3


async def test_what_exists_starts_before_more_is_made(world: World) -> None:
    world.machine.slow = {"create": 0.1, "start": 1.0}
    async with world.node(starts=4):
        wanted = [task(f"t{i}") for i in range(20)]
        for each in wanted:
            world.plane.run_task(each)
        for each in wanted:
            await world.plane.until(each.arn, "RUNNING")
    waiting = longest = 0
    for kind, _ in world.machine.history:
        waiting += {"create": 1, "start": -1}.get(kind, 0)
        longest = max(longest, waiting)
    assert longest <= 4 + 2, "as many as may start, and the two that are made meanwhile"


async def test_an_engine_outage_is_waited_out(world: World) -> None:
    async with world.node():
        wanted = task("a", container("app", "run", "30", "5"))
        record = world.plane.run_task(wanted)
        await world.plane.until(wanted.arn, "RUNNING")
        world.machine.go_down()
        await asyncio.sleep(60)
        assert [r["status"] for r in record.reports] == ["RUNNING"]  # nothing is made up meanwhile
        world.machine.come_up()
        report = await world.plane.until(wanted.arn, "STOPPED")
        assert report["containers"][0]["exitCode"] == 5


async def test_shared_namespaces_get_a_holder_that_nobody_reports(world: World) -> None:
    world.machine.add_image("pause:1")
    async with world.node(pause_image="pause:1"):
        wanted = task("a", container("app"), pid_mode="task")
        world.plane.run_task(wanted)
        report = await world.plane.until(wanted.arn, "RUNNING")
        assert [c["containerName"] for c in report["containers"]] == ["app"]
        assert len([c for c in world.machine.containers.values() if c.state is RunState.RUNNING]) == 2
        world.plane.stop_task(wanted.arn)
        await world.plane.until(wanted.arn, "STOPPED")
        assert not [c for c in world.machine.containers.values() if c.state is RunState.RUNNING]


async def test_a_container_costs_three_calls_on_its_way_to_running(world: World) -> None:
    """Create, start, look; image and limits are seen to beside it. Its start event may bring another look."""
    async with world.node():
        world.plane.run_task(task("first"))
        await world.plane.until(task("first").arn, "RUNNING")
        before = Counter(world.machine.asked)
        world.plane.run_task(task("second"))
        await world.plane.until(task("second").arn, "RUNNING")
        spent = Counter(world.machine.asked) - before
        assert spent.pop("status") <= 2
        assert spent == Counter({"images.inspect": 1, "cgroups.create": 1, "create": 1, "start": 1})


async def test_a_tasks_own_volume_says_whose_it_is(world: World) -> None:
    async with world.node(labels={"homeport.installation": "here"}):
        wanted = task("a", volumes=(Volume(name="v", host=HostVolume()),))
        world.plane.run_task(wanted)
        await world.plane.until(wanted.arn, "RUNNING")
        (made,) = world.machine.volumes.values()
        assert made.labels["homeport.installation"] == "here"


@pytest.mark.parametrize(
    ("existing", "autoprovision", "why"),
    [
        (None, True, ""),
        ({"of": "me"}, True, ""),
        ({"of": "you"}, True, "the volume shared exists with another labels"),
        (None, False, "the shared volume shared does not exist"),
        ({"of": "you"}, False, ""),
    ],
)
async def test_a_shared_volume_is_made_taken_or_refused(
    world: World, existing: dict[str, str] | None, autoprovision: bool, why: str
) -> None:
    """Source: ECS developer guide, "Use Docker volumes with Amazon ECS", autoprovision."""
    if existing is not None:
        world.machine.volumes["shared"] = VolumeSpec(name="shared", labels=existing)
    configuration = DockerVolume(
        scope="shared", autoprovision=autoprovision, driver="local", labels={"of": "me"}
    )
    async with world.node():
        wanted = task(
            "a", volumes=(Volume(name="shared", type="docker", docker_volume_configuration=configuration),)
        )
        world.plane.run_task(wanted)
        report = await world.plane.until(wanted.arn, "STOPPED" if why else "RUNNING")
        assert why in report["reason"]
        assert world.machine.volumes.get("shared") == (
            VolumeSpec(name="shared", labels=existing or {"of": "me"}) if existing or not why else None
        )
