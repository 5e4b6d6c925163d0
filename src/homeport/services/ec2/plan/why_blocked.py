"""Which rule a flow lacks, in words, and the command that adds it. Pure.

For whoever wonders why nobody answers: a group drops, it never refuses.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass

from homeport.services.ec2.model import Rule
from homeport.services.ec2.plan.effective_rules import TCP, UDP, Flow, admits, effective_rules

EPHEMERAL = (49153, 65535)
"""Where dynamic host ports are. Source: ECS API Reference, PortMapping hostPort."""
_WORDS = {TCP: "tcp", UDP: "udp"}


@dataclass(frozen=True, slots=True, kw_only=True)
class End:
    """Who is at one end of a flow. `name`: in words; without groups nothing guards it."""

    name: str
    address: str
    vpc_id: str
    groups: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Obstacle:
    """Why a flow does not begin, and what to type so that it does; empty: nothing helps."""

    text: str
    command: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Guard:
    """What decides. `members`: the addresses in each group; `names`: of groups."""

    rules: tuple[Rule, ...]
    members: Mapping[str, Collection[str]]
    names: Mapping[str, str]


def why_blocked(
    guard: Guard, source: End, destination: End, *, port: int, protocol: int = TCP
) -> tuple[Obstacle, ...]:
    """What keeps `source` from `destination`, everything at once; empty: no group does."""
    if source.vpc_id != destination.vpc_id:
        return (
            Obstacle(
                text=f"{source.name} is in {source.vpc_id}, {destination.name} in {destination.vpc_id}: "
                "nothing passes from one VPC to another"
            ),
        )
    found = []
    if source.groups and not _may(guard, source, destination, port, protocol, egress=True):
        found.append(_told(guard, source, destination, port, protocol, egress=True))
    if destination.groups and not _may(guard, destination, source, port, protocol, egress=False):
        found.append(_told(guard, destination, source, port, protocol, egress=False))
    return tuple(found)


def _may(guard: Guard, held: End, peer: End, port: int, protocol: int, *, egress: bool) -> bool:
    rules = effective_rules(held.groups, guard.rules)
    flow = Flow(egress=egress, protocol=protocol, port=port, peer=peer.address)
    return admits(rules, flow, guard.members)


def _told(guard: Guard, held: End, peer: End, port: int, protocol: int, *, egress: bool) -> Obstacle:
    word, (first, last) = _WORDS.get(protocol, str(protocol)), _ports(port)
    ports = f"{word} {first}" if first == last else f"{word} {port}"
    way = f"out to {peer.name}" if egress else f"in from {peer.name}"
    if len(held.groups) == 1:
        whose = f"security group {_named(guard, held.groups)} of {held.name} lets"
    else:
        whose = f"none of the security groups {_named(guard, held.groups)} of {held.name} lets"
    never = "no " if len(held.groups) == 1 else ""
    text = f"{whose} {never}{ports} {way} ({_peer_named(guard, peer)})"
    return Obstacle(text=text, command=_command(held, peer, word, (first, last), egress=egress))


def _ports(port: int) -> tuple[int, int]:
    """What a rule should be about: one port, or all that the next task may have."""
    return EPHEMERAL if EPHEMERAL[0] <= port <= EPHEMERAL[1] else (port, port)


def _named(guard: Guard, groups: Iterable[str]) -> str:
    return ", ".join(f"{one} ({name})" if (name := guard.names.get(one)) else one for one in groups)


def _peer_named(guard: Guard, peer: End) -> str:
    return f"security group {_named(guard, peer.groups)}" if peer.groups else peer.address


def _command(held: End, peer: End, word: str, ports: tuple[int, int], *, egress: bool) -> str:
    first, last = ports
    group = held.groups[0]
    if egress:
        other = (
            f"UserIdGroupPairs=[{{GroupId={peer.groups[0]}}}]"
            if peer.groups
            else f"IpRanges=[{{CidrIp={peer.address}/32}}]"
        )
        return (
            f"aws ec2 authorize-security-group-egress --group-id {group} --ip-permissions "
            f"'IpProtocol={word},FromPort={first},ToPort={last},{other}'"
        )
    shown = str(first) if first == last else f"{first}-{last}"
    other = f"--source-group {peer.groups[0]}" if peer.groups else f"--cidr {peer.address}/32"
    return (
        f"aws ec2 authorize-security-group-ingress --group-id {group} "
        f"--protocol {word} --port {shown} {other}"
    )
