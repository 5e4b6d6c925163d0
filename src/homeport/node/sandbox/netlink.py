"""The few messages of rtnetlink that sandboxes need, and a socket to send many at once.

A dozen changes go to the kernel in one system call, which takes well below a millisecond; a process of
`ip` takes several before it does anything.
Sources: rtnetlink(7), linux/rtnetlink.h, if_link.h, neighbour.h, veth.h.
"""

from __future__ import annotations

import contextlib
import ctypes
import errno
import os
import socket
import struct
import threading
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from ipaddress import IPv4Address

NEWLINK, DELLINK, GETLINK = 16, 17, 18
NEWADDR, DELADDR, GETADDR = 20, 21, 22
NEWROUTE, DELROUTE = 24, 25
NEWNEIGH = 28
_ERROR, _DONE = 2, 3
_REQUEST, _ACK, _REPLACE, _EXCLUSIVE, _CREATE, _DUMP = 0x1, 0x4, 0x100, 0x200, 0x400, 0x300
_IFLA_ADDRESS, _IFLA_IFNAME, _IFLA_LINK, _IFLA_LINKINFO, _IFLA_IFALIAS = 1, 3, 5, 18, 20
_IFLA_STATS64, _IFLA_NET_NS_FD = 23, 28
_INFO_KIND, _INFO_DATA, _VETH_PEER = 1, 2, 1
_IFF_UP = 1
_IFA_ADDRESS, _IFA_LOCAL, _IFA_FLAGS, _NO_PREFIX_ROUTE = 1, 2, 8, 0x200
_RTA_DST, _RTA_OIF, _RTA_GATEWAY = 1, 4, 5
_NDA_DST, _NDA_LLADDR, _PERMANENT = 1, 2, 0x80
_MAIN, _STATIC, _UNICAST, _UNIVERSE, _LINK_SCOPE, _ONLINK = 254, 4, 1, 0, 253, 4
_HEADER, _LINK, _ADDRESS = struct.Struct("=LHHLL"), struct.Struct("=BxHiII"), struct.Struct("=BBBBI")
_ROUTE, _NEIGHBOUR, _ATTRIBUTE = struct.Struct("=BBBBBBBBI"), struct.Struct("=BxxxiHBB"), struct.Struct("=HH")
_INET = socket.AF_INET
_CLONE_NEWNET = 0x40000000
_RECEIVE_BYTES = 1 << 18
_SECONDS_MAX = 20.0


