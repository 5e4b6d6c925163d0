"""Security groups as Service Connect's doors obey them. Pure.

A door lets in whoever all tasks behind it let in at their own ports, and whom a task's groups let out to all
of them may go to the door. The door's own connections to the tasks are let in: only the proxy makes them, and
only for those who were let in.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from ipaddress import IPv4Network

from homeport.app.discovery.doors import Door, DoorPort, End
from homeport.app.discovery.gate import Way, ways_of
from homeport.node.firewall.model import ANY, Allow, Groups, Interface, Rules, State

TCP = 6
EVERYWHERE = "0.0.0.0/0"
Peer = tuple[str, str]
"""A range or a group, as in `Allow`."""


def with_doors(state: State, doors: Iterable[Door], used: Iterable[Way] = ()) -> State:
    """The state in which each door's address is guarded as what is behind it is.

    `used`: what the proxy may still connect to, whoever may get as far as to the door.
    """
    doors = tuple(doors)
    if not doors:
        return state
    there = {one.address: one for one in state.interfaces}
    own = {door.address: (f"connect {door.address}",) for door in doors}
    interfaces = tuple(
        replace(one, groups=own[one.address], is_guarded=True) if one.address in own else one
        for one in state.interfaces
    )
    rules = dict(state.rules)
    for groups, held in state.rules.items():
        rules[groups] = replace(held, egress=(*held.egress, *_leads(groups, held, doors, there)))
    ends: dict[str, set[End]] = {door.address: set() for door in doors}
    for address, end in (*ways_of(doors), *used):
        if address in ends:
            ends[address].add(end)
    for address, behind in ends.items():
        for groups, more in _let_in(address, sorted(behind), there).items():
            if groups in rules:
                rules[groups] = replace(rules[groups], ingress=(*rules[groups].ingress, *more))
    for door in doors:
        rules[own[door.address]] = _rules_of(door, sorted(ends[door.address]), there, state.rules)
    return replace(state, interfaces=interfaces, rules=rules)


def _rules_of(
    door: Door, ends: Iterable[End], there: Mapping[str, Interface], rules: Mapping[Groups, Rules]
) -> Rules:
    ingress = [
        Allow(TCP, port.port, port.port, cidr=cidr, group=group)
        for port in door.ports
        for cidr, group in _peers(port, there, rules)
    ]
    egress = (Allow(TCP, number, number, cidr=f"{address}/32") for address, number in ends)
    return Rules(ingress=tuple(ingress), egress=tuple(egress))


def _peers(port: DoorPort, there: Mapping[str, Interface], rules: Mapping[Groups, Rules]) -> tuple[Peer, ...]:
    """Whom all endpoints let in; where there are none, nobody learns more than that nobody answers."""
    each = [_let(there.get(address), number, rules) for address, number in port.endpoints]
    if not each:
        return ((EVERYWHERE, ""),)
    asked = dict.fromkeys(peer for one in each for peer in one)
    return tuple(sorted(peer for peer in asked if all(_is_among(peer, one) for one in each)))


def _let(interface: Interface | None, port: int, rules: Mapping[Groups, Rules]) -> Sequence[Peer]:
    """Whom an interface lets in at a port."""
    if interface is None:
        return ()
    if not interface.is_guarded:
        return ((EVERYWHERE, ""),)
    held = rules.get(interface.groups, Rules())
    return [(one.cidr, one.group) for one in held.ingress if _is_about(one, port)]


def _is_about(one: Allow, port: int) -> bool:
    return one.protocol == ANY or (one.protocol == TCP and one.low <= port <= one.high)


def _is_among(peer: Peer, peers: Iterable[Peer]) -> bool:
    cidr, group = peer
    wider = (peer, (EVERYWHERE, ""))
    return any(
        one in wider or bool(cidr and one[0] and not group and _is_within(cidr, one[0])) for one in peers
    )


def _is_within(narrow: str, wide: str) -> bool:
    return IPv4Network(narrow).subnet_of(IPv4Network(wide))


def _let_in(
    door_address: str, ends: Iterable[End], there: Mapping[str, Interface]
) -> dict[Groups, tuple[Allow, ...]]:
    """What the groups of the tasks behind a door let in from it."""
    found: dict[Groups, dict[Allow, None]] = {}
    for address, number in ends:
        end = there.get(address)
        if end is not None and end.is_guarded:
            allow = Allow(TCP, number, number, cidr=f"{door_address}/32")
            found.setdefault(end.groups, {})[allow] = None
    return {groups: tuple(allows) for groups, allows in found.items()}


def _leads(
    groups: Groups, held: Rules, doors: Iterable[Door], there: Mapping[str, Interface]
) -> Iterable[Allow]:
    """The doors to which somebody may go who may go to all that is behind them."""
    del groups
    for door in doors:
        for port in door.ports:
            if port.endpoints and all(
                _is_let_out(held, address, number, there.get(address)) for address, number in port.endpoints
            ):
                yield Allow(TCP, port.port, port.port, cidr=f"{door.address}/32")


def _is_let_out(held: Rules, address: str, port: int, end: Interface | None) -> bool:
    return any(
        _is_about(one, port)
        and (
            _is_within(f"{address}/32", one.cidr) if one.cidr else end is not None and one.group in end.groups
        )
        for one in held.egress
    )
