"""From the API to the wire: what is said to Elastic Load Balancing is what a real proxy does."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest

from homeport.app.balancers.plane import EnvoyPlane
from homeport.app.wiring import SealedPages
from homeport.core.call import inner_call
from homeport.core.clock import SystemClock
from homeport.core.ids import SystemIds
from homeport.dataplane.health import HealthState
from homeport.services.elbv2 import manifest as elbv2
from homeport.services.elbv2.ports import Subnet, Vpc
from homeport.store.opening import open_memory_store
from homeport.store.vault import Vault
from tests.kit.dataplane import Client, LoopbackAddress, News, Upstream, data_plane, free_port
from tests.kit.elbv2 import VPC, FakeCertificates, FakeNetwork

pytestmark = pytest.mark.slow


class World:
    """The service with a real proxy behind it, without a gateway in front."""

    def __init__(
        self, elb: elbv2.Elbv2, controller: elbv2.BalancerController, plane: Any, news: News
    ) -> None:
        self.elb, self.controller, self.plane, self.news = elb, controller, plane, news

    async def ask(self, operation: str, **request: Any) -> Any:
        """One operation, as the gateway would dispatch it."""
        call = inner_call("elbv2", operation, "000000000000", "us-east-1")
        found = elbv2.operations.find(operation)
        assert found is not None
        return await found.handler(call, self.elb, request)

    async def settle(self) -> None:
        """What the change feed would do."""
        for key in await self.controller.keys():
            await self.controller.reconcile(key)
        assert await self.plane.until_live() == ()


@pytest.fixture
async def world() -> AsyncIterator[World]:
    store, clock, ids, news = open_memory_store(), SystemClock(), SystemIds(), News()
    network = FakeNetwork()
    network.vpc_table[VPC] = Vpc(vpc_id=VPC, cidrs=("127.0.9.0/24",))
    for name, zone in (("subnet-0a", "us-east-1a"), ("subnet-0b", "us-east-1b")):
        network.subnet_table[name] = Subnet(subnet_id=name, vpc_id=VPC, zone=zone, cidr="127.0.9.0/24")
    async with data_plane(news=news) as plane:
        controller = elbv2.BalancerController(
            store,
            clock,
            network=network,
            certificates=FakeCertificates(),
            addresses=LoopbackAddress(),
            plane=EnvoyPlane(plane),
        )
        elb = elbv2.Elbv2(
            store=store,
            clock=clock,
            ids=ids,
            pages=SealedPages(bytes(32)),
            vault=Vault(bytes(32), ids),
            network=network,
            certificates=FakeCertificates(),
            balancing=controller,
        )
        yield World(elb, controller, plane, news)
    await store.close()


async def test_rules_targets_and_health_are_what_the_api_says(world: World) -> None:
    async with asyncio.timeout(60), Upstream(name="one").serving() as one:
        balancer = (await world.ask("CreateLoadBalancer", Name="web", Subnets=["subnet-0a", "subnet-0b"]))[
            "LoadBalancers"
        ][0]
        group = (
            await world.ask(
                "CreateTargetGroup",
                Name="app",
                Protocol="HTTP",
                Port=80,
                VpcId=VPC,
                TargetType="ip",
                HealthCheckIntervalSeconds=5,
                HealthCheckTimeoutSeconds=2,
            )
        )["TargetGroups"][0]["TargetGroupArn"]
        port, target = free_port(), [{"Id": one.address, "Port": one.port}]
        await world.ask("RegisterTargets", TargetGroupArn=group, Targets=target)
        listener = (
            await world.ask(
                "CreateListener",
                LoadBalancerArn=balancer["LoadBalancerArn"],
                Protocol="HTTP",
                Port=port,
                DefaultActions=[{"Type": "forward", "TargetGroupArn": group}],
            )
        )["Listeners"][0]["ListenerArn"]
        gone = [
            {"Type": "fixed-response", "FixedResponseConfig": {"StatusCode": "410", "MessageBody": "moved"}}
        ]
        path = [{"Field": "path-pattern", "Values": ["/old/*"]}]
        await world.ask("CreateRule", ListenerArn=listener, Priority=1, Conditions=path, Actions=gone)
        await world.settle()

        client = Client(port)
        assert (await client.ask("/new")).body == b"one"
        answer = await client.ask("/old/a")
        assert (answer.status, answer.body) == (410, b"moved")

        tail = group.split(":", 5)[5]
        await world.news.until(tail, f"{one.address}:{one.port}", HealthState.HEALTHY)
        (shown,) = (await world.ask("DescribeTargetHealth", TargetGroupArn=group))["TargetHealthDescriptions"]
        assert shown["TargetHealth"] == {"State": "healthy"}

        await world.ask("DeregisterTargets", TargetGroupArn=group, Targets=target)
        await world.settle()
        assert (await client.ask("/new")).status == 503
        client.close()

        await world.ask("DeleteLoadBalancer", LoadBalancerArn=balancer["LoadBalancerArn"])
        await world.settle()
        assert world.plane.rejections == ()
