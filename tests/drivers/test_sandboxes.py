"""Sandboxes on the kernel: who reaches whom, from which address, what is read, and what a restart finds."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import struct
import subprocess
from collections.abc import AsyncIterator
from dataclasses import replace

import pytest
import pytest_asyncio

from homeport.node.drivers.docker_networks import DockerNetworks
from homeport.node.drivers.pause_image import pause_layer, pause_program
from homeport.node.ports import Counters, DriverError, Publication, SandboxSpec, TaskInterface
from homeport.node.sandbox import layout
from homeport.node.sandbox.holder import Holders
from homeport.node.sandbox.rules import Endpoints
from tests.kit.docker import LABEL, Engine, machine
from tests.kit.sandbox_stage import Stage, ground_of, stage

pytestmark = [pytest.mark.docker, pytest.mark.root]

PORT, PUBLISHED = 8080, 49_321
PATIENCE = 10.0
UNHEARD = 0.4
"""Seconds of silence that count as dropped."""


@pytest_asyncio.fixture
async def here(docker: Engine) -> AsyncIterator[Stage]:
    async with stage(docker) as made:
        yield made


def web(here: Stage, short: str = "web") -> SandboxSpec:
    publication = Publication(container_port=PORT, protocol="tcp", host_port=PUBLISHED)
    return SandboxSpec(name=here.named(short), published=(publication,))


def eni(here: Stage, number: int = 77) -> TaskInterface:
    """In the subnet of the first instance."""
    subnet = here.addresses[0].subnet
    base = here.addresses[0].ip.rpartition(".")[0]
    return TaskInterface(
        attachment_id="eni-attach-1",
        mac=f"02:ab:00:00:01:{number:02x}",
        address=f"{base}.{number}",
        subnet=subnet,
        gateway=f"{base}.1",
        dns=("192.0.2.2",),
        search=("ec2.internal",),
        private_dns_name="ip-of-the-task.ec2.internal",
    )


def listening(here: Stage, name: str, port: int = PORT) -> socket.socket:
    """A server in a sandbox."""
    made = here.socket_in(name)
    made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    made.bind(("0.0.0.0", port))
    made.listen()
    made.settimeout(PATIENCE)
    return made


async def reaches(
    client: socket.socket, server: socket.socket, address: str, port: int, *, within: float = PATIENCE
) -> str | None:
    """The address that the server sees; `None`: nothing comes through."""

    def connect() -> str | None:
        client.settimeout(within)
        with client:
            try:
                client.connect((address, port))
            except TimeoutError:
                return None
            accepted, (seen, _) = server.accept()
            accepted.close()
            return str(seen)

    return await asyncio.to_thread(connect)


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


async def test_a_holder_that_ended_comes_back_under_its_id(here: Stage) -> None:
    """So that what joined it can start again."""
    driver = here.driver()
    made = await driver.ensure(web(here))
    await here.engine.containers.kill(made.name)
    assert await driver.find(made.name) is None
    assert await driver.ensure(web(here)) == made
    with listening(here, made.name) as server:
        assert await reaches(socket.socket(), server, here.addresses[0].ip, PUBLISHED) is not None


async def test_half_a_sandbox_is_made_whole(here: Stage) -> None:
    driver = here.driver()
    made = await driver.ensure(web(here))
    (veth,) = here.veths()
    here.run_in(made.name, "ip", "link", "delete", "eth0")
    assert await driver.find(made.name) is None
    assert await driver.ensure(web(here)) == made
    assert here.veths() == {veth}
    assert await driver.find(made.name) == made


async def test_a_warm_one_is_taken_and_another_made(here: Stage) -> None:
    driver = here.driver(warm=2)
    await driver.adopt()
    await driver.refill()
    warm = {each.docker_id for each in await here.holders.all()}
    assert len(warm) == 2
    assert await driver.names() == ()
    made = await driver.ensure(web(here))
    task = await driver.ensure(SandboxSpec(name=here.named("task"), interface=eni(here)))
    assert {made.docker_id, task.docker_id} == warm
    named = await driver.ensure(SandboxSpec(name=here.named("named"), hostname="web"))
    assert named.docker_id not in warm
    await driver.refill()
    assert len(await here.holders.all()) == 5
    assert len(await driver.names()) == 3


async def test_rules_that_somebody_takes_away_come_back(here: Stage) -> None:
    """All of them, with the ports that were published: as `nft flush ruleset` would, in our table alone."""
    made = await here.driver().ensure(web(here))
    before = here.published()
    async with asyncio.TaskGroup() as group:
        watching = group.create_task(here.ground.watch())
        await asyncio.sleep(0)
        for harm in ("delete table inet {}", "flush map inet {} published", "flush chain inet {} prerouting"):
            await asyncio.to_thread(machine, "nft", *harm.format(layout.table_name(here.homeport)).split())
            async with asyncio.timeout(PATIENCE):
                while PREROUTING not in _rules(here) or here.published() != before:  # noqa: ASYNC110
                    await asyncio.sleep(0.01)
            with listening(here, made.name) as server:
                assert await reaches(socket.socket(), server, here.addresses[0].ip, PUBLISHED) is not None
        watching.cancel()


async def test_the_way_past_docker_comes_back(here: Stage) -> None:
    """As after `iptables -F`, or another firewall's reload."""
    before = here.foundations()
    rules = [one for one in before if "DOCKER-USER" in one]
    assert len(rules) == 2
    async with asyncio.TaskGroup() as group:
        watching = group.create_task(here.ground.watch())
        for _ in range(5):
            await asyncio.sleep(0)  # its own tasks begin, and listen from their first step on
        for rule in rules:
            await asyncio.to_thread(machine, "iptables", "-w", "-D", *rule.split()[1:])
        async with asyncio.timeout(PATIENCE):
            while sorted(here.foundations()) != sorted(before):  # noqa: ASYNC110
                await asyncio.sleep(0.01)
        watching.cancel()


