"""Addresses of local instances: slices of this machine that can all publish the same port.

Each instance has an address of its own on a bridge that belongs to this
Homeport; nothing is attached to the bridge, it only makes the addresses local.
The layout is a default VPC's: a /16 with a /20 subnet for each of three zones,
and AWS's five reserved addresses of a subnet stay free.
Source: Amazon VPC user guide, "Default VPC components", "Subnet sizing".
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import partial
from hashlib import sha256
from ipaddress import IPv4Network

from homeport.node.commands import CommandError, Run

ZONES = ("a", "b", "c")
SUBNET_BITS = 20
RESERVED_ADDRESSES = 4
"""The first addresses of a subnet; its last one is reserved too."""

CANDIDATES = tuple(
    IPv4Network(text) for text in ("172.31.0.0/16", *(f"10.{second}.0.0/16" for second in range(31, 256, 16)))
)


LINK = "hp-"
"""What the name of every installation's link begins with."""


class NoFreeRangeError(Exception):
    """Every range that could be used is routed somewhere on this machine."""


@dataclass(frozen=True, slots=True, kw_only=True)
class InstanceAddress:
    """`zone`: the letter of its availability zone."""

    index: int
    zone: str
    ip: str
    subnet: str


def pick_range(taken: Iterable[IPv4Network], *, preferred: IPv4Network | None = None) -> IPv4Network:
    """The first candidate (`preferred` before all) that overlaps nothing. Raise `NoFreeRangeError`."""
    occupied = tuple(taken)
    for candidate in (*([preferred] if preferred else []), *CANDIDATES):
        if not any(candidate.overlaps(other) for other in occupied):
            return candidate
    raise NoFreeRangeError("every range for instance addresses is routed on this machine already")


def subnets(network: IPv4Network) -> dict[str, IPv4Network]:
    """Each zone's subnet."""
    return dict(zip(ZONES, network.subnets(new_prefix=SUBNET_BITS), strict=False))


def address_of(network: IPv4Network, index: int) -> InstanceAddress:
    """Where instance `index` lives: zones in turn, addresses upwards."""
    zone = ZONES[index % len(ZONES)]
    subnet = subnets(network)[zone]
    offset = RESERVED_ADDRESSES + index // len(ZONES)
    if offset >= subnet.num_addresses - 1:
        raise ValueError(f"instance {index} does not fit into {subnet}")
    return InstanceAddress(index=index, zone=zone, ip=str(subnet[offset]), subnet=str(subnet))


def bridge_name(homeport: str) -> str:
    """The link's name, at most 15 characters."""
    return f"{LINK}{sha256(homeport.encode()).hexdigest()[:10]}"


async def routed_ranges(run: Run) -> set[IPv4Network]:
    """Every range with a route in any table of this machine, and every local address."""
    routes = json.loads(await run("ip", "-j", "-4", "route", "show", "table", "all") or "[]")
    destinations = (route.get("dst", "default") for route in routes)
    return {IPv4Network(one, strict=False) for one in destinations if one != "default"}


async def bridge_exists(run: Run, link: str) -> bool:
    """Whether there is such a bridge. Raise `CommandError`."""
    links = json.loads(await run("ip", "-j", "link", "show", "type", "bridge") or "[]")
    return any(one.get("ifname") == link for one in links)


async def range_of(run: Run, link: str) -> IPv4Network | None:
    """The range that is routed to a bridge; one that is missing, or half-made (no route yet), has none."""
    if not await bridge_exists(run, link):
        return None
    routes = json.loads(await run("ip", "-j", "-4", "route", "show", "dev", link) or "[]")
    found = [IPv4Network(route["dst"]) for route in routes if "/" in route["dst"]]
    return found[0] if found else None


async def claim_range(
    run: Run, link: str, pick: Callable[[Iterable[IPv4Network]], IPv4Network]
) -> IPv4Network:
    """The range that is routed to a bridge, made if it is not there. Raise `CommandError`, as `pick`.

    The route keeps others (Docker, a second Homeport) from taking the range. Two that begin at once
    may pick the same one: whose route comes second picks again.
    """
    if (found := await range_of(run, link)) is not None:
        return found
    if not await bridge_exists(run, link):
        await run("ip", "link", "add", link, "type", "bridge")
    await run("ip", "link", "set", link, "up")
    while True:
        network = pick(await routed_ranges(run))
        try:
            await run("ip", "route", "add", str(network), "dev", link, "scope", "link")
        except CommandError:
            if network not in await routed_ranges(run):
                raise
        else:
            return network


class InstanceNet:
    """One Homeport's bridge with its instances' addresses."""

    def __init__(self, run: Run, homeport: str) -> None:
        self._run = run
        self.link = bridge_name(homeport)

    async def up(self, count: int, *, preferred: str | None = None) -> tuple[InstanceAddress, ...]:
        """Addresses for `count` instances, made or found. Raise `CommandError`, `NoFreeRangeError`."""
        network = await self.settle(preferred=preferred)
        planned = tuple(address_of(network, index) for index in range(count))
        await self.hold(planned)
        return planned

    async def settle(self, *, preferred: str | None = None) -> IPv4Network:
        """The range, routed to the bridge. Raise `CommandError`, `NoFreeRangeError`.

        A bridge that exists keeps its range; a new one takes `preferred` if it is free.
        """
        wish = IPv4Network(preferred) if preferred else None
        return await claim_range(self._run, self.link, partial(pick_range, preferred=wish))

    async def hold(self, planned: Sequence[InstanceAddress]) -> None:
        """Make these addresses local, and no others of the bridge. Raise `CommandError`."""
        present = await self._addresses()
        wanted = {address.ip for address in planned}
        changes = [f"address add {ip}/32 dev {self.link}" for ip in sorted(wanted - present)]
        changes += [f"address del {ip}/32 dev {self.link}" for ip in sorted(present - wanted)]
        await self._batch(changes)

    async def down(self) -> None:
        """Remove the bridge and all addresses on it. A missing one is fine."""
        if await bridge_exists(self._run, self.link):
            await self._run("ip", "link", "delete", self.link)

    async def _addresses(self) -> set[str]:
        found = json.loads(await self._run("ip", "-j", "-4", "address", "show", "dev", self.link) or "[]")
        return {
            info["local"]
            for link in found
            for info in link.get("addr_info", ())
            if info.get("family") == "inet"
        }

    async def _batch(self, commands: list[str]) -> None:
        if commands:
            await self._run("ip", "-batch", "-", stdin="\n".join(commands) + "\n")
