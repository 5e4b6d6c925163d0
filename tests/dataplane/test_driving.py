"""How the real proxy is driven: changes under load, health, refusals, crashes."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import subprocess
import sys
import tempfile
from dataclasses import replace
from pathlib import Path

import pytest

from homeport.app.balancers.envoy_process import Files, end_leftover, find_running, started_ticks
from homeport.dataplane.health import HealthState
from homeport.dataplane.model import (
    Balancer,
    Protocol,
    Stickiness,
    StickinessKind,
    Target,
)
from homeport.dataplane.rules import FixedResponse, Forward, PathIs, Redirect, Rule, WeightedGroup
from tests.kit.dataplane import (
    BACK,
    CHECK,
    FRONT,
    Client,
    News,
    Upstream,
    balancer,
    data_plane,
    free_port,
    group,
    network_balancer,
)

pytestmark = pytest.mark.slow
G = "targetgroup/g/1"


class Load:
    """Requests without a pause, on kept and on new connections; what came back."""

    def __init__(self, port: int) -> None:
        self._port = port
        self._over = False
        self.answers: dict[tuple[int, str], int] = {}
        self.failures: list[str] = []

    async def run(self, *, keep: bool) -> None:
        client = Client(self._port)
        while not self._over:
            try:
                answer = await client.ask()
                seen = (answer.status, answer.body.decode())
                self.answers[seen] = self.answers.get(seen, 0) + 1
            except (OSError, asyncio.IncompleteReadError) as error:
                self.failures.append(repr(error))
                client.close()
            if not keep:
                client.close()
        client.close()

    def over(self) -> None:
        self._over = True


async def until_all(upstreams: list[Upstream]) -> None:
    """Until every one was asked anew."""
    async with asyncio.timeout(10):
        for one in upstreams:
            one.anew.clear()
        for one in upstreams:
            await one.anew.wait()


async def test_no_request_fails_while_targets_and_settings_change_under_load() -> None:
    port = free_port()
    ups = [Upstream(name=name) for name in "abcd"]
    async with ups[0].serving(), ups[1].serving(), ups[2].serving(), ups[3].serving(), data_plane() as plane:
        plane.serve([balancer(port, group("g", ups[0], ups[1]))])
        assert await plane.until_live() == ()
        load = Load(port)
        async with asyncio.TaskGroup() as clients:
            for keep in (True, True, False):
                clients.create_task(load.run(keep=keep))
            for step in range(24):
                now = [ups[step % 4], ups[(step + 1) % 4]]
                settings: dict[str, object] = {}
                if step % 3 == 1:
                    settings["slow_start_seconds"] = 30 + step
                if step % 4 == 2:
                    settings["health_check"] = replace(CHECK, path=f"/health{step}")
                plane.serve([balancer(port, group("g", *now, **settings))])
                assert await plane.until_live() == ()
                await until_all(now)
            load.over()
        assert load.failures == []
        assert {status for status, _ in load.answers} == {200}
        assert sum(load.answers.values()) > 300


async def test_what_a_draining_target_has_begun_goes_on_and_nothing_new_comes() -> None:
    port, begun, go = free_port(), asyncio.Event(), asyncio.Event()

    async def slowly(_: object) -> None:
        begun.set()
        await go.wait()

    one, two = Upstream(name="a", pause=slowly), Upstream(name="b")
    async with one.serving() as a, two.serving() as b, data_plane() as plane:
        plane.serve([balancer(port, group("g", a))])
        await plane.until_live()
        client, other = Client(port), Client(port)
        async with asyncio.TaskGroup() as tasks:
            answer = tasks.create_task(client.ask())
            await begun.wait()
            draining = replace(a.target, draining=True)
            plane.serve([balancer(port, group("g", targets=(draining, b.target)))])
            await plane.until_live()
            while (await other.ask()).body != b"b":
                pass
            asked = len(a.asked)
            assert {(await other.ask()).body for _ in range(20)} == {b"b"}
            assert len(a.asked) == asked
            go.set()
        assert (answer.result().status, answer.result().body) == (200, b"a")
        client.close()
        other.close()


async def test_health_is_told_in_a_load_balancer_s_words_and_decides_who_is_asked() -> None:
    news, port = News(), free_port()
    gone = Target(address=BACK, port=free_port(BACK))
    async with (
        Upstream(name="a").serving() as a,
        Upstream(name="b", healthy=False).serving() as b,
        data_plane(news=news) as plane,
    ):
        plane.serve([balancer(port, group("g", targets=(a.target, b.target, gone)))])
        await plane.until_live()
        first = [one.health.reason for one in news.changes[:3]]
        assert first == ["Elb.InitialHealthChecking"] * 3
        healthy = await news.until(G, a.target.key, HealthState.HEALTHY)
        assert (healthy.health.reason, healthy.health.description) == ("", "")
        await news.until(G, b.target.key, HealthState.UNHEALTHY)
        assert len(b.checks) >= 2, "two failures in a row"
        refused = await news.until(G, gone.key, HealthState.UNHEALTHY)
        assert refused.health.reason == "Target.FailedHealthChecks"
        mismatch = await news.until_described(G, b.target.key, "[500]")
        assert mismatch.health.reason == "Target.ResponseCodeMismatch"
        assert mismatch.health.description == "Health checks failed with these codes: [500]"
        client = Client(port)
        assert {(await client.ask()).body for _ in range(20)} == {b"a"}
        b.healthy = True
        checks = len(b.checks)
        await news.until(G, b.target.key, HealthState.HEALTHY)
        assert len(b.checks) >= checks + 2, "two passes in a row"
        a.healthy = False
        await news.until(G, a.target.key, HealthState.UNHEALTHY)
        while (await client.ask()).body != b"b":
            pass
        assert {(await client.ask()).body for _ in range(20)} == {b"b"}
        b.healthy = False
        await news.until(G, b.target.key, HealthState.UNHEALTHY)
        bodies = {(await client.ask()).body for _ in range(40)}
        assert {b"a", b"b"} <= bodies, "none is healthy: all are asked"
        client.close()


async def test_a_refused_listener_is_told_in_the_proxy_s_words_and_the_rest_works() -> None:
    port, taken = free_port(), socket.create_server((FRONT, 0))
    used = taken.getsockname()[1]
    async with Upstream(name="a").serving() as a, data_plane() as plane:
        bad = balancer(used, group("h", a), name="bad")
        plane.serve([balancer(port, group("g", a)), bad])
        (rejection,) = await plane.until_live()
        assert rejection.balancer_id == "app/bad/1"
        assert "in use" in rejection.message
        client = Client(port)
        assert (await client.ask()).body == b"a"
        taken.close()
        plane.retry()
        assert await plane.until_live() == ()
        other = Client(used)
        assert (await other.ask()).body == b"a"
        client.close()
        other.close()


async def test_what_is_refused_leaves_what_was_there() -> None:
    port = free_port()
    async with Upstream(name="a").serving() as a, data_plane() as plane:
        plane.serve([balancer(port, group("g", a))])
        await plane.until_live()
        good = balancer(port, group("g", a))
        rules = (
            Rule(
                id="bad",
                priority=1,
                conditions=(PathIs(regexes=("(unclosed",)),),
                action=FixedResponse(status=200),
            ),
        )
        plane.serve([balancer(port, group("g", a), rules=rules)])
        (rejection,) = await plane.until_live()
        assert "missing )" in rejection.message
        client = Client(port)
        assert (await client.ask()).body == b"a"
        plane.serve([good])
        assert await plane.until_live() == ()
        client.close()


async def test_a_crashed_proxy_is_back_within_a_second_as_it_was() -> None:
    port = free_port()
    async with Upstream(name="a").serving() as a, data_plane() as plane:
        plane.serve([balancer(port, group("g", a))])
        await plane.until_live()
        loop = asyncio.get_running_loop()
        times = []
        for _ in range(3):
            assert plane.process.running is not None
            os.kill(plane.process.running.pid, signal.SIGKILL)
            since = loop.time()
            await plane.until_away()
            while True:
                client = Client(port)
                try:
                    assert (await client.ask()).body == b"a"
                    break
                except (OSError, asyncio.IncompleteReadError):
                    await asyncio.sleep(0)
                finally:
                    client.close()
            times.append(loop.time() - since)
        assert sorted(times)[1] < 1.0, times


PARENT = """
import asyncio, sys
from pathlib import Path
from homeport.app.balancers.envoy import DataPlane
from tests.kit.dataplane import balancer, group, BACK
from homeport.dataplane.model import Target

