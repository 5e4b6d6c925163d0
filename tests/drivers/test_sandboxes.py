"""Sandboxes on the kernel: who reaches whom, from which address, and what is read."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator
from dataclasses import replace

import pytest

from homeport.node.drivers.docker_networks import DockerNetworks
from homeport.node.ports import Counters, Publication, SandboxSpec
from homeport.node.sandbox.rules import Endpoints
from tests.kit.docker import LABEL, Engine
from tests.kit.sandbox_stage import Stage, stage
from tests.kit.sandbox_traffic import PATIENCE, PORT, PUBLISHED, UNHEARD, eni, listening, reaches, web

pytestmark = [pytest.mark.docker, pytest.mark.root]


async def test_a_published_port_is_reached_at_its_instances_address(here: Stage) -> None:
    one, two = here.driver(0), here.driver(1)
    made = await one.ensure(web(here))
    same = await one.ensure(SandboxSpec(name=here.named("same")))
    other = await two.ensure(SandboxSpec(name=here.named("other")))
    task = await one.ensure(SandboxSpec(name=here.named("task"), interface=eni(here)))
    at, first, second = here.addresses[0].ip, here.addresses[0].ip, here.addresses[1].ip
    with listening(here, made.name) as server:
        seen = {
            who: await reaches(client, server, at, PUBLISHED)
            for who, client in {
                "the machine": socket.socket(),
                "same instance": here.socket_in(same.name),
                "itself": here.socket_in(made.name),
                "another instance": here.socket_in(other.name),
                "a task's interface": here.socket_in(task.name),
            }.items()
        }
    assert seen == {
        "the machine": first,
        "same instance": first,
        "itself": first,
        "another instance": second,
        "a task's interface": task.address,
    }


async def test_an_inner_address_is_reached_from_its_own_instance_alone(here: Stage) -> None:
    one, two = here.driver(0), here.driver(1)
    made = await one.ensure(SandboxSpec(name=here.named("web")))
    same = await one.ensure(SandboxSpec(name=here.named("same")))
    other = await two.ensure(SandboxSpec(name=here.named("other")))
    task = await one.ensure(SandboxSpec(name=here.named("task"), interface=eni(here)))
    with listening(here, made.name) as server:
        assert await reaches(here.socket_in(same.name), server, made.address, PORT) == same.address
        assert await reaches(here.socket_in(other.name), server, made.address, PORT, within=UNHEARD) is None
        assert await reaches(here.socket_in(task.name), server, made.address, PORT, within=UNHEARD) is None
        assert await reaches(socket.socket(), server, made.address, PORT) is not None


async def test_a_tasks_interface_sees_instances_and_interfaces_as_what_they_are(here: Stage) -> None:
    one, two = here.driver(0), here.driver(1)
    task = await one.ensure(SandboxSpec(name=here.named("task"), interface=eni(here)))
    second = await two.ensure(SandboxSpec(name=here.named("second"), interface=eni(here, 78)))
    inner = await two.ensure(SandboxSpec(name=here.named("inner")))
    with listening(here, task.name) as server:
        assert await reaches(here.socket_in(second.name), server, task.address, PORT) == second.address
        assert await reaches(here.socket_in(inner.name), server, task.address, PORT) == here.addresses[1].ip
        assert await reaches(socket.socket(), server, task.address, PORT) is not None


async def test_the_machines_own_servers_see_the_instance_too(here: Stage) -> None:
    """As a balancer would, that listens on an address of this machine."""
    inner = await here.driver(1).ensure(SandboxSpec(name=here.named("inner")))
    with socket.create_server((here.addresses[0].ip, 0)) as server:
        server.settimeout(PATIENCE)
        port = server.getsockname()[1]
        seen = await reaches(here.socket_in(inner.name), server, here.addresses[0].ip, port)
    assert seen == here.addresses[1].ip


async def test_datagrams_are_published_too(here: Stage) -> None:
    publication = Publication(container_port=PORT, protocol="udp", host_port=PUBLISHED)
    made = await here.driver().ensure(SandboxSpec(name=here.named("dns"), published=(publication,)))
    with (
        here.socket_in(made.name, socket.SOCK_DGRAM) as server,
        socket.socket(type=socket.SOCK_DGRAM) as client,
    ):
        server.bind(("0.0.0.0", PORT))
        server.settimeout(PATIENCE)
        client.settimeout(PATIENCE)
        client.connect((here.addresses[0].ip, PUBLISHED))
        await asyncio.to_thread(client.send, b"ask")
        asked, whence = await asyncio.to_thread(server.recvfrom, 100)
        server.sendto(b"answer", whence)
        assert (asked, await asyncio.to_thread(client.recv, 100)) == (b"ask", b"answer")


@pytest.mark.parametrize("is_kept", [False, True], ids=["removed", "used again"])
async def test_who_goes_on_sending_reaches_the_next_task(here: Stage, *, is_kept: bool) -> None:
    """With a socket that it has, to a port that another task publishes now."""
    publication = Publication(container_port=PORT, protocol="udp", host_port=PUBLISHED)
    driver = here.driver()
    with socket.socket(type=socket.SOCK_DGRAM) as client:
        client.settimeout(PATIENCE)
        client.connect((here.addresses[0].ip, PUBLISHED))
        async with asyncio.TaskGroup() as group:
            keeping = group.create_task(driver.run()) if is_kept else None
            for short in ("first", "second"):
                made = await driver.ensure(SandboxSpec(name=here.named(short), published=(publication,)))
                with here.socket_in(made.name, socket.SOCK_DGRAM) as server:
                    server.bind(("0.0.0.0", PORT))
                    server.settimeout(PATIENCE)
                    await asyncio.to_thread(client.send, short.encode())
                    asked, whence = await asyncio.to_thread(server.recvfrom, 100)
                    server.sendto(b"answer", whence)
                    assert (asked.decode(), await asyncio.to_thread(client.recv, 100)) == (short, b"answer")
                await driver.remove(made.name)
            if keeping is not None:
                keeping.cancel()


async def test_beyond_the_machine_everyone_is_the_machine(here: Stage) -> None:
    """Beyond: a network behind a link that is not ours."""
    task = await here.driver().ensure(SandboxSpec(name=here.named("task"), interface=eni(here)))
    inner = await here.driver().ensure(SandboxSpec(name=here.named("inner")))
    async with outside(here) as (server, address, gateway):
        for made in (task, inner):
            seen = await reaches(here.socket_in(made.name), server, address, PORT)
            assert seen == gateway


@contextlib.asynccontextmanager
async def outside(here: Stage) -> AsyncIterator[tuple[socket.socket, str, str]]:
    """Docker's own bridge, and a container on it: none of ours, and it knows no way to our addresses."""
    spec = here.engine.spec("outside", "sleep", "3600")
    await here.engine.run(spec)
    shown = await here.engine.client.get(f"/containers/{spec.name}/json")
    network = shown["NetworkSettings"]["Networks"]["bridge"]
    with listening(here, spec.name) as server:
        yield server, network["IPAddress"], network["Gateway"]


