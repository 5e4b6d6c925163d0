"""The machine's own way to balancers, on loopback by their names; and what targets see of a balancer."""

from __future__ import annotations

import asyncio
import socket
import ssl
from dataclasses import replace

import pytest

from homeport.app.balancers.envoy import DataPlane
from homeport.dataplane.doors import LOOPBACK, door_name
from homeport.dataplane.model import Balancer, BalancerKind, BindAddress, Certificate, Listener, Protocol
from homeport.dataplane.rules import FixedResponse, Rule
from tests.kit.certificates import self_signed
from tests.kit.dataplane import (
    BACK,
    FRONT,
    Client,
    Upstream,
    balancer,
    free_port,
    group,
    network_balancer,
)

pytestmark = pytest.mark.slow


@pytest.fixture
def port() -> int:
    with socket.create_server((LOOPBACK, 0)) as listening:
        return int(listening.getsockname()[1])


async def test_who_is_named_answers_and_nobody_else(plane: DataPlane, port: int) -> None:
    async with Upstream(name="a").serving() as a, Upstream(name="b").serving() as b:
        first = replace(balancer(port, group("a", a), name="a"), hosts=("A-1.elb.localhost",))
        second = replace(
            balancer(port, group("b", b), name="b"), hosts=("b-1.elb.localhost",), addresses=(second_front(),)
        )
        plane.serve([first, second])
        assert await plane.until_live() == ()
        client = Client(port, LOOPBACK)
        assert (await client.ask("/x", host=f"a-1.elb.localhost:{port}")).body == b"a"
        assert (await client.ask("/x", host="b-1.elb.localhost")).body == b"b"
        lost = await client.ask("/x", host="c-1.elb.localhost")
        assert (lost.status, b"Host header" in lost.body) == (404, True)
        assert a.asked[-1].header("host") == f"a-1.elb.localhost:{port}"
        assert a.asked[-1].header("x-forwarded-for") == LOOPBACK
        client.close()


def second_front() -> BindAddress:
    return BindAddress(address="127.0.9.3")


async def test_a_port_that_another_program_has_stays_its_own_and_hurts_nobody(
    plane: DataPlane, port: int
) -> None:
    """Not even with a program that would share it, as another Homeport's proxy might."""
    with socket.create_server((LOOPBACK, port), reuse_port=True):
        async with Upstream(name="a").serving() as a:
            known = replace(balancer(port, group("a", a)), hosts=("web-1.elb.localhost",))
            plane.serve([known])
            (refused,) = await plane.until_live()
            assert (refused.name, refused.balancer_id) == (door_name(port), "")
            assert "Address already in use" in refused.message or "cannot bind" in refused.message
            client = Client(port)
            assert (await client.ask("/")).body == b"a"
            client.close()
            # Other settings are another group: the one of before goes, whatever the door is like.
            plane.serve([replace(known, groups=(replace(known.groups[0], slow_start_seconds=30),))])
            assert len(await plane.until_live()) == 1
            groups = await plane.admin.clusters()
            names = [one["name"] for one in groups["cluster_statuses"] if "targetgroup/" in one["name"]]
            assert len(names) == 1
    plane.retry()
    async with asyncio.timeout(10):
        while await plane.until_live():
            plane.retry()


async def test_an_encrypted_connection_gets_the_certificate_of_whom_it_names(
    plane: DataPlane, port: int
) -> None:
    names = ("web-1.elb.localhost", "api-1.elb.localhost")
    materials = [self_signed(name, name) for name in names]
    made = [
        Balancer(
            id=f"app/{name[:3]}/1",
            kind=BalancerKind.APPLICATION,
            hosts=(name,),
            addresses=(BindAddress(address=f"127.0.9.{10 + number}"),),
            listeners=(
                Listener(
                    id="s",
                    protocol=Protocol.HTTPS,
                    port=port,
                    certificates=(Certificate(id=name),),
                    rules=(Rule(id="d", action=FixedResponse(status=200, body=name)),),
                ),
            ),
        )
        for number, name in enumerate(names)
    ]
    plane.serve(made, materials)
    assert await plane.until_live() == ()
    for name, material in zip(names, materials, strict=True):
        context = ssl.create_default_context(cadata=material.chain.decode())
        reader, writer = await asyncio.open_connection(LOOPBACK, port, ssl=context, server_hostname=name)
        writer.write(f"GET / HTTP/1.1\r\nHost: {name}\r\nConnection: close\r\n\r\n".encode())
        assert (await reader.read()).endswith(name.encode())
        writer.close()


async def test_targets_and_their_checks_see_the_balancers_address(plane: DataPlane) -> None:
    peers: list[str] = []
    checked = asyncio.Event()

    async def note(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        peers.append(writer.get_extra_info("peername")[0])
        checked.set()
        writer.close()

    server = await asyncio.start_server(note, BACK, 0)
    upstream = Upstream(name="x", port=server.sockets[0].getsockname()[1])
    front = free_port()
    plane.serve([balancer(front, group("g", upstream))])
    assert await plane.until_live() == ()
    async with asyncio.timeout(20):
        await checked.wait()
    client = Client(front)
    assert (await client.ask("/")).status == 502
    client.close()
    assert len(peers) >= 2
    assert set(peers) == {FRONT}
    server.close()


async def test_datagrams_come_from_the_balancers_address(plane: DataPlane) -> None:
    loop = asyncio.get_running_loop()
    heard: asyncio.Queue[str] = asyncio.Queue()

    class Target(asyncio.DatagramProtocol):
        def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
            heard.put_nowait(addr[0])

    transport, _ = await loop.create_datagram_endpoint(Target, local_addr=(BACK, 0))
    upstream = Upstream(name="x", port=transport.get_extra_info("sockname")[1])
    front = free_port()
    one = group("g", upstream, protocol=Protocol.UDP, health_check=None)
    plane.serve([network_balancer(front, one, Protocol.UDP)])
    assert await plane.until_live() == ()
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client:
        client.sendto(b"x", (FRONT, front))
        async with asyncio.timeout(10):
            assert await heard.get() == FRONT
    transport.close()
