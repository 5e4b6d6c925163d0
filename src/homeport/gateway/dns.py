"""The VPC's DNS server: sockets around `dns_answers`, and the machine's resolvers for every other name.

It listens on each VPC's own address for it, UDP and TCP. What it asks of resolvers goes out under an id and
from a port of its own, to addresses that are none of its own: it never asks itself.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from functools import partial
from ipaddress import AddressValueError, IPv4Address, IPv6Address
from pathlib import Path
from typing import cast

from homeport.core.ids import Ids
from homeport.core.log import get_logger
from homeport.gateway.dns_answers import Answer, Follow, Forward, Step, failed, respond, udp_most
from homeport.gateway.dns_names import NameBook

log = get_logger("dns")

RESOLV_CONF = Path("/etc/resolv.conf")
PORT = 53
ASK_SECONDS = 2.0
"""How long one resolver may take before the next is asked."""
ROUNDS = 2
IDLE_SECONDS = 10.0
"""A TCP connection without a query is closed. Source: RFC 7766, 6.2.3 (some seconds)."""
WAITING_MOST = 512
"""Queries that wait for the machine's resolvers at once; what comes beyond is dropped, and asked again."""
CONNECTIONS_MOST = 256
OF_ONE_MOST = 64
"""Of either, for one address that asks: nobody keeps the others from asking."""

Place = tuple[str, int]


def resolvers(text: str) -> tuple[Place, ...]:
    """The name servers in a `resolv.conf`. Source: resolv.conf(5): those beyond three are not used."""
    found = []
    for line in text.splitlines():
        words = line.split()
        if len(words) >= 2 and words[0] == "nameserver" and _is_address(words[1]):
            found.append((words[1], PORT))
    return tuple(found[:3])


def _is_address(text: str) -> bool:
    for kind in (IPv4Address, IPv6Address):
        with contextlib.suppress(AddressValueError):
            kind(text.partition("%")[0])
            return True
    return False


class Upstream:
    """The machine's resolvers, read again when their file changes."""

    def __init__(self, ids: Ids, path: Path = RESOLV_CONF, *, places: Sequence[Place] | None = None) -> None:
        """`places`: these, whatever the file says."""
        self._ids, self._path = ids, path
        self._fixed = None if places is None else tuple(places)
        self._read: tuple[tuple[int, int], tuple[Place, ...]] = ((-1, -1), ())
        self._told = False
        self.own: frozenset[str] = frozenset()
        """The server's own addresses: they are never asked."""

    def places(self) -> tuple[Place, ...]:
        """Whom to ask, in order."""
        if self._fixed is not None:
            return self._fixed
        try:
            status = self._path.stat()
            stamp = (status.st_mtime_ns, status.st_ino)
            if stamp != self._read[0]:
                found = resolvers(self._path.read_text(errors="replace"))
                self._read, self._told = (stamp, found), False
        except OSError:
            self._read = ((-1, -1), ())
        usable = tuple(place for place in self._read[1] if place[0] not in self.own)
        if not usable and not self._told:
            log.warning("dns.no_resolver", file=str(self._path), own=sorted(self.own))
            self._told = True
        return usable

    async def ask(self, query: bytes, *, over_udp: bool) -> bytes | None:
        """What the first resolver to answer says, under the query's own id; `None`: none did."""
        places = self.places()
        for place in places * ROUNDS:
            fresh = self._ids.token(2)
            ask = _ask_udp if over_udp else _ask_tcp
            try:
                async with asyncio.timeout(ASK_SECONDS):
                    answer = await ask(place, fresh + query[2:])
            except (OSError, TimeoutError, asyncio.IncompleteReadError):
                continue
            return query[:2] + answer[2:]
        if places:
            log.info("dns.unanswered", resolvers=[place[0] for place in places])
        return None


class _Question(asyncio.DatagramProtocol):
    """Waits for the one datagram that answers a query."""

    def __init__(self, query: bytes) -> None:
        self._query = query
        self.answer: asyncio.Future[bytes] = asyncio.get_running_loop().create_future()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        cast("asyncio.DatagramTransport", transport).sendto(self._query)

    def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
        del addr
        if len(data) >= 12 and data[:2] == self._query[:2] and data[2] & 0x80 and not self.answer.done():
            self.answer.set_result(data)

    def error_received(self, exc: Exception) -> None:
        if not self.answer.done():
            self.answer.set_exception(exc)

    def connection_lost(self, exc: Exception | None) -> None:
        if not self.answer.done():
            self.answer.set_exception(exc or OSError("closed"))
            self.answer.exception()  # whoever waited may be gone


async def _ask_udp(place: Place, query: bytes) -> bytes:
    loop = asyncio.get_running_loop()
    transport, question = await loop.create_datagram_endpoint(partial(_Question, query), remote_addr=place)
    try:
        return await question.answer
    finally:
        transport.close()


async def _ask_tcp(place: Place, query: bytes) -> bytes:
    reader, writer = await asyncio.open_connection(*place)
    try:
        writer.write(len(query).to_bytes(2, "big") + query)
        while True:
            answer = await reader.readexactly(int.from_bytes(await reader.readexactly(2), "big"))
            if len(answer) >= 12 and answer[:2] == query[:2]:
                return answer
    finally:
        writer.close()


