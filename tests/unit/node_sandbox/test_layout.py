"""Names, addresses, numbers, texts and rules of sandboxes: pure."""

from __future__ import annotations

import asyncio
import json
from ipaddress import IPv4Address, IPv4Network

import pytest
from hypothesis import given
from hypothesis import strategies as st

from homeport.node.commands import CommandError
from homeport.node.ports import DriverError, Publication
from homeport.node.sandbox import layout, wire
from homeport.node.sandbox.files import Resolver, hosts_text, machine_resolver, resolv_text
from homeport.node.sandbox.layout import FIRST_NUMBER, LAST_NUMBER, Block, NoFreeRangeError
from homeport.node.sandbox.numbers import Numbers
from homeport.node.sandbox.published import PublishedPorts
from homeport.node.sandbox.rules import Endpoints, Outside, Table, elements, outside, ruleset

RANGE = IPv4Network("100.64.0.0/15")
NUMBERS = st.integers(FIRST_NUMBER, LAST_NUMBER)
INSTANCES = st.integers(0, layout.BLOCKS - 1)


@given(st.text(min_size=1), INSTANCES, NUMBERS)
def test_a_links_name_says_whose_it_is(homeport: str, instance: int, number: int) -> None:
    name = layout.veth_name(homeport, instance, number)
    assert len(name) <= 15
    assert layout.number_of(homeport, instance, name) == number
    assert layout.number_of(homeport, (instance + 1) % layout.BLOCKS, name) is None
    assert name.startswith(layout.veth_prefix(homeport))
    assert not layout.link_name(homeport).startswith(layout.veth_prefix(homeport))


@given(st.tuples(INSTANCES, NUMBERS), st.tuples(INSTANCES, NUMBERS))
def test_no_two_sandboxes_share_an_inner_address(one: tuple[int, int], two: tuple[int, int]) -> None:
    first, second = layout.address_of(RANGE, *one), layout.address_of(RANGE, *two)
    assert (first == second) == (one == two)
    assert (wire.inner_mac(first) == wire.inner_mac(second)) == (one == two)
    assert layout.is_in(first, layout.block_of(RANGE, one[0]))
    assert first != layout.host_address(RANGE)


@given(st.sets(st.sampled_from(layout.CANDIDATES)), st.lists(st.ip_addresses(v=4)))
def test_a_range_overlaps_nothing_that_is_routed(whole: set[IPv4Network], single: list[IPv4Address]) -> None:
    taken = [*whole, *(IPv4Network(f"{address}/32") for address in single)]
    try:
        chosen = layout.pick_range(taken)
    except NoFreeRangeError:
        assert all(any(candidate.overlaps(each) for each in taken) for candidate in layout.CANDIDATES)
    else:
        assert not any(chosen.overlaps(each) for each in taken)


@given(st.lists(st.booleans(), max_size=60))
def test_a_number_is_given_to_one_at_a_time_and_late_again(steps: list[bool]) -> None:
    numbers, held, last = Numbers(), list[int](), 0
    for takes in steps:
        if takes or not held:
            number = numbers.take()
            assert number not in held
            assert number != last, "what was just given back is not given at once"
            held.append(number)
        else:
            last = held.pop(0)
            numbers.give_back(last)
            assert last not in numbers


def test_an_instance_that_is_full_says_so() -> None:
    numbers = Numbers()
    numbers.hold(range(FIRST_NUMBER, LAST_NUMBER + 1))
    with pytest.raises(DriverError, match="in use"):
        numbers.take()
    numbers.give_back(77)
    assert numbers.take() == 77


@given(st.ip_addresses(v=4), st.integers(1, 32))
def test_what_a_link_was_made_for_is_read_again(address: IPv4Address, prefix: int) -> None:
    made = wire.Wire(
        address=str(address), mac=wire.inner_mac(str(address)), gateway="100.64.0.1", prefix=prefix
    )
    assert wire.wire_of(made.mark) == made


@pytest.mark.parametrize("alias", ["", "a link", "10.0.0.1 aa bb", "10.0.0.1/x aa bb", "a b c d"])
def test_any_other_alias_is_a_half_made_link(alias: str) -> None:
    assert wire.wire_of(alias) is None