async def test_ports_that_were_lost_unseen_are_published_anew(here: Stage) -> None:
    """By a process that knows nothing of the one that published them."""
    made = await here.driver().ensure(web(here))
    before = here.published()
    machine("nft", "flush", "map", "inet", layout.table_name(here.homeport), "published")
    later = replace(here, ground=ground_of(here.homeport))
    await later.ground.up({one.index: one.ip for one in here.addresses})
    driver = later.driver()
    assert await driver.find(made.name) == made
    assert here.published() == []
    await driver.publish(web(here))
    assert here.published() == before


async def test_nothing_leads_to_an_instance_that_is_not_run_any_more(here: Stage) -> None:
    await here.driver(0).ensure(web(here, "stays"))
    stays = here.published()
    await here.driver(1).ensure(web(here, "goes"))
    assert len(here.published()) == 2
    await ground_of(here.homeport).up({0: here.addresses[0].ip})
    assert here.published() == stays


PREROUTING = "dnat ip to ip daddr . meta l4proto . th dport map @published"


def _rules(here: Stage) -> str:
    """The table's rules; empty: there is no such table."""
    name = layout.table_name(here.homeport)
    if f"table inet {name}\n" not in machine("nft", "list", "tables"):
        return ""
    with contextlib.suppress(subprocess.CalledProcessError):
        return machine("nft", "list", "chain", "inet", name, "prerouting")
    return ""


async def test_a_holder_whose_task_is_over_holds_the_next_sandbox(here: Stage) -> None:
    """In namespaces that nobody was in before."""
    driver = here.driver(warm=0)
    async with asyncio.TaskGroup() as group:
        keeping = group.create_task(driver.run())
        made = await driver.ensure(SandboxSpec(name=here.named("one"), interface=eni(here)))
        here.run_in(made.name, "ip", "address", "add", "192.0.2.1/32", "dev", "eth0")
        here.run_in(made.name, "nft", "add", "table", "inet", "left-by-the-task")
        await driver.remove(made.name)
        assert await driver.names() == ()
        assert eni(here).address not in machine("ip", "route"), "others may have its address at once"
        async with asyncio.timeout(PATIENCE):
            while not driver.in_stock:  # noqa: ASYNC110 - nobody else needs to be told
                await asyncio.sleep(0.01)
        keeping.cancel()
    again = await driver.ensure(web(here))
    assert again.docker_id == made.docker_id
    assert again.address != made.address
    assert "192.0.2.1" not in here.run_in(again.name, "ip", "address")
    assert not here.run_in(again.name, "nft", "list", "tables")
    with listening(here, again.name) as server:
        assert await reaches(socket.socket(), server, here.addresses[0].ip, PUBLISHED) is not None


