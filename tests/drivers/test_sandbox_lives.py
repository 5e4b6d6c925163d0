"""Sandboxes over time: warm and used ones, what a restart finds, what comes back when it is taken away."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import struct
import subprocess
from dataclasses import replace

import pytest

from homeport.node.commands import run_command
from homeport.node.drivers.pause_image import pause_layer, pause_program
from homeport.node.ports import DriverError, SandboxSpec
from homeport.node.sandbox import layout
from homeport.node.sandbox.ground import left_behind
from homeport.node.sandbox.holder import Holders
from tests.kit.docker import LABEL, machine
from tests.kit.sandbox_stage import Stage, ground_of
from tests.kit.sandbox_traffic import PATIENCE, PUBLISHED, eni, listening, reaches, web

pytestmark = [pytest.mark.docker, pytest.mark.root]

PREROUTING = "dnat ip to ip daddr . meta l4proto . th dport map @published"


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


async def test_the_next_process_knows_what_sandboxes_stand_on_before_it_asks_docker(here: Stage) -> None:
    instances = {one.index: one.ip for one in here.addresses}
    assert await left_behind(run_command, here.homeport, instances) == here.ground.blocks
    assert len(here.ground.blocks) == 2
    assert await left_behind(run_command, "nobodys", instances) == ()


async def test_nothing_leads_to_an_instance_that_is_not_run_any_more(here: Stage) -> None:
    await here.driver(0).ensure(web(here, "stays"))
    stays = here.published()
    await here.driver(1).ensure(web(here, "goes"))
    assert len(here.published()) == 2
    await ground_of(here.homeport).up({0: here.addresses[0].ip})
    assert here.published() == stays


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