async def test_containers_of_others_are_reached_by_what_they_publish_alone(here: Stage) -> None:
    """On a network of Docker's own, as somebody's database: Docker does not lead there either."""
    client, networks = here.engine.client, DockerNetworks(here.engine.client)
    inner = await here.driver().ensure(SandboxSpec(name=here.named("inner")))
    task = await here.driver().ensure(SandboxSpec(name=here.named("task"), interface=eni(here)))
    changes = networks.changes()
    await here.ground.part(await anext(changes))
    name, at = here.named("network"), here.addresses[0].ip
    await client.post("/networks/create", {"Name": name, "Driver": "bridge", "Labels": {LABEL: "1"}})
    try:
        async with asyncio.timeout(PATIENCE):
            await here.ground.part(await anext(changes))
        port, published = f"{PORT}/tcp", [{"HostIp": at, "HostPort": str(PUBLISHED)}]
        host = {"NetworkMode": name, "PortBindings": {port: published}}
        spec = here.engine.spec("database", "sleep", "3600", host=host, ExposedPorts={port: {}})
        await here.engine.run(spec)
        shown = await client.get(f"/containers/{spec.name}/json")
        address = shown["NetworkSettings"]["Networks"][name]["IPAddress"]
        with listening(here, spec.name) as server:
            for made in (inner, task):
                hidden = await reaches(here.socket_in(made.name), server, address, PORT, within=UNHEARD)
                assert hidden is None
                assert await reaches(here.socket_in(made.name), server, at, PUBLISHED) is not None
            await here.ground.part(())
            assert await reaches(here.socket_in(inner.name), server, address, PORT) is not None
    finally:
        await changes.aclose()
        await here.engine.containers.remove(here.engine.spec("database", "sleep").name)
        await client.delete(f"/networks/{name}")


