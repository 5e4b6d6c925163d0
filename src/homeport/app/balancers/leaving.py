"""Cutting off what targets have begun that are gone: the proxy itself lets it go on for ever.

The kernel ends such connections (SOCK_DESTROY): the proxy finds them broken off, and answers 502 or ends the
client's connection. Who drains is written beside the proxy, so that a control plane that was away when a
delay was over does it when it is back.
Sources: sock_diag(7), linux/inet_diag.h, linux/sock_diag.h.
"""

from __future__ import annotations

import asyncio
import errno
import socket
import struct
from collections.abc import Awaitable, Callable, Iterable
from ipaddress import IPv4Address, ip_address
from pathlib import Path

import msgspec

from homeport.core.log import get_logger
from homeport.dataplane.leaving import Leaver, leavers, overdue
from homeport.dataplane.model import Balancer
from homeport.node.sandbox.netlink import Message, NetlinkError, netlink

log = get_logger(__name__)

NETLINK_SOCK_DIAG = 4
SOCK_DIAG_BY_FAMILY, SOCK_DESTROY = 20, 21
_REQUEST = struct.Struct("=BBxxI")
"""A question's protocol and states (inet_diag_req_v2), before the socket's id."""
_ID, _ID_AT = struct.Struct(">HH16s16s12s"), 4
"""A socket (inet_diag_sockid): ports, addresses, interface and cookie; where it is in an answer."""
_ALIVE = sum(1 << state for state in (1, 2, 4, 5, 8))
"""TCP_ESTABLISHED, SYN_SENT, FIN_WAIT1, FIN_WAIT2, CLOSE_WAIT."""


def cut(gone: Iterable[Leaver]) -> int:
    """End all connections to these targets from their balancers; how many there were. Blocks.

    Raise `NetlinkError` where the kernel or this process's rights do not allow it.
    """
    ends = {
        (IPv4Address(source).packed, IPv4Address(one.address).packed, one.port)
        for one in gone
        for source in one.sources
        if ip_address(source).version == ip_address(one.address).version == 4
    }
    question = _REQUEST.pack(socket.AF_INET, socket.IPPROTO_TCP, _ALIVE)
    with netlink(NETLINK_SOCK_DIAG) as kernel:
        found = []
        for answer in kernel.dump(SOCK_DIAG_BY_FAMILY, question + bytes(_ID.size)):
            own = answer[_ID_AT : _ID_AT + _ID.size]
            _, port, source, address, _ = _ID.unpack(own)
            if (source[:4], address[:4], port) in ends:
                found.append(own)
        kernel.apply([_destroy(question + own) for own in found])
    return len(found)


def _destroy(body: bytes) -> Message:
    return Message(kind=SOCK_DESTROY, flags=0, body=body, fine=frozenset({errno.ENOENT}))


class Leaving:
    """`serve` after every change of the balancers; `run` cuts off whose time is over."""

    def __init__(self, path: Path, until_settled: Callable[[], Awaitable[object]]) -> None:
        self._path = path
        self._until_settled = until_settled
        self._known: frozenset[Leaver] = frozenset()
        self._due: frozenset[Leaver] = frozenset()
        self._moved = asyncio.Event()

    def remember(self) -> None:
        """Who was leaving when the last control plane ended."""
        try:
            self._known = frozenset(msgspec.json.decode(self._path.read_bytes(), type=tuple[Leaver, ...]))
        except (FileNotFoundError, msgspec.DecodeError):
            self._known = frozenset()

    def serve(self, balancers: Iterable[Balancer]) -> None:
        """These balancers from now on."""
        served = tuple(balancers)
        before, now = self._known, leavers(served)
        self._due = overdue(before, served)
        self._known = now | self._due
        if self._known != before:
            self._keep()
        if self._due:
            self._moved.set()

    async def run(self) -> None:
        """Cut off, once the proxy begins nothing new with who is gone."""
        while True:
            await self._moved.wait()
            self._moved.clear()
            await self._until_settled()
            due = self._due
            try:
                ended = await asyncio.to_thread(cut, due)
            except NetlinkError as error:
                log.warning("target.kept", targets=len(due), error=str(error))
            else:
                log.info("target.cut", targets=len(due), connections=ended)
            if due == self._due:
                self._known, self._due = self._known - due, frozenset()
                self._keep()

    def _keep(self) -> None:
        fresh = self._path.with_suffix(".new")
        fresh.write_bytes(msgspec.json.encode(sorted(self._known)))
        fresh.replace(self._path)
