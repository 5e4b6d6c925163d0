"""What the firewall must obey, in values. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TypeAlias

ANY = -1
"""Of protocols, ports, types and codes: all of them."""

Groups: TypeAlias = tuple[str, ...]
"""Ids of security groups, sorted: one interface's. Interfaces in the same groups obey the same rules."""


@dataclass(frozen=True, slots=True, order=True)
class Allow:
    """One thing that is let through. The peer is an IPv4 range or a group, never both.

    `protocol`: IANA's number, or `ANY`. `low` and `high`: ports, both included, of TCP and UDP; type and code
    of ICMP; `ANY` of everything else.
    """

    protocol: int
    low: int
    high: int
    cidr: str = ""
    group: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Rules:
    """Of interfaces in the same groups. Nothing that is not here may begin."""

    ingress: tuple[Allow, ...] = ()
    egress: tuple[Allow, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Interface:
    """An address that somebody has. `is_guarded`: whether groups decide at all; balancers may have none.

    `is_instance`: it is a slice of this machine, and `inner` are the ranges of its containers that have no
    address of their own: they count as the instance.
    """

    address: str
    groups: Groups
    is_guarded: bool = True
    is_instance: bool = False
    inner: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class State:
    """Everything that decides about a packet.

    `networks`: the VPCs' ranges; nothing passes from one to another. `rules`: by groups; of groups without
    any nothing may begin. No group guards `open_addresses`, as AWS's metadata, nor names at `resolvers`.
    `redirects`: an interface's address, a port of TCP, and the port there that listens for it.
    """

    interfaces: tuple[Interface, ...] = ()
    rules: Mapping[Groups, Rules] = field(default_factory=dict)
    networks: tuple[str, ...] = ()
    open_addresses: tuple[str, ...] = ()
    resolvers: tuple[str, ...] = ()
    redirects: tuple[tuple[str, int, int], ...] = ()
