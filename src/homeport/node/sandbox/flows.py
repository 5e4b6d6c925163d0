"""Forgetting the connections of a sandbox that is gone.

The kernel remembers where it led a flow: who goes on sending datagrams to a port that is published by another
task by now would reach nobody, and answers to the one before could reach the next at its address. Sources:
linux/netfilter/nfnetlink_conntrack.h; filters came with Linux 5.8.
"""

from __future__ import annotations

import socket
import struct
from collections.abc import Iterable
from ipaddress import IPv4Address

from homeport.core.log import get_logger
from homeport.node.sandbox.netlink import Message, NetlinkError, attribute, netlink

log = get_logger("node.sandbox")

NETLINK_NETFILTER = 12
_DELETE = 1 << 8 | 2
"""IPCTNL_MSG_CT_DELETE of the subsystem of connection tracking."""
_NESTED = 0x8000
_TUPLE_ORIGINAL, _TUPLE_REPLY, _FILTER = 1, 2, 25
_TUPLE_IP, _SOURCE = 1, 1
_ONLY_SOURCE = 1


def of_source(address: str, *, direction: int) -> Message:
    """Delete all flows whose packets in a direction (1: as they began, 2: answers) are of an address."""
    source = attribute(_SOURCE, IPv4Address(address).packed)
    tuple_ = attribute(direction | _NESTED, attribute(_TUPLE_IP | _NESTED, source))
    flags = attribute(direction, struct.pack("=I", _ONLY_SOURCE))
    family = struct.pack("=BBH", socket.AF_INET, 0, 0)
    return Message(kind=_DELETE, flags=0, body=family + tuple_ + attribute(_FILTER | _NESTED, flags))


def forget(addresses: Iterable[str]) -> None:
    """All that these began, and all that was led to them. Blocks. A kernel that cannot do it keeps them."""
    changes = [
        of_source(address, direction=direction)
        for address in addresses
        for direction in (_TUPLE_ORIGINAL, _TUPLE_REPLY)
    ]
    try:
        with netlink(NETLINK_NETFILTER) as kernel:
            kernel.apply(changes)
    except NetlinkError as error:
        log.info("flows.kept", error=str(error))
