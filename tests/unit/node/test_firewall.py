"""Security groups as a table: what is in it, and that a difference makes of one table the other."""

from __future__ import annotations

import struct
from dataclasses import replace
from ipaddress import IPv4Address

from hypothesis import given
from hypothesis import strategies as st

from homeport.node.commands import CommandError
from homeport.node.firewall.kernel import Firewall
from homeport.node.firewall.model import Allow, Groups, Interface, Rules, State
from homeport.node.firewall.table import Held, Table, change, whole
from homeport.node.firewall.translate import BASES, CHAINS, translate
from homeport.node.firewall.watch import Listener

GROUPS = ["sg-a", "sg-b", "sg-c"]


def allow(protocol: int, port: int, peer: str) -> Allow:
    low = high = port if protocol in (6, 17) else -1
    return Allow(protocol, low, high, cidr=peer) if "/" in peer else Allow(protocol, low, high, group=peer)


ALLOWS = st.builds(
    allow,
    st.sampled_from([-1, 1, 6, 17, 50]),
    st.integers(0, 65535),
    st.sampled_from(["0.0.0.0/0", "10.0.0.0/16", "10.0.1.0/24", "192.168.0.0/24", *GROUPS]),
)
RULES = st.builds(
    lambda into, out: Rules(ingress=tuple(sorted(into)), egress=tuple(sorted(out))),
    st.sets(ALLOWS, max_size=4),
    st.sets(ALLOWS, max_size=3),
)


@st.composite
def states(draw: st.DrawFn) -> State:
    """A few interfaces of one VPC, some of them instances with containers behind them."""
    numbers = draw(st.sets(st.integers(4, 40), max_size=8))
    interfaces = []
    for number in sorted(numbers):
        groups = tuple(sorted(draw(st.sets(st.sampled_from(GROUPS), max_size=2))))
        is_instance = draw(st.booleans())
        interfaces.append(
            Interface(
                address=str(IPv4Address("10.0.1.0") + number),
                groups=groups,
                is_guarded=bool(groups),
                is_instance=is_instance,
                inner=(f"100.64.{number * 4}.0/22",) if is_instance and draw(st.booleans()) else (),
            )
        )
    used = {one.groups for one in interfaces if one.groups}
    return State(
        interfaces=tuple(interfaces),
        rules={groups: draw(RULES) for groups in sorted(used)},
        networks=("10.0.0.0/16",),
        resolvers=("10.0.0.2",),
    )


class Kernel:
    """Obeys the commands that we give, as strictly as nft does."""

    def __init__(self) -> None:
        self.chains: dict[str, list[str]] = {}
        self.held: dict[str, tuple[str, dict[str, str]]] = {}
        self.is_there = False
        self.transactions = 0

    async def __call__(self, commands: str) -> None:
        chains = {name: list(rules) for name, rules in self.chains.items()}
        held = {name: (kind, dict(elements)) for name, (kind, elements) in self.held.items()}
        is_there = self.is_there
        try:
            for line in commands.splitlines():
                self._obey(line)
            self._check()
        except (KeyError, AssertionError) as error:
            self.chains, self.held, self.is_there = chains, held, is_there
            raise CommandError(f"nft: {error!r}") from error
        self.transactions += 1

    def _obey(self, line: str) -> None:
        word, what, _, _, *rest = line.split(" ")
        if what == "table":
            self._table(word)
            return
        assert self.is_there, "no such table"
        name = rest[0]
        if what == "chain":
            if word == "add":
                self.chains.setdefault(name, [])
            elif word == "flush":
                self.chains[name] = []
            else:
                assert not self.chains.pop(name), "a chain with rules"
        elif what == "rule":
            self.chains[name].append(" ".join(rest[1:]))
        elif what in ("set", "map"):
            if word == "add":
                self.held.setdefault(name, (what, {}))
            else:
                del self.held[name]
        else:
            self._elements(word, name, line.partition("{ ")[2].removesuffix(" }"))

    def _table(self, word: str) -> None:
        if word == "delete":
            assert self.is_there, "no such table"
            self.chains, self.held = {}, {}
        if word == "list":
            assert self.is_there, "no such table"
            return
        self.is_there = word != "delete"

    def _elements(self, word: str, name: str, text: str) -> None:
        elements = self.held[name][1]
        for one in text.split(", "):
            key, _, value = one.partition(" : ")
            if word == "add":
                assert key not in elements, "an element that leads elsewhere"
                elements[key] = value
            else:
                del elements[key]

    def _check(self) -> None:
        """What is led to is there, and what is looked into."""
        for _, elements in self.held.values():
            for verdict in elements.values():
                if " " in verdict:
                    assert verdict.split(" ")[1] in self.chains, verdict
        for rules in self.chains.values():
            for rule in rules:
                for word in rule.split(" "):
                    assert not word.startswith("@") or word[1:] in self.held, rule

    def table(self) -> Table:
        return Table(
            bases={},
            chains={name: tuple(rules) for name, rules in self.chains.items()},
            held={name: Held(kind="", elements=elements) for name, (_, elements) in self.held.items()},
        )


