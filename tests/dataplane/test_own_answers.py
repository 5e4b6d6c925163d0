"""What the balancer answers itself on the real proxy: each cause of the guide's table, and how it counts.

Source: Application Load Balancer guide, "Troubleshoot your Application Load Balancers", HTTP errors that the
load balancer generates; "CloudWatch metrics". 561 and 500 of logins are in `test_logins`.
"""

from __future__ import annotations

import asyncio
import socket
import struct
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import replace

import pytest

from homeport.app.balancers.envoy import DataPlane
from homeport.dataplane import clusters
from homeport.dataplane.model import Balancer, Protocol, ProtocolVersion, Target, Traffic
from homeport.dataplane.rules import Forward, PathIs, Rule, WeightedGroup
from tests.kit.dataplane import (
    BACK,
    FRONT,
    Client,
    Request,
    Upstream,
    balancer,
    free_port,
    group,
    read_answer,
)

pytestmark = pytest.mark.slow
Answering = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]
ELB_400, ELB_500 = "HTTPCode_ELB_4XX_Count", "HTTPCode_ELB_5XX_Count"


def page(title: str) -> bytes:
    head = f"<html>\r\n<head><title>{title}</title></head>\r\n<body>\r\n<center><h1>{title}</h1></center>\r\n"
    return f"{head}</body>\r\n</html>\r\n".encode()


async def counted(plane: DataPlane, **expected: float) -> None:
    """Wait until requests were counted so, and so only."""
    names = ("RequestCount", "HTTPCode_", "HTTP_")
    async with asyncio.timeout(10):
        while True:
            found = {
                counter.metric: value
                for counter, value in (await plane.counters()).items()
                if counter.metric in names[:1] or counter.metric.startswith(names[1:])
                if not counter.group_id
            }
            if found == expected:
                return
            await asyncio.sleep(0)


