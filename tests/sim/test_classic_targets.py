"""Services behind a Classic Load Balancer, on virtual time with the real control plane.

Sources: botocore's CreateService and CreateTaskSet (`loadBalancers`), LoadBalancer; developer guide, "Service
event messages" (`unhealthy in (elb ...)`), "Balancing an Amazon ECS service across Availability Zones".
"""

from __future__ import annotations

import asyncio
import dataclasses
from typing import Any

import pytest

from homeport.core.errors import AwsError
from homeport.services.ecs.ports import TargetState
from tests.kit.balancer import DRAINS
from tests.kit.sim_targets import FIRST_PORT, TargetWorld, quiet_world
from tests.sim.test_targets import STEADY

pytestmark = pytest.mark.looptime(noop_cycles=1)
OLD = [{"loadBalancerName": "old", "containerName": "app", "containerPort": 80}]
FAILED = "Instance has failed at least the UnhealthyThreshold number of health checks consecutively."
OUT = TargetState(state="unhealthy", reason="Instance", description=FAILED)


async def defined(world: TargetWorld, port: int, **members: Any) -> str:
    """A definition whose tasks listen at a host port; 0: at any."""
    mapping = {"containerPort": 80, "hostPort": port}
    container = {"name": "app", "image": "app:1", "memory": 100, "portMappings": [mapping]}
    asked = {"family": "good", "containerDefinitions": [container], **members}
    arn: str = (await world.call("RegisterTaskDefinition", **asked))["taskDefinition"]["taskDefinitionArn"]
    return arn


async def classic_service(world: TargetWorld, count: int = 2) -> str:
    """A steady service behind the balancer `old`; the balancer's ARN."""
    arn = world.balancer.add_classic("old", FIRST_PORT)
    definition = await defined(world, FIRST_PORT)
    await world.call(
        "CreateService",
        serviceName="web",
        taskDefinition=definition,
        desiredCount=count,
        loadBalancers=OLD,
        deploymentConfiguration={"minimumHealthyPercent": 50, "maximumPercent": 100},
    )
    await world.until_told(STEADY)
    world.watch.service_id = 1
    world.watch.live = {task.id: task for task in await world.live()}
    return arn


async def test_instances_are_registered_as_a_whole_and_drain_before_their_tasks_stop() -> None:
    async with quiet_world() as world:
        arn = await classic_service(world)
        instances = {node.ec2_id for node in world.nodes}  # type: ignore[attr-defined]
        assert world.balancer.serving(arn) == {(one, 0) for one in instances}
        assert (await world.one())["loadBalancers"] == OLD
        assert "(service web) registered 1 instances in (elb old)" in await world.told()
        await world.call("UpdateService", service="web", desiredCount=1)
        await world.until_told("(service web) deregistered 1 instances in (elb old)")
        began = asyncio.get_running_loop().time()
        (held,) = [task for task in await world.live() if task.is_held]
        assert held.last_status == "DEACTIVATING"
        assert DRAINS in world.balancer.targets[arn].values()

        async def is_over() -> bool:
            return len(await world.live()) == 1

        await world.until(is_over)
        assert asyncio.get_running_loop().time() - began >= 25, "connection draining has its time"
        assert world.violations == []


async def test_a_rolling_deployment_goes_instance_by_instance_and_leaves_all_registered() -> None:
    async with quiet_world() as world:
        arn = await classic_service(world)
        before = {task.id for task in await world.live()}
        await world.call("UpdateService", service="web", forceNewDeployment=True)
        least = 2

        async def is_done() -> bool:
            nonlocal least
            least = min(least, len(world.balancer.serving(arn)))
            service = await world.one()
            return len(service["deployments"]) == 1 and (
                service["deployments"][0]["rolloutState"] == "COMPLETED"
            )

        await world.until(is_done)
        assert least == 1, "one of the two served all the time"
        assert before.isdisjoint({task.id for task in await world.live()})
        assert len(world.balancer.serving(arn)) == 2
        assert world.violations == []
        await world.call("DeleteService", service="web", force=True)
        await asyncio.sleep(600)
        assert world.balancer.targets[arn] == {}


