"""The DNS server on loopback, with a resolver of the machine that a test plays."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import dns.asyncquery
import dns.flags
import dns.message
import dns.rcode
import dns.rrset
import pytest
import structlog

from homeport.core.ids import SystemIds
from homeport.gateway import dns as dns_server
from homeport.gateway.dns import DnsServer, Upstream, resolvers
from homeport.gateway.dns_names import EVERYWHERE, NameBook, Records

HOST = "127.0.0.1"
PATIENCE = 20.0
Answerer = Callable[[dns.message.Message], dns.message.Message | None]


class Resolver(asyncio.DatagramProtocol):
    """The machine's resolver: says over UDP and TCP what the test says."""

    def __init__(self, answer: Answerer) -> None:
        self.answer, self.asked = answer, list[dns.message.Message]()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = transport

    def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
        reply = self.reply(data)
        if reply is not None:
            self.transport.sendto(reply.to_wire(max_size=512, prefer_truncation=True), addr)  # type: ignore[attr-defined]

    def reply(self, data: bytes) -> dns.message.Message | None:
        query = dns.message.from_wire(data)
        self.asked.append(query)
        return self.answer(query)

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        size = int.from_bytes(await reader.readexactly(2), "big")
        reply = self.reply(await reader.readexactly(size))
        assert reply is not None
        wire = reply.to_wire()
        writer.write(len(wire).to_bytes(2, "big") + wire)
        writer.close()


@contextlib.asynccontextmanager
async def resolver(answer: Answerer) -> AsyncIterator[tuple[Resolver, int]]:
    one = Resolver(answer)
    server = await asyncio.start_server(one.serve, HOST, 0)
    port = server.sockets[0].getsockname()[1]
    loop = asyncio.get_running_loop()
    transport, _ = await loop.create_datagram_endpoint(lambda: one, local_addr=(HOST, port))
    try:
        yield one, port
    finally:
        transport.close()
        server.close()


@contextlib.asynccontextmanager
async def serving(book: NameBook, upstream: Upstream) -> AsyncIterator[int]:
    server = DnsServer(book, upstream, SystemIds())
    async with asyncio.TaskGroup() as group:
        running = group.create_task(server.run())
        while await server.listen([(HOST, 0)]):
            pass  # somebody else has the UDP port of that number
        try:
            yield server.ports()[(HOST, 0)]
        finally:
            running.cancel()


def book() -> NameBook:
    names = NameBook()
    many = tuple(f"10.0.{number // 250}.{number % 250 + 1}" for number in range(300))
    names.put("lb", EVERYWHERE, [Records(name="web.elb.amazonaws.com", type="A", values=("172.31.0.5",))])
    names.put("many", EVERYWHERE, [Records(name="many.elb.amazonaws.com", type="A", values=many)])
    names.put(
        "out", EVERYWHERE, [Records(name="out.elb.amazonaws.com", type="CNAME", values=("example.com",))]
    )
    return names


def found(query: dns.message.Message) -> dns.message.Message:
    reply = dns.message.make_response(query)
    reply.answer.append(dns.rrset.from_text(query.question[0].name, 30, "IN", "A", "192.0.2.1"))
    return reply


def asking(*ports: int) -> Upstream:
    return Upstream(SystemIds(), places=tuple((HOST, port) for port in ports))


async def ask(name: str, port: int, *, tcp: bool = False) -> dns.message.Message:
    query = dns.message.make_query(name, "A")
    if tcp:
        return await dns.asyncquery.tcp(query, HOST, port=port, timeout=PATIENCE)
    return await dns.asyncquery.udp(query, HOST, port=port, timeout=PATIENCE)


def values(reply: dns.message.Message) -> list[str]:
    return [record.to_text() for one in reply.answer for record in one]


async def test_names_of_ours_are_answered_over_udp_and_tcp() -> None:
    async with serving(book(), asking()) as port:
        assert values(await ask("web.elb.amazonaws.com", port)) == ["172.31.0.5"]
        assert values(await ask("web.elb.amazonaws.com", port, tcp=True)) == ["172.31.0.5"]


async def test_what_is_too_long_for_udp_is_whole_over_tcp() -> None:
    async with serving(book(), asking()) as port:
        assert (await ask("many.elb.amazonaws.com", port)).flags & dns.flags.TC
        assert len(values(await ask("many.elb.amazonaws.com", port, tcp=True))) == 300


async def test_other_names_are_asked_of_the_machines_resolver_under_another_id() -> None:
    async with resolver(found) as (machine, at):
        async with serving(book(), asking(at)) as port:
            for tcp in (False, True):
                query = dns.message.make_query("example.com", "A", id=7)
                send = dns.asyncquery.tcp if tcp else dns.asyncquery.udp
                reply = await send(query, HOST, port=port, timeout=PATIENCE)
                assert values(reply) == ["192.0.2.1"]
                assert reply.id == 7
        assert [one.question[0].name.to_text() for one in machine.asked] == ["example.com."] * 2
        assert {one.id for one in machine.asked} != {7}


