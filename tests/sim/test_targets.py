"""Whole rollouts behind a load balancer, on virtual time with the real control plane.

Sources: developer guide, "Service event messages", "Amazon ECS task lifecycle", "LoadBalancer".
"""

from __future__ import annotations

import asyncio
import dataclasses
from typing import Any

import pytest

from homeport.agentproto.messages import Frame, PayloadMessage, TaskManifestMessage
from homeport.core.errors import AwsError
from homeport.services.ecs.control.explainer import Explainer
from homeport.services.ecs.ports import TARGETS_CHANGED, AgentHello, TargetGroup
from homeport.services.ecs.repo.targets import TargetRepo
from tests.kit.balancer import DRAINS, UNHEALTHY
from tests.kit.sim_targets import DRAIN_SECONDS, TargetWorld, quiet_world

pytestmark = pytest.mark.looptime(noop_cycles=1)
STEADY = "has reached a steady state"


async def steady_service(world: TargetWorld, count: int = 2, **members: Any) -> str:
    """A service of so many tasks behind the first group; the group's ARN."""
    await world.call(
        "CreateService",
        serviceName="web",
        taskDefinition="good",
        desiredCount=count,
        **{"loadBalancers": world.wanted([0]), **members},
    )
    await world.until_serving(world.arns[0], count)
    await world.until_told(STEADY)
    world.watch.service_id = 1
    world.watch.live = {task.id: task for task in await world.live()}
    return world.arns[0]


async def test_tasks_are_registered_and_a_deployment_drains_the_older_ones() -> None:
    async with quiet_world() as world:
        arn = await steady_service(world)
        before = world.balancer.serving(arn)
        await world.call("UpdateService", service="web", forceNewDeployment=True)
        await world.until_told("has begun draining connections")
        assert len(world.balancer.serving(arn)) >= 2, "the new ones serve"
        draining = [task for task in await world.live() if task.is_held]
        assert {task.last_status for task in draining} == {"DEACTIVATING"}
        explainer = Explainer(world.inner, world.clock)
        told = await explainer.explain(world.account_id, world.region, draining[0].arn)
        assert "once that has drained" in told.verdict
        assert f"it belongs to {arn}" in told.because
        began = asyncio.get_running_loop().time()

        async def is_over() -> bool:
            return len(await world.live()) == 2

        await world.until(is_over)
        assert asyncio.get_running_loop().time() - began >= DRAIN_SECONDS - 5
        assert not before & world.balancer.targets[arn].keys()
        told = " ".join(await world.told())
        assert told.index("has stopped") < told.index("deregistered") < told.index("has begun draining")
        assert world.violations == []


async def test_a_slow_check_is_waited_for_and_explained() -> None:
    async with quiet_world() as world:
        world.balancer.check_seconds = 300.0
        arn = world.arns[0]
        asked = {"serviceName": "web", "taskDefinition": "good", "desiredCount": 2}
        await world.call("CreateService", **asked, loadBalancers=world.wanted([0]))
        await world.until_serving(arn, 2)
        await asyncio.sleep(100)
        service = await world.one()
        assert service["deployments"][0]["rolloutState"] == "IN_PROGRESS"
        told = (await world.explained()).because
        assert f"2 targets are initial in {arn} (Initial health checks in progress)" in told
        await world.until_told(STEADY)


async def test_while_the_load_balancer_does_not_answer_the_rollout_waits_and_says_so() -> None:
    async with quiet_world() as world:
        arn = await steady_service(world)
        world.balancer.down = "Elastic Load Balancing is away"
        await world.call("UpdateService", service="web", forceNewDeployment=True)
        await asyncio.sleep(400)
        live = await world.live()
        assert {task.desired_status for task in live} == {"RUNNING"}, "nobody is given up"
        assert len(live) == 4
        text = f"(target-group {arn}) with (error Elastic Load Balancing is away)"
        assert sum(text in message for message in await world.told()) == 1
        assert any("Elastic Load Balancing is away" in told for told in (await world.explained()).because)
        world.balancer.down = ""
        await world.until_told("deployment completed")
        await asyncio.sleep(120)
        assert len(await world.live()) == len(world.balancer.targets[arn]) == 2


async def test_a_process_that_dies_while_targets_drain_stops_nothing_early_and_forgets_nothing() -> None:
    async with quiet_world() as world:
        arn = await steady_service(world)
        await world.call("UpdateService", service="web", desiredCount=0)

        async def drains() -> bool:
            return set(world.balancer.targets[arn].values()) == {DRAINS}

        await world.until(drains)
        world.kill()
        await asyncio.sleep(5)
        assert len(await world.live()) == 2
        await asyncio.sleep(DRAIN_SECONDS + 60)
        assert await world.live() == ()
        assert world.balancer.targets[arn] == {}
        assert await world.look(lambda tx: TargetRepo(tx).of_service(1)) == ()
        assert world.violations == []


