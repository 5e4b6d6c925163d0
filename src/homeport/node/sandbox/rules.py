"""The nftables rules of an installation's sandboxes. Pure.

One table. What comes from a sandbox comes from its address (a route back to the link that it came on, as the
kernel knows it: nothing to keep per sandbox). Ports are published by a map. Inner addresses are seen as their
instance's wherever they leave it, and as the machine's beyond the machine, as interfaces' are.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from homeport.node.ports import Publication
from homeport.node.sandbox.layout import Block

METADATA_IP, IMDS_IP = "169.254.170.2", "169.254.169.254"
LEAVES = "0x08000000"
"""A bit of the packet's mark: it goes from a sandbox to beyond this machine."""

Inside = tuple[str, int]
"""(inner address, container port)."""
Outside = tuple[str, str, int]
"""(instance's address, protocol, host port)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Endpoints:
    """Where on the host's inner address metadata is served. `imds`: 0 blocks it, `None` leaves it alone."""

    metadata: int
    imds: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Table:
    """What the rules depend on. `veths`: what host ends' names begin with; `links`: our own links.

    `deaf`: beginnings of the names of host ends that must not reach the instance metadata service.
    `others`: links of networks that are not ours, into which only published ports lead.
    """

    name: str
    veths: str
    links: tuple[str, ...]
    host: str
    blocks: tuple[Block, ...]
    endpoints: Endpoints | None = None
    deaf: tuple[str, ...] = ()
    others: tuple[str, ...] = ()


def ruleset(table: Table) -> str:
    """The whole table but the published ports, which stay. Replaces what there was."""
    name = f"inet {table.name}"
    ours = f'iifname "{table.veths}*"'
    chains = {
        "spoofed": ("filter", "prerouting", "-300", _spoofed(ours)),
        "deaf": ("filter", "prerouting", "-110", _deaf(table)),
        "prerouting": ("nat", "prerouting", "-105", [*_metadata(table, ours), _PUBLISHED]),
        "output": ("nat", "output", "-105", [_PUBLISHED]),
        "input": ("filter", "input", "0", _input(table)),
        "forward": ("filter", "forward", "0", _forward(table)),
        "seen": ("nat", "input", "95", _seen(table, ours)),
        "postrouting": ("nat", "postrouting", "95", _postrouting(table)),
    }
    lines = [
        f"add table {name}",
        f"add map {name} published {{ type ipv4_addr . inet_proto . inet_service"
        " : ipv4_addr . inet_service; }",
        f"add map {name} instances {{ type ipv4_addr : ipv4_addr; flags interval; }}",
        f"add set {name} inner {{ type ipv4_addr; flags interval; }}",
    ]
    for chain, (kind, hook, priority, _) in chains.items():
        lines.append(
            f"add chain {name} {chain} {{ type {kind} hook {hook} priority {priority}; policy accept; }}"
        )
        lines.append(f"flush chain {name} {chain}")
    lines += [f"flush map {name} instances", f"flush set {name} inner"]
    for block in table.blocks:
        lines.append(f"add element {name} inner {{ {block.network} }}")
        lines.append(f"add element {name} instances {{ {block.network} : {block.instance_address} }}")
    for chain, (_, _, _, rules) in chains.items():
        lines += [f"add rule {name} {chain} {rule}" for rule in rules]
    return "\n".join(lines) + "\n"


_PUBLISHED = "meta l4proto { tcp, udp } dnat ip to ip daddr . meta l4proto . th dport map @published"


def _spoofed(ours: str) -> list[str]:
    return [f"{ours} meta nfproto ipv6 drop", f"{ours} fib saddr . iif oif 0 drop"]


def _deaf(table: Table) -> list[str]:
    return [f'iifname "{prefix}*" ip daddr {IMDS_IP} drop' for prefix in table.deaf]


def _metadata(table: Table, ours: str) -> list[str]:
    endpoints = table.endpoints
    if endpoints is None:
        return []
    asked = f"{ours} ip daddr {METADATA_IP} tcp dport 80 dnat ip to {table.host}:{endpoints.metadata}"
    if endpoints.imds:
        return [asked, f"{ours} ip daddr {IMDS_IP} tcp dport 80 dnat ip to {table.host}:{endpoints.imds}"]
    return [asked]


def _input(table: Table) -> list[str]:
    """The host's inner address is for sandboxes, and for the machine itself."""
    return [f'iifname != "{table.veths}*" iifname != "lo" ip daddr {table.host} drop']


def _forward(table: Table) -> list[str]:
    ours, other = f'iifname "{table.veths}*"', f'oifname != "{table.veths}*"'
    beyond = " ".join(f'oifname != "{link}"' for link in table.links)
    blocked = [f"{ours} ip daddr {METADATA_IP} drop"] if table.endpoints is not None else []
    if table.endpoints is not None and table.endpoints.imds is not None:
        blocked.append(f"{ours} ip daddr {IMDS_IP} drop")
    return [
        f'iifname != "{table.veths}*" {other} accept',
        *blocked,
        f"{ours} {other} {beyond} meta mark set meta mark | {LEAVES}",
        "ct state established,related accept",
        "ct status dnat accept",
        *(f"ip saddr {block.network} ip daddr {block.network} accept" for block in table.blocks),
        "ip daddr @inner drop",
        *(f'{ours} oifname "{link}" drop' for link in table.others),
    ]


def _seen(table: Table, ours: str) -> list[str]:
    """What the machine's own sockets see. Metadata must know who asks."""
    return [f"{ours} ip saddr @inner ip daddr != {table.host} snat ip to ip saddr map @instances"]


def _postrouting(table: Table) -> list[str]:
    return [
        "ip saddr @inner ip daddr @inner ct status & dnat == 0 accept",
        f'ip saddr @inner oifname "{table.veths}*" snat ip to ip saddr map @instances',
        f"meta mark & {LEAVES} != 0 masquerade",
    ]


def outside(instance_address: str, published: Iterable[Publication], inner: str) -> dict[Outside, Inside]:
    """The elements of the map for a sandbox."""
    return {
        (instance_address, each.protocol, each.host_port): (inner, each.container_port) for each in published
    }


def element_changes(
    table: str, *, remove: Iterable[Outside] = (), add: Mapping[Outside, Inside] | None = None
) -> str:
    """Commands; empty when nothing changes."""
    lines = []
    gone = [_key(each) for each in remove]
    if gone:
        lines.append(f"delete element inet {table} published {{ {', '.join(gone)} }}")
    new = [f"{_key(key)} : {address} . {port}" for key, (address, port) in (add or {}).items()]
    if new:
        lines.append(f"add element inet {table} published {{ {', '.join(new)} }}")
    return "\n".join(lines)


def elements(listed: Sequence[Mapping[str, object]]) -> dict[Outside, Inside]:
    """From `nft -j list map`."""
    found: dict[Outside, Inside] = {}
    for item in listed:
        shown = item.get("map")
        for key, value in (shown.get("elem") or ()) if isinstance(shown, dict) else ():
            address, protocol, port = key["concat"]
            found[str(address), str(protocol), int(port)] = (
                str(value["concat"][0]),
                int(value["concat"][1]),
            )
    return found


def _key(key: Outside) -> str:
    address, protocol, port = key
    return f"{address} . {protocol} . {port}"