async def test_nobody_sends_from_an_address_that_is_not_its_own(here: Stage) -> None:
    """Not even who may change addresses; with its own address the same packet arrives."""
    driver = here.driver()
    forger = await driver.ensure(SandboxSpec(name=here.named("forger"), interface=eni(here)))
    victim = await driver.ensure(SandboxSpec(name=here.named("victim"), interface=eni(here, 78)))
    target = await driver.ensure(SandboxSpec(name=here.named("target"), interface=eni(here, 79)))
    with here.socket_in(target.name, socket.SOCK_DGRAM) as server:
        server.bind(("0.0.0.0", PORT))
        for forged in (victim.address, here.addresses[0].ip, "192.0.2.77"):
            here.run_in(forger.name, "ip", "address", "add", f"{forged}/32", "dev", "eth0")
            for source in (forged, forger.address):
                with here.socket_in(forger.name, socket.SOCK_DGRAM) as client:
                    client.bind((source, 0))
                    client.sendto(source.encode(), (target.address, PORT))
            server.settimeout(PATIENCE)
            heard, (whence, _) = await asyncio.to_thread(server.recvfrom, 100)
            assert (heard.decode(), whence) == (forger.address, forger.address), "only the honest one arrives"
        server.settimeout(UNHEARD)
        with pytest.raises(TimeoutError):
            await asyncio.to_thread(server.recvfrom, 100)


async def test_metadata_hears_who_asks_and_nobody_else_may(here: Stage) -> None:
    made = await here.driver().ensure(SandboxSpec(name=here.named("one")))
    task = await here.driver().ensure(SandboxSpec(name=here.named("task"), interface=eni(here)))
    with (
        socket.create_server((here.ground.host, 0)) as server,
        socket.create_server((here.ground.host, 0)) as imds,
    ):
        for listener in (server, imds):
            listener.settimeout(PATIENCE)
        endpoints = Endpoints(metadata=server.getsockname()[1], imds=imds.getsockname()[1])
        await here.ground.point(endpoints)
        for asking in (made, task):
            assert await reaches(here.socket_in(asking.name), server, "169.254.170.2", 80) == asking.address
            assert await reaches(here.socket_in(asking.name), imds, "169.254.169.254", 80) == asking.address
        await here.ground.point(replace(endpoints, imds=0))
        assert await reaches(here.socket_in(made.name), imds, "169.254.169.254", 80, within=UNHEARD) is None
        assert await reaches(here.socket_in(made.name), server, "169.254.170.2", 80) == made.address


async def test_an_instance_can_be_kept_from_the_instance_metadata_service(here: Stage) -> None:
    """As Fargate's tasks are: they have no instance."""
    await here.ground.up({one.index: one.ip for one in here.addresses}, deaf=[1])
    hearing = await here.driver(0).ensure(SandboxSpec(name=here.named("hearing")))
    deaf = await here.driver(1).ensure(SandboxSpec(name=here.named("deaf")))
    with socket.create_server((here.ground.host, 0)) as server:
        server.settimeout(PATIENCE)
        await here.ground.point(Endpoints(metadata=1, imds=server.getsockname()[1]))
        assert await reaches(here.socket_in(hearing.name), server, "169.254.169.254", 80) == hearing.address
        assert await reaches(here.socket_in(deaf.name), server, "169.254.169.254", 80, within=UNHEARD) is None


