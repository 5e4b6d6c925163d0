"""Security groups on real packets: the same truth as the rules in memory, in each way that packets go.

Network namespaces and links of the test's own; no container is needed.
"""

from __future__ import annotations

import asyncio
import contextlib
import queue
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from dataclasses import dataclass, replace

import pytest

from homeport.app.networks.firewall import _allows
from homeport.node.commands import run_command
from homeport.node.firewall.kernel import Firewall, table_name
from homeport.node.firewall.model import Allow, Interface, Rules, State
from homeport.node.firewall.orphans import remove_orphans
from homeport.node.firewall.table import whole
from homeport.node.firewall.translate import translate
from homeport.node.firewall.watch import watch
from homeport.node.instance_net import bridge_name
from homeport.services.ec2.model import Rule
from homeport.services.ec2.plan.effective_rules import effective_rules
from tests.kit.packets import WAIT_SECONDS, Flow, Machine, Wire, inside, ip, machine
from tests.kit.security_groups import CLIENT, OTHER, SERVER, TRUTH, Case, RuleText

pytestmark = pytest.mark.root
CONTROLS = {"client": "192.0.2.1", "server": "192.0.2.2", "": "192.0.2.3"}
CLIENT_INNER, CLIENT_BLOCK = "100.64.0.9", "100.64.0.0/22"
SERVER_INNER, SERVER_BLOCK = "100.64.4.9", "100.64.4.0/22"
INNER = "100.64.0.0/15"
NETWORK, OTHER_NETWORK = "10.0.0.0/16", "10.1.0.0/16"
TABLE = "homeport-firewall-test"
IP_TRANSPARENT = 19


@dataclass(frozen=True, slots=True, kw_only=True)
class Way:
    """How packets go. What is an instance has a container behind it, or is this machine itself."""

    name: str
    is_client_instance: bool = False
    is_server_instance: bool = False
    sender: str = "client"
    receiver: str = "server"


WAYS = (
    Way(name="from a task's interface to another's"),
    Way(name="from a container in an instance to a task's interface", is_client_instance=True),
    Way(name="from a task's interface to a container's port on its instance", is_server_instance=True),
    Way(
        name="from a container in an instance to a container's port on another",
        is_client_instance=True,
        is_server_instance=True,
    ),
    Way(name="from a process with an address of the machine, as balancers are", sender=""),
)


@pytest.fixture(scope="module", params=WAYS, ids=lambda way: str(way.name))
def way(request: pytest.FixtureRequest) -> Way:
    found: Way = request.param
    return found


@pytest.fixture(scope="module")
def ground(way: Way) -> Iterator[tuple[Machine, Wire]]:
    with machine() as found:
        nat = "add table ip nat\n"
        if way.sender == "":
            found.own(CLIENT)
            found.own(CONTROLS[""])
        else:
            found.add(
                "client", CLIENT_INNER if way.is_client_instance else CLIENT, control=CONTROLS["client"]
            )
        found.add("server", SERVER_INNER if way.is_server_instance else SERVER, control=CONTROLS["server"])
        if way.is_client_instance:
            found.own(CLIENT)
            nat += "add chain ip nat post { type nat hook postrouting priority srcnat; }\n"
            nat += f"add rule ip nat post ip saddr {CLIENT_BLOCK} ip daddr {NETWORK} snat to {CLIENT}\n"
            nat += f"add rule ip nat post ip saddr {CLIENT_BLOCK} ip daddr {SERVER_BLOCK} snat to {CLIENT}\n"
        if way.is_server_instance:
            found.own(SERVER)
            nat += "add chain ip nat pre { type nat hook prerouting priority dstnat; }\n"
            nat += (
                f"add rule ip nat pre ip daddr {SERVER} meta l4proto {{ tcp, udp }} dnat to {SERVER_INNER}\n"
            )
        found.nft(nat)
        wire = Wire(
            found.space(way.sender), found.space(way.receiver), (CONTROLS[way.sender], CONTROLS[way.receiver])
        )
        yield found, wire
        wire.close()


