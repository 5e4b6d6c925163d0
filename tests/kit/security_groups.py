"""What security groups let through, as plain data: for the rules in memory, and for packets.

A client begins a flow to a server. Unless a case says more, the client may send anything and the server may
send nothing, so that whatever passes also proves that answers do. Source: VPC user guide, "Security group
rules".
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TypeAlias

CLIENT, SERVER, OTHER = "10.0.1.10", "10.0.2.20", "10.0.1.11"
"""Addresses. The other one is in the client's subnet."""

RuleText: TypeAlias = tuple[str, int | None, int | None, str]
"""Protocol, ports (of ICMP type and code), and the peer: a range, or a group as `sg-...`."""

ALL: RuleText = ("-1", None, None, "0.0.0.0/0")
ANY_PORT = (0, 65535)


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """One flow, and whether it may begin. `port` of ICMP is its type; `code` comes with it."""

    name: str
    passes: bool
    protocol: str = "tcp"
    port: int = 80
    code: int = 0
    server_in: tuple[RuleText, ...] = ()
    server_out: tuple[RuleText, ...] = ()
    client_in: tuple[RuleText, ...] = ()
    client_out: tuple[RuleText, ...] = (ALL,)
    client_groups: tuple[str, ...] = ("sg-client",)
    server_groups: tuple[str, ...] = ("sg-server",)
    other_groups: tuple[str, ...] = ("sg-other",)
    second_in: tuple[RuleText, ...] = ()
    """Rules of `sg-second`, which counts when the server is in it."""


def tcp(first: int, last: int, peer: str) -> RuleText:
    return ("tcp", first, last, peer)


def udp(first: int, last: int, peer: str) -> RuleText:
    return ("udp", first, last, peer)


def icmp(kind: int, code: int, peer: str) -> RuleText:
    return ("icmp", kind, code, peer)


def everything(peer: str) -> RuleText:
    return ("-1", None, None, peer)


HERE = "10.0.1.10/32"
SUBNET = "10.0.1.0/24"
VPC = "10.0.0.0/16"
WORLD = "0.0.0.0/0"
MIXED = ("sg-server", "sg-second")

