"""Addresses for local instances: chosen purely, made in a network namespace of the test's own."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from ipaddress import IPv4Address, IPv4Network
from pathlib import Path

import pytest
import pytest_asyncio
from hypothesis import given
from hypothesis import strategies as st

from homeport.app.networks.addresses import NoAddressesError, settle_ground
from homeport.core.ids import SystemIds
from homeport.node.commands import CommandError, Run, run_command
from homeport.node.instance_net import (
    CANDIDATES,
    ZONES,
    InstanceNet,
    NoFreeRangeError,
    address_of,
    bridge_name,
    pick_range,
    subnets,
)

DEFAULT = IPv4Network("172.31.0.0/16")


def test_the_first_choice_is_a_default_vpcs_range() -> None:
    """Source: Amazon VPC user guide, "Default VPC components"."""
    assert pick_range([]) == DEFAULT
    assert {zone: str(subnet) for zone, subnet in subnets(DEFAULT).items()} == {
        "a": "172.31.0.0/20",
        "b": "172.31.16.0/20",
        "c": "172.31.32.0/20",
    }


def test_a_range_that_is_free_again_is_kept() -> None:
    wish = IPv4Network("10.47.0.0/16")
    assert pick_range([], preferred=wish) == wish
    assert pick_range([IPv4Network("10.47.3.0/24")], preferred=wish) == DEFAULT


@given(st.sets(st.sampled_from(CANDIDATES)), st.lists(st.ip_addresses(v=4)))
def test_a_range_overlaps_nothing_that_is_routed(whole: set[IPv4Network], single: list[IPv4Address]) -> None:
    taken = [*whole, *(IPv4Network(f"{address}/32") for address in single)]
    try:
        chosen = pick_range(taken)
    except NoFreeRangeError:
        assert all(any(candidate.overlaps(each) for each in taken) for candidate in CANDIDATES)
    else:
        assert not any(chosen.overlaps(each) for each in taken)


@given(st.sets(st.integers(0, 3000), max_size=50))
def test_every_instance_has_a_usable_address_of_its_zone(indexes: set[int]) -> None:
    addresses = [address_of(DEFAULT, index) for index in indexes]
    assert len({each.ip for each in addresses}) == len(indexes)
    for each in addresses:
        subnet = subnets(DEFAULT)[each.zone]
        assert IPv4Address(each.ip) in subnet
        reserved = {*(subnet[i] for i in range(4)), subnet[-1]}
        assert IPv4Address(each.ip) not in reserved
        assert each.zone == ZONES[each.index % 3]


def test_a_full_subnet_says_so() -> None:
    assert address_of(DEFAULT, 3 * 4090).ip == "172.31.15.254"
    with pytest.raises(ValueError, match="does not fit"):
        address_of(DEFAULT, 3 * 4091)


@given(st.text(min_size=1))
def test_a_links_name_is_short_enough(homeport: str) -> None:
    assert len(bridge_name(homeport).encode()) <= 15


@pytest_asyncio.fixture
async def inside() -> AsyncIterator[Run]:
    """Runs programs in a network namespace of its own."""
    name = f"hpt-{SystemIds().token(4).hex()}"
    await run_command("ip", "netns", "add", name)

    async def run(*command: str, stdin: str = "") -> str:
        return await run_command("ip", "netns", "exec", name, *command, stdin=stdin)

    await run("ip", "link", "set", "lo", "up")
    yield run
    await run_command("ip", "netns", "delete", name)


async def _addresses(run: Run) -> set[str]:
    shown = json.loads(await run("ip", "-j", "-4", "address"))
    return {
        info["local"] for link in shown for info in link["addr_info"] if not info["local"].startswith("127.")
    }


@pytest.mark.root
class TestOnLinux:
    async def test_addresses_come_and_go_with_the_instances(self, inside: Run) -> None:
        net = InstanceNet(inside, "one")
        three = await net.up(3)
        assert [each.ip for each in three] == ["172.31.0.4", "172.31.16.4", "172.31.32.4"]
        assert await _addresses(inside) == {each.ip for each in three}
        assert await net.up(3) == three
        assert await net.up(1) == three[:1]
        assert await _addresses(inside) == {"172.31.0.4"}
        await net.down()
        await net.down()
        assert await _addresses(inside) == set()
        assert "172.31" not in await inside("ip", "route", "show", "table", "all")

    async def test_an_address_answers_at_once(self, inside: Run) -> None:
        await InstanceNet(inside, "one").up(1)
        assert "local 172.31.0.4" in await inside("ip", "route", "get", "172.31.0.4")

    async def test_two_homeports_take_two_ranges(self, inside: Run) -> None:
        one, two = InstanceNet(inside, "one"), InstanceNet(inside, "two")
        first, second = await one.up(1), await two.up(1)
        assert (first[0].ip, second[0].ip) == ("172.31.0.4", "10.31.0.4")
        await one.down()
        assert await _addresses(inside) == {"10.31.0.4"}
        assert (await two.up(2))[1].ip == "10.31.16.4"
        assert (await one.up(1, preferred="10.79.0.0/16"))[0].ip == "10.79.0.4"

    async def test_a_bridge_that_was_left_half_made_is_finished(self, inside: Run) -> None:
        net = InstanceNet(inside, "one")
        await inside("ip", "link", "add", net.link, "type", "bridge")
        assert len(await net.up(2)) == 2

    async def test_a_range_that_a_route_uses_is_left_alone(self, inside: Run) -> None:
        await inside("ip", "route", "add", "unreachable", "172.31.240.0/24")
        assert (await InstanceNet(inside, "one").up(1))[0].ip == "10.31.0.4"


@pytest.mark.root
class TestTheInstallationsOwnRange:
    """It is settled once, and its VPC keeps it."""

    async def settle(self, inside: Run, homeport: str, folder: Path) -> str:
        await asyncio.to_thread(folder.mkdir, exist_ok=True)
        found = await settle_ground(inside, homeport, folder, account_id="000000000000", region="us-east-1")
        assert found.home("000000000000", "us-east-1") == found.home_range
        assert found.home("000000000000", "eu-west-1") == found.home("111111111111", "us-east-1") == ""
        return found.home_range

    async def test_it_is_kept_over_a_restart_of_the_machine(self, inside: Run, tmp_path: Path) -> None:
        await inside("ip", "route", "add", "unreachable", "172.31.0.0/16")
        first = await self.settle(inside, "one", tmp_path)
        assert first == await self.settle(inside, "one", tmp_path) == "10.31.0.0/16"
        await InstanceNet(inside, "one").down()
        await inside("ip", "route", "delete", "unreachable", "172.31.0.0/16")
        assert await self.settle(inside, "one", tmp_path) == first

    async def test_who_has_it_meanwhile_is_told_and_nothing_is_left(
        self, inside: Run, tmp_path: Path
    ) -> None:
        await self.settle(inside, "one", tmp_path / "one")
        await InstanceNet(inside, "one").down()
        assert await self.settle(inside, "two", tmp_path / "two") == "172.31.0.0/16"
        with pytest.raises(NoAddressesError, match=r"is 172\.31\.0\.0/16, and something else") as refused:
            await self.settle(inside, "one", tmp_path / "one")
        assert "homeport down --purge" in refused.value.remedy
        assert bridge_name("one") not in await inside("ip", "link")
        await InstanceNet(inside, "two").down()
        assert await self.settle(inside, "one", tmp_path / "one") == "172.31.0.0/16"

    async def test_what_is_routed_is_read_anew_each_time(self, inside: Run, tmp_path: Path) -> None:
        ground = await settle_ground(inside, "one", tmp_path, account_id="000000000000", region="us-east-1")
        assert "10.99.0.0/16" not in await ground.routed()
        await inside("ip", "route", "add", "unreachable", "10.99.0.0/16")
        assert {"10.99.0.0/16", ground.home_range} <= set(await ground.routed())


async def test_a_program_that_fails_or_is_missing_is_said() -> None:
    with pytest.raises(CommandError, match="no-such-program"):
        await run_command("no-such-program")
    with pytest.raises(CommandError, match="false"):
        await run_command("false")
    assert await run_command("cat", stdin="text") == "text"


@pytest.mark.root
async def test_installations_that_begin_at_once_take_a_range_each(inside: Run) -> None:
    async with asyncio.TaskGroup() as group:
        begun = [group.create_task(InstanceNet(inside, f"h{number}").settle()) for number in range(6)]
    assert len({task.result() for task in begun}) == 6
