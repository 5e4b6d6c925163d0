"""Deployments under alarms, on virtual time with the real control plane.

Source: developer guide, "How CloudWatch alarms detect Amazon ECS deployment failures".
"""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from homeport.core.errors import AwsError
from tests.kit.sim_targets import TargetWorld, quiet_world

pytestmark = pytest.mark.looptime(noop_cycles=1)


def under(*names: str, rollback: bool = True, enable: bool = True) -> dict[str, Any]:
    return {"alarms": {"alarmNames": list(names), "enable": enable, "rollback": rollback}}


async def service_under(world: TargetWorld, *names: str, **members: Any) -> None:
    """A service whose first deployment has completed under the alarms."""
    for name in names:
        await world.alarms.set(name, in_alarm=False)
    await world.call(
        "CreateService",
        serviceName="web",
        taskDefinition="good",
        desiredCount=2,
        loadBalancers=[],
        deploymentConfiguration=under(*names, **members),
    )
    await world.until_told("deployment completed")


async def newest(world: TargetWorld) -> Any:
    records = (await world.call("ListServiceDeployments", service="web"))["serviceDeployments"]
    arns = [records[0]["serviceDeploymentArn"]]
    return (await world.call("DescribeServiceDeployments", serviceDeploymentArns=arns))["serviceDeployments"][
        0
    ]


async def test_a_deployment_bakes_for_as_long_as_its_alarms_take_and_completes_then() -> None:
    async with quiet_world() as world:
        began = asyncio.get_running_loop().time()
        await service_under(world, "errors", "latency")
        assert asyncio.get_running_loop().time() - began >= 120
        shown = (await newest(world))["alarms"]
        assert shown == {
            "status": "MONITORING_COMPLETE",
            "alarmNames": ["errors", "latency"],
            "triggeredAlarmNames": [],
        }
        asked = (await world.one())["deploymentConfiguration"]["alarms"]
        assert asked == under("errors", "latency")["alarms"]
        await world.call("UpdateService", service="web", forceNewDeployment=True)
        await asyncio.sleep(60)
        assert any("it bakes until" in told for told in (await world.explained()).because)
        assert (await newest(world))["alarms"]["status"] == "MONITORING"


@pytest.mark.parametrize("after_seconds", [2, 100])
async def test_an_alarm_during_the_rollout_or_the_bake_time_rolls_it_back(after_seconds: float) -> None:
    async with quiet_world() as world:
        await service_under(world, "errors", "latency")
        first = (await world.one())["deployments"][0]["id"]
        await world.call("UpdateService", service="web", forceNewDeployment=True)
        second = (await world.one())["deployments"][0]["id"]
        await asyncio.sleep(after_seconds)
        await world.alarms.set("latency", in_alarm=True)
        await world.until_told(f"(deployment {second}) deployment failed: alarm detected.", 20)
        await world.until_told(f"rolling back to deployment {first}", 5)
        await asyncio.sleep(600)
        primary = (await world.one())["deployments"][0]
        assert (primary["id"], primary["rolloutState"]) == (first, "COMPLETED")
        shown = await newest(world)
        assert shown["status"] == "ROLLBACK_SUCCESSFUL", (
            "an alarm that rings already has no say in the rollback"
        )
        assert shown["alarms"]["status"] == "TRIGGERED"
        assert shown["alarms"]["triggeredAlarmNames"] == ["latency"]


async def test_without_rollback_the_deployment_fails_and_stays() -> None:
    async with quiet_world() as world:
        await service_under(world, "errors", rollback=False)
        await world.call("UpdateService", service="web", forceNewDeployment=True)
        second = (await world.one())["deployments"][0]["id"]
        await asyncio.sleep(5)
        await world.alarms.set("errors", in_alarm=True)
        await world.until_told("deployment failed: alarm detected.", 20)
        await asyncio.sleep(60)
        primary = (await world.one())["deployments"][0]
        assert (primary["id"], primary["rolloutState"]) == (second, "FAILED")
        assert (await newest(world))["status"] == "STOPPED"


async def test_an_alarm_that_rang_before_the_deployment_is_not_watched() -> None:
    async with quiet_world() as world:
        await service_under(world, "errors", "latency")
        await world.alarms.set("errors", in_alarm=True)
        await world.call("UpdateService", service="web", forceNewDeployment=True)
        second = (await world.one())["deployments"][0]["id"]
        await world.until_told(f"(deployment {second}) deployment completed")


async def test_after_its_completion_an_alarm_changes_nothing() -> None:
    async with quiet_world() as world:
        await service_under(world, "errors")
        await world.alarms.set("errors", in_alarm=True)
        await asyncio.sleep(300)
        assert (await world.one())["deployments"][0]["rolloutState"] == "COMPLETED"


async def test_alarms_whose_states_are_not_known_hold_the_deployment_and_say_so() -> None:
    async with quiet_world() as world:
        await service_under(world, "errors")
        world.alarms.down = "CloudWatch is away"
        await world.call("UpdateService", service="web", forceNewDeployment=True)
        await asyncio.sleep(300)
        assert (await world.one())["deployments"][0]["rolloutState"] == "IN_PROGRESS"
        told = (await world.explained()).because
        assert "the states of its alarms are not known: CloudWatch is away" in told
        world.alarms.down = ""
        second = (await world.one())["deployments"][0]["id"]
        await world.until_told(f"(deployment {second}) deployment completed")


async def test_a_process_that_dies_forgets_no_alarm() -> None:
    async with quiet_world() as world:
        await service_under(world, "errors")
        await world.call("UpdateService", service="web", forceNewDeployment=True)
        await asyncio.sleep(10)
        world.kill()
        await asyncio.sleep(0.1)
        await world.alarms.set("errors", in_alarm=True)  # while nobody listens
        await world.until_told("deployment failed: alarm detected.", 60)


async def test_alarms_that_do_not_exist_are_refused() -> None:
    async with quiet_world() as world:
        asked = {"serviceName": "web", "taskDefinition": "good", "desiredCount": 1, "loadBalancers": []}
        with pytest.raises(AwsError, match="There are no alarms of the names ghost"):
            await world.call("CreateService", **asked, deploymentConfiguration=under("ghost"))
        with pytest.raises(AwsError, match="can not be empty"):
            await world.call("CreateService", **asked, deploymentConfiguration=under())
        off = under("ghost", enable=False)
        made = await world.call("CreateService", **asked, deploymentConfiguration=off)
        assert made["service"]["deploymentConfiguration"]["alarms"] == off["alarms"]
        assert (await newest(world))["alarms"]["status"] == "DISABLED"