def rules_of(case: Case) -> tuple[Rule, ...]:
    found = []
    sides = (
        ("sg-server", case.server_in, False), ("sg-server", case.server_out, True),
        ("sg-client", case.client_in, False), ("sg-client", case.client_out, True),
        ("sg-second", case.second_in, False),
    )  # fmt: skip
    for group, texts, is_egress in sides:
        found += [rule(group, text, is_egress) for text in texts]
    return tuple(found)


def rule(group: str, text: RuleText, is_egress: bool) -> Rule:
    protocol, first, last, peer = text
    return Rule(
        account_id="000000000000", region="us-east-1", resource_id="sgr-x", group_id=group,
        is_egress=is_egress, protocol=protocol, from_port=first, to_port=last,
        cidr4=peer if "." in peer else "", cidr6=peer if ":" in peer else "",
        peer_group_id=peer if peer.startswith("sg-") else "",
    )  # fmt: skip


def state_of(case: Case, way: Way) -> State:
    rules = rules_of(case)
    holders = (
        Interface(
            address=CLIENT, groups=tuple(sorted(case.client_groups)), is_instance=way.is_client_instance,
            inner=(CLIENT_BLOCK,) if way.is_client_instance else (),
        ),
        Interface(
            address=SERVER, groups=tuple(sorted(case.server_groups)), is_instance=way.is_server_instance,
            inner=(SERVER_BLOCK,) if way.is_server_instance else (),
        ),
        Interface(address=OTHER, groups=tuple(sorted(case.other_groups))),
    )  # fmt: skip
    return State(
        interfaces=holders,
        rules={one.groups: told(one.groups, rules) for one in holders},
        networks=(NETWORK, OTHER_NETWORK),
    )


def told(groups: tuple[str, ...], rules: tuple[Rule, ...]) -> Rules:
    found = effective_rules(groups, rules)
    return Rules(ingress=_allows(found.ingress), egress=_allows(found.egress))


@pytest.mark.parametrize("case", TRUTH, ids=lambda case: str(case.name))
def test_a_packet_obeys_its_groups(ground: tuple[Machine, Wire], way: Way, case: Case) -> None:
    found, wire = ground
    found.nft(whole(TABLE, translate(state_of(case, way))))
    flow = Flow(
        protocol=case.protocol, port=case.port, target=SERVER, bound=CLIENT if way.sender == "" else ""
    )
    assert wire.passes(flow, expected=case.passes) is case.passes


# What groups do not say

OPEN_TO_ALL = Rules(
    ingress=(Allow(-1, -1, -1, cidr="0.0.0.0/0"),), egress=(Allow(-1, -1, -1, cidr="0.0.0.0/0"),)
)
VPC_ONLY = Rules(ingress=(Allow(6, 80, 80, cidr=NETWORK),), egress=OPEN_TO_ALL.egress)
CLOSED = Rules(egress=OPEN_TO_ALL.egress)
TASK, BALANCER, INSTANCE, FAR, DNS = "10.0.1.10", "10.0.3.1", "10.0.2.20", "10.1.0.9", "10.0.0.2"
MAPPED = "192.168.99.10"
WEB = Flow(protocol="tcp", port=80, target=TASK)


@dataclass(slots=True)
class Town:
    """Tasks in two VPCs, an address of nobody, a balancer and an instance on this machine, the world."""

    machine: Machine

    def obey(
        self, guard: Rules, *interfaces: Interface, networks: tuple[str, ...] = (NETWORK, OTHER_NETWORK)
    ) -> None:
        state = State(interfaces=interfaces, rules={("sg-a",): guard}, networks=networks, resolvers=(DNS,))
        self.machine.nft(whole(TABLE, translate(state)))

    def passes(self, sender: str, receiver: str, flow: Flow, *, expected: bool) -> bool:
        wire = Wire(
            self.machine.space(sender), self.machine.space(receiver), (controls(sender), controls(receiver))
        )
        try:
            return wire.passes(flow, expected=expected)
        finally:
            wire.close()


STATIONS = {"task": TASK, "far": FAR, "stranger": "10.0.9.9", "world": "192.168.99.7"}


def controls(name: str) -> str:
    return f"192.0.2.{10 + ['', *STATIONS].index(name)}"


