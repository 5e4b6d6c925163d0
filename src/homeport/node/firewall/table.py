"""An nftables table as a value, and the commands that make it or change one into another. Pure.

Source: nft(8). What stands in `chains` is added in its order; base chains are the same in every table.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import TypeAlias

ADDRESSES = "type ipv4_addr"
RANGES = "type ipv4_addr; flags interval; auto-merge"
PAIRS = "type ipv4_addr . ipv4_addr"
RANGE_PAIRS = "type ipv4_addr . ipv4_addr; flags interval"
PLACES = "type ipv4_addr . inet_service"
PLACE_PLACES = "type ipv4_addr . inet_service : ipv4_addr . inet_service"
VERDICTS = "type ipv4_addr : verdict"
RANGE_VERDICTS = "type ipv4_addr : verdict; flags interval"
_LINE_ELEMENTS = 500
"""Of one command: a line of the parser's input has its limit."""

Elements: TypeAlias = Mapping[str, str]
"""What is in a set; of a map what it leads to, too, else empty."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Held:
    """A set or a map: its type, and its elements."""

    kind: str
    elements: Elements = field(default_factory=dict)

    @property
    def word(self) -> str:
        """What nft calls it."""
        return "map" if ":" in self.kind else "set"


@dataclass(frozen=True, slots=True, kw_only=True)
class Table:
    """`bases`: how each chain that begins at a hook does; `chains`: the rules of all."""

    bases: Mapping[str, str]
    chains: Mapping[str, tuple[str, ...]]
    held: Mapping[str, Held]


def whole(name: str, table: Table) -> str:
    """Commands that make the table, in the place of any other of that name. One transaction."""
    empty = Table(bases={}, chains={}, held={})
    return f"add table ip {name}\ndelete table ip {name}\nadd table ip {name}\n" + change(name, empty, table)


def change(name: str, old: Table, new: Table) -> str:
    """Commands that make one of the other; empty when they are the same. One transaction.

    Elements go before the chains that they lead to, and come after them.
    """
    at = f"ip {name}"
    changed = [one for one, rules in new.chains.items() if old.chains.get(one) != rules]
    lines: list[str] = []
    for one in changed:
        if one not in old.chains:
            begins = f" {{ {new.bases[one]} }}" if one in new.bases else ""
            lines.append(f"add chain {at} {one}{begins}")
    # Behind the chains: nftables 1.0.6 gives a new map of ranges its elements where it is made.
    for one, held in new.held.items():
        if one not in old.held:
            lines.append(f"add {held.word} {at} {one} {{ {held.kind}; }}")
    for one, held in old.held.items():
        kept = new.held[one].elements if one in new.held else {}
        gone = [key for key, value in held.elements.items() if kept.get(key) != value]
        lines += _elements("delete", f"{at} {one}", gone)
    for one in changed:
        if one in old.chains:
            lines.append(f"flush chain {at} {one}")
    lost = [one for one in old.chains if one not in new.chains]
    lines += [f"flush chain {at} {one}" for one in lost]
    lines += [f"delete chain {at} {one}" for one in lost]
    for one, held in new.held.items():
        before = old.held[one].elements if one in old.held else {}
        fresh = {key: value for key, value in held.elements.items() if before.get(key) != value}
        lines += _elements(
            "add", f"{at} {one}", (f"{key} : {value}" if value else key for key, value in fresh.items())
        )
    for one in changed:
        lines += [f"add rule {at} {one} {rule}" for rule in new.chains[one]]
    lines += [f"delete {held.word} {at} {one}" for one, held in old.held.items() if one not in new.held]
    return "".join(f"{line}\n" for line in lines)


def _elements(word: str, where: str, elements: Iterable[str]) -> list[str]:
    listed = list(elements)
    return [
        f"{word} element {where} {{ {', '.join(listed[start : start + _LINE_ELEMENTS])} }}"
        for start in range(0, len(listed), _LINE_ELEMENTS)
    ]