async def test_an_alias_to_another_name_is_followed_there() -> None:
    async with resolver(found) as (_, at), serving(book(), asking(at)) as port:
        assert values(await ask("out.elb.amazonaws.com", port)) == ["example.com.", "192.0.2.1"]


async def test_a_resolver_that_is_gone_is_passed_over_for_the_next() -> None:
    async with resolver(found) as (_, gone):
        pass
    async with resolver(found) as (_, at), serving(book(), asking(gone, at)) as port:
        assert values(await ask("example.com", port)) == ["192.0.2.1"]


async def test_without_a_resolver_other_names_fail_and_the_log_says_why(tmp_path: Path) -> None:
    path = tmp_path / "resolv.conf"
    path.write_text(f"nameserver {HOST}\n")
    with structlog.testing.capture_logs() as logs:
        async with serving(book(), Upstream(SystemIds(), path)) as port:
            for _ in range(2):
                assert (await ask("example.com", port)).rcode() == dns.rcode.SERVFAIL
    assert [one["event"] for one in logs if one["event"] == "dns.no_resolver"] == ["dns.no_resolver"]


async def test_an_address_that_cannot_be_had_is_told_and_the_others_are_served() -> None:
    server = DnsServer(book(), asking(), SystemIds())
    problems = await server.listen([("192.0.2.1", 0), (HOST, 0)])
    assert set(problems) == {("192.0.2.1", 0)}
    assert set(server.ports()) == {(HOST, 0)}
    await server.listen(())
    assert not server.ports()


async def test_garbage_on_a_connection_ends_that_connection_only() -> None:
    async with serving(book(), asking()) as port:
        reader, writer = await asyncio.open_connection(HOST, port)
        writer.write(b"\x00\x03abc")
        async with asyncio.timeout(PATIENCE):
            assert await reader.read() == b""
        writer.close()
        assert values(await ask("web.elb.amazonaws.com", port, tcp=True)) == ["172.31.0.5"]


@pytest.mark.parametrize(
    ("text", "places"),
    [
        ("", []),
        ("nameserver 192.0.2.1\n# nameserver 192.0.2.2\nsearch corp\n", ["192.0.2.1"]),
        ("nameserver\t::1\nnameserver fe80::1%eth0\nnameserver nonsense\n", ["::1", "fe80::1%eth0"]),
        (
            "".join(f"nameserver 192.0.2.{number}\n" for number in range(1, 6)),
            [f"192.0.2.{n}" for n in (1, 2, 3)],
        ),
    ],
)
def test_resolvers_are_read_as_the_system_does(text: str, places: list[str]) -> None:
    assert [place[0] for place in resolvers(text)] == places


OTHER = "127.0.0.2"


async def test_who_asks_for_much_keeps_nobody_from_asking(monkeypatch: pytest.MonkeyPatch) -> None:
    """While the machine's resolver says nothing to one, another is answered."""
    monkeypatch.setattr(dns_server, "WAITING_MOST", 8)
    monkeypatch.setattr(dns_server, "OF_ONE_MOST", 4)
    loop = asyncio.get_running_loop()

    def answer(query: dns.message.Message) -> dns.message.Message | None:
        return None if "silence" in query.question[0].name.to_text() else found(query)

    async with resolver(answer) as (machine, port), serving(book(), asking(port)) as at:
        transport, _ = await loop.create_datagram_endpoint(
            asyncio.DatagramProtocol, local_addr=(OTHER, 0), remote_addr=(HOST, at)
        )
        for number in range(20):
            transport.sendto(dns.message.make_query(f"silence-{number}.test", "A").to_wire())
        async with asyncio.timeout(PATIENCE):
            while len(machine.asked) < 4:  # noqa: ASYNC110 - the test plays it
                await asyncio.sleep(0)
            assert values(await ask("example.com", at)) == ["192.0.2.1"]
        assert len([one for one in machine.asked if "silence" in str(one.question[0].name)]) == 4
        transport.close()


async def test_who_holds_connections_keeps_nobody_from_connecting(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dns_server, "CONNECTIONS_MOST", 6)
    monkeypatch.setattr(dns_server, "OF_ONE_MOST", 3)
    async with resolver(found) as (_, port), serving(book(), asking(port)) as at:
        held = [await asyncio.open_connection(HOST, at, local_addr=(OTHER, 0)) for _ in range(8)]
        assert values(await ask("web.elb.amazonaws.com", at, tcp=True)) == ["172.31.0.5"]
        for _, writer in held:
            writer.close()