def plain(table: Table) -> Table:
    return Table(
        bases={},
        chains=dict(table.chains),
        held={name: Held(kind="", elements=dict(held.elements)) for name, held in table.held.items()},
    )


@given(st.lists(states(), min_size=1, max_size=4))
async def test_differences_one_after_the_other_are_the_whole(steps: list[State]) -> None:
    kernel = Kernel()
    firewall = Firewall(kernel, "h")
    for number, state in enumerate(steps, 1):
        await firewall.apply(translate(state))
        assert kernel.table() == plain(translate(state))
        assert kernel.transactions <= number


@given(states(), states())
async def test_what_somebody_else_removed_is_made_again(first: State, second: State) -> None:
    kernel = Kernel()
    firewall = Firewall(kernel, "h")
    await firewall.apply(translate(first))
    kernel.chains, kernel.held, kernel.is_there = {}, {}, False
    firewall.doubt()
    await firewall.apply(translate(second))
    assert kernel.table() == plain(translate(second))
    await firewall.remove()
    assert not kernel.is_there
    await firewall.remove()


@given(states())
def test_the_same_state_changes_nothing(state: State) -> None:
    table = translate(state)
    assert change("t", table, translate(state)) == ""
    assert whole("t", table).startswith("add table ip t\ndelete table ip t\nadd table ip t\n")


@given(states())
def test_every_interface_has_a_verdict_or_is_open(state: State) -> None:
    held = translate(state).held
    assert set(held["known"].elements) == {one.address for one in state.interfaces}
    for one in state.interfaces:
        for name in ("leaving", "entering"):
            assert (one.address in held[name].elements) is one.is_guarded


def test_a_new_task_costs_elements_alone() -> None:
    rules: dict[Groups, Rules] = {("sg-a",): Rules(ingress=(Allow(6, 80, 80, group="sg-a"),))}
    before = State(
        interfaces=tuple(Interface(address=f"10.0.1.{n}", groups=("sg-a",)) for n in range(4, 200)),
        rules=rules,
        networks=("10.0.0.0/16",),
    )
    new = Interface(address="10.0.2.9", groups=("sg-a",))
    after = replace(before, interfaces=(*before.interfaces, new))
    lines = change("t", translate(before), translate(after)).splitlines()
    assert len(lines) == 6
    assert all(line.startswith("add element ip t ") and "10.0.2.9" in line for line in lines)


def test_base_chains_are_there_before_anything_is() -> None:
    table = translate(State())
    assert set(table.chains) == set(CHAINS)
    assert set(BASES) <= set(CHAINS)


# What the kernel tells


def message(kind: int, *attributes: tuple[int, bytes], subsystem: int = 10) -> bytes:
    body = b"\2\0\0\0"
    for number, value in attributes:
        body += struct.pack("=HH", 4 + len(value), number) + value + b"\0" * (-len(value) % 4)
    return struct.pack("=IHHII", 16 + len(body), subsystem << 8 | kind, 0, 0, 0) + body


OURS, OTHERS = message(6, (1, b"mine\0"), (2, b"chain\0")), message(6, (1, b"theirs\0"))


def heard(*datagrams: bytes) -> int:
    strange: list[int] = []
    listener = Listener("mine", lambda: strange.append(1), own=b"me")
    for one in datagrams:
        listener.hear(one)
    return len(strange)


def generation(thread: bytes) -> bytes:
    return message(15, (1, b"\0\0\0\1"), (2, b"\0\0\0\7"), (3, thread + b"\0"))


def test_only_others_changes_of_the_own_table_are_strange() -> None:
    assert heard(OURS, generation(b"me")) == 0
    assert heard(OURS, generation(b"nft")) == 1
    assert heard(OTHERS, generation(b"nft")) == 0
    assert heard(OTHERS + OURS + OTHERS + generation(b"nft")) == 1
    assert heard(OURS, generation(b"me"), OTHERS, generation(b"nft")) == 0
    assert heard(OURS, generation(b"nft"), OURS, generation(b"nft")) == 2
    assert heard(message(6, (1, b"mine\0"), subsystem=1), generation(b"nft")) == 0


@given(st.binary(max_size=200))
def test_whatever_is_heard_hurts_nobody(datagram: bytes) -> None:
    assert heard(datagram) <= 1