@pytest.fixture(scope="module")
def town() -> Iterator[Town]:
    with machine() as found:
        for name, address in STATIONS.items():
            found.add(name, address, control=controls(name))
        for address in (BALANCER, INSTANCE, DNS, MAPPED, controls("")):
            found.own(address)
        yield Town(found)


def holder(address: str, *, instance: bool = False, guarded: bool = True) -> Interface:
    return Interface(
        address=address, groups=("sg-a",) if guarded else (), is_guarded=guarded, is_instance=instance
    )


HOLDERS = (holder(TASK), holder(FAR), holder(BALANCER), holder(INSTANCE, instance=True))
PLACES = (
    # sender, receiver, target, who sends (empty: whoever the kernel says), rules, whether it passes
    ("", "task", TASK, "", OPEN_TO_ALL, True, "the machine is outside, and all may come"),
    ("", "task", TASK, "", CLOSED, False, "the machine is outside, and nobody may come"),
    ("", "task", TASK, "", VPC_ONLY, False, "the machine is outside the vpc"),
    ("", "", BALANCER, "", OPEN_TO_ALL, True, "the machine reaches a balancer that all may reach"),
    ("", "", BALANCER, "", VPC_ONLY, False, "the machine reaches no balancer of the vpc alone"),
    ("", "", INSTANCE, "", CLOSED, True, "the machine is on its instances whatever the rules say"),
    ("", "", INSTANCE, BALANCER, CLOSED, False, "a balancer is not the machine"),
    ("", "", INSTANCE, BALANCER, OPEN_TO_ALL, True, "a balancer reaches an instance that all may reach"),
    ("", "task", TASK, BALANCER, VPC_ONLY, True, "a balancer is in the vpc"),
    ("", "task", TASK, INSTANCE, VPC_ONLY, True, "an instance is in the vpc"),
    ("", "stranger", "10.0.9.9", "", OPEN_TO_ALL, False, "an address that nobody has is nowhere"),
    ("task", "stranger", "10.0.9.9", "", OPEN_TO_ALL, False, "nor is it for a task"),
    ("stranger", "task", TASK, "", OPEN_TO_ALL, False, "nobody speaks from an address that nobody has"),
    ("far", "task", TASK, "", OPEN_TO_ALL, False, "another vpc is far away"),
    ("task", "far", FAR, "", OPEN_TO_ALL, False, "and so is this one from there"),
    ("", "far", FAR, BALANCER, OPEN_TO_ALL, False, "also for balancers"),
    ("world", "task", TASK, "", OPEN_TO_ALL, True, "the world comes in where all may come"),
    ("world", "task", TASK, "", VPC_ONLY, False, "the world is not in the vpc"),
    ("task", "world", "192.168.99.7", "", CLOSED, True, "a task goes out into the world"),
    ("task", "world", "192.168.99.7", "", Rules(), False, "not when it may go nowhere"),
    ("task", "", DNS, "", Rules(), True, "names can be asked for whatever the rules say"),
    ("far", "", DNS, "", Rules(), True, "also from another vpc"),
    ("world", "", DNS, "", OPEN_TO_ALL, False, "the world asks this machine for no names"),
)  # fmt: skip


@pytest.mark.parametrize("place", PLACES, ids=lambda place: str(place[-1]))
def test_a_packet_obeys_where_it_comes_from(
    town: Town, place: tuple[str, str, str, str, Rules, bool, str]
) -> None:
    sender, receiver, target, bound, rules, expected, _ = place
    town.obey(rules, *HOLDERS)
    flow = replace(WEB, target=target, bound=bound, port=53 if target == DNS else WEB.port)
    assert town.passes(sender, receiver, flow, expected=expected) is expected


@pytest.mark.parametrize("sender", ["task", "far", "world"])
def test_where_names_are_asked_there_is_nothing_else(town: Town, sender: str) -> None:
    """The address is this machine's, with all that listens there: a task that may go nowhere goes nowhere."""
    town.obey(OPEN_TO_ALL, *HOLDERS)
    assert not town.passes(sender, "", replace(WEB, target=DNS), expected=False)


