"""What an interface lets through: its groups' rules, as one list for each direction. Pure.

Source: VPC user guide, "Security group rules": rules only allow, all rules of all groups of an interface
count, a group as a peer stands for the private addresses of the interfaces in it; what answers an allowed
flow is let through whatever the rules say, so that only a flow's first packet is asked about here.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from ipaddress import IPv4Network, IPv6Network, ip_address, ip_network

from homeport.services.ec2.model import Rule

TCP, UDP, ICMP, ICMPV6 = 6, 17, 1, 58
_NUMBERS = {"tcp": TCP, "udp": UDP, "icmp": ICMP, "icmpv6": ICMPV6}
ANY = -1


@dataclass(frozen=True, slots=True, order=True)
class Allow:
    """One thing that is let through.

    `protocol` is an IANA number, or `ANY`. `low` and `high` are ports, both included, of TCP and UDP; type
    and code of ICMP (`ANY`: all); `ANY` for everything else. The peer is a range or a group, never both.
    """

    protocol: int
    low: int
    high: int
    cidr: str = ""
    group_id: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class EffectiveRules:
    """Of one interface; sorted, and without what another of them already allows."""

    ingress: tuple[Allow, ...] = ()
    egress: tuple[Allow, ...] = ()

    @property
    def peer_groups(self) -> frozenset[str]:
        """The groups whose members' addresses must be known to obey."""
        return frozenset(one.group_id for one in (*self.ingress, *self.egress) if one.group_id)


@dataclass(frozen=True, slots=True, kw_only=True)
class Flow:
    """A flow's first packet, as the interface sees it.

    `port`: the destination's; for ICMP its type, then `code`.
    """

    egress: bool
    protocol: int
    port: int = ANY
    code: int = 0
    peer: str


def effective_rules(groups: Collection[str], rules: Iterable[Rule]) -> EffectiveRules:
    """The rules of an interface in `groups`; rules of other groups do not matter."""
    mine = [rule for rule in rules if rule.group_id in groups]
    return EffectiveRules(
        ingress=_least({_allow(rule) for rule in mine if not rule.is_egress}),
        egress=_least({_allow(rule) for rule in mine if rule.is_egress}),
    )


def admits(rules: EffectiveRules, flow: Flow, members: Mapping[str, Collection[str]]) -> bool:
    """Whether a flow may begin. `members`: the addresses of the interfaces in each group."""
    return any(
        _is_meant(one, flow) and _is_peer(one, flow.peer, members)
        for one in (rules.egress if flow.egress else rules.ingress)
    )


def covers(wide: Allow, narrow: Allow) -> bool:
    """Whether everything that `narrow` allows is allowed by `wide`, whoever is in the groups."""
    if wide.protocol != ANY:
        if wide.protocol != narrow.protocol:
            return False
        if wide.protocol in (TCP, UDP) and not (wide.low <= narrow.low and narrow.high <= wide.high):
            return False
        if wide.protocol in (ICMP, ICMPV6) and not (
            wide.low in (ANY, narrow.low) and wide.high in (ANY, narrow.high)
        ):
            return False
    if wide.group_id or narrow.group_id:
        return wide.group_id == narrow.group_id
    return _is_inside(narrow.cidr, wide.cidr)


def _allow(rule: Rule) -> Allow:
    protocol = int(_NUMBERS.get(rule.protocol, rule.protocol))
    low = ANY if rule.from_port is None else rule.from_port
    high = ANY if rule.to_port is None else rule.to_port
    return Allow(protocol, low, high, rule.cidr4 or rule.cidr6, rule.peer_group_id)


def _least(allows: Collection[Allow]) -> tuple[Allow, ...]:
    """Without those that another one covers; no two different ones cover each other."""
    return tuple(
        sorted(one for one in allows if not any(other != one and covers(other, one) for other in allows))
    )


def _is_meant(one: Allow, flow: Flow) -> bool:
    if one.protocol == ANY:
        return True
    if one.protocol != flow.protocol:
        return False
    if one.protocol in (TCP, UDP):
        return one.low <= flow.port <= one.high
    if one.protocol in (ICMP, ICMPV6):
        return one.low in (ANY, flow.port) and one.high in (ANY, flow.code)
    return True


def _is_peer(one: Allow, peer: str, members: Mapping[str, Collection[str]]) -> bool:
    if one.group_id:
        return peer in members.get(one.group_id, ())
    return ip_address(peer) in _network(one.cidr)


def _is_inside(narrow: str, wide: str) -> bool:
    inner, outer = _network(narrow), _network(wide)
    if isinstance(inner, IPv4Network) and isinstance(outer, IPv4Network):
        return inner.subnet_of(outer)
    if isinstance(inner, IPv6Network) and isinstance(outer, IPv6Network):
        return inner.subnet_of(outer)
    return False


@lru_cache(maxsize=4096)
def _network(cidr: str) -> IPv4Network | IPv6Network:
    return ip_network(cidr)
