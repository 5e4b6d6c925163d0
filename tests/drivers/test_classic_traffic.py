"""From the API to the wire: what is said of Classic Load Balancers is what a real proxy does."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Any

import pytest

from homeport.app.balancers.classic import SharedPlane
from homeport.app.balancers.plane import EnvoyPlane
from homeport.app.wiring import SealedPages
from homeport.core.call import inner_call
from homeport.core.clock import SystemClock
from homeport.core.ids import SystemIds
from homeport.dataplane.health import HealthState
from homeport.services.elb import manifest as elb
from homeport.services.elbv2.ports import Subnet
from homeport.store.opening import open_memory_store
from tests.kit.dataplane import (
    BACK,
    FRONT,
    Answer,
    Client,
    LoopbackAddress,
    News,
    Upstream,
    data_plane,
    free_port,
)
from tests.kit.elb import ClassicFakeNetwork
from tests.kit.elbv2 import VPC, FakeCertificates

pytestmark = pytest.mark.slow
CHECK = {"Interval": 5, "Timeout": 4, "UnhealthyThreshold": 2, "HealthyThreshold": 2}


class World:
    """The service with a real proxy behind it, without a gateway in front."""

    def __init__(self, service: elb.Elb, controller: elb.ClassicController, plane: Any, news: News) -> None:
        self.service, self.controller, self.plane, self.news = service, controller, plane, news

    async def ask(self, operation: str, **request: Any) -> Any:
        """One operation on the balancer, as the gateway would dispatch it."""
        call = inner_call("elb", operation, "000000000000", "us-east-1")
        found = elb.operations.find(operation)
        assert found is not None
        return await found.handler(call, self.service, {"LoadBalancerName": "old", **request})

    async def settle(self) -> None:
        """What the change feed would do."""
        for key in await self.controller.keys():
            await self.controller.reconcile(key)
        assert await self.plane.until_live() == ()

    async def balancer(self, protocol: str, *behind: tuple[str, Upstream], check: str = "") -> int:
        """A balancer's port; the instances behind it, which are all at the port of the first."""
        port, inner = free_port(), behind[0][1].port
        listener = {"Protocol": protocol, "LoadBalancerPort": port, "InstancePort": inner}
        await self.ask("CreateLoadBalancer", Listeners=[listener], Subnets=["subnet-0a"])
        await self.ask("ConfigureHealthCheck", HealthCheck={"Target": check or f"TCP:{inner}", **CHECK})
        instances = [{"InstanceId": one} for one, _ in behind]
        await self.ask("RegisterInstancesWithLoadBalancer", Instances=instances)
        await self.settle()
        return port

    async def until(self, port: int, *behind: Upstream, state: HealthState = HealthState.HEALTHY) -> None:
        """Until the checks found this of all of them."""
        held = await self.service.store.read(elb.every_balancer)
        for one in behind:
            await self.news.until(held[0].group_id(port), f"{one.address}:{one.port}", state)

    async def states(self) -> dict[str, str]:
        """How the instances are."""
        found = await self.ask("DescribeInstanceHealth")
        return {one["InstanceId"]: one["State"] for one in found["InstanceStates"]}


@pytest.fixture
async def world() -> AsyncIterator[World]:
    store, clock, ids, news = open_memory_store(), SystemClock(), SystemIds(), News()
    network = ClassicFakeNetwork()
    network.subnet_table["subnet-0a"] = Subnet(
        subnet_id="subnet-0a", vpc_id=VPC, zone="us-east-1a", cidr="127.0.9.0/24"
    )
    for name, address in (("i-0", BACK), ("i-3", "127.0.9.3")):
        network.instance_table[name] = replace(
            network.instance_table[name], address=address, zone="us-east-1a"
        )
    async with data_plane(news=news) as plane:
        shared = SharedPlane(EnvoyPlane(plane))
        shared.part(classic=False).serve(())
        controller = elb.ClassicController(
            store,
            clock,
            network=network,
            certificates=FakeCertificates(),
            addresses=LoopbackAddress(),
            plane=shared.part(classic=True),
        )
        service = elb.Elb(
            store=store,
            clock=clock,
            ids=ids,
            pages=SealedPages(bytes(32)),
            network=network,
            certificates=FakeCertificates(),
            balancing=controller,
        )
        async with asyncio.timeout(90):
            yield World(service, controller, plane, news)
    await store.close()


async def reached(port: int) -> tuple[Client, Answer]:
    """A client and its first answer: the proxy's workers hear of a check a moment after it is told."""
    while True:
        client = Client(port)
        try:
            answer = await client.ask("/")
        except (ConnectionError, asyncio.IncompleteReadError):
            answer = None
        if answer is not None and answer.status == 200:
            return client, answer
        client.close()
        await asyncio.sleep(0.01)