def test_nobody_beyond_the_vpc_speaks_from_an_address_that_is_in_it(town: Town) -> None:
    """Where the kernel does not look at that by itself (rp_filter is 0 here, and loose with systemd)."""
    member = "10.0.9.9"
    from_members = Rules(ingress=(Allow(17, 80, 80, group="sg-a"),), egress=OPEN_TO_ALL.egress)
    town.obey(from_members, holder(TASK), holder(member))
    arrived = []
    with contextlib.closing(datagrams(town.machine.space("task"))) as heard:
        heard.bind(("0.0.0.0", 80))
        for sender in ("world", "stranger"):
            with contextlib.closing(datagrams(town.machine.space(sender))) as sent:
                sent.setsockopt(socket.SOL_IP, IP_TRANSPARENT, 1)
                sent.bind((member, 0))
                sent.sendto(sender.encode(), (TASK, 80))
            with contextlib.closing(datagrams(town.machine.space(sender))) as sent:
                sent.bind((controls(sender), 0))
                sent.sendto(b"passed by", (controls("task"), 80))
            while (text := heard.recv(64)) != b"passed by":
                arrived.append(text.decode())
    assert arrived == ["stranger"]  # whose address it is


def datagrams(space: str) -> socket.socket:
    found = inside(space, lambda: socket.socket(socket.AF_INET, socket.SOCK_DGRAM))
    found.settimeout(WAIT_SECONDS)
    return found


def test_who_has_no_groups_is_open(town: Town) -> None:
    """A network load balancer may have none. Source: NLB guide, "Security groups"."""
    town.obey(CLOSED, holder(TASK, guarded=False))
    assert town.passes("world", "task", WEB, expected=True)
    assert town.passes("", "task", WEB, expected=True)


def test_a_new_interface_is_dropped_until_its_chain_is_there(town: Town) -> None:
    town.obey(OPEN_TO_ALL)
    assert not town.passes("world", "task", WEB, expected=False)
    town.obey(OPEN_TO_ALL, holder(TASK))
    assert town.passes("world", "task", WEB, expected=True)


def test_what_has_begun_goes_on_and_what_begins_obeys_the_new_rules(town: Town) -> None:
    """Source: EC2 user guide, "Security group connection tracking"."""
    town.obey(OPEN_TO_ALL, *HOLDERS)
    wire = Wire(
        town.machine.space("world"), town.machine.space("task"), (controls("world"), controls("task"))
    )
    kept = wire.talk(WEB)
    assert kept("before")
    town.obey(CLOSED, *HOLDERS)
    assert kept("after")
    assert not wire.passes(WEB, expected=False)
    wire.close()


def test_a_mapped_port_is_no_way_around_a_group(town: Town) -> None:
    """An address of the machine that leads to an interface, as assignPublicIp has it."""
    nat = "add table ip nat\nadd chain ip nat out { type nat hook output priority -100; }\n"
    nat += "add chain ip nat pre { type nat hook prerouting priority dstnat; }\n"
    for chain in ("out", "pre"):
        nat += f"add rule ip nat {chain} ip daddr {MAPPED} tcp dport 80 dnat to {TASK}\n"
    town.machine.nft(nat)
    mapped = replace(WEB, target=MAPPED)
    try:
        for sender in ("", "world"):
            town.obey(VPC_ONLY, *HOLDERS)
            assert not town.passes(sender, "task", mapped, expected=False)
            town.obey(OPEN_TO_ALL, *HOLDERS)
            assert town.passes(sender, "task", mapped, expected=True)
    finally:
        town.machine.nft("delete table ip nat\n")


