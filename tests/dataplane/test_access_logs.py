"""Access logs of the real proxy: a line for each kind of request, files that begin anew, nothing dropped."""

from __future__ import annotations

import asyncio
import gzip
import os
import shlex
import signal
import ssl
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from homeport.app.balancers.access_log_files import LogFiles
from homeport.app.balancers.access_logs import AccessLogKeeper, LocalProxy
from homeport.app.balancers.envoy import DataPlane
from homeport.core.clock import FixedClock
from homeport.core.ids import SeededIds
from homeport.dataplane.access_logs import LIVE
from homeport.dataplane.health import HealthState
from homeport.dataplane.model import (
    AccessLog,
    Balancer,
    BalancerKind,
    BindAddress,
    Certificate,
    HealthCheck,
    Listener,
    Protocol,
    Target,
)
from homeport.dataplane.rules import (
    Action,
    FixedResponse,
    Forward,
    PathIs,
    Redirect,
    Rewrite,
    RewriteOf,
    Rule,
    WeightedGroup,
)
from tests.kit.certificates import self_signed
from tests.kit.dataplane import BACK, FRONT, Client, News, Upstream, balancer, data_plane, free_port, group

pytestmark = pytest.mark.slow
LOG = AccessLog(
    bucket="logs", account_id="123456789012", region="us-east-1", dns_name="web.elb.amazonaws.com"
)
ARN = "arn:aws:elasticloadbalancing:us-east-1:123456789012:"
CERTIFICATES = tuple(Certificate(id=f"arn:{one}", names=(f"{one}.example.com",)) for one in ("a", "b"))
MATERIALS = tuple(self_signed(one.id, *one.names) for one in CERTIFICATES)


@dataclass(frozen=True, slots=True, kw_only=True)
class Logged:
    """A data plane with what keeps its logs, on a clock that stands until somebody moves it."""

    plane: DataPlane
    keeper: AccessLogKeeper
    files: LogFiles
    clock: FixedClock
    news: News

    async def serve(self, *balancers: Balancer) -> None:
        self.plane.serve(self.keeper.ready(balancers), MATERIALS)
        assert await self.plane.until_live() == ()

    async def until_written(self, count: int) -> None:
        """All that was handled is in the proxy's files, which it writes to a moment later."""
        async with asyncio.timeout(20):  # files bring no news
            while self.written() < count:  # noqa: ASYNC110
                await asyncio.sleep(0.02)

    def written(self) -> int:
        return sum(len(one.read_bytes().splitlines()) for one in self.files.records.glob(f"*/{LIVE}"))

    async def lines(self) -> list[list[str]]:
        """All lines by now, after an hour passed, as fields; what a restart does is done twice."""
        self.clock.instant += timedelta(hours=1)
        await self.keeper.round()
        found = []
        for one in sorted(self.files.buckets.rglob("*.log*")):
            data = one.read_bytes()
            text = gzip.decompress(data) if one.suffix == ".gz" else data
            found += [shlex.split(line) for line in text.decode().splitlines()]
        return found


@asynccontextmanager
async def logging() -> AsyncIterator[Logged]:
    with tempfile.TemporaryDirectory(prefix="hp-") as made:
        news = News()
        async with data_plane(folder=Path(made) / "proxy", news=news) as plane:
            clock, files = FixedClock(datetime.now(UTC)), LogFiles(Path(made) / "data")
            proxy = LocalProxy(Path(made) / "proxy")
            keeper = AccessLogKeeper(files, proxy, clock=clock, ids=SeededIds(1))
            yield Logged(plane=plane, keeper=keeper, files=files, clock=clock, news=news)


def to(group_id: str) -> Forward:
    return Forward(groups=(WeightedGroup(group_id=group_id),))


def when(path: str, action: Action, priority: int, *rewrites: Rewrite) -> Rule:
    condition = PathIs(patterns=(path,))
    return Rule(id=path, priority=priority, conditions=(condition,), action=action, rewrites=rewrites)