class TestFiles:
    def test_hosts_know_the_sandbox_and_who_is_told_of(self) -> None:
        text = hosts_text("10.0.0.9", ["ip-10-0-0-9.ec2.internal", "abc", "", "abc"], [("db", "10.0.0.1")])
        lines = text.splitlines()
        assert lines[0] == "127.0.0.1\tlocalhost"
        assert lines[-2:] == ["10.0.0.1\tdb", "10.0.0.9\tip-10-0-0-9.ec2.internal abc"]

    def test_resolv_conf_says_what_it_was_told(self) -> None:
        resolver = Resolver(
            servers=("10.0.0.2", "10.0.0.3"), search=("a.test", "b.test"), options=("ndots:2",)
        )
        assert resolv_text(resolver) == (
            "search a.test b.test\nnameserver 10.0.0.2\nnameserver 10.0.0.3\noptions ndots:2\n"
        )
        assert machine_resolver([resolv_text(resolver)]) == resolver

    def test_a_stub_on_loopback_is_nothing_to_a_container(self) -> None:
        """Source: Docker user guide, "DNS services": such servers are left out."""
        stub, behind = "nameserver 127.0.0.53\nsearch a.test\n", "nameserver 192.0.2.1\nnameserver ::1\n"
        assert machine_resolver([stub, behind]) == Resolver(servers=("192.0.2.1",))
        assert machine_resolver([stub]).servers == ("8.8.8.8", "8.8.4.4")
        assert machine_resolver([]).servers == ("8.8.8.8", "8.8.4.4")


TABLE = Table(
    name="t",
    veths="habc123",
    links=("hps-1", "hp-1"),
    host="100.64.0.1",
    blocks=(Block(instance_address="172.31.0.4", network=IPv4Network("100.64.0.0/22")),),
)


class TestRules:
    def test_without_an_endpoint_metadata_goes_where_it_always_went(self) -> None:
        assert "169.254" not in ruleset(TABLE)

    @pytest.mark.parametrize(
        ("imds", "led", "dropped"), [(None, False, False), (0, False, True), (9, True, True)]
    )
    def test_instance_metadata_is_led_left_or_blocked(
        self, imds: int | None, *, led: bool, dropped: bool
    ) -> None:
        table = Table(
            name="t",
            veths="h",
            links=(),
            host="100.64.0.1",
            blocks=(),
            endpoints=Endpoints(metadata=8, imds=imds),
        )
        rules = [line for line in ruleset(table).splitlines() if "169.254.169.254" in line]
        assert any("dnat" in rule for rule in rules) == led
        assert any(rule.endswith("drop") for rule in rules) == dropped

    def test_replacing_the_rules_keeps_the_published_ports(self) -> None:
        assert "flush map inet t published" not in ruleset(TABLE)
        assert "flush map inet t instances" in ruleset(TABLE)


class Kernel:
    """`nft` and its map, as far as published ports go. `broken`: the next change is refused."""

    def __init__(self) -> None:
        self.map: dict[Outside, tuple[str, int]] = {}
        self.changes: list[str] = []
        self.broken = False

    async def __call__(self, commands: str) -> None:
        if self.broken:
            self.broken = False
            raise CommandError("nft: Error: Could not process rule")
        self.changes.append(commands)
        before = dict(self.map)
        for line in commands.splitlines():
            verb, inside = line.split(" ", 1)[0], line.partition("{ ")[2].removesuffix(" }")
            for element in inside.split(", "):
                key, _, value = element.partition(" : ")
                address, protocol, port = key.split(" . ")
                outer = (address, protocol, int(port))
                if verb == "delete":
                    if outer not in self.map:
                        self.map = before
                        raise CommandError("nft: No such file or directory")
                    del self.map[outer]
                else:
                    inner, inner_port = value.split(" . ")
                    self.map[outer] = (inner, int(inner_port))

    async def run(self, *command: str, stdin: str = "") -> str:
        del stdin
        assert command[:4] == ("nft", "-j", "list", "map")
        elem = [[{"concat": list(key)}, {"concat": list(value)}] for key, value in self.map.items()]
        shown = {"name": "published", "elem": elem} if elem else {"name": "published"}
        return json.dumps({"nftables": [{"metainfo": {}}, {"map": shown}]})