INGRESS: tuple[Case, ...] = (
    Case(name="nothing is let in without a rule", passes=False),
    Case(name="all from everywhere", passes=True, server_in=(everything(WORLD),)),
    Case(name="all from everywhere lets udp in", passes=True, protocol="udp", server_in=(everything(WORLD),)),
    Case(name="all from everywhere lets pings in", passes=True, protocol="icmp", port=8,
         server_in=(everything(WORLD),)),
    Case(name="the port from everywhere", passes=True, server_in=(tcp(80, 80, WORLD),)),
    Case(name="the port from the vpc", passes=True, server_in=(tcp(80, 80, VPC),)),
    Case(name="the port from the subnet", passes=True, server_in=(tcp(80, 80, SUBNET),)),
    Case(name="the port from the address", passes=True, server_in=(tcp(80, 80, HERE),)),
    Case(name="the port from another address", passes=False, server_in=(tcp(80, 80, "10.0.1.11/32"),)),
    Case(name="the port from another subnet", passes=False, server_in=(tcp(80, 80, "10.0.2.0/24"),)),
    Case(name="the port from another half of the subnet", passes=False,
         server_in=(tcp(80, 80, "10.0.1.128/25"),)),
    Case(name="the port from its half of the subnet", passes=True, server_in=(tcp(80, 80, "10.0.1.0/25"),)),
    Case(name="the port from ipv6 only", passes=False, server_in=(tcp(80, 80, "::/0"),)),
    Case(name="another port", passes=False, server_in=(tcp(81, 81, WORLD),)),
    Case(name="a range around the port", passes=True, server_in=(tcp(79, 81, WORLD),)),
    Case(name="a range that begins at the port", passes=True, server_in=(tcp(80, 90, WORLD),)),
    Case(name="a range that ends at the port", passes=True, server_in=(tcp(70, 80, WORLD),)),
    Case(name="a range that begins behind the port", passes=False, server_in=(tcp(81, 90, WORLD),)),
    Case(name="a range that ends before the port", passes=False, server_in=(tcp(1, 79, WORLD),)),
    Case(name="every port", passes=True, server_in=(tcp(*ANY_PORT, WORLD),)),
    Case(name="the last port there is", passes=True, port=65535, server_in=(tcp(65535, 65535, WORLD),)),
    Case(name="an ephemeral port by the range of ephemeral ports", passes=True, port=49153,
         server_in=(tcp(49153, 65535, WORLD),)),
    Case(name="a low port by the range of ephemeral ports", passes=False,
         server_in=(tcp(49153, 65535, WORLD),)),
    Case(name="udp by a rule for tcp", passes=False, protocol="udp", server_in=(tcp(80, 80, WORLD),)),
    Case(name="tcp by a rule for udp", passes=False, server_in=(udp(80, 80, WORLD),)),
    Case(name="udp by a rule for udp", passes=True, protocol="udp", server_in=(udp(80, 80, WORLD),)),
    Case(name="udp on another port", passes=False, protocol="udp", port=53, server_in=(udp(80, 80, WORLD),)),
    Case(name="udp by a range", passes=True, protocol="udp", port=53, server_in=(udp(1, 100, WORLD),)),
    Case(name="udp from its subnet", passes=True, protocol="udp", server_in=(udp(80, 80, SUBNET),)),
    Case(name="udp from another subnet", passes=False, protocol="udp",
         server_in=(udp(80, 80, "10.0.2.0/24"),)),
    Case(name="a ping by a rule for tcp", passes=False, protocol="icmp", port=8,
         server_in=(tcp(*ANY_PORT, WORLD),)),
    Case(name="tcp by a rule for pings", passes=False, server_in=(icmp(-1, -1, WORLD),)),
    Case(name="a ping by all icmp", passes=True, protocol="icmp", port=8, server_in=(icmp(-1, -1, WORLD),)),
    Case(name="a ping by its type and any code", passes=True, protocol="icmp", port=8,
         server_in=(icmp(8, -1, WORLD),)),
    Case(name="a ping by its type and code", passes=True, protocol="icmp", port=8,
         server_in=(icmp(8, 0, WORLD),)),
    Case(name="a ping by another code", passes=False, protocol="icmp", port=8,
         server_in=(icmp(8, 1, WORLD),)),
    Case(name="a ping by another type", passes=False, protocol="icmp", port=8,
         server_in=(icmp(3, -1, WORLD),)),
    Case(name="a ping from another subnet", passes=False, protocol="icmp", port=8,
         server_in=(icmp(-1, -1, "10.0.2.0/24"),)),
    Case(name="two rules of which one fits", passes=True,
         server_in=(tcp(81, 81, WORLD), tcp(80, 80, SUBNET))),
    Case(name="two rules of which each fits a half", passes=False,
         server_in=(tcp(80, 80, "10.0.2.0/24"), tcp(81, 81, SUBNET))),
)  # fmt: skip