async def test_an_unhealthy_target_is_replaced() -> None:
    async with quiet_world() as world:
        arn = await steady_service(world)
        ill = sorted(world.balancer.targets[arn])[0]
        well = world.balancer.answers
        world.balancer.answers = lambda address: False if address == ill else well(address)
        await world.balancer.set_health(arn, ill, UNHEALTHY)
        await world.until_told("Amazon ECS replaced 1 tasks due to an unhealthy status.")
        await world.until_told("has begun draining connections on 1 tasks")
        stopping = [task for task in await world.live() if task.desired_status == "STOPPED"]
        assert [t.stopped_reason for t in stopping] == [
            f"Task failed ELB health checks in (target-group {arn})"
        ]
        told = await world.told()
        text = f"in (target-group {arn}) due to (reason Health checks failed with these codes: [503])."
        assert sum(text in message for message in told) == 1


async def test_a_task_that_crashes_leaves_no_target() -> None:
    async with quiet_world() as world:
        arn = await steady_service(world)
        node = next(node for node in world.nodes if node.running)
        next(task for task in node.tasks.values() if task.status == "RUNNING").wake.set()
        await world.until_told("deregistered 1 targets")
        await asyncio.sleep(120)
        assert len(world.balancer.targets[arn]) == len(await world.live()) == 2


async def test_a_deleted_service_leaves_no_target() -> None:
    async with quiet_world() as world:
        arn = await steady_service(world, loadBalancers=world.wanted([0, 1]))
        await world.call("DeleteService", service="web", force=True)
        await asyncio.sleep(DRAIN_SECONDS + 60)
        assert (world.balancer.targets[arn], world.balancer.targets[world.arns[1]]) == ({}, {})
        assert await world.live() == ()


@pytest.mark.parametrize("late", [0, 95])
async def test_a_registration_that_arrives_after_a_whole_drain_leaves_no_target(late: float) -> None:
    """Its process asked for it, and died: nobody hears the answer. It is undone, or refused as too late."""
    async with quiet_world() as world:
        group = world.balancer.groups[world.arns[0]]
        world.balancer.groups[group.arn] = dataclasses.replace(group, deregistration_delay_seconds=1)
        arn = await steady_service(world, 1)
        (row,) = await world.look(lambda tx: TargetRepo(tx).of_service(1))
        await world.call("DeleteService", service="web", force=True)

        async def is_drained() -> bool:
            return not await world.live() and not world.balancer.targets[arn]

        await world.until(is_drained)
        assert world.clock.now() < row.register_by, "nobody waits for what may still come"
        await asyncio.sleep(late)
        world.balancer.haunt(arn, [(row.target, row.port)], row.register_by)
        await world.inner.write(lambda tx: tx.touch(TARGETS_CHANGED, arn))
        assert bool(world.balancer.targets[arn]) == (not late)
        await asyncio.sleep(120)
        assert world.balancer.targets[arn] == {}
        assert await world.look(lambda tx: TargetRepo(tx).of_service(1)) == ()


async def test_a_target_group_that_is_deleted_keeps_no_task_from_stopping() -> None:
    async with quiet_world() as world:
        arn = await steady_service(world)
        world.balancer.remove(arn)
        await world.call("DeleteService", service="web", force=True)
        await asyncio.sleep(60)
        assert await world.live() == ()


class Box:
    """An agent's end of a socket that only remembers."""

    def __init__(self) -> None:
        self.frames: list[Frame] = []

    def send(self, frame: Frame) -> None:
        self.frames.append(frame)

    def close(self) -> None:
        return

    replaced = close


async def test_an_agent_that_comes_back_hears_nothing_of_a_stop_that_waits_for_draining() -> None:
    async with quiet_world() as world:
        await steady_service(world)
        await world.call("UpdateService", service="web", desiredCount=0)
        await world.until_told("has begun draining")
        held = next(task for task in await world.live() if task.is_held)
        plane, box = world.plane(), Box()
        assert plane is not None
        hello = AgentHello(
            account_id=world.account_id,
            region=world.region,
            cluster="default",
            container_instance=held.instance_arn or "",
        )
        await plane.hub.open_acs(hello, box)
        (manifest,) = [frame for frame in box.frames if isinstance(frame, TaskManifestMessage)]
        shown = {one.task_arn: one.desired_status for one in manifest.tasks}
        assert shown[held.arn] == "RUNNING"
        assert not [frame for frame in box.frames if isinstance(frame, PayloadMessage)]


# ---- what may be asked ----------------------------------------------------------------------


async def refused(world: TargetWorld, **members: Any) -> str:
    asked = {"serviceName": "web", "taskDefinition": "good", "desiredCount": 1, **members}
    with pytest.raises(AwsError) as caught:
        await world.call("CreateService", **asked)
    return caught.value.message