async def test_an_instance_out_of_service_is_told_and_its_task_replaced() -> None:
    async with quiet_world() as world:
        arn = await classic_service(world)
        sick = min(world.balancer.serving(arn))
        await world.balancer.set_health(arn, sick, OUT)
        told = f"(service web) (instance {sick[0]}) is unhealthy in (elb old) due to (reason {FAILED})"
        await world.until_told(told)
        stopped = [task for task in await world.live() if task.desired_status == "STOPPED"]
        assert {task.stopped_reason for task in stopped} <= {"Task failed ELB health checks in (elb old)"}


async def test_health_gates_the_rollout_and_a_port_nobody_listens_for_is_no_health() -> None:
    async with quiet_world() as world:
        arn = await classic_service(world)
        other = frozenset({FIRST_PORT + 1})
        world.balancer.groups[arn] = dataclasses.replace(world.balancer.groups[arn], instance_ports=other)
        await world.call("UpdateService", service="web", forceNewDeployment=True)
        await asyncio.sleep(300)
        (first, _) = (await world.one())["deployments"]
        assert first["rolloutState"] == "IN_PROGRESS"
        waits = " ".join((await world.explained()).because)
        assert f"no listener with the instance port {FIRST_PORT}" in waits


async def refused(world: TargetWorld, operation: str = "CreateService", **members: Any) -> str:
    asked = {"serviceName": "web", "desiredCount": 1, "loadBalancers": OLD}
    with pytest.raises(AwsError) as caught:
        await world.call(operation, **{**asked, **members})
    return caught.value.message


async def test_what_a_classic_balancer_cannot_do_is_refused() -> None:
    async with quiet_world() as world:
        arn = world.balancer.add_classic("old", FIRST_PORT)
        fits, dynamic = await defined(world, FIRST_PORT), await defined(world, 0)
        elsewhere = await defined(world, FIRST_PORT + 1)
        (group,) = world.wanted([0])
        (old,) = OLD
        cases: list[tuple[dict[str, Any], str]] = [
            ({"loadBalancers": [{**old, "loadBalancerName": "gone"}]}, "load balancer gone does not exist"),
            ({"loadBalancers": [old, group]}, "no other load balancers beside it"),
            ({"loadBalancers": [{**group, "targetGroupArn": arn}]}, f"target group {arn} does not exist"),
            ({"taskDefinition": dynamic}, "needs a host port that is always the same"),
            ({"taskDefinition": elsewhere}, f"no listener with the instance port {FIRST_PORT + 1}"),
            (
                {"deploymentConfiguration": {"strategy": "BLUE_GREEN"}},
                "BLUE_GREEN does not support Classic Load Balancers",
            ),
            (
                {"availabilityZoneRebalancing": "ENABLED"},
                "does not support services behind a Classic Load Balancer",
            ),
        ]
        for members, text in cases:
            assert text in await refused(world, **{"taskDefinition": fits, **members})


async def test_host_mode_has_the_containers_own_port() -> None:
    async with quiet_world() as world:
        world.balancer.add_classic("old", 80)
        definition = await defined(world, 0, networkMode="host")
        await world.call(
            "CreateService", serviceName="web", taskDefinition=definition, desiredCount=0, loadBalancers=OLD
        )
        assert (await world.one())["availabilityZoneRebalancing"] == "DISABLED"


async def test_a_new_definition_must_keep_a_port_that_is_always_the_same() -> None:
    async with quiet_world() as world:
        await classic_service(world, 0)
        dynamic = await defined(world, 0)
        with pytest.raises(AwsError, match="needs a host port that is always the same"):
            await world.call("UpdateService", service="web", taskDefinition=dynamic)