async def test_requests_go_to_instances_that_are_in_service_and_to_nobody_else(world: World) -> None:
    async with Upstream(name="one", healthy=False).serving() as one:
        port = await world.balancer("HTTP", ("i-0", one), check=f"HTTP:{one.port}/up")
        await world.until(port, one, state=HealthState.UNHEALTHY)
        client = Client(port)
        answer = await client.ask("/")
        assert answer.status == 503, "nobody healthy is nobody: a Classic Load Balancer does not fail open"
        assert answer.header("server") is None
        assert await world.states() == {"i-0": "OutOfService"}
        one.healthy = True
        await world.until(port, one)
        client.close()
        client, answer = await reached(port)
        assert answer.body == b"one"
        assert await world.states() == {"i-0": "InService"}
        assert one.asked[-1].header("x-forwarded-for") == "127.0.0.1"
        assert one.asked[-1].header("x-forwarded-port") == str(port)
        await world.ask("DeregisterInstancesFromLoadBalancer", Instances=[{"InstanceId": "i-0"}])
        await world.settle()
        assert (await client.ask("/")).status == 503
        client.close()


async def test_a_policys_cookie_keeps_a_client_with_its_instance_and_is_given_once(world: World) -> None:
    async with Upstream(name="one").serving() as one:
        other = Upstream(name="other", address="127.0.9.3", port=one.port)
        async with other.serving():
            port = await world.balancer("HTTP", ("i-0", one), ("i-3", other))
            await world.ask("CreateLBCookieStickinessPolicy", PolicyName="stay")
            await world.ask("SetLoadBalancerPoliciesOfListener", LoadBalancerPort=port, PolicyNames=["stay"])
            await world.settle()
            await world.until(port, one, other)
            client, first = await reached(port)
            cookies = [line for line in first.all("set-cookie") if line.startswith("AWSELB=")]
            assert len(cookies) == 1
            assert "Expires" not in cookies[0], "without a period it lasts as long as the browser"
            token = cookies[0].partition(";")[0]
            for _ in range(8):
                answer = await client.ask("/", headers=(f"Cookie: {token}",))
                assert answer.body == first.body
                assert answer.all("set-cookie") == []
            client.close()


async def test_connections_of_a_tcp_listener_are_passed_on_as_they_are(world: World) -> None:
    async with Upstream(name="one").serving() as one:
        port = await world.balancer("TCP", ("i-0", one))
        await world.until(port, one)
        client, answer = await reached(port)
        assert answer.body == b"one"
        assert one.asked[-1].header("x-forwarded-for") is None
        client.close()
        await world.ask("DeleteLoadBalancer")
        await world.settle()
        with pytest.raises(OSError, match=r"Connect|refused|Multiple"):
            await asyncio.open_connection(FRONT, port)


async def test_an_instance_is_told_its_client_in_a_line_where_a_policy_says_so(world: World) -> None:
    # Source: User Guide for Classic Load Balancers, "Configure proxy protocol": version 1, in readable text.
    lines: asyncio.Queue[bytes] = asyncio.Queue()

    async def instance(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if line := await reader.readline():
            lines.put_nowait(line + await reader.readline())
        writer.close()

    async with await asyncio.start_server(instance, BACK, 0) as server:
        one = Upstream(name="one", port=server.sockets[0].getsockname()[1])
        port = await world.balancer("TCP", ("i-0", one))
        policy = {"PolicyName": "told", "PolicyTypeName": "ProxyProtocolPolicyType"}
        switch = [{"AttributeName": "ProxyProtocol", "AttributeValue": "true"}]
        await world.ask("CreateLoadBalancerPolicy", **policy, PolicyAttributes=switch)
        behind = {"InstancePort": one.port, "PolicyNames": ["told"]}
        await world.ask("SetLoadBalancerPoliciesForBackendServer", **behind)
        await world.settle()
        await world.until(port, one)
        assert await world.states() == {"i-0": "InService"}, "checks are without the line"
        said = b""
        while not said:
            _, writer = await asyncio.open_connection(FRONT, port)
            source = writer.get_extra_info("sockname")
            writer.write(b"hello\n")
            with contextlib.suppress(TimeoutError):
                said = await asyncio.wait_for(lines.get(), 1)
            writer.close()
        assert said == f"PROXY TCP4 {source[0]} {FRONT} {source[1]} {port}\r\nhello\n".encode()