async def main():
    folder, port, target = Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3])
    async with DataPlane(folder, told=lambda _: None, workers=1, outlives=True) as plane:
        plane.serve([balancer(port, group("g", targets=(Target(address=BACK, port=target),)))])
        await plane.until_live()
        print("live", flush=True)
        await asyncio.Event().wait()

asyncio.run(main())
"""


async def test_traffic_goes_on_when_the_control_plane_is_killed_and_the_next_one_adopts_the_proxy() -> None:
    port, news = free_port(), News()
    with tempfile.TemporaryDirectory(prefix="hp-") as made:
        folder = Path(made)
        async with Upstream(name="a").serving() as a, Upstream(name="b").serving() as b:
            parent = subprocess.Popen(  # noqa: ASYNC220 - starting is quick, waiting is what blocks
                [sys.executable, "-c", PARENT, str(folder), str(port), str(a.port)], stdout=subprocess.PIPE
            )
            try:
                assert parent.stdout is not None
                said = ""
                while said != "live":
                    said = (await asyncio.to_thread(parent.stdout.readline)).decode().strip()
                parent.kill()
                parent.wait()
                parent.stdout.close()
                client = Client(port)
                assert (await client.ask()).body == b"a"
                orphan = find_running(Files(folder=folder))
                assert orphan is not None
                async with data_plane(folder=folder, news=news, outlives=True) as plane:
                    plane.serve([balancer(port, group("g", a, b))])
                    assert await plane.until_live() == ()
                    assert plane.process.running == orphan
                    assert plane.process.starts == 0
                    await news.until(G, a.target.key, HealthState.HEALTHY)
                    await news.until(G, b.target.key, HealthState.HEALTHY)
                    while (await client.ask()).body != b"b":
                        pass
                client.close()
                assert started_ticks(orphan.pid) == orphan.started, "it outlives"
            finally:
                assert await end_leftover(folder)
        with socket.create_server((FRONT, port)):
            pass  # nobody holds the port


def network(protocol: Protocol, port: int, *ups: Upstream, **settings: object) -> Balancer:
    check = replace(CHECK, protocol=Protocol.TCP)
    spoken = Protocol.TCP if protocol is Protocol.TLS else protocol
    one = group("g", *ups, **{"protocol": spoken, "health_check": check} | settings)
    return network_balancer(port, one, protocol)


async def test_a_network_balancer_passes_connections_on() -> None:
    port = free_port()
    async with Upstream(name="a").serving() as a, Upstream(name="b").serving() as b, data_plane() as plane:
        plane.serve([network(Protocol.TCP, port, a, b)])
        assert await plane.until_live() == ()
        seen = set()
        for _ in range(20):
            client = Client(port)
            seen.add((await client.ask()).body)
            client.close()
        assert seen == {b"a", b"b"}
        assert a.asked[-1].header("x-forwarded-for") is None
        sticky = Stickiness(kind=StickinessKind.SOURCE_IP)
        plane.serve([network(Protocol.TCP, port, a, b, stickiness=sticky)])
        await plane.until_live()
        by_source = {}
        for source in ("127.0.0.1", "127.0.0.7"):
            by_source[source] = set()
            for _ in range(10):
                client = Client(port, source=source)
                by_source[source].add((await client.ask()).body)
                client.close()
        assert {len(found) for found in by_source.values()} == {1}


async def test_a_network_balancer_passes_datagrams_on() -> None:
    loop, port = asyncio.get_running_loop(), free_port()

    class Echo(asyncio.DatagramProtocol):
        def connection_made(self, transport: asyncio.BaseTransport) -> None:
            self.transport = transport

        def datagram_received(self, data: bytes, addr: object) -> None:
            self.transport.sendto(data.upper(), addr)

    transport, _ = await loop.create_datagram_endpoint(Echo, local_addr=(BACK, 0))
    target = Target(address=BACK, port=transport.get_extra_info("sockname")[1])
    async with data_plane() as plane:
        plane.serve([network(Protocol.UDP, port, targets=(target,), health_check=None)])
        assert await plane.until_live() == ()
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client:
            client.setblocking(False)
            client.connect((FRONT, port))
            await loop.sock_sendall(client, b"ping")
            async with asyncio.timeout(5):
                assert await loop.sock_recv(client, 100) == b"PING"
    transport.close()


async def test_requests_are_counted_under_cloudwatch_s_names_also_over_a_crash() -> None:
    port = free_port()
    fixed = Rule(
        id="f",
        priority=1,
        conditions=(PathIs(patterns=("/fixed",)),),
        action=FixedResponse(status=404, body="no"),
    )
    away = Rule(
        id="r", priority=2, conditions=(PathIs(patterns=("/go",)),), action=Redirect(status=302, host="o.org")
    )
    none = Rule(
        id="n",
        priority=3,
        conditions=(PathIs(patterns=("/none",)),),
        action=Forward(groups=(WeightedGroup(group_id="targetgroup/none/1"),)),
    )
    async with Upstream(name="a", status=404).serving() as a, data_plane() as plane:
        plane.serve([balancer(port, group("g", a), group("none"), rules=(fixed, away, none))])
        assert await plane.until_live() == ()
        expected = {
            ("RequestCount", "app/web/1", ""): 2.0,
            ("RequestCount", "app/web/1", G): 2.0,
            ("RequestCountPerTarget", "", G): 2.0,
            ("HTTPCode_Target_4XX_Count", "app/web/1", ""): 2.0,
            ("HTTPCode_Target_4XX_Count", "app/web/1", G): 2.0,
            ("HTTP_Fixed_Response_Count", "app/web/1", ""): 1.0,
            ("HTTP_Redirect_Count", "app/web/1", ""): 1.0,
            ("HTTPCode_ELB_3XX_Count", "app/web/1", ""): 1.0,
            ("HTTPCode_ELB_5XX_Count", "app/web/1", ""): 1.0,
            ("HTTPCode_ELB_503_Count", "app/web/1", ""): 1.0,
            ("NewConnectionCount", "app/web/1", ""): 1.0,
            ("TargetResponseTime.SampleCount", "", G): 2.0,
        }
        for lives in (1.0, 2.0):
            client = Client(port)
            for path in ("/", "/x", "/fixed", "/go", "/none"):
                await client.ask(path)
            async with asyncio.timeout(10):
                while True:
                    counters = await plane.counters()
                    found = {(c.metric, c.balancer_id, c.group_id): n for c, n in counters.items()}
                    if found.items() >= {key: n * lives for key, n in expected.items()}.items():
                        break
            client.close()
            assert plane.process.running is not None
            os.kill(plane.process.running.pid, signal.SIGKILL)
            await plane.until_away()
            await plane.until_live()