async def shared_instances(world: TargetWorld) -> str:
    """Two steady services with a task of each on each of two instances; the ARN of their balancer."""
    arn = await classic_service(world)
    ports = frozenset({FIRST_PORT, FIRST_PORT + 1})
    world.balancer.groups[arn] = dataclasses.replace(world.balancer.groups[arn], instance_ports=ports)
    second = await defined(world, FIRST_PORT + 1)
    await world.call(
        "CreateService", serviceName="second", taskDefinition=second, desiredCount=2, loadBalancers=OLD
    )
    await asyncio.sleep(120)
    return arn


async def test_what_a_services_role_is_denied_is_told_and_done_once_it_may() -> None:
    """Source: developer guide, "Service event messages" (`failed to register targets in`)."""
    async with quiet_world() as world:
        arn = world.balancer.add_classic("old", FIRST_PORT)
        role = "arn:aws:iam::000000000000:role/scheduler"
        world.balancer.denied[role] = {"register"}
        await world.call(
            "CreateService",
            serviceName="web",
            taskDefinition=await defined(world, FIRST_PORT),
            desiredCount=2,
            loadBalancers=OLD,
            role="scheduler",
        )
        await world.until_told("(service web) failed to register instances in (elb old) with (error Access")
        await asyncio.sleep(300)
        assert world.balancer.targets[arn] == {}
        world.balancer.denied[role] = {"deregister"}
        await world.until_told(STEADY)
        assert len(world.balancer.serving(arn)) == 2
        await world.call("UpdateService", service="web", desiredCount=1)
        await world.until_told("(service web) failed to deregister instances in (elb old) with (error Acc")
        await asyncio.sleep(300)
        assert len(world.balancer.serving(arn)) == 2, "the task waits, and serves"
        assert sum("failed to deregister" in text for text in await world.told()) == 1
        world.balancer.denied[role] = set()
        await world.until_told("(service web) deregistered 1 instances in (elb old)")


def takes_out(world: TargetWorld) -> list[Any]:
    """What was asked to leave a balancer."""
    return [call for call in world.balancer.calls if call[0] == "deregister"]


@pytest.mark.parametrize("leaves", ["web", "second"])
async def test_a_service_leaves_the_instances_to_another_that_shares_them(leaves: str) -> None:
    """The balancer knows an instance once: nobody's requests are turned away for a moment."""
    async with quiet_world() as world:
        arn = await shared_instances(world)
        await world.call("DeleteService", service=leaves, force=True)
        await asyncio.sleep(600)
        assert takes_out(world) == []
        assert len(world.balancer.serving(arn)) == 2
        (stays,) = {"web", "second"} - {leaves}
        await world.call("DeleteService", service=stays, force=True)
        await asyncio.sleep(600)
        assert world.balancer.targets[arn] == {}


async def test_of_services_that_leave_at_once_the_last_takes_the_instances_out() -> None:
    async with quiet_world() as world:
        arn = await shared_instances(world)
        world.balancer.slow_seconds = 2.0  # each looks before the other has decided
        await asyncio.gather(
            *(world.call("DeleteService", service=one, force=True) for one in ("web", "second"))
        )
        await asyncio.sleep(600)
        assert world.balancer.targets[arn] == {}
        assert {instance for _, _, asked in takes_out(world) for instance in asked}, "somebody did"


async def test_task_sets_have_newer_balancers_only() -> None:
    async with quiet_world() as world:
        world.balancer.add_classic("old", FIRST_PORT)
        await world.call(
            "CreateService",
            serviceName="web",
            deploymentController={"type": "EXTERNAL"},
            desiredCount=0,
            loadBalancers=[],
        )
        with pytest.raises(AwsError, match="Application and Network Load Balancers only"):
            await world.call(
                "CreateTaskSet", service="web", cluster="default", taskDefinition="good", loadBalancers=OLD
            )