ELEMENTS = st.dictionaries(
    st.tuples(st.just("172.31.0.4"), st.sampled_from(["tcp", "udp"]), st.integers(1, 65535)),
    st.tuples(st.just("100.64.0.9"), st.integers(1, 65535)),
)


def published(*ports: int) -> dict[Outside, tuple[str, int]]:
    publications = [Publication(container_port=80, protocol="tcp", host_port=port) for port in ports]
    return outside("172.31.0.4", publications, "100.64.0.9")


class TestPublishedPorts:
    async def test_they_come_change_and_go(self) -> None:
        kernel = Kernel()
        ports = PublishedPorts(kernel.run, kernel, "t")
        await ports.publish("100.64.0.9", published(50_000, 50_001))
        assert kernel.map == published(50_000, 50_001)
        await ports.publish("100.64.0.9", published(50_000, 50_001))
        assert len(kernel.changes) == 1, "the same again changes nothing"
        await ports.publish("100.64.0.9", published(50_001, 50_002))
        assert kernel.map == published(50_001, 50_002)
        await ports.publish("100.64.0.9", {})
        assert kernel.map == {}

    async def test_a_port_that_somebody_gone_left_behind_is_taken_over(self) -> None:
        kernel = Kernel()
        kernel.map = {("172.31.0.4", "tcp", 50_000): ("100.64.0.5", 80)}
        await PublishedPorts(kernel.run, kernel, "t").publish("100.64.0.9", published(50_000))
        assert kernel.map == published(50_000)

    async def test_what_another_changed_is_read_again(self) -> None:
        kernel = Kernel()
        ports = PublishedPorts(kernel.run, kernel, "t")
        await ports.publish("100.64.0.9", published(50_000))
        kernel.map.clear()
        await ports.publish("100.64.0.9", {})
        assert kernel.map == {}
        kernel.broken = True
        await ports.publish("100.64.0.9", published(50_001))
        assert kernel.map == published(50_001)

    async def test_what_leads_to_nobody_is_removed(self) -> None:
        kernel = Kernel()
        kernel.map = {**published(50_000), ("172.31.0.4", "udp", 53): ("100.64.0.5", 53)}
        ports = PublishedPorts(kernel.run, kernel, "t")
        assert await ports.keep(lambda inner: inner == "100.64.0.5") == (("172.31.0.4", "udp", 53),)
        assert kernel.map == published(50_000)

    async def test_what_somebody_took_away_comes_back(self) -> None:
        kernel = Kernel()
        ports = PublishedPorts(kernel.run, kernel, "t")
        await ports.publish("100.64.0.9", published(50_000, 50_001))
        kernel.map = {
            ("172.31.0.4", "tcp", 50_001): ("100.64.0.66", 1),
            ("172.31.0.4", "tcp", 7): ("1.2.3.4", 1),
        }
        await ports.restore()
        assert kernel.map == published(50_000, 50_001)

    async def test_many_at_once_do_not_lose_each_others(self) -> None:
        kernel = Kernel()
        ports = PublishedPorts(kernel.run, kernel, "t")

        async def one(number: int) -> None:
            inner = f"100.64.0.{number}"
            publication = Publication(container_port=80, protocol="tcp", host_port=50_000 + number)
            await ports.publish(inner, outside("172.31.0.4", [publication], inner))

        async with asyncio.TaskGroup() as group:
            for number in range(20):
                group.create_task(one(number))
        assert len(kernel.map) == 20

    @given(ELEMENTS)
    def test_the_list_is_read_as_it_was_written(self, wanted: dict[Outside, tuple[str, int]]) -> None:
        kernel = Kernel()
        kernel.map = dict(wanted)
        listed = asyncio.run(kernel.run("nft", "-j", "list", "map"))
        assert elements(json.loads(listed)["nftables"]) == wanted
