"""Docker goes away and comes back: containers live on, calls say so, events begin anew."""

from __future__ import annotations

import asyncio
import tempfile
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio

from homeport.node.ports import DriverUnavailableError, RunState
from tests.kit.docker import engine, exited
from tests.kit.dockerd import PrivateDaemon, private_daemon

pytestmark = [pytest.mark.docker, pytest.mark.root, pytest.mark.slow]


@pytest_asyncio.fixture
async def daemon() -> AsyncIterator[PrivateDaemon]:
    # Not pytest's folder: a socket's path is at most 107 bytes, and containerd's are deep.
    with tempfile.TemporaryDirectory(prefix="hpd") as folder:
        async with private_daemon(Path(folder)) as running:
            yield running


async def test_containers_outlive_the_daemon_and_are_found_again(daemon: PrivateDaemon) -> None:
    async with engine(daemon.socket) as docker:
        staying = docker.spec("staying", "sleep", "3600", host={"NetworkMode": "none"})
        going = docker.spec("going", "sleep", "3600", host={"NetworkMode": "none"})
        await docker.run(staying)
        await docker.run(going)
        before = await docker.containers.status(staying.name)
        assert before is not None
        events = docker.containers.events()
        async with asyncio.timeout(60):
            assert await anext(events) == ""
            waiting = asyncio.ensure_future(_gap(events))
            await daemon.stop()
            with pytest.raises(DriverUnavailableError):
                await docker.containers.status(staying.name)
            with pytest.raises(DriverUnavailableError):
                await docker.containers.start(staying.name)
            with pytest.raises(DriverUnavailableError):
                await docker.images.inspect("x")
            await daemon.start()
            await waiting
            again = await docker.containers.status(staying.name)
            assert again is not None
            assert (again.state, again.docker_id, again.started_at) == (
                RunState.RUNNING,
                before.docker_id,
                before.started_at,
            )
            assert await docker.containers.create(staying) == before.docker_id
            await docker.containers.kill(going.name)
            while await anext(events) != going.name or not exited(await docker.containers.status(going.name)):
                pass
        await events.aclose()  # type: ignore[attr-defined]


async def _gap(events: AsyncIterator[str]) -> None:
    """Until the driver says that everything may have changed."""
    while await anext(events) != "":
        pass
