"""The names that a VPC's DNS server knows by itself: held in memory, kept by whoever follows the change feed.

A name belongs to a scope, which is a VPC's id, or `EVERYWHERE`. Several owners may say something of one name,
and each takes back only what it said itself. Who asks is known by its address: an address of no VPC (the
machine itself, the inner address of a bridge container) counts as one of the home's range.

Names are lower case, without the last dot.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from ipaddress import AddressValueError, IPv4Address, IPv4Network

EVERYWHERE = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Records:
    """What one owner says of a name: values as in a zone file, for SRV `priority weight port target`.

    `answers_most`: how many of all values an answer has, taken at random; 0: all.
    """

    name: str
    type: str
    values: tuple[str, ...]
    ttl: int = 60
    answers_most: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Zone:
    """Below `apex` nobody else is asked; how long it may be remembered that something is not there."""

    apex: str
    negative_ttl: int = 60


@dataclass(frozen=True, slots=True, kw_only=True)
class Network:
    """A VPC's range. `is_served`: it has a DNS server (an attribute of VPCs)."""

    vpc_id: str
    cidr: IPv4Network
    is_served: bool = True


@dataclass(slots=True)
class _Node:
    owners: dict[str, tuple[Records, ...]] = field(default_factory=dict)
    below: int = 0
    """How many names end with this one."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Known:
    """What is known of a name: its records, of all owners, and the zone that it lies in.

    Without a zone and without records it is not ours. `exists`: it, or something below it, is there.
    """

    records: tuple[Records, ...]
    zone: Zone | None
    exists: bool

    @property
    def is_ours(self) -> bool:
        """Whether nobody else may be asked about it."""
        return self.zone is not None or bool(self.records)


class NameBook:
    """All names, by scope."""

    def __init__(self, *, home: IPv4Network | None = None) -> None:
        self._home = home
        self._nodes: dict[tuple[str, str], _Node] = {}
        self._owned: dict[str, tuple[tuple[str, str], ...]] = {}
        self._zones: dict[tuple[str, str], dict[str, Zone]] = {}
        self._zones_of: dict[str, tuple[tuple[str, str], ...]] = {}
        self._networks: dict[str, Network] = {}

    # ---- who asks -----------------------------------------------------------------------------

    def set_networks(self, networks: Iterable[Network]) -> None:
        """These VPCs are there, and no others. No two overlap."""
        self._networks = {one.vpc_id: one for one in networks}

    def networks(self) -> tuple[Network, ...]:
        """Every VPC that is known."""
        return tuple(self._networks.values())

    def scope_of(self, source: str) -> str:
        """The VPC of whoever asks from this address."""
        try:
            address = IPv4Address(source)
        except AddressValueError:
            address = None
        if address is not None:
            for network in self._networks.values():
                if address in network.cidr:
                    return network.vpc_id
        at_home = (one.vpc_id for one in self._networks.values() if one.cidr == self._home)
        return next(at_home, EVERYWHERE)

    # ---- what is said -------------------------------------------------------------------------

    def put(self, owner: str, scopes: str | Collection[str], records: Iterable[Records]) -> None:
        """What this owner says now in a scope or several, instead of all that it said before."""
        self.drop(owner)
        said: dict[tuple[str, str], list[Records]] = {}
        told = (scopes,) if isinstance(scopes, str) else tuple(scopes)
        for one in records:
            if one.values:
                for scope in told:
                    said.setdefault((scope, one.name.lower().rstrip(".")), []).append(one)
        for key, ones in said.items():
            self._count(key, 1)
            self._nodes[key].owners[owner] = tuple(ones)
        if said:
            self._owned[owner] = tuple(said)

    def drop(self, owner: str) -> None:
        """This owner says nothing any more."""
        for key in self._owned.pop(owner, ()):
            del self._nodes[key].owners[owner]
            self._count(key, -1)

    def owners(self) -> frozenset[str]:
        """Everybody who says anything."""
        return frozenset(self._owned) | frozenset(self._zones_of)

    def put_zones(self, owner: str, scope: str, zones: Iterable[Zone]) -> None:
        """The zones that this owner has now, instead of all that it had before."""
        self.drop_zones(owner)
        keys = []
        for zone in zones:
            keys.append((scope, zone.apex))
            self._zones.setdefault((scope, zone.apex), {})[owner] = zone
        if keys:
            self._zones_of[owner] = tuple(keys)

    def drop_zones(self, owner: str) -> None:
        """It has none any more; its records stay."""
        for key in self._zones_of.pop(owner, ()):
            left = self._zones[key]
            del left[owner]
            if not left:
                del self._zones[key]

    def _count(self, key: tuple[str, str], step: int) -> None:
        scope, name = key
        for one in (name, *_parents(name)):
            node = self._nodes.setdefault((scope, one), _Node())
            node.below += step
            if not node.below:
                del self._nodes[(scope, one)]

    # ---- asking -------------------------------------------------------------------------------

    def find(self, scope: str, name: str) -> Known:
        """What somebody in `scope` is told of a name."""
        name = name.lower().rstrip(".")
        nodes = [self._nodes.get(key) for key in dict.fromkeys(((scope, name), (EVERYWHERE, name)))]
        found = tuple(
            one for node in nodes if node is not None for ones in node.owners.values() for one in ones
        )
        zone = self._zone(scope, name)
        exists = any(node is not None for node in nodes) or (zone is not None and zone.apex == name)
        return Known(records=found, zone=zone, exists=exists)

    def _zone(self, scope: str, name: str) -> Zone | None:
        """The closest zone around a name."""
        for apex in (name, *_parents(name)):
            for key in ((scope, apex), (EVERYWHERE, apex)):
                held: Mapping[str, Zone] | None = self._zones.get(key)
                if held:
                    return next(iter(held.values()))
        return None


def _parents(name: str) -> Iterator[str]:
    while "." in name:
        name = name.partition(".")[2]
        yield name


def reverse_name(address: str) -> str:
    """Where an address's PTR record lies."""
    return IPv4Address(address).reverse_pointer


def reverse_zones(network: IPv4Network) -> tuple[str, ...]:
    """The zones in in-addr.arpa that hold a network's addresses: of whole bytes, so that they cover it."""
    whole = -(-network.prefixlen // 8) * 8
    if whole == 32:
        whole = 24
        network = network.supernet(new_prefix=24) if network.prefixlen > 24 else network
    parts = whole // 8
    found = []
    for one in network.subnets(new_prefix=whole) if network.prefixlen < whole else (network,):
        labels = str(one.network_address).split(".")[:parts]
        found.append(".".join([*reversed(labels), "in-addr", "arpa"]))
    return tuple(found)