def trusting() -> ssl.SSLContext:
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    return context


async def test_each_kind_of_request_is_a_line() -> None:
    port = free_port()
    async with logging() as logged, Upstream(name="a").serving() as a:
        g, empty = group("g", a), group("empty")
        dead = group("dead", Upstream(name="dead", port=1))
        rules = (
            when("/fixed", FixedResponse(status=418, body="x"), 1),
            when("/moved", Redirect(status=301, protocol="HTTPS", port="443"), 2),
            when("/empty", to(empty.id), 3),
            when("/dead", to(dead.id), 4),
            when("/old", to(g.id), 5, Rewrite(of=RewriteOf.URL, regex="^/old", replacement="/new")),
        )
        web = balancer(port, g, empty, dead, rules=rules)
        await logged.serve(replace(web, access_log=LOG))
        client = Client(port)
        agent = ('User-Agent: say "hi"', "X-Amzn-Trace-Id: Root=1-67891233-abcdef012345678912345678")
        for path in ("/", "/fixed", "/moved?x=1", "/empty", "/dead", "/old"):
            await client.ask(path, headers=agent)
        client.close()
        odd = Client(port)
        await odd.raw(b"NO HTTP\r\n\r\n")
        odd.close()
        await logged.until_written(7)
        found = await logged.lines()
    assert [one[0] for one in found] == ["http"] * 7
    statuses = [(one[8], one[9]) for one in found]
    assert statuses == [
        ("200", "200"),
        ("418", "-"),
        ("301", "-"),
        ("503", "-"),
        ("502", "-"),
        ("200", "200"),
        ("400", "-"),
    ]
    assert [one[20] for one in found] == ["0", "1", "2", "3", "4", "5", "-"]
    assert [one[22] for one in found] == [
        "forward",
        "fixed-response",
        "redirect",
        "forward",
        "forward",
        "forward",
        "-",
    ]
    assert [one[4] for one in found][:5] == [f"{BACK}:{a.port}", "-", "-", "-", f"{BACK}:1"]
    arns = [f"{ARN}{one.id}" for one in (g, empty, dead)]
    assert [one[16] for one in found] == [arns[0], "-", "-", arns[1], arns[2], arns[0], "-"]
    assert found[2][23] == "https://example.com:443/moved?x=1"
    first = found[0]
    assert first[12] == f"GET http://example.com:{port}/ HTTP/1.1"
    assert first[13] == r"say \x22hi\x22"
    assert "1-67891233-abcdef012345678912345678" in first[17]
    assert all(float(span) >= 0 for span in first[5:8])
    assert int(first[10]) > len("GET / HTTP/1.1")
    assert int(first[11]) > len("HTTP/1.1 200 X")
    assert found[1][5:8] == ["-1", "-1", "-1"]
    assert found[5][12].startswith(f"GET http://example.com:{port}/old ")
    assert found[5][31:33] == ["/new", "TransformSuccess"]
    assert found[6][12] == f"- http://web.elb.amazonaws.com:{port}- -"
    assert len({one[29] for one in found[:6]}) == 1, "requests of one connection"
    assert found[6][29] != first[29]


async def test_a_client_that_leaves_before_its_answer_is_460() -> None:
    port = free_port()
    async with logging() as logged, Upstream(name="a").serving() as a:
        asked, left = asyncio.Event(), asyncio.Event()

        async def pause(request: object) -> None:
            asked.set()
            await left.wait()

        a.pause = pause
        await logged.serve(replace(balancer(port, group("g", a)), access_log=LOG))
        _, writer = await asyncio.open_connection(FRONT, port)
        writer.write(b"GET /slow HTTP/1.1\r\nHost: x\r\n\r\n")
        await asked.wait()
        writer.close()
        await logged.until_written(1)
        left.set()
        (gone,) = await logged.lines()
    assert (gone[0], gone[4], gone[8], gone[9]) == ("http", f"{BACK}:{a.port}", "460", "-")


