"""Names and addresses of an installation's sandboxes. Pure.

Inner addresses are private to the machine: a range that nothing else here routes, a block of it for each
instance, so that an address says whose it is. A sandbox is a number in its instance's block, and the name of
its link says both: nothing needs to be remembered.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from hashlib import sha256
from ipaddress import IPv4Address, IPv4Network

RANGE_BITS, BLOCK_BITS = 15, 22
BLOCKS = 1 << (BLOCK_BITS - RANGE_BITS)
INSTANCES_MAX = BLOCKS - 1
"""The last block is kept for the instance that nobody sees (Fargate's)."""
FIRST_NUMBER, LAST_NUMBER = 4, (1 << (32 - BLOCK_BITS)) - 2
"""Numbers that are given; the first addresses of the first block are the host's."""

CANDIDATES = tuple(
    subnet
    for text in ("100.64.0.0/10", "198.18.0.0/15")
    for subnet in IPv4Network(text).subnets(new_prefix=RANGE_BITS)
)
"""Ranges that nobody gives to a VPC.

Sources: RFC 6598 (between a carrier and its customers), RFC 2544 (benchmarks)."""


class NoFreeRangeError(Exception):
    """Every range that could be used is routed somewhere on this machine."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Block:
    """An instance's inner addresses: plain data for whoever must know them as the instance's."""

    instance_address: str
    network: IPv4Network


def short_id(homeport: str) -> str:
    """Ten hexadecimal digits of the installation."""
    return sha256(homeport.encode()).hexdigest()[:10]


def link_name(homeport: str) -> str:
    """The link that holds the range and the host's address in it."""
    return f"hps-{short_id(homeport)}"


def table_name(homeport: str) -> str:
    """Of the nftables rules."""
    return f"homeport-sandboxes-{short_id(homeport)}"


def veth_prefix(homeport: str, instance: int | None = None) -> str:
    """What the names of all host ends begin with, or those of one instance."""
    return f"h{short_id(homeport)[:6]}" + ("" if instance is None else f"{instance:03x}")


def veth_name(homeport: str, instance: int, number: int) -> str:
    """A host end's name, 13 characters."""
    return f"{veth_prefix(homeport, instance)}{number:03x}"


def number_of(homeport: str, instance: int, veth: str) -> int | None:
    """The sandbox's number; `None`: it is none of this instance."""
    prefix = veth_prefix(homeport, instance)
    if not veth.startswith(prefix):
        return None
    try:
        return int(veth.removeprefix(prefix), 16)
    except ValueError:
        return None


def pick_range(taken: Iterable[IPv4Network]) -> IPv4Network:
    """The first candidate that overlaps nothing. Raise `NoFreeRangeError`."""
    occupied = tuple(taken)
    for candidate in CANDIDATES:
        if not any(candidate.overlaps(other) for other in occupied):
            return candidate
    raise NoFreeRangeError("every range for sandboxes' inner addresses is routed on this machine already")


def block_of(network: IPv4Network, instance: int) -> IPv4Network:
    """An instance's part of the range."""
    if not 0 <= instance < BLOCKS:
        raise ValueError(f"there are {BLOCKS} blocks of inner addresses, and no {instance}")
    size = 1 << (32 - BLOCK_BITS)
    return IPv4Network((int(network.network_address) + instance * size, BLOCK_BITS))


def blocks_of(network: IPv4Network, instances: Mapping[int, str]) -> tuple[Block, ...]:
    """Of instances, by number: their addresses. Those beyond have none."""
    return tuple(
        Block(instance_address=address, network=block_of(network, index))
        for index, address in sorted(instances.items())
        if index < INSTANCES_MAX
    )


def address_of(network: IPv4Network, instance: int, number: int) -> str:
    """A sandbox's inner address."""
    return str(IPv4Address(int(block_of(network, instance).network_address) + number))


def host_address(network: IPv4Network) -> str:
    """The host's own in the range: the gateway, and where metadata is served."""
    return str(network[1])


def is_in(address: str, network: IPv4Network) -> bool:
    """Whether an address is of a range."""
    return IPv4Address(address) in network