class NetlinkError(OSError):
    """The kernel's refusal of one message; `errno` says which."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Message:
    """One request. `fine`: the errors that mean that there is nothing to do."""

    kind: int
    flags: int
    body: bytes
    fine: frozenset[int] = frozenset()


@dataclass(frozen=True, slots=True, kw_only=True)
class Link:
    """A network interface. `peer`: the index of its other end, if any. `stats`: rtnl_link_stats64."""

    index: int
    name: str
    mac: str = ""
    alias: str = ""
    peer: int = 0
    is_up: bool = False
    stats: tuple[int, ...] = ()


def attribute(kind: int, value: bytes) -> bytes:
    """A padded attribute."""
    return _ATTRIBUTE.pack(4 + len(value), kind) + value + bytes(-len(value) % 4)


def _text(value: str) -> bytes:
    return value.encode() + b"\0"


def _mac(value: str) -> bytes:
    return bytes.fromhex(value.replace(":", ""))


def _ip(value: str) -> bytes:
    return IPv4Address(value).packed


def add_veth(name: str, *, inside: str, mac: str, namespace: int, host_mac: str) -> Message:
    """A pair: `name` here, `inside` with `mac` in the namespace of that descriptor. Both are down."""
    peer = _LINK.pack(0, 0, 0, 0, 0) + attribute(_IFLA_IFNAME, _text(inside))
    peer += attribute(_IFLA_ADDRESS, _mac(mac)) + attribute(_IFLA_NET_NS_FD, struct.pack("=I", namespace))
    info = attribute(_INFO_KIND, b"veth") + attribute(_INFO_DATA, attribute(_VETH_PEER, peer))
    body = _LINK.pack(0, 0, 0, 0, 0) + attribute(_IFLA_IFNAME, _text(name))
    body += attribute(_IFLA_ADDRESS, _mac(host_mac)) + attribute(_IFLA_LINKINFO, info)
    return Message(kind=NEWLINK, flags=_CREATE | _EXCLUSIVE, body=body)


def set_link(index: int, *, up: bool = False, mac: str = "", alias: str | None = None) -> Message:
    """Change a link. An empty `alias` takes it away."""
    body = _LINK.pack(0, 0, index, _IFF_UP if up else 0, _IFF_UP if up else 0)
    if mac:
        body += attribute(_IFLA_ADDRESS, _mac(mac))
    if alias is not None:
        body += attribute(_IFLA_IFALIAS, alias.encode())
    return Message(kind=NEWLINK, flags=0, body=body)


def delete_link(name: str) -> Message:
    """Delete it; a missing one is fine."""
    body = _LINK.pack(0, 0, 0, 0, 0) + attribute(_IFLA_IFNAME, _text(name))
    return Message(kind=DELLINK, flags=0, body=body, fine=frozenset({errno.ENODEV}))


def add_address(index: int, address: str, prefix: int) -> Message:
    """Give a link an address, without a route to its range."""
    body = _ADDRESS.pack(_INET, prefix, 0, 0, index) + attribute(_IFA_LOCAL, _ip(address))
    body += attribute(_IFA_ADDRESS, _ip(address)) + attribute(_IFA_FLAGS, struct.pack("=I", _NO_PREFIX_ROUTE))
    return Message(kind=NEWADDR, flags=_CREATE | _REPLACE, body=body)


def delete_address(index: int, address: str, prefix: int) -> Message:
    """Take it away; a missing one is fine."""
    body = _ADDRESS.pack(_INET, prefix, 0, 0, index) + attribute(_IFA_LOCAL, _ip(address))
    return Message(kind=DELADDR, flags=0, body=body, fine=frozenset({errno.EADDRNOTAVAIL}))


def add_route(address: str, index: int) -> Message:
    """A host route to what is on a link, instead of the one that there is."""
    return _route(NEWROUTE, _CREATE | _REPLACE, 32, _LINK_SCOPE, 0, address, index, "")


def delete_route(address: str, index: int) -> Message:
    """Take a host route away; a missing one is fine."""
    return _route(DELROUTE, 0, 32, _LINK_SCOPE, 0, address, index, "")


def add_default(gateway: str, index: int) -> Message:
    """The default route, through a gateway that is on the link whatever its address."""
    return _route(NEWROUTE, _CREATE | _REPLACE, 0, _UNIVERSE, _ONLINK, "", index, gateway)


def _route(
    kind: int, flags: int, prefix: int, scope: int, route_flags: int, to: str, index: int, gateway: str
) -> Message:
    body = _ROUTE.pack(_INET, prefix, 0, 0, _MAIN, _STATIC, scope, _UNICAST, route_flags)
    if to:
        body += attribute(_RTA_DST, _ip(to))
    if gateway:
        body += attribute(_RTA_GATEWAY, _ip(gateway))
    body += attribute(_RTA_OIF, struct.pack("=I", index))
    fine = frozenset({errno.ESRCH}) if kind == DELROUTE else frozenset[int]()
    return Message(kind=kind, flags=flags, body=body, fine=fine)


def add_neighbour(address: str, mac: str, index: int) -> Message:
    """Say for ever where an address is, so that nobody has to ask."""
    body = _NEIGHBOUR.pack(_INET, index, _PERMANENT, 0, _UNICAST)
    body += attribute(_NDA_DST, _ip(address)) + attribute(_NDA_LLADDR, _mac(mac))
    return Message(kind=NEWNEIGH, flags=_CREATE | _REPLACE, body=body)


class Netlink:
    """A socket of one network namespace: that of the thread which makes it. Blocks; use it in a thread."""

    def __init__(self, family: int = socket.NETLINK_ROUTE) -> None:
        self._socket = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, family)
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 20)
        self._socket.settimeout(_SECONDS_MAX)
        self._socket.bind((0, 0))
        self._sequence = 0

    def close(self) -> None:
        """Close it."""
        self._socket.close()

    def apply(self, messages: Sequence[Message]) -> None:
        """Have all done, in order, even if one is refused; then raise the first refusal (`NetlinkError`)."""
        if not messages:
            return
        first = self._sequence + 1
        parts = [self._packed(message, _ACK) for message in messages]
        self._socket.send(b"".join(parts))
        waiting = dict(enumerate(messages, first))
        refused: dict[int, int] = {}
        while waiting:
            for kind, sequence, body in self._receive():
                if kind != _ERROR or sequence not in waiting:
                    continue
                message = waiting.pop(sequence)
                code = -int.from_bytes(body[:4], "little", signed=True)
                if code and code not in message.fine:
                    refused[sequence] = code
        if refused:
            code = refused[min(refused)]
            raise NetlinkError(code, f"message {messages[min(refused) - first].kind}: {os.strerror(code)}")

    def link(self, name: str) -> Link | None:
        """The link of that name."""
        body = _LINK.pack(0, 0, 0, 0, 0) + attribute(_IFLA_IFNAME, _text(name))
        try:
            answers = list(self._ask(GETLINK, 0, body))
        except NetlinkError as error:
            if error.errno == errno.ENODEV:
                return None
            raise
        return _link(answers[0]) if answers else None

    def links(self) -> list[Link]:
        """All of the namespace."""
        return [_link(body) for body in self._ask(GETLINK, _DUMP, _LINK.pack(0, 0, 0, 0, 0))]

    def addresses(self, index: int) -> list[tuple[str, int]]:
        """IPv4 addresses of a link, and the lengths of their prefixes."""
        found = []
        for body in self._ask(GETADDR, _DUMP, _ADDRESS.pack(_INET, 0, 0, 0, 0)):
            _, prefix, _, _, owner = _ADDRESS.unpack_from(body)
            if owner == index and (local := _attributes(body[_ADDRESS.size :]).get(_IFA_LOCAL)):
                found.append((str(IPv4Address(local)), prefix))
        return found

    def dump(self, kind: int, body: bytes) -> list[bytes]:
        """All answers to a question, of whatever subsystem the socket is."""
        return list(self._ask(kind, _DUMP, body))

    def _packed(self, message: Message, flags: int) -> bytes:
        self._sequence += 1
        length = _HEADER.size + len(message.body)
        head = _HEADER.pack(length, message.kind, _REQUEST | message.flags | flags, self._sequence, 0)
        return head + message.body + bytes(-length % 4)

    def _ask(self, kind: int, flags: int, body: bytes) -> Iterator[bytes]:
        self._socket.send(self._packed(Message(kind=kind, flags=flags, body=body), 0))
        wanted = self._sequence
        while True:
            for answered, sequence, data in self._receive():
                if sequence != wanted:
                    continue
                if answered == _DONE:
                    return
                if answered == _ERROR:
                    code = -int.from_bytes(data[:4], "little", signed=True)
                    raise NetlinkError(code, os.strerror(code))
                yield data
                if not flags & _DUMP:
                    return

    def _receive(self) -> list[tuple[int, int, bytes]]:
        data = self._socket.recv(_RECEIVE_BYTES)
        found, at = [], 0
        while at + _HEADER.size <= len(data):
            length, kind, _, sequence, _ = _HEADER.unpack_from(data, at)
            found.append((kind, sequence, data[at + _HEADER.size : at + length]))
            at += length + (-length % 4)
        return found


def _attributes(data: bytes) -> dict[int, bytes]:
    found: dict[int, bytes] = {}
    at = 0
    while at + 4 <= len(data):
        length, kind = _ATTRIBUTE.unpack_from(data, at)
        if length < 4:
            break
        found[kind & 0x3FFF] = data[at + 4 : at + length]
        at += length + (-length % 4)
    return found


def _link(body: bytes) -> Link:
    _, _, index, flags, _ = _LINK.unpack_from(body)
    found = _attributes(body[_LINK.size :])
    stats = found.get(_IFLA_STATS64, b"")
    return Link(
        index=index,
        name=found[_IFLA_IFNAME].rstrip(b"\0").decode(),
        mac=found.get(_IFLA_ADDRESS, b"").hex(":"),
        alias=found.get(_IFLA_IFALIAS, b"").rstrip(b"\0").decode(errors="replace"),
        peer=int.from_bytes(found.get(_IFLA_LINK, b""), "little"),
        is_up=bool(flags & _IFF_UP),
        stats=struct.unpack(f"={len(stats) // 8}Q", stats[: len(stats) // 8 * 8]),
    )


@contextlib.contextmanager
def netlink(family: int = socket.NETLINK_ROUTE) -> Iterator[Netlink]:
    """A socket of this thread's namespace, for a while."""
    made = Netlink(family)
    try:
        yield made
    finally:
        made.close()


@contextlib.contextmanager
def netlink_in(namespace: int, settings: Sequence[tuple[str, str]] = ()) -> Iterator[Netlink]:
    """A socket of the namespace of that descriptor. `settings`: sysctls below net/ to write there first."""
    made: list[Netlink] = []
    failed: list[OSError] = []
    libc = ctypes.CDLL(None, use_errno=True)

    def enter() -> None:
        # In a thread of its own: what has entered another namespace must not be used for anything else.
        try:
            if libc.setns(namespace, _CLONE_NEWNET):
                code = ctypes.get_errno()
                raise OSError(code, os.strerror(code), "setns")  # noqa: TRY301 - one way out
            for name, value in settings:
                with contextlib.suppress(FileNotFoundError), open(f"/proc/sys/net/{name}", "w") as file:
                    file.write(value)
            made.append(Netlink())
        except OSError as error:
            failed.append(error)

    thread = threading.Thread(target=enter, name="sandbox-netns")
    thread.start()
    thread.join()
    if failed:
        raise failed[0]
    try:
        yield made[0]
    finally:
        made[0].close()
