"""Security groups as a table. Pure.

A packet is looked at before any address in it is changed (priority mangle; connections are known by then):
where it comes in from a link, and where a process of this machine sends it. What answers a flow that may
be passes. A flow that begins must be let out by the rules of its source and in by those of its destination;
an address of a VPC that nobody has is dropped. Dropped, never refused, as in AWS.

Interfaces in the same groups share their chains: a new one is an element of some maps and sets. This machine
itself reaches its instances, as a process on an instance does; to others it is 127.0.0.1, somebody outside.
"""

from __future__ import annotations

from collections.abc import Iterable
from hashlib import sha256
from ipaddress import IPv4Network

from homeport.node.firewall.model import ANY, Allow, Groups, Interface, Rules, State
from homeport.node.firewall.table import (
    ADDRESSES,
    PAIRS,
    PLACE_PLACES,
    PLACES,
    RANGE_PAIRS,
    RANGE_VERDICTS,
    RANGES,
    VERDICTS,
    Held,
    Table,
)

ICMP, TCP, UDP = 1, 6, 17
MACHINE = "127.0.0.1/32"
EVERYWHERE = "0.0.0.0/0"
_ESTABLISHED = "ct state established,related accept"
_OPEN = "ip daddr @open accept"
_NAMES = "ip daddr @resolvers meta l4proto { tcp, udp } th dport 53 accept"

BASES = {
    "arriving": "type filter hook prerouting priority mangle; policy accept;",
    "sent": "type filter hook output priority mangle; policy accept;",
    "mapped": "type filter hook postrouting priority mangle; policy accept;",
    "redirected": "type nat hook prerouting priority dstnat; policy accept;",
    "redirected-own": "type nat hook output priority -100; policy accept;",
}
_REDIRECT = "dnat to ip daddr . tcp dport map @redirects"
CHAINS = {
    # What a process of this machine sent to an address of this machine was judged when it was sent.
    # Who has an address of ours has a link of ours: from anywhere else it is forged. What no group guards is
    # there for our networks, and for nobody beyond them.
    "arriving": (
        'iifname "lo" accept',
        _ESTABLISHED,
        "ip saddr @places fib saddr . iif oif 0 drop",
        f"ip saddr @places {_OPEN}",
        f"ip saddr @places {_NAMES}",
        "ip saddr . ip daddr @inside accept",
        "goto judge",
    ),
    # A process that uses an interface's address is whoever has it, unless it only talks to that same address.
    "sent": (
        _ESTABLISHED,
        _OPEN,
        _NAMES,
        "ip saddr . ip daddr @itself goto machine",
        "ip saddr @known goto judge",
        "goto machine",
    ),
    "machine": (
        "ip daddr @instances accept",
        "ip daddr vmap @from-machine",
        "ip daddr @networks drop",
        "accept",
    ),
    "judge": (
        "ip daddr @inner drop",
        "ip saddr @places ip daddr @networks ip saddr . ip daddr != @within drop",
        "ip saddr @networks ip saddr != @known drop",
        "ip daddr @networks ip daddr != @known drop",
        "ip saddr vmap @leaving",
        "ip saddr vmap @leaving-inner",
        "ip daddr vmap @entering",
        "accept",
    ),
    # Somebody maps another address to an interface's: only now it shows where the packet goes.
    "mapped": (
        "ct state != new accept",
        "ct status & dnat == 0 accept",
        "meta l4proto tcp ct original ip daddr . ct original proto-dst @redirected-from accept",
        "ip daddr @instances accept",
        "fib saddr type local ip daddr vmap @from-machine",
        "ip daddr vmap @entering",
    ),
    "redirected": (_REDIRECT,),
    "redirected-own": (_REDIRECT,),
}


def translate(state: State) -> Table:
    """The table that obeys. The same state gives the same table."""
    guarded = [one for one in state.interfaces if one.is_guarded]
    used = sorted({one.groups for one in guarded})
    rules = {groups: state.rules.get(groups, Rules()) for groups in used}
    instances = [one for one in state.interfaces if one.is_instance]
    chains = dict(CHAINS)
    for groups in used:
        chains |= _chains(groups, rules[groups], instances)
    return Table(bases=BASES, chains=chains, held=_places(state) | _verdicts(state) | _members(state, rules))


def _name(groups: Groups) -> str:
    return sha256(" ".join(groups).encode()).hexdigest()[:16]


def _chains(groups: Groups, rules: Rules, instances: Iterable[Interface]) -> dict[str, tuple[str, ...]]:
    """What is let in and out returns; what this machine may is accepted."""
    name = _name(groups)
    machine = [one for one in rules.ingress if one.cidr and _is_inside(MACHINE, one.cidr)]
    return {
        f"in-{name}": (*_matches(rules.ingress, "saddr", "return", instances), "drop"),
        f"out-{name}": (*_matches(rules.egress, "daddr", "return", ()), "drop"),
        f"own-{name}": (*(_spelt(_traffic(one), "accept") for one in machine), "drop"),
    }