async def test_what_would_tell_the_next_task_of_the_one_before_is_not_used_again(here: Stage) -> None:
    driver = here.driver()
    async with asyncio.TaskGroup() as group:
        keeping = group.create_task(driver.run())
        await asyncio.sleep(0)
        for spec in (
            SandboxSpec(name=here.named("named"), hostname="web-1"),
            SandboxSpec(name=here.named("more"), holds_more=True),
        ):
            await driver.ensure(spec)
            await driver.remove(spec.name)
        keeping.cancel()
    assert await here.traces() == []


async def test_containers_that_share_processes_find_no_privileges_there(here: Stage) -> None:
    spec = SandboxSpec(name=here.named("more"), holds_more=True)
    made = await here.driver().ensure(spec)
    shown = await here.engine.client.get(f"/containers/{made.docker_id}/json")
    assert not shown["HostConfig"]["CapAdd"]
    assert shown["HostConfig"]["NetworkMode"] == "none"


async def test_a_restart_goes_on_with_what_is_there(here: Stage) -> None:
    before = here.driver(warm=1)
    await before.adopt()
    await before.refill()
    kept = {each.docker_id for each in await here.holders.all()}
    made = await before.ensure(web(here, "kept"))
    assert made.docker_id in kept
    await before.refill()
    (warm,) = {each.docker_id for each in await here.holders.all()} - kept
    after = here.driver(warm=1)
    assert await after.names() == (made.name,)
    assert await after.find(made.name) == made
    taken = await after.ensure(SandboxSpec(name=here.named("next")))
    assert taken.docker_id == warm
    assert taken.address != made.address
    with listening(here, made.name) as server:
        assert await reaches(socket.socket(), server, here.addresses[0].ip, PUBLISHED) is not None


async def test_strays_of_a_crash_are_removed(here: Stage) -> None:
    """A link without a holder, a port that leads to nobody, a warm holder without a link."""
    first = here.driver(warm=1)
    await first.adopt()
    await first.refill()
    made = await first.ensure(web(here))
    await here.holders.remove(made.name)
    machine("ip", "link", "add", layout.veth_name(here.homeport, 0, 900), "type", "bridge")
    await here.holders.create(
        f"homeport-warm-{layout.short_id(here.homeport)}-0-3e0",
        veth=layout.veth_name(here.homeport, 0, 0x3E0),
        hostname="half",
    )
    other = await here.driver(1).ensure(web(here, "other"))
    assert len(here.published()) == 2
    await here.driver().adopt()
    assert [each.name for each in await here.holders.all()] == [other.name]
    assert len(here.published()) == 1, "another instance's is not ours to remove"
    assert len(here.veths()) == 1


async def test_a_dead_warm_one_is_not_given(here: Stage) -> None:
    """As all are after the Docker daemon was started again."""
    driver = here.driver(warm=1)
    await driver.adopt()
    await driver.refill()
    (dead,) = await here.holders.all()
    await here.engine.containers.kill(dead.name)
    made = await driver.ensure(SandboxSpec(name=here.named("one")))
    assert made.docker_id != dead.docker_id
    assert [each.docker_id for each in await here.holders.all()] == [made.docker_id]


async def test_a_holder_that_may_not_leave_is_made_by_docker_from_then_on(here: Stage) -> None:
    """As where a security module forbids it: its program ends. Here it asks for what no kernel knows."""
    image = "homeport-test/stuck-pause:1"
    architecture = (await here.engine.containers.info()).architecture
    program = pause_program(architecture, leaving=True)
    stuck = program.replace(_flag(architecture, 0x4800), _flag(architecture, 0x7FFF))
    assert stuck != program
    layer = pause_layer(architecture).replace(program, stuck)
    await here.engine.images.import_tar(image, layer, changes=())
    here.holders = Holders(here.engine.client, image=image, labels={LABEL: here.engine.run_id})
    driver = here.driver()
    with pytest.raises(DriverError, match="no network namespace"):
        await driver.ensure(SandboxSpec(name=here.named("stuck")))
    await driver.remove(here.named("stuck"))
    made = await driver.ensure(SandboxSpec(name=here.named("plain")))
    assert await driver.find(made.name) == made
    await driver.remove(made.name)
    await here.engine.images.remove(image)


def _flag(architecture: str, high: int) -> bytes:
    """The instruction that loads what is to be unshared."""
    if architecture == "aarch64":
        return struct.pack("<I", 0xD2A00000 | high << 5)
    return b"\xbf" + struct.pack("<I", high << 16)


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