@asynccontextmanager
async def target(answering: Answering) -> AsyncIterator[Target]:
    """A target that does with a connection, after a request's head, what it likes."""

    async def client(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        await answering(reader, writer)

    server = await asyncio.start_server(client, BACK, 0)
    yield Target(address=BACK, port=server.sockets[0].getsockname()[1])
    server.close()


REFUSED = {
    "TRACE": (b"TRACE / HTTP/1.1\r\nHost: x\r\n\r\n", "405 Not Allowed"),
    "more than 30 addresses": (
        b"GET / HTTP/1.1\r\nHost: x\r\nX-Forwarded-For: " + b"1.1.1.1, " * 30 + b"1.1.1.1\r\n\r\n",
        "463",
    ),
    "a transfer encoding that is none": (
        b"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: gzip\r\n\r\n",
        "501 Not Implemented",
    ),
    "two lengths": (
        b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        "400 Bad Request",
    ),
    "no host": (b"GET / HTTP/1.1\r\n\r\n", "400 Bad Request"),
    "no version": (b"GET\r\n\r\n", "400 Bad Request"),
    "no header": (b"GET / HTTP/1.1\r\nHost: x\r\nno header\r\n\r\n", "400 Bad Request"),
    "headers of more than 64K": (
        b"GET / HTTP/1.1\r\nHost: x\r\nX-A: " + b"a" * 70_000 + b"\r\n\r\n",
        "400 Bad Request",
    ),
}


@pytest.mark.parametrize("why", REFUSED)
async def test_a_request_that_is_none_is_refused_and_no_target_hears_of_it(
    plane: DataPlane, port: int, why: str
) -> None:
    data, title = REFUSED[why]
    async with Upstream(name="a").serving() as a:
        plane.serve([balancer(port, group("g", a))])
        assert await plane.until_live() == ()
        client = Client(port)
        answer = await client.raw(data)
        assert (answer.status, answer.body) == (int(title[:3]), page(title))
        assert (answer.header("server"), answer.header("content-type")) == ("awselb/2.0", "text/html")
        client.close()
        assert a.asked == []
    await counted(plane, **{ELB_400 if title[0] == "4" else ELB_500: 1.0})


async def test_thirty_addresses_are_not_too_many(plane: DataPlane, port: int) -> None:
    async with Upstream(name="a").serving() as a:
        plane.serve([balancer(port, group("g", a))])
        await plane.until_live()
        client = Client(port)
        assert (await client.ask(headers=("X-Forwarded-For: " + ", ".join(["1.1.1.1"] * 30),))).status == 200
        client.close()


async def test_many_small_headers_are_not_too_large(plane: DataPlane, port: int) -> None:
    many = tuple(f"X-{number}: v" for number in range(500))
    async with Upstream(name="a", headers=many).serving() as a:
        plane.serve([balancer(port, group("g", a))])
        await plane.until_live()
        client = Client(port)
        answer = await client.ask(headers=many)
        assert (answer.status, answer.header("x-499"), a.asked[-1].header("x-499")) == (200, "v", "v")
        client.close()


async def test_a_client_that_goes_before_the_answer_is_460(plane: DataPlane, port: int) -> None:
    never = asyncio.Event()

    async def silent(_: Request) -> None:
        await never.wait()

    async with Upstream(name="a", pause=silent).serving() as a:
        plane.serve([balancer(port, group("g", a))])
        await plane.until_live()
        _, writer = await asyncio.open_connection(FRONT, port)
        writer.write(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
        await a.anew.wait()
        writer.close()
        await counted(plane, RequestCount=1.0, **{ELB_400: 1.0})
        never.set()


async def test_a_client_that_falls_silent_is_408(plane: DataPlane, port: int) -> None:
    async with Upstream(name="a").serving() as a:
        plane.serve([balancer(port, group("g", a), traffic=Traffic(idle_timeout_seconds=1))])
        await plane.until_live()
        client = Client(port)
        answer = await client.raw(b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\nab")
        assert (answer.status, answer.body) == (408, page("408 Request Time-out"))
        client.close()
    await counted(plane, RequestCount=1.0, **{ELB_400: 1.0})


async def _ends(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    writer.close()


async def _resets(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    own: socket.socket = writer.get_extra_info("socket")
    own.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    writer.transport.abort()


def says(data: bytes) -> Answering:
    async def answering(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(data)
        await writer.drain()
        writer.close()

    return answering


BROKEN = {
    "the target ends the connection": _ends,
    "the target resets the connection": _resets,
    "half an answer's head": says(b"HTTP/1.1 200 OK\r\nContent-"),
    "no HTTP": says(b"SMTP ready\r\n\r\n"),
    "no header": says(b"HTTP/1.1 200 OK\r\nno header\r\n\r\n"),
    "headers of more than 32K": says(b"HTTP/1.1 200 OK\r\nX-A: " + b"a" * 40_000 + b"\r\n\r\n"),
}


@pytest.mark.parametrize("why", BROKEN)
async def test_a_target_that_breaks_off_or_talks_nonsense_is_502(
    plane: DataPlane, port: int, why: str
) -> None:
    async with target(BROKEN[why]) as one:
        plane.serve([balancer(port, group("g", targets=(one,), health_check=None))])
        await plane.until_live()
        client = Client(port)
        answer = await client.ask()
        assert (answer.status, answer.body) == (502, page("502 Bad Gateway"))
        client.close()
    await counted(plane, RequestCount=1.0, HTTPCode_ELB_502_Count=1.0, **{ELB_500: 1.0})


async def test_a_refused_connection_is_502(plane: DataPlane, port: int) -> None:
    gone = Target(address=BACK, port=free_port(BACK))
    plane.serve([balancer(port, group("g", targets=(gone,), health_check=None))])
    await plane.until_live()
    client = Client(port)
    answer = await client.ask()
    assert (answer.status, answer.body) == (502, page("502 Bad Gateway"))
    client.close()
    await counted(plane, RequestCount=1.0, HTTPCode_ELB_502_Count=1.0, **{ELB_500: 1.0})


async def test_a_target_that_speaks_no_tls_is_502(plane: DataPlane, port: int) -> None:
    async def plain(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 400 Bad Request\r\n\r\n")
        await writer.drain()
        writer.close()

    server = await asyncio.start_server(plain, BACK, 0)
    one = Target(address=BACK, port=server.sockets[0].getsockname()[1])
    plane.serve([balancer(port, group("g", targets=(one,), protocol=Protocol.HTTPS, health_check=None))])
    await plane.until_live()
    client = Client(port)
    answer = await client.ask()
    assert (answer.status, answer.body) == (502, page("502 Bad Gateway"))
    client.close()
    server.close()
    await counted(plane, RequestCount=1.0, HTTPCode_ELB_502_Count=1.0, **{ELB_500: 1.0})


async def test_no_targets_is_503_and_no_request_to_any(plane: DataPlane, port: int) -> None:
    nobody = Forward(groups=(WeightedGroup(group_id="targetgroup/empty/1", weight=0),))
    rule = Rule(id="w", priority=1, conditions=(PathIs(patterns=("/weightless",)),), action=nobody)
    plane.serve([balancer(port, group("empty"), rules=(rule,))])
    await plane.until_live()
    client = Client(port)
    for path in ("/", "/weightless"):
        answer = await client.ask(path)
        assert (answer.status, answer.body) == (503, page("503 Service Temporarily Unavailable"))
    client.close()
    await counted(plane, HTTPCode_ELB_503_Count=2.0, **{ELB_500: 2.0})


async def test_a_silent_target_is_504_after_the_idle_timeout(plane: DataPlane, port: int) -> None:
    never = asyncio.Event()

    async def silent(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await never.wait()
        writer.close()

    async with target(silent) as one:
        own = group("g", targets=(one,), health_check=None)
        plane.serve([balancer(port, own, traffic=Traffic(idle_timeout_seconds=1))])
        await plane.until_live()
        client = Client(port)
        answer = await client.ask()
        assert (answer.status, answer.body) == (504, page("504 Gateway Time-out"))
        client.close()
        never.set()
    await counted(plane, RequestCount=1.0, HTTPCode_ELB_504_Count=1.0, **{ELB_500: 1.0})


async def test_a_target_that_does_not_take_connections_is_504_after_ten_seconds(
    plane: DataPlane, port: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert clusters.CONNECT_SECONDS == 10
    monkeypatch.setattr(clusters, "CONNECT_SECONDS", 1)
    with socket.socket() as full:
        full.bind((BACK, 0))
        full.listen(0)
        first = await asyncio.open_connection(
            *full.getsockname()
        )  # nobody accepts it: there is no place left
        one = Target(address=BACK, port=full.getsockname()[1])
        plane.serve([balancer(port, group("g", targets=(one,), health_check=None))])
        await plane.until_live()
        client = Client(port)
        answer = await client.ask()
        assert (answer.status, answer.body) == (504, page("504 Gateway Time-out"))
        client.close()
        first[1].close()
    await counted(plane, RequestCount=1.0, HTTPCode_ELB_504_Count=1.0, **{ELB_500: 1.0})


# HTTP 464: which versions of HTTP a group takes

H1, H2, GRPC = "targetgroup/h1/1", "targetgroup/h2/1", "targetgroup/grpc/1"
VERSIONS = {H1: ProtocolVersion.HTTP1, H2: ProtocolVersion.HTTP2, GRPC: ProtocolVersion.GRPC}
OF_GRPC, OF_WEB = "application/grpc+proto", "application/grpc-web"


def by_version(port: int, *, http2: bool) -> Balancer:
    """A path for each group. No group has targets: whoever is let in is told 503."""
    groups = tuple(
        replace(group(name.split("/")[1]), version=version, health_check=None)
        for name, version in VERSIONS.items()
    )
    rules = tuple(
        Rule(
            id=f"r{number}",
            priority=number,
            conditions=(PathIs(patterns=(f"/{one.id.split('/')[1]}",)),),
            action=Forward(groups=(WeightedGroup(group_id=one.id),)),
        )
        for number, one in enumerate(groups, 1)
    )
    made = balancer(port, *groups, rules=rules)
    return replace(made, listeners=(replace(made.listeners[0], prior_knowledge=http2),))


@pytest.mark.parametrize(("path", "title"), [("/h1", "503"), ("/h2", "464"), ("/grpc", "464")])
@pytest.mark.parametrize("method", ["GET", "POST"])
async def test_a_request_of_http_1_is_464_to_groups_of_other_versions(
    plane: DataPlane, port: int, path: str, title: str, method: str
) -> None:
    plane.serve([by_version(port, http2=False)])
    assert await plane.until_live() == ()
    client = Client(port)
    answer = await client.ask(path, method=method, headers=("Content-Length: 0",))
    assert answer.status == int(title)
    if title == "464":
        assert answer.body == page("464")
        await counted(plane, **{ELB_400: 1.0})
    client.close()


TAKES = [
    ("/h1", "GET", "text/plain", 503),
    ("/h1", "POST", OF_WEB, 503),
    ("/h1", "POST", OF_GRPC, 464),
    ("/h2", "GET", "text/plain", 503),
    ("/h2", "POST", OF_GRPC, 503),
    ("/grpc", "GET", "text/plain", 464),
    ("/grpc", "POST", "text/plain", 503),
    ("/grpc", "POST", OF_GRPC, 503),
]


def frame(kind: int, flags: int, stream: int, payload: bytes) -> bytes:
    return struct.pack(">I", len(payload))[1:] + struct.pack(">BBI", kind, flags, stream) + payload


def text(name: int, value: str) -> bytes:
    """A header with a name of the static table, not to be remembered. Source: RFC 7541, 6.2.2, appendix A."""
    first = bytes([name]) if name < 15 else bytes([15, name - 15])
    return first + bytes([len(value)]) + value.encode()


@pytest.mark.parametrize(("path", "method", "kind", "status"), TAKES)
async def test_a_request_of_http_2_is_464_where_its_group_does_not_take_it(
    plane: DataPlane, port: int, path: str, method: str, kind: str, status: int
) -> None:
    plane.serve([by_version(port, http2=True)])
    assert await plane.until_live() == ()
    reader, writer = await asyncio.open_connection(FRONT, port)
    asked = bytes([0x83 if method == "POST" else 0x82, 0x86]) + text(4, path) + text(1, "x") + text(31, kind)
    writer.write(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + frame(4, 0, 0, b"") + frame(1, 5, 1, asked))
    while True:
        head = await reader.readexactly(9)
        await reader.readexactly(int.from_bytes(head[:3], "big"))
        if head[3] == 1:
            break
    writer.close()
    if status == 464:
        await counted(plane, **{ELB_400: 1.0})
    else:
        await counted(plane, HTTPCode_ELB_503_Count=1.0, **{ELB_500: 1.0})


async def test_a_length_that_is_too_long_ends_the_connection_after_the_idle_timeout(
    plane: DataPlane, port: int
) -> None:
    """The guide has 504 for it; here the answer's head has gone to the client by then."""

    async def short(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nfive!")
        await reader.read()
        writer.close()

    async with target(short) as one:
        own = group("g", targets=(one,), health_check=None)
        plane.serve([balancer(port, own, traffic=Traffic(idle_timeout_seconds=1))])
        await plane.until_live()
        reader, writer = await asyncio.open_connection(FRONT, port)
        writer.write(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
        with pytest.raises(asyncio.IncompleteReadError, match="5 bytes read on a total of 10"):
            await read_answer(reader)
        writer.close()
