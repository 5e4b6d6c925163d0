"""The proxy of `homeport up`: it comes with the first balancer, outlives who began it, and has a state."""

from __future__ import annotations

import asyncio
import socket
import subprocess
import sys
import tempfile
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from homeport.app.balancers import envoy_process
from homeport.app.balancers import plane as balancer_plane
from homeport.app.balancers.envoy_process import Files, end_leftover, find_running
from homeport.app.balancers.plane import LocalPlane
from homeport.dataplane.doors import LOOPBACK
from homeport.dataplane.model import Balancer
from homeport.services.elbv2.ports import BalancerState
from tests.kit.dataplane import FRONT, Client, Upstream, balancer, free_port, group

pytestmark = pytest.mark.slow
ACTIVE = BalancerState(code="active")
MOMENT = 0.02


@pytest.fixture
async def folder() -> AsyncIterator[Path]:
    with tempfile.TemporaryDirectory(prefix="hp-") as made:
        yield Path(made) / "proxy"
        await end_leftover(Path(made) / "proxy")


@asynccontextmanager
async def running(plane: LocalPlane) -> AsyncIterator[LocalPlane]:
    """Its loop, until the block ends."""
    loop = asyncio.create_task(plane.run())
    try:
        yield plane
    finally:
        loop.cancel()
        await asyncio.wait([loop])


async def until(holds: Callable[[], bool]) -> None:
    async with asyncio.timeout(30):
        while not holds():  # noqa: ASYNC110 - a state brings no news
            await asyncio.sleep(MOMENT)


@pytest.fixture
async def upstream() -> AsyncIterator[Upstream]:
    async with Upstream(name="a").serving() as made:
        yield made


def is_active(plane: LocalPlane, one: Balancer) -> bool:
    return plane.state(one.id) == ACTIVE


async def test_there_is_no_proxy_before_the_first_balancer_nor_long_after_the_last(
    folder: Path, upstream: Upstream, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(balancer_plane, "IDLE_SECONDS", 0.1)
    news: list[str] = []
    port = free_port()
    one = balancer(port, group("g", upstream))
    async with running(LocalPlane(folder, told=news.append)) as plane:
        plane.serve(())
        await asyncio.sleep(MOMENT)
        assert (find_running(Files(folder=folder)), plane.state(one.id)) == (None, None)
        plane.serve([one])
        await until(lambda: is_active(plane, one))
        client = Client(port)
        assert (await client.ask("/")).body == b"a"
        client.close()
        await until(lambda: plane.health(one.groups[0].id) != {})
        await until(lambda: news != [])
        assert set(news) == {one.groups[0].id}
        plane.serve(())
        await until(lambda: find_running(Files(folder=folder)) is None)
        plane.serve([one])
        await until(lambda: is_active(plane, one))


async def test_the_next_control_plane_takes_the_proxy_over(folder: Path, upstream: Upstream) -> None:
    port = free_port()
    one = balancer(port, group("g", upstream))
    async with running(LocalPlane(folder, told=lambda _: None)) as plane:
        plane.serve([one])
        await until(lambda: is_active(plane, one))
    found = find_running(Files(folder=folder))
    client = Client(port)
    assert (await client.ask("/")).body == b"a"
    async with running(LocalPlane(folder, told=lambda _: None)) as plane:
        await asyncio.sleep(MOMENT)
        assert (await client.ask("/")).body == b"a"
        plane.serve([one])
        await until(lambda: is_active(plane, one))
        assert (await client.ask("/")).body == b"a"
        assert find_running(Files(folder=folder)) == found
    client.close()
    async with running(LocalPlane(folder, told=lambda _: None)) as plane:
        plane.serve(())
        await until(lambda: find_running(Files(folder=folder)) is None)


@pytest.mark.root
async def test_what_a_container_says_of_itself_makes_it_no_proxy(folder: Path) -> None:
    """Its processes are among the machine's, and it chooses their arguments."""
    files = Files(folder=folder)
    says = "import os; os.execv('/bin/sh', ['sh', '-c', 'cat; :', *os.environ['SAID'].split()])"
    told = {"SAID": f"--service-zone digest {files.config}"}
    for around, expected in (([], True), (["unshare", "--pid", "--fork"], False)):
        process = await asyncio.create_subprocess_exec(
            *around, sys.executable, "-c", says, env=told, stdin=-1, stdout=-1, stderr=subprocess.DEVNULL
        )
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdin.write(b"there\n")
        await process.stdout.readline()
        assert (find_running(files) is not None) is expected
        process.stdin.close()
        await process.wait()


async def test_what_is_refused_later_impairs_and_what_never_was_served_has_failed(
    folder: Path, upstream: Upstream
) -> None:
    port = free_port()
    one = balancer(port, group("g", upstream))
    with socket.create_server((FRONT, 0)) as taken:
        other = balancer(taken.getsockname()[1], group("h", upstream), name="other")
        async with running(LocalPlane(folder, told=lambda _: None)) as plane:
            plane.serve([one, other])
            await until(lambda: is_active(plane, one))
            await until(lambda: plane.state(other.id) is not None)
            failed = plane.state(other.id)
            assert failed is not None
            assert (failed.code, "in use" in failed.reason) == ("failed", True)
            both = Balancer(
                id=one.id, kind=one.kind, addresses=one.addresses, groups=(*one.groups, *other.groups),
                listeners=(*one.listeners, *other.listeners),
            )  # fmt: skip
            plane.serve([both])
            await until(lambda: (state := plane.state(one.id)) is not None and state.reason != "")
            impaired = plane.state(one.id)
            assert impaired is not None
            assert impaired.code == "active_impaired"
            assert plane.doors() == {}


async def test_a_proxy_that_cannot_be_started_is_the_balancers_trouble(
    folder: Path, upstream: Upstream, monkeypatch: pytest.MonkeyPatch
) -> None:
    one = balancer(free_port(), group("g", upstream))
    monkeypatch.setattr(envoy_process, "envoy_path", lambda: Path("/nowhere/envoy"))
    async with running(LocalPlane(folder, told=lambda _: None)) as plane:
        plane.serve([one])
        await until(lambda: plane.state(one.id) is not None)
        failed = plane.state(one.id)
        assert failed is not None
        assert (failed.code, "/nowhere/envoy" in failed.reason) == ("failed", True)
        monkeypatch.undo()
        await until(lambda: is_active(plane, one))


async def test_a_proxy_that_dies_at_once_is_the_balancers_trouble(
    folder: Path, upstream: Upstream, monkeypatch: pytest.MonkeyPatch
) -> None:
    one = balancer(free_port(), group("g", upstream))
    monkeypatch.setattr(envoy_process, "envoy_path", lambda: Path("/bin/false"))
    async with running(LocalPlane(folder, told=lambda _: None)) as plane:
        plane.serve([one])
        await until(lambda: (state := plane.state(one.id)) is not None and "dies" in state.reason)


async def test_a_door_says_why_it_is_closed(folder: Path, upstream: Upstream) -> None:
    with socket.create_server((LOOPBACK, 0)) as taken:
        port = taken.getsockname()[1]
        one = balancer(port, group("g", upstream))
        named = Balancer(
            id=one.id, kind=one.kind, addresses=one.addresses, groups=one.groups, listeners=one.listeners,
            hosts=("web.elb.localhost",),
        )  # fmt: skip
        async with running(LocalPlane(folder, told=lambda _: None)) as plane:
            plane.serve([named])
            await until(lambda: is_active(plane, one))
            await until(lambda: "in use" in plane.doors().get(port, ""))
            assert is_active(plane, one)