GROUPS: tuple[Case, ...] = (
    Case(name="the client's group", passes=True, server_in=(tcp(80, 80, "sg-client"),)),
    Case(name="the client's group for another port", passes=False, server_in=(tcp(81, 81, "sg-client"),)),
    Case(name="all from the client's group", passes=True, server_in=(everything("sg-client"),)),
    Case(name="a ping from the client's group", passes=True, protocol="icmp", port=8,
         server_in=(icmp(8, -1, "sg-client"),)),
    Case(name="udp from the client's group", passes=True, protocol="udp",
         server_in=(udp(80, 80, "sg-client"),)),
    Case(name="udp from the client's group by a rule for tcp", passes=False, protocol="udp",
         server_in=(tcp(80, 80, "sg-client"),)),
    Case(name="a group that only another is in", passes=False, server_in=(tcp(80, 80, "sg-other"),)),
    Case(name="a group that nobody is in", passes=False, server_in=(tcp(80, 80, "sg-empty"),)),
    Case(name="the server's own group, the client is not in it", passes=False,
         server_in=(everything("sg-server"),)),
    Case(name="the server's own group, the client is in it", passes=True, client_groups=("sg-server",),
         server_in=(everything("sg-server"),), server_out=(ALL,)),
    Case(name="the server's own group, the client is in it and in its own", passes=True,
         client_groups=("sg-client", "sg-server"), server_in=(tcp(80, 80, "sg-server"),)),
    Case(name="one of the client's two groups", passes=True, client_groups=("sg-client", "sg-other"),
         server_in=(tcp(80, 80, "sg-other"),)),
    Case(name="a rule of the server's second group", passes=True, server_groups=MIXED,
         second_in=(tcp(80, 80, WORLD),)),
    Case(name="a rule of a group that the server is not in", passes=False, second_in=(tcp(80, 80, WORLD),)),
    Case(name="two groups whose rules say different ports", passes=True, port=81, server_groups=MIXED,
         server_in=(tcp(80, 80, WORLD),), second_in=(tcp(81, 81, WORLD),)),
    Case(name="the second group refers to the client's", passes=True, server_groups=MIXED,
         second_in=(tcp(80, 80, "sg-client"),)),
    Case(name="the second group refers to itself", passes=False, server_groups=MIXED,
         second_in=(everything("sg-second"),)),
)  # fmt: skip

_OPEN = (ALL,)
EGRESS: tuple[Case, ...] = tuple(
    replace(case, server_in=_OPEN)
    for case in (
        Case(name="nothing is let out without a rule", passes=False, client_out=()),
        Case(name="the port to everywhere", passes=True, client_out=(tcp(80, 80, WORLD),)),
        Case(name="another port to everywhere", passes=False, client_out=(tcp(443, 443, WORLD),)),
        Case(name="the port to the server's subnet", passes=True, client_out=(tcp(80, 80, "10.0.2.0/24"),)),
        Case(name="the port to the client's subnet", passes=False, client_out=(tcp(80, 80, SUBNET),)),
        Case(name="the port to the server's group", passes=True, client_out=(tcp(80, 80, "sg-server"),)),
        Case(name="the port to a group that the server is not in", passes=False,
             client_out=(tcp(80, 80, "sg-other"),)),
        Case(name="udp out by a rule for tcp", passes=False, protocol="udp",
             client_out=(tcp(*ANY_PORT, WORLD),)),
        Case(name="udp out by a rule for udp", passes=True, protocol="udp", client_out=(udp(80, 80, WORLD),)),
        Case(name="a ping out by all icmp", passes=True, protocol="icmp", port=8,
             client_out=(icmp(-1, -1, WORLD),)),
        Case(name="a ping out by a rule for tcp", passes=False, protocol="icmp", port=8,
             client_out=(tcp(*ANY_PORT, WORLD),)),
        Case(name="what the client may receive does not let it send", passes=False, client_out=(),
             client_in=(ALL,)),
        Case(name="out to ipv6 only", passes=False, client_out=(everything("::/0"),)),
    )
)  # fmt: skip

BOTH: tuple[Case, ...] = (
    Case(name="let out but not in", passes=False, client_out=(tcp(80, 80, WORLD),),
         server_in=(tcp(81, 81, WORLD),)),
    Case(name="let in but not out", passes=False, client_out=(tcp(81, 81, WORLD),),
         server_in=(tcp(80, 80, WORLD),)),
    Case(name="let out and in by groups", passes=True, client_out=(tcp(80, 80, "sg-server"),),
         server_in=(tcp(80, 80, "sg-client"),)),
    Case(name="what the server may send does not let the client in", passes=False, server_out=(ALL,)),
    Case(name="answers need no rule of their own", passes=True, client_out=(tcp(80, 80, WORLD),),
         server_in=(tcp(80, 80, WORLD),), server_out=(), client_in=()),
)  # fmt: skip

TRUTH: tuple[Case, ...] = INGRESS + GROUPS + EGRESS + BOTH
