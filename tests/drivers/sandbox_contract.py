"""What every driver of network sandboxes does, the real one and the one in memory."""

from __future__ import annotations

from collections.abc import Callable

from homeport.node.ports import (
    ContainerDriver,
    Publication,
    RunState,
    SandboxDriver,
    SandboxSpec,
    TaskInterface,
)

Named = Callable[[str], str]
"""A name of this test alone."""


def interface(number: int, subnet: str = "10.254.16.0/20") -> TaskInterface:
    """An interface as a payload tells it."""
    base = subnet.rpartition(".")[0]
    return TaskInterface(
        attachment_id=f"eni-attach-{number}",
        mac=f"02:ab:00:00:00:{number:02x}",
        address=f"{base}.{number}",
        subnet=subnet,
        gateway=f"{base}.1",
        private_dns_name=f"ip-10-254-16-{number}.ec2.internal",
    )


class SandboxDriverContract:
    async def test_what_was_never_made_is_not_there(self, driver: SandboxDriver, named: Named) -> None:
        name = named("ghost")
        assert await driver.find(name) is None
        assert await driver.counters(name) is None
        assert name not in await driver.names()
        await driver.remove(name)

    async def test_a_sandbox_is_found_as_it_was_made(
        self, driver: SandboxDriver, holders: ContainerDriver, named: Named
    ) -> None:
        made = await driver.ensure(SandboxSpec(name=named("one")))
        assert made.name == named("one")
        assert made.address
        assert await driver.find(made.name) == made
        assert made.name in await driver.names()
        holder = await holders.status(made.name)
        assert holder is not None
        assert (holder.docker_id, holder.state) == (made.docker_id, RunState.RUNNING)
        assert await driver.counters(made.name) is not None

    async def test_the_same_call_again_finds_the_first(self, driver: SandboxDriver, named: Named) -> None:
        spec = SandboxSpec(
            name=named("one"), published=(Publication(container_port=80, protocol="tcp", host_port=49_200),)
        )
        assert await driver.ensure(spec) == await driver.ensure(spec)

    async def test_publishing_again_changes_nothing_else(self, driver: SandboxDriver, named: Named) -> None:
        port = Publication(container_port=80, protocol="tcp", host_port=49_200)
        spec = SandboxSpec(name=named("one"), published=(port,))
        made = await driver.ensure(spec)
        await driver.publish(spec)
        assert await driver.find(made.name) == made
        await driver.remove(made.name)
        await driver.publish(spec)
        assert (await driver.find(made.name), made.name in await driver.names()) == (None, False)

    async def test_each_has_an_address_of_its_own(self, driver: SandboxDriver, named: Named) -> None:
        made = [await driver.ensure(SandboxSpec(name=named(short))) for short in ("one", "two", "three")]
        assert len({each.address for each in made}) == 3
        assert len({each.docker_id for each in made}) == 3

    async def test_an_interface_brings_its_addresses(self, driver: SandboxDriver, named: Named) -> None:
        own = interface(9)
        made = await driver.ensure(SandboxSpec(name=named("eni"), interface=own))
        assert (made.address, made.mac) == (own.address, own.mac)
        assert await driver.find(made.name) == made

    async def test_nothing_is_left_of_a_removed_one(
        self, driver: SandboxDriver, holders: ContainerDriver, named: Named
    ) -> None:
        own = interface(9)
        made = await driver.ensure(SandboxSpec(name=named("eni"), interface=own))
        await driver.remove(made.name)
        assert await driver.find(made.name) is None
        assert await driver.counters(made.name) is None
        assert made.name not in await driver.names()
        assert await holders.status(made.name) is None
        again = await driver.ensure(SandboxSpec(name=named("next"), interface=own))
        assert again.address == own.address, "its address is free at once"
        await driver.remove(made.name)
        assert await driver.find(again.name) == again, "removing it once more removes nothing else"

    async def test_a_hostname_is_given(
        self, driver: SandboxDriver, holders: ContainerDriver, named: Named
    ) -> None:
        made = await driver.ensure(SandboxSpec(name=named("one"), hostname="web-1"))
        assert await driver.ensure(SandboxSpec(name=named("one"), hostname="web-1")) == made

    async def test_a_sandbox_whose_holder_ended_is_not_whole(
        self, driver: SandboxDriver, holders: ContainerDriver, named: Named
    ) -> None:
        made = await driver.ensure(SandboxSpec(name=named("one")))
        await holders.kill(made.name)
        assert await driver.find(made.name) is None
        assert made.name in await driver.names(), "something of it is there"
        await driver.remove(made.name)
        assert made.name not in await driver.names()