async def test_whatever_bytes_a_client_sends_its_line_is_one() -> None:
    port = free_port()
    async with logging() as logged, Upstream(name="a").serving() as a:
        await logged.serve(replace(balancer(port, group("g", a)), access_log=LOG))
        agents = (b"\xff\xfe", "caf\u00e9 \u2713".encode(), b'a"b\\c', b"tab\there", b"x" * 20_000)
        for agent in agents:
            client = Client(port)
            await client.raw(b"GET /?%22=a%0Ab HTTP/1.1\r\nHost: x\r\nUser-Agent: " + agent + b"\r\n\r\n")
            client.close()
        await logged.until_written(len(agents))
        found = await logged.lines()
    assert len(found) == len(agents)
    assert {one[12] for one in found} == {f"GET http://x:{port}/?%22=a%0Ab HTTP/1.1"}
    said = [one[13] for one in found]
    assert said[1:4] == [r"caf\xC3\xA9 \xE2\x9C\x93", r"a\x22b\x5Cc", r"tab\x09here"]
    assert said[4] == "x" * 8192


async def test_a_web_socket_is_a_line_once_it_is_closed() -> None:
    async def echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n")
        while data := await reader.read(100):
            writer.write(data.upper())
        writer.close()

    port = free_port()
    server = await asyncio.start_server(echo, BACK, 0)
    target = Target(address=BACK, port=server.sockets[0].getsockname()[1])
    async with logging() as logged:
        g = group("g", targets=(target,), health_check=None)
        await logged.serve(replace(balancer(port, g), access_log=LOG))
        reader, writer = await asyncio.open_connection(FRONT, port)
        writer.write(b"GET /ws HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n")
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"hello")
        assert await reader.readexactly(5) == b"HELLO"
        assert await logged.lines() == []
        writer.close()
        await logged.until_written(1)
        (socket,) = await logged.lines()
    server.close()
    assert (socket[0], socket[8], socket[9]) == ("ws", "101", "101")


async def test_names_and_certificates_are_told_of_encrypted_connections() -> None:
    port, other = free_port(), free_port()
    async with logging() as logged, Upstream(name="a").serving() as a:
        g = group("g", a)
        secure = Listener(
            id="s",
            protocol=Protocol.HTTPS,
            port=port,
            certificates=CERTIFICATES,
            rules=(Rule(id="default", action=to(g.id)),),
        )
        web = replace(balancer(1, g), listeners=(secure,), access_log=LOG)
        plain = group("t", a, protocol=Protocol.TCP, health_check=HealthCheck(protocol=Protocol.TCP))
        tls = replace(
            secure, protocol=Protocol.TLS, port=other, rules=(Rule(id="default", action=to(plain.id)),)
        )
        tcp = replace(tls, id="p", protocol=Protocol.TCP, port=free_port(), certificates=())
        net = Balancer(
            id="net/n/1",
            kind=BalancerKind.NETWORK,
            addresses=(BindAddress(address=FRONT),),
            listeners=(tls, tcp),
            groups=(plain,),
            access_log=LOG,
        )
        await logged.serve(web, net)
        await asyncio.wait_for(
            logged.news.until("targetgroup/t/1", f"{BACK}:{a.port}", HealthState.HEALTHY), 20
        )
        for at in (port, other):
            for name in ("b.example.com", "a.example.com", "who.example.com"):
                reader, writer = await asyncio.open_connection(
                    FRONT, at, ssl=trusting(), server_hostname=name
                )
                writer.write(b"GET /s HTTP/1.1\r\nHost: x\r\n\r\n")
                await reader.readuntil(b"\r\n\r\n")
                writer.close()
        reader, writer = await asyncio.open_connection(FRONT, tcp.port)
        writer.write(b"GET /s HTTP/1.1\r\nHost: x\r\n\r\n")
        await reader.readuntil(b"\r\n\r\n")
        writer.close()
        await logged.until_written(6)
        found = await logged.lines()
    requests = [one for one in found if one[0] == "https"]
    assert [(one[18], one[19]) for one in requests] == [
        ("b.example.com", "arn:b"),
        ("a.example.com", "arn:a"),
        ("-", "arn:a"),
    ]
    assert {one[15] for one in requests} == {"TLSv1.3"}
    assert {one[14] for one in requests} <= {"TLS_AES_128_GCM_SHA256", "TLS_AES_256_GCM_SHA384"}
    connections = [one for one in found if one[0] == "tls"]
    assert [(one[12], one[17]) for one in connections] == [
        ("arn:b", "b.example.com"),
        ("arn:a", "a.example.com"),
        ("arn:a", "who.example.com"),
    ]
    assert {(one[4], one[6], one[15]) for one in connections} == {("s", f"{FRONT}:{other}", "tlsv13")}
    assert len(found) == 6, "connections without TLS are not logged"