async def test_what_cannot_be_balanced_is_refused() -> None:
    async with quiet_world() as world:
        (good,) = world.wanted([0])
        arn = good["targetGroupArn"]
        ip = world.balancer.add("ip", target_type="ip")
        lone = world.balancer.add("lone")
        world.balancer.groups[lone] = TargetGroup(arn=lone, target_type="instance", has_load_balancer=False)
        advanced = {"alternateTargetGroupArn": arn, "productionListenerRule": "rule", "roleArn": "role"}
        for item, text in (
            ({"containerName": "db"}, "The container db does not exist in the task definition."),
            ({"containerPort": 81}, "The container app did not have a container port 81 defined."),
            ({"containerName": ""}, "Container Name can not be blank."),
            ({"targetGroupArn": f"{arn}0"}, f"The target group {arn}0 does not exist."),
            ({"targetGroupArn": lone}, "does not have an associated load balancer."),
            (
                {"targetGroupArn": ip},
                "has target type ip, which is incompatible with the bridge network mode",
            ),
            ({"loadBalancerName": "classic"}, "loadBalancerName and targetGroupArn cannot both be given"),
            ({"advancedConfiguration": advanced}, "must be another than the target group"),
            ({"advancedConfiguration": {"roleArn": "role"}}, "alternateTargetGroupArn can not be blank"),
        ):
            assert text in await refused(world, loadBalancers=[{**good, **item}])
        assert "given once for a container port" in await refused(world, loadBalancers=[good, good])
        many = [{**good, "containerPort": port} for port in range(6)]
        assert "can have at most 5 items" in await refused(world, loadBalancers=many)
        staged = {"strategy": "BLUE_GREEN"}
        text = await refused(world, loadBalancers=[good], deploymentConfiguration=staged)
        assert (
            "The deployment strategy BLUE_GREEN needs the advancedConfiguration of each load balancer" in text
        )
        world.balancer.down = "away"
        assert "cannot be looked up: away" in await refused(world, loadBalancers=[good])


async def test_load_balancers_are_shown_and_others_start_a_deployment() -> None:
    async with quiet_world() as world:
        await steady_service(world, 1)
        (first,) = (await world.one())["deployments"]
        one, both = world.wanted([0]), world.wanted([0, 1])
        assert (await world.one())["loadBalancers"] == one
        await world.call("UpdateService", service="web", loadBalancers=one)
        assert [d["id"] for d in (await world.one())["deployments"]] == [first["id"]], "the same is no change"
        await world.call("UpdateService", service="web", loadBalancers=both)
        service = await world.one()
        assert (service["loadBalancers"], len(service["deployments"])) == (both, 2)
        await asyncio.sleep(300)
        assert [len(world.balancer.targets[arn]) for arn in world.arns] == [1, 1]
        await world.call("UpdateService", service="web", loadBalancers=[])
        await asyncio.sleep(300)
        assert (await world.one())["loadBalancers"] == []
        assert [len(world.balancer.targets[arn]) for arn in world.arns] == [0, 0]
        assert len(await world.live()) == 1
        arns = [
            record["targetServiceRevisionArn"]
            for record in (await world.call("ListServiceDeployments", service="web"))["serviceDeployments"]
        ]
        shown = await world.call("DescribeServiceRevisions", serviceRevisionArns=arns)
        assert [r["loadBalancers"] for r in shown["serviceRevisions"]] == [[], both, one]


async def test_a_new_definition_must_fit_the_load_balancers_there_are() -> None:
    async with quiet_world() as world:
        await steady_service(world, 0)
        other = {"name": "other", "image": "app:1", "memory": 100}
        await world.call("RegisterTaskDefinition", family="other", containerDefinitions=[other])
        with pytest.raises(AwsError, match="The container app does not exist in the task definition"):
            await world.call("UpdateService", service="web", taskDefinition="other")


async def test_a_task_set_has_a_target_group_of_its_own() -> None:
    async with quiet_world() as world:
        await world.call(
            "CreateService",
            serviceName="web",
            desiredCount=2,
            deploymentController={"type": "EXTERNAL"},
            loadBalancers=[],
        )
        asked = {"cluster": "default", "service": "web", "taskDefinition": "good"}
        with pytest.raises(AwsError, match="can have at most 1 items"):
            await world.call("CreateTaskSet", **asked, loadBalancers=world.wanted([0, 1]))
        scale = {"value": 100.0, "unit": "PERCENT"}
        made = await world.call("CreateTaskSet", **asked, scale=scale, loadBalancers=world.wanted([1]))
        assert made["taskSet"]["loadBalancers"] == world.wanted([1])
        await world.until_serving(world.arns[1], 2)
        await world.until_told("updated state to STEADY_STATE")
        name = made["taskSet"]["id"]
        await world.call("DeleteTaskSet", cluster="default", service="web", taskSet=name, force=True)
        await asyncio.sleep(DRAIN_SECONDS + 60)
        assert world.balancer.targets[world.arns[1]] == {}
