"""A link of addresses: what is missing comes, what is too much goes, and nothing is done twice."""

from __future__ import annotations

import json

import pytest

from homeport.node.address_link import AddressLink, balancer_link
from homeport.node.commands import CommandError


class Kernel:
    """Bridges and their addresses, as `ip` tells of them."""

    def __init__(self) -> None:
        self.links: dict[str, list[str]] = {"docker0": ["172.17.0.1"]}
        self.batches: list[str] = []
        self.trouble_at = 0

    async def __call__(self, *command: str, stdin: str = "") -> str:
        match command[1:]:
            case ("-j", "link", "show", "type", "bridge"):
                return json.dumps([{"ifname": name} for name in self.links])
            case ("-j", "-4", "address", "show", "dev", name):
                info = [{"family": "inet", "local": one} for one in self.links[name]]
                return json.dumps([{"ifname": name, "addr_info": info}])
            case ("link", "delete", name):
                del self.links[name]
                return ""
        assert command == ("ip", "-batch", "-")
        self.batches.append(stdin)
        for number, line in enumerate(stdin.splitlines(), 1):
            if number == self.trouble_at:
                raise CommandError("ip: no")
            self._do(line.split())
        return ""

    def _do(self, words: list[str]) -> None:
        match words:
            case ["link", "add", name, "type", "bridge"]:
                self.links[name] = []
            case ["link", "set", name, "up"]:
                assert name in self.links
            case ["address", "add", address, "dev", name]:
                ip = address.removesuffix("/32")
                assert ip not in self.links[name]
                self.links[name].append(ip)
            case ["address", "del", address, "dev", name]:
                self.links[name].remove(address.removesuffix("/32"))
            case _:
                raise AssertionError(words)


@pytest.fixture
def kernel() -> Kernel:
    return Kernel()


async def test_the_addresses_are_exactly_those_that_are_held(kernel: Kernel) -> None:
    link = AddressLink(kernel, "hpb-1")
    await link.hold([])
    assert kernel.batches == []
    await link.hold(["10.0.0.4", "10.0.0.5"])
    await link.hold(["10.0.0.5", "10.0.0.4"])
    await link.hold(["10.0.0.5", "10.0.1.6"])
    assert kernel.links["hpb-1"] == ["10.0.0.5", "10.0.1.6"]
    assert len(kernel.batches) == 3
    await link.hold([])
    assert kernel.links["hpb-1"] == []


async def test_what_another_process_left_is_adopted_and_strays_go(kernel: Kernel) -> None:
    kernel.links["hpb-1"] = ["10.0.0.4", "10.0.0.9"]
    link = AddressLink(kernel, "hpb-1")
    await link.hold(["10.0.0.4"])
    assert kernel.links["hpb-1"] == ["10.0.0.4"]
    kernel.links["hpb-2"] = ["10.0.0.7"]
    await AddressLink(kernel, "hpb-2").hold([])
    assert kernel.links["hpb-2"] == []


async def test_after_trouble_in_the_middle_the_next_call_does_what_is_left(kernel: Kernel) -> None:
    link = AddressLink(kernel, "hpb-1")
    await link.hold(["10.0.0.1"])
    kernel.trouble_at = 2
    with pytest.raises(CommandError):
        await link.hold(["10.0.0.2", "10.0.0.3"])
    kernel.trouble_at = 0
    await link.hold(["10.0.0.2", "10.0.0.3"])
    assert sorted(kernel.links["hpb-1"]) == ["10.0.0.2", "10.0.0.3"]


async def test_a_link_is_removed_once(kernel: Kernel) -> None:
    link = AddressLink(kernel, "hpb-1")
    await link.hold(["10.0.0.1"])
    await link.remove()
    await link.remove()
    assert set(kernel.links) == {"docker0"}
    await link.hold(["10.0.0.1"])
    assert kernel.links["hpb-1"] == ["10.0.0.1"]


def test_a_links_name_fits_and_is_its_installations() -> None:
    assert len(balancer_link("a" * 64)) <= 15
    assert balancer_link("a") != balancer_link("b")
