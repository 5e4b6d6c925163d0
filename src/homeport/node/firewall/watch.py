"""Whether somebody else touches a table: what the kernel tells of every transaction on nftables' rules.

A transaction is told as its changes, each with the name of its table, and then as a new generation with the
name of the thread that made it. Source: linux/netfilter/nf_tables.h, linux/netlink.h.
"""

from __future__ import annotations

import asyncio
import socket
import struct
from collections.abc import Callable, Iterator

from homeport.core.log import get_logger
from homeport.node.nft import own_name

log = get_logger("node.firewall")

NETLINK_NETFILTER = 12
SOL_NETLINK, ADD_MEMBERSHIP, RULES_GROUP = 270, 1, 7
NFTABLES = 10
"""nfnetlink's number of the subsystem, the upper byte of a message's type."""
NEW_GENERATION = 15
TABLE_ATTRIBUTE, THREAD_ATTRIBUTE = 1, 3
"""Every change names its table in attribute 1; a generation its thread in 3."""
_HEADER = struct.Struct("=IHHII")
_ATTRIBUTE = struct.Struct("=HH")
FAMILY_BYTES = 4
RECEIVE_BYTES = 1 << 18


class Listener:
    """Calls `strange` after a transaction of another process on the table of that name."""

    def __init__(self, table: str, strange: Callable[[], None], *, own: bytes) -> None:
        """`own`: what this process's threads are called while they change rules."""
        self._name = table.encode()
        self._strange = strange
        self._own = own
        self._touched = False

    def hear(self, datagram: bytes) -> None:
        """One datagram of the kernel: some messages."""
        for kind, found in messages(datagram):
            if kind == NEW_GENERATION:
                if self._touched and found.get(THREAD_ATTRIBUTE, b"").rstrip(b"\0") != self._own:
                    self._strange()
                self._touched = False
            elif found.get(TABLE_ATTRIBUTE, b"").rstrip(b"\0") == self._name:
                self._touched = True

    def missed(self) -> None:
        """The kernel told more than there was room for."""
        self._touched = False
        self._strange()


def messages(datagram: bytes) -> Iterator[tuple[int, dict[int, bytes]]]:
    """The messages about nftables: which, and their outermost attributes."""
    at = 0
    while at + _HEADER.size <= len(datagram):
        length, kind, *_ = _HEADER.unpack_from(datagram, at)
        if length < _HEADER.size:
            return
        if kind >> 8 == NFTABLES:
            yield kind & 0xFF, attributes(datagram[at + _HEADER.size + FAMILY_BYTES : at + length])
        at += -(-length // 4) * 4


def attributes(payload: bytes) -> dict[int, bytes]:
    """Attributes by their number; of one that comes twice the last."""
    found: dict[int, bytes] = {}
    at = 0
    while at + _ATTRIBUTE.size <= len(payload):
        length, kind = _ATTRIBUTE.unpack_from(payload, at)
        if length < _ATTRIBUTE.size:
            break
        found[kind & 0x3FFF] = payload[at + _ATTRIBUTE.size : at + length]
        at += -(-length // 4) * 4
    return found


async def watch(table: str, strange: Callable[[], None]) -> None:
    """Call `strange` whenever another process touched the table; until cancelled. Raise `OSError`."""
    loop = asyncio.get_running_loop()
    listener = Listener(table, strange, own=own_name())
    with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, NETLINK_NETFILTER) as told:
        told.setblocking(False)
        told.bind((0, 0))
        told.setsockopt(SOL_NETLINK, ADD_MEMBERSHIP, RULES_GROUP)
        while True:
            await _readable(loop, told)
            try:
                while True:
                    listener.hear(told.recv(RECEIVE_BYTES))
            except BlockingIOError:
                continue
            except OSError as error:  # ENOBUFS: some were lost
                log.info("firewall.news_lost", error=str(error))
                listener.missed()


async def _readable(loop: asyncio.AbstractEventLoop, told: socket.socket) -> None:
    ready = asyncio.Event()
    loop.add_reader(told, ready.set)
    try:
        await ready.wait()
    finally:
        loop.remove_reader(told)