async def test_connections_are_logged_by_themselves_even_without_a_request() -> None:
    port, secure = free_port(), free_port()
    async with logging() as logged, Upstream(name="a").serving() as a:
        web = balancer(port, group("g", a))
        (plain,) = web.listeners
        both = (
            plain,
            replace(plain, id="s", protocol=Protocol.HTTPS, port=secure, certificates=CERTIFICATES),
        )
        await logged.serve(replace(web, listeners=both, access_log=LOG, connection_log=LOG))
        client = Client(port)
        await client.ask()
        await client.ask()
        client.close()
        await logged.until_written(3)
        _, writer = await asyncio.open_connection(
            FRONT, secure, ssl=trusting(), server_hostname="b.example.com"
        )
        writer.close()
        await logged.until_written(4)
        _, writer = await asyncio.open_connection(FRONT, secure)
        writer.write(b"GET / HTTP/1.1\r\n\r\n")
        await writer.drain()
        await logged.until_written(5)
        writer.close()
        found = await logged.lines()
        names = [one.name for one in logged.files.buckets.rglob("*.gz")]
    assert sorted(name.startswith("conn_log.123456789012_") for name in names) == [False, True]
    requests = [one for one in found if one[0] == "http"]
    first, second, third = (one for one in found if one[0] != "http")
    assert {one[29] for one in requests} == {first[11]}
    assert first[3:11] == [str(port), *["-"] * 7]
    assert second[3:5] == [str(secure), "TLSv1.3"]
    assert second[10] == "Success"
    assert float(second[6]) < 10
    assert third[10].startswith("Failed:")


async def test_classic_balancers_log_requests_and_connections_in_plain_files() -> None:
    http, tcp = free_port(), free_port()
    async with logging() as logged, Upstream(name="a").serving() as a:
        by_name = {
            name: replace(group(name, a, protocol=protocol), id=f"clb/old/1/{name}")
            for name, protocol in (("h", Protocol.HTTP), ("t", Protocol.TCP))
        }
        listeners = tuple(
            Listener(
                id=name, protocol=held.protocol, port=port, rules=(Rule(id="default", action=to(held.id)),)
            )
            for (name, held), port in zip(by_name.items(), (http, tcp), strict=True)
        )
        old = Balancer(
            id="clb/old/1",
            kind=BalancerKind.CLASSIC,
            addresses=(BindAddress(address=FRONT),),
            listeners=listeners,
            groups=tuple(
                replace(one, health_check=HealthCheck(protocol=Protocol.TCP)) for one in by_name.values()
            ),
            access_log=replace(LOG, minutes=60),
        )
        await logged.serve(old)
        for port in (http, tcp):
            client = Client(port)
            await client.ask("/x")
            client.close()
            await logged.until_written(1 if port == http else 2)
        found = await logged.lines()
        (name,) = [one.name for one in logged.files.buckets.rglob("*.log")]
    assert name.startswith("123456789012_elasticloadbalancing_us-east-1_old_")
    request, connection = found
    assert request[1:4:2] == ["old", f"{BACK}:{a.port}"]
    assert request[7:11] == ["200", "200", "0", "1"]
    assert request[11] == f"GET http://example.com:{http}/x HTTP/1.1"
    assert connection[7:9] == ["-", "-"]
    assert connection[11] == "- - - "
    assert int(connection[9]) > 0


