"""The real proxy's checks count as a load balancer's do: one pass for who is new, and no request fails."""

from __future__ import annotations

import asyncio
import os
import signal
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from homeport.app.balancers.envoy import DataPlane
from homeport.app.balancers.envoy_process import end_leftover
from homeport.dataplane.health import HealthState
from homeport.dataplane.model import BalancerKind, Protocol, Target
from tests.kit.dataplane import (
    BACK,
    CHECK,
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
PATIENT = replace(CHECK, healthy_threshold=5, unhealthy_threshold=10)


@asynccontextmanager
async def not_yet(port: int) -> AsyncIterator[asyncio.Queue[None]]:
    """A program that is not ready: whoever asks is sent away; the queue has one entry for each."""
    asked: asyncio.Queue[None] = asyncio.Queue()

    async def away(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        asked.put_nowait(None)
        writer.close()

    server = await asyncio.start_server(away, BACK, port)
    try:
        yield asked
    finally:
        server.close()
        await server.wait_closed()


async def until_round(plane: DataPlane, count: int) -> None:
    """Until the proxy has the first group's first target made known anew so often."""
    async with asyncio.timeout(30):
        while True:
            (cluster, *_) = (await plane.admin.clusters())["cluster_statuses"]
            (host,) = cluster["host_statuses"]
            if host.get("locality", {}).get("sub_zone", "0") == f"{count}":
                return


async def test_a_target_that_failed_its_first_checks_is_healthy_with_one_pass_and_no_request_fails() -> None:
    news, port, checked_at, over = News(), free_port(), free_port(BACK), asyncio.Event()
    failures: list[object] = []

    async def load() -> int:
        client, count = Client(port), 0
        while not over.is_set():
            answer = await client.ask()
            count += 1
            if answer.status != 200:
                failures.append(answer)
        client.close()
        return count

    async with Upstream(name="a").serving() as a, data_plane(news=news) as plane:
        one = group("g", a, health_check=replace(PATIENT, port=checked_at))
        async with not_yet(checked_at) as asked, asyncio.TaskGroup() as tasks:
            plane.serve([balancer(port, one)])
            assert await plane.until_live() == ()
            done = tasks.create_task(load())
            async with asyncio.timeout(30):
                for _ in range(4):
                    await asked.get()
            assert plane.health(G)[a.target.key].state is HealthState.INITIAL
            over.set()
        assert failures == []
        assert done.result() > 100, "it was asked all the time: nobody is healthy, so all are"
        async with Upstream(name="checked", port=checked_at).serving() as checked:
            await news.until(G, a.target.key, HealthState.HEALTHY)
            assert len(checked.checks) <= 2, "one pass (and the next may have come before its news)"
    states = [one.health.state for one in news.changes]
    assert states == [HealthState.INITIAL, HealthState.HEALTHY]


async def test_connections_of_a_network_balancer_outlive_that_a_target_is_asked_anew() -> None:
    news, port, checked_at = News(), free_port(), free_port(BACK)
    async with Upstream(name="a").serving() as a, data_plane(news=news) as plane:
        check = replace(PATIENT, protocol=Protocol.TCP, port=checked_at)
        one = group("g", a, protocol=Protocol.TCP, health_check=check)
        plane.serve([network_balancer(port, one)])
        assert await plane.until_live() == ()
        client = Client(port)
        assert (await client.ask()).body == b"a"
        await until_round(plane, 2)
        assert (await client.ask()).body == b"a", "the same connection"
        async with not_yet(checked_at) as asked:
            await news.until(G, a.target.key, HealthState.HEALTHY)
            assert asked.qsize() <= 2
        client.close()


async def test_the_next_control_plane_goes_on_where_the_last_one_was() -> None:
    port = free_port()
    late, never = Target(address=BACK, port=free_port(BACK)), Target(address=BACK, port=free_port(BACK))
    long = replace(PATIENT, unhealthy_threshold=10)
    short = replace(PATIENT, unhealthy_threshold=2)
    groups = (
        group("g", targets=(late,), health_check=long),
        group("h", targets=(never,), health_check=short),
    )
    served = [balancer(port, groups[0], rules=(), name="web"), balancer(free_port(), groups[1], name="other")]
    with tempfile.TemporaryDirectory(prefix="hp-") as made:
        folder, news, later = Path(made), News(), News()
        try:
            async with data_plane(folder=folder, news=news, outlives=True) as plane:
                plane.serve(served)
                await plane.until_live()
                await news.until(groups[1].id, never.key, HealthState.UNHEALTHY)
                running = plane.process.running
            async with data_plane(folder=folder, news=later, outlives=True) as plane:
                plane.serve(served)
                states = {one.key: one.health.state for one in later.changes}
                assert states == {late.key: HealthState.INITIAL, never.key: HealthState.UNHEALTHY}
                await plane.until_live()
                assert plane.process.running == running
                async with Upstream(name="late", port=late.port).serving() as upstream:
                    await later.until(G, late.key, HealthState.HEALTHY)
                    assert len(upstream.checks) <= 2
                assert running is not None
                os.kill(running.pid, signal.SIGKILL)
                await later.until(G, late.key, HealthState.UNHEALTHY)
        finally:
            await end_leftover(folder)


async def test_an_instance_of_a_classic_balancer_passes_its_whole_threshold_before_it_is_asked() -> None:
    news, port = News(), free_port()
    check = replace(CHECK, healthy_threshold=3, trusts_first_pass=False)
    async with Upstream(name="a").serving() as a, data_plane(news=news) as plane:
        one = group("g", a, health_check=check, minimum_healthy_count=0)
        plane.serve([replace(balancer(port, one), id="clb/web/1", kind=BalancerKind.CLASSIC)])
        assert await plane.until_live() == ()
        client = Client(port)
        async with asyncio.timeout(30):
            while len(a.checks) < 2:
                assert (await client.ask()).status == 503
        assert a.asked == []
        await news.until(G, a.target.key, HealthState.HEALTHY)
        assert len(a.checks) >= 3
        async with asyncio.timeout(30):
            while (await client.ask()).status != 200:
                pass
        client.close()