async def test_a_change_by_the_difference_is_obeyed_as_the_whole_is(town: Town) -> None:
    firewall = Firewall(town.machine.nft_later, "packets")
    steps = [
        (State(networks=(NETWORK,)), False),
        (State(networks=(NETWORK,), interfaces=(holder(TASK),), rules={("sg-a",): OPEN_TO_ALL}), True),
        (State(networks=(NETWORK,), interfaces=(holder(TASK),), rules={("sg-a",): VPC_ONLY}), False),
        (State(networks=(NETWORK,), interfaces=(holder(TASK, guarded=False),)), True),
        (State(networks=(NETWORK,)), False),
    ]
    town.machine.nft(f"add table ip {TABLE}\ndelete table ip {TABLE}\n")
    for state, expected in steps:
        await firewall.apply(translate(state))
        assert town.passes("world", "task", WEB, expected=expected) is expected
    town.machine.nft(f"delete table ip {firewall.name}\n")
    await firewall.apply(translate(steps[1][0]))
    assert town.passes("world", "task", WEB, expected=True)
    await firewall.apply(translate(steps[2][0]))
    assert not town.passes("world", "task", WEB, expected=False)
    await firewall.remove()
    await firewall.remove()
    assert town.passes("world", "task", WEB, expected=True)


async def test_a_table_without_its_installation_is_removed(town: Town) -> None:
    host = town.machine.host

    async def run(*command: str, stdin: str = "") -> str:
        return await run_command("ip", "netns", "exec", host, *command, stdin=stdin)

    names = [table_name(one) for one in ("here", "gone")]
    ip("-n", host, "link", "add", bridge_name("here"), "type", "bridge")
    for name in (*names, "somebodys"):
        town.machine.nft(f"add table ip {name}\n")
    await remove_orphans(run)
    await remove_orphans(run)
    left = await run("nft", "list", "tables")
    assert [name in left for name in (*names, "somebodys")] == [True, False, True]
    town.machine.nft(f"delete table ip {names[0]}\n")


def test_a_table_that_somebody_else_changes_is_noticed(town: Town) -> None:
    table = "homeport-firewall-watched"
    town.machine.nft(f"add table ip {table}\n")
    noticed: queue.SimpleQueue[str] = queue.SimpleQueue()

    async def attend() -> None:
        async with asyncio.TaskGroup() as group:
            watching = group.create_task(watch(table, lambda: noticed.put("strange")))
            ended = asyncio.to_thread(is_over.wait)
            await asyncio.sleep(0)  # the watcher listens from its first step on
            noticed.put("ready")
            await ended
            watching.cancel()

    is_over = threading.Event()
    space = town.machine.host
    attending = threading.Thread(target=lambda: inside(space, lambda: asyncio.run(attend())))
    attending.start()
    try:
        assert noticed.get(timeout=WAIT_SECONDS) == "ready"
        town.machine.nft("add table ip anothers\n")
        town.machine.nft(f"add chain ip {table} a\n")
        assert noticed.get(timeout=WAIT_SECONDS) == "strange"
        town.machine.nft(f"delete table ip {table}\n")
        assert noticed.get(timeout=WAIT_SECONDS) == "strange"
        assert noticed.empty()
    finally:
        is_over.set()
        attending.join()


ALONE = """
import asyncio
from homeport.node.commands import run_command
from homeport.node.firewall.kernel import Firewall
from homeport.node.firewall.model import State
from homeport.node.firewall.translate import translate
from homeport.node.nft import nft_of

async def main():
    firewall, told = Firewall(nft_of(run_command), "alone"), asyncio.Queue()
    assert firewall.can_watch
    async with asyncio.timeout(20), asyncio.TaskGroup() as group:
        watching = group.create_task(firewall.watch(lambda: told.put_nowait("strange")))
        await asyncio.sleep(0)
        await firewall.apply(translate(State(networks=("10.0.0.0/16",))))
        await firewall.apply(translate(State(networks=("10.1.0.0/16",))))
        await run_command("nft", "add", "chain", "ip", firewall.name, "somebodys")
        await told.get()
        print(1 + told.qsize())
        watching.cancel()

asyncio.run(main())
"""


@pytest.mark.parametrize("around", [(), ("--pid", "--fork", "--mount-proc")], ids=["plain", "contained"])
def test_a_process_knows_its_own_changes_also_in_a_container(around: tuple[str, ...]) -> None:
    """Else each of its changes would have the next one follow, for ever."""
    command = ["unshare", "--net", *around, sys.executable, "-P", "-c", ALONE]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
    assert (done.stdout, done.returncode) == ("1\n", 0), done.stderr