class _Datagrams(asyncio.DatagramProtocol):
    def __init__(self, server: DnsServer) -> None:
        self._server = server
        self._transport: asyncio.DatagramTransport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.DatagramTransport", transport)

    def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
        assert self._transport is not None
        self._server.datagram(self._transport, data, addr)


class DnsServer:
    """Answers on every address that it was told to listen on, until it is cancelled."""

    def __init__(self, book: NameBook, upstream: Upstream, ids: Ids) -> None:
        self._book, self._upstream, self._ids = book, upstream, ids
        self._group: asyncio.TaskGroup | None = None
        self._ends: dict[Place, tuple[asyncio.DatagramTransport, asyncio.Server]] = {}
        self._waiting: Counter[str] = Counter()
        self._connections: Counter[str] = Counter()

    async def run(self) -> None:
        """Answer until cancelled; nothing listens before `listen`, which waits for nothing here."""
        try:
            async with asyncio.TaskGroup() as group:
                self._group = group
                await asyncio.Event().wait()
        finally:
            self._group = None
            await self.listen(())

    async def listen(self, places: Collection[Place]) -> Mapping[Place, str]:
        """Listen on exactly these; why not on those where it cannot. A port of 0 is any, once."""
        for gone in self._ends.keys() - set(places):
            datagrams, server = self._ends.pop(gone)
            datagrams.close()
            server.close()
        problems = {}
        for place in places:
            if place not in self._ends:
                try:
                    self._ends[place] = await self._open(place)
                except OSError as error:
                    problems[place] = error.strerror or str(error)
        self._upstream.own = frozenset(host for host, _ in self._ends)
        return problems

    def ports(self) -> Mapping[Place, int]:
        """The real ports, for those that were to be any."""
        return {place: ends[1].sockets[0].getsockname()[1] for place, ends in self._ends.items()}

    async def _open(self, place: Place) -> tuple[asyncio.DatagramTransport, asyncio.Server]:
        loop = asyncio.get_running_loop()
        server = await asyncio.start_server(self._serve, place[0], place[1], reuse_address=True)
        port = server.sockets[0].getsockname()[1]
        bound = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        try:
            bound.setblocking(False)
            bound.bind((place[0], port))
            transport, _ = await loop.create_datagram_endpoint(partial(_Datagrams, self), sock=bound)
        except OSError:
            bound.close()
            server.close()
            raise
        return transport, server

    # ---- UDP ----------------------------------------------------------------------------------

    def datagram(self, transport: asyncio.DatagramTransport, data: bytes, source: Place) -> None:
        """Answer a datagram at once, or when the machine's resolvers have."""
        step = self._step(data, source[0], over_udp=True)
        if isinstance(step, Answer):
            transport.sendto(step.wire, source)
            return
        has_room = _has_room(self._waiting, source[0], WAITING_MOST)
        if step is not None and self._group is not None and has_room:
            self._group.create_task(self._later(transport, step, data, source))

    async def _later(
        self, transport: asyncio.DatagramTransport, step: Forward | Follow, data: bytes, source: Place
    ) -> None:
        answer = await self._asked(step, data, source[0], over_udp=True)
        if answer is not None and not transport.is_closing():
            transport.sendto(answer, source)

    # ---- TCP ----------------------------------------------------------------------------------

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        source = (writer.get_extra_info("peername") or ("",))[0]
        if not _has_room(self._connections, source, CONNECTIONS_MOST):
            writer.close()
            return
        self._connections[source] += 1
        try:
            while (query := await _next_query(reader)) is not None:
                answer = await self._answer(query, source)
                if answer is None:
                    break
                writer.write(len(answer).to_bytes(2, "big") + answer)
                async with asyncio.timeout(IDLE_SECONDS):
                    await writer.drain()
        except (OSError, TimeoutError):
            return
        finally:
            _give_back(self._connections, source)
            writer.close()

    async def _answer(self, query: bytes, source: str) -> bytes | None:
        step = self._step(query, source, over_udp=False)
        if isinstance(step, Answer):
            return step.wire
        return None if step is None else await self._asked(step, query, source, over_udp=False)

    # ---- both ---------------------------------------------------------------------------------

    def _step(self, data: bytes, source: str, *, over_udp: bool) -> Step:
        return respond(self._book, source, data, over_udp=over_udp, below=self._below)

    def _below(self, most: int) -> int:
        return int.from_bytes(self._ids.token(8), "big") % most

    async def _asked(
        self, step: Forward | Follow, query: bytes, source: str, *, over_udp: bool
    ) -> bytes | None:
        self._waiting[source] += 1
        try:
            if isinstance(step, Follow):
                found = await self._upstream.ask(step.question(), over_udp=over_udp)
                return step.completed(found, most=udp_most(query) if over_udp else 65535).wire
            return await self._upstream.ask(step.query, over_udp=over_udp) or failed(query)
        finally:
            _give_back(self._waiting, source)


def _has_room(held: Counter[str], source: str, most: int) -> bool:
    return held[source] < OF_ONE_MOST and held.total() < most


def _give_back(held: Counter[str], source: str) -> None:
    held[source] -= 1
    if not held[source]:
        del held[source]


async def _next_query(reader: asyncio.StreamReader) -> bytes | None:
    """The next query of a connection; `None`: there is none."""
    try:
        async with asyncio.timeout(IDLE_SECONDS):
            return await reader.readexactly(int.from_bytes(await reader.readexactly(2), "big"))
    except (asyncio.IncompleteReadError, TimeoutError):
        return None