async def test_a_container_that_joins_finds_names_addresses_and_routes(here: Stage) -> None:
    driver, own = here.driver(), eni(here)
    task = SandboxSpec(name=here.named("task"), interface=own, extra_hosts=(("db", "10.9.8.7"),))
    named = SandboxSpec(
        name=here.named("named"), hostname="web-1", dns=("192.0.2.9",), dns_search=("x.test",)
    )
    await driver.ensure(task)
    inner = await driver.ensure(named)
    show = ("sh", "-c", "cat /etc/resolv.conf /etc/hosts; ip address show eth0; ip route; hostname")
    joined = {"NetworkMode": f"container:{task.name}"}
    said = "\n".join(await here.engine.finish(here.engine.spec("in-task", *show, host=joined)))
    assert "nameserver 192.0.2.2" in said
    assert "search ec2.internal" in said
    assert "10.9.8.7\tdb" in said
    assert f"{own.address}\tip-of-the-task.ec2.internal" in said
    assert own.mac in said
    assert f"inet {own.address}/20" in said
    assert f"default via {own.gateway} dev eth0" in said
    joined = {"NetworkMode": f"container:{named.name}"}
    said = "\n".join(await here.engine.finish(here.engine.spec("in-named", *show, host=joined)))
    assert "nameserver 192.0.2.9" in said
    assert "search x.test" in said
    assert f"{inner.address}\tweb-1" in said
    assert said.splitlines()[-1] == "web-1"


async def test_whoever_is_not_root_may_listen_on_low_ports(here: Stage) -> None:
    """As on Docker's own bridge."""
    made = await here.driver().ensure(SandboxSpec(name=here.named("low")))
    for host in ({}, {"NetworkMode": f"container:{made.name}"}):
        spec = here.engine.spec(
            f"low-{len(host)}", "sh", "-c", "timeout 1 nc -l -p 80; echo $?", host=host, User="nobody"
        )
        assert "denied" not in "".join(await here.engine.finish(spec)), "it ended by the time"


async def test_counters_are_the_sandboxs_own(here: Stage) -> None:
    driver = here.driver()
    made = await driver.ensure(SandboxSpec(name=here.named("one"), interface=eni(here)))
    other = await driver.ensure(SandboxSpec(name=here.named("two"), interface=eni(here, 78)))
    before = await driver.counters(made.name)
    with here.socket_in(made.name, socket.SOCK_DGRAM) as client:
        client.sendto(bytes(1000), (other.address, PORT))
    sent, heard = await driver.counters(made.name), await driver.counters(other.name)
    assert before is not None
    assert sent is not None
    assert heard is not None
    assert (sent.tx_packets - before.tx_packets, sent.tx_bytes - before.tx_bytes) == (1, 1042)
    assert heard.rx_bytes >= 1042
    assert isinstance(heard, Counters)


async def test_two_installations_do_not_meet(here: Stage, docker: Engine) -> None:
    made = await here.driver().ensure(web(here))
    async with stage(docker_twin(docker)) as there:
        assert not there.ground.network.overlaps(here.ground.network)
        assert not set(there.addresses) & set(here.addresses)
        theirs = await there.driver().ensure(web(there, "theirs"))
        with listening(here, made.name) as server:
            seen = await reaches(there.socket_in(theirs.name), server, here.addresses[0].ip, PUBLISHED)
            assert seen not in {theirs.address, there.addresses[0].ip}, "it comes as the machine"
            assert seen is not None
    assert await here.driver().find(made.name) == made


def docker_twin(docker: Engine) -> Engine:
    """The same daemon for another installation."""
    return replace(docker, run_id=f"{docker.run_id}b", made=docker.made)