async def test_nothing_is_dropped_while_logs_are_turned_on_begun_anew_and_turned_off() -> None:
    """And each request of a connection that began while they were on is in them once."""
    port = free_port()
    async with logging() as logged, Upstream(name="a").serving() as a:
        off = balancer(port, group("g", a))
        on = replace(off, access_log=LOG)
        await logged.serve(off)
        asked: list[str] = []
        stop = asyncio.Event()

        async def keep_asking(name: str, *, anew: bool) -> None:
            client = Client(port)
            number = 0
            while not stop.is_set():
                number += 1
                asked.append(f"{name}{number}")
                assert (await client.ask(f"/{name}{number}")).status == 200
                if anew:
                    client.close()
            client.close()

        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(keep_asking("new", anew=True))
            tasks.create_task(keep_asking("old", anew=False))
            await asyncio.sleep(0.1)
            await logged.serve(on)
            begun = len(asked)
            for _ in range(5):
                await asyncio.sleep(0.1)
                logged.clock.instant += timedelta(minutes=5)
                await logged.keeper.round()
            ended = len(asked)
            await logged.serve(off)
            await asyncio.sleep(0.1)
            stop.set()
        await asyncio.sleep(0.2)  # longer than what is written may lie in the proxy
        found = [one[12].split("/")[3].split(" ")[0] for one in await logged.lines()]
        assert len(list(logged.files.buckets.rglob("*.gz"))) >= 5
        assert len(found) == len(set(found))
        sure = [one for one in asked[begun:ended] if one.startswith("new")][1:-1]
        assert len(sure) > 20
        assert set(sure) <= set(found)


async def test_health_is_heard_of_after_files_were_begun_anew() -> None:
    """The proxy begins all its files anew, and the pipe of its health checks' news is one."""
    port = free_port()
    async with logging() as logged, Upstream(name="a").serving() as a:
        await logged.serve(replace(balancer(port, group("g", a)), access_log=LOG))
        await logged.news.until("targetgroup/g/1", f"{BACK}:{a.port}", HealthState.HEALTHY)
        client = Client(port)
        await client.ask()
        client.close()
        await logged.until_written(1)
        assert len(await logged.lines()) == 1
        a.healthy = False
        await logged.news.until("targetgroup/g/1", f"{BACK}:{a.port}", HealthState.UNHEALTHY)


async def test_health_checks_are_not_logged() -> None:
    port = free_port()
    async with logging() as logged, Upstream(name="a").serving() as a:
        await logged.serve(replace(balancer(port, group("g", a)), access_log=LOG))
        await logged.news.until("targetgroup/g/1", f"{BACK}:{a.port}", HealthState.HEALTHY)
        assert a.checks
        assert await logged.lines() == []


async def test_a_proxy_that_died_writes_on_and_nothing_that_it_had_written_is_lost() -> None:
    port = free_port()
    async with logging() as logged, Upstream(name="a").serving() as a:
        await logged.serve(replace(balancer(port, group("g", a)), access_log=LOG))
        client = Client(port)
        await client.ask("/1")
        client.close()
        await logged.until_written(1)
        running = logged.plane.process.running
        assert running is not None

        os.kill(running.pid, signal.SIGKILL)
        await logged.plane.until_away()
        await logged.plane.until_live()
        client = Client(port)
        await client.ask("/2")
        client.close()
        await logged.until_written(2)
        found = await logged.lines()
    assert [one[12].split("/")[3].split(" ")[0] for one in found] == ["1", "2"]