def _matches(
    allows: Iterable[Allow], peer: str, verdict: str, instances: Iterable[Interface]
) -> Iterable[str]:
    for one in allows:
        if one.group:
            yield _spelt(_traffic(one), f"ip {peer} @{_members_of(one.group)}", verdict)
            if peer == "saddr":
                yield _spelt(_traffic(one), f"ip {peer} @{_inner_of(one.group)}", verdict)
        elif one.cidr == EVERYWHERE:
            yield _spelt(_traffic(one), verdict)
        else:
            # Containers without an address of their own are seen as what they are within the machine.
            inner = [
                block
                for each in instances
                if _is_inside(f"{each.address}/32", one.cidr)
                for block in each.inner
            ]
            peers = f"{{ {', '.join([one.cidr, *inner])} }}" if inner else one.cidr
            yield _spelt(_traffic(one), f"ip {peer} {peers}", verdict)


def _spelt(*parts: str) -> str:
    return " ".join(part for part in parts if part)


def _traffic(one: Allow) -> str:
    """What a rule is about, without its peer."""
    match one.protocol:
        case -1:
            return ""
        case 6 | 17:
            word = "tcp" if one.protocol == TCP else "udp"
            ports = str(one.low) if one.low == one.high else f"{one.low}-{one.high}"
            return f"{word} dport {ports}"
        case 1:
            kind = "" if one.low == ANY else f"icmp type {one.low}"
            return _spelt("ip protocol icmp", kind, "" if one.high == ANY else f"icmp code {one.high}")
        case number:
            return f"ip protocol {number}"


def _places(state: State) -> dict[str, Held]:
    """Who is where."""
    addresses = [one.address for one in state.interfaces]
    inner = [(one, block) for one in state.interfaces for block in one.inner]
    home = {
        one.address: next((net for net in state.networks if _is_inside(f"{one.address}/32", net)), None)
        for one in state.interfaces
        if one.inner
    }
    within = {f"{net} . {net}": "" for net in state.networks}
    within |= {f"{block} . {home[one.address]}": "" for one, block in inner if home[one.address]}
    inside = {f"{block} . {block}": "" for _, block in inner}
    inside |= {f"{block} . {one.address}": "" for one, block in inner}
    redirects = {f"{one} . {port}": f"{one} . {to}" for one, port, to in state.redirects}
    return {
        "redirects": Held(kind=PLACE_PLACES, elements=redirects),
        "redirected-from": Held(kind=PLACES, elements=dict.fromkeys(redirects, "")),
        "open": Held(kind=ADDRESSES, elements=dict.fromkeys(state.open_addresses, "")),
        "resolvers": Held(kind=ADDRESSES, elements=dict.fromkeys(state.resolvers, "")),
        "networks": Held(kind=RANGES, elements=dict.fromkeys(state.networks, "")),
        "inner": Held(kind=RANGES, elements={block: "" for _, block in inner}),
        "places": Held(kind=RANGES, elements=dict.fromkeys([*state.networks, *(b for _, b in inner)], "")),
        "within": Held(kind=RANGE_PAIRS, elements=within),
        "inside": Held(kind=RANGE_PAIRS, elements=inside),
        "known": Held(kind=ADDRESSES, elements=dict.fromkeys(addresses, "")),
        "itself": Held(kind=PAIRS, elements={f"{one} . {one}": "" for one in addresses}),
        "instances": Held(
            kind=ADDRESSES, elements={one.address: "" for one in state.interfaces if one.is_instance}
        ),
    }


def _verdicts(state: State) -> dict[str, Held]:
    """By which chain an address is judged."""
    guarded = [(one, _name(one.groups)) for one in state.interfaces if one.is_guarded]
    machine = {one.address: f"goto own-{name}" for one, name in guarded if not one.is_instance}
    machine |= {one.address: "accept" for one in state.interfaces if not one.is_guarded}
    inner = {block: f"jump out-{name}" for one, name in guarded for block in one.inner}
    return {
        "leaving": Held(kind=VERDICTS, elements={one.address: f"jump out-{name}" for one, name in guarded}),
        "leaving-inner": Held(kind=RANGE_VERDICTS, elements=inner),
        "entering": Held(kind=VERDICTS, elements={one.address: f"jump in-{name}" for one, name in guarded}),
        "from-machine": Held(kind=VERDICTS, elements=machine),
    }


def _members(state: State, rules: dict[Groups, Rules]) -> dict[str, Held]:
    """The addresses in each group that a rule names."""
    named = {one.group for each in rules.values() for one in (*each.ingress, *each.egress) if one.group}
    members: dict[str, list[Interface]] = {group: [] for group in sorted(named)}
    for one in state.interfaces:
        for group in members.keys() & set(one.groups):
            members[group].append(one)
    found: dict[str, Held] = {}
    for group, ones in members.items():
        found[_members_of(group)] = Held(kind=ADDRESSES, elements={one.address: "" for one in ones})
        found[_inner_of(group)] = Held(
            kind=RANGES, elements={block: "" for one in ones for block in one.inner}
        )
    return found


def _members_of(group: str) -> str:
    return f"members-{group}"


def _inner_of(group: str) -> str:
    return f"inner-{group}"


def _is_inside(narrow: str, wide: str) -> bool:
    return IPv4Network(narrow).subnet_of(IPv4Network(wide))
