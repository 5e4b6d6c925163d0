"""Where a lost event stream is taken up again, on a pretended daemon."""

from __future__ import annotations

import asyncio
import json
import tempfile
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from pathlib import Path

import pytest_asyncio
from aiohttp import web

from homeport.core.clock import FixedClock
from homeport.node.drivers.docker_containers import DockerContainers
from homeport.node.drivers.engine_client import EngineClient

NOW = datetime(2030, 1, 1, tzinfo=UTC)
LATER_NS = int(NOW.timestamp()) * 1_000_000_000 + 5_250_000_000


class ForgetfulDaemon:
    """Sends each event of its list, and ends the stream; holds the last stream open."""

    def __init__(self, *events: dict[str, object]) -> None:
        self._events = list(events)
        self.since: list[str] = []

    async def handle(self, request: web.BaseRequest) -> web.StreamResponse:
        if request.path == "/_ping":
            return web.Response(text="OK", headers={"Api-Version": "1.41"})
        self.since.append(request.query["since"])
        answer = web.StreamResponse()
        await answer.prepare(request)
        if self._events:
            await answer.write(json.dumps(self._events.pop(0)).encode() + b"\n")
        else:
            await asyncio.Event().wait()
        return answer


@pytest_asyncio.fixture
async def daemon() -> AsyncIterator[tuple[ForgetfulDaemon, str]]:
    forgetful = ForgetfulDaemon({"Actor": {"Attributes": {"name": "one"}}, "timeNano": LATER_NS})
    runner = web.ServerRunner(web.Server(forgetful.handle), handle_signals=False, shutdown_timeout=0.1)
    await runner.setup()
    with tempfile.TemporaryDirectory(prefix="hpe") as folder:
        socket = str(Path(folder) / "s")
        await web.UnixSite(runner, socket).start()
        yield forgetful, socket
        await runner.cleanup()


async def test_a_stream_that_ends_is_taken_up_at_its_last_event(daemon: tuple[ForgetfulDaemon, str]) -> None:
    forgetful, socket = daemon
    client = EngineClient(socket)
    events = DockerContainers(client, FixedClock(NOW)).events()
    async with asyncio.timeout(30):
        assert [await anext(events) for _ in range(3)] == ["", "one", ""]
    await events.aclose()  # type: ignore[attr-defined]
    await client.close()
    start = int(NOW.timestamp())
    assert forgetful.since == [f"{start - 1}.000000000", f"{start + 5}.250000000"]


async def test_a_container_that_ends_while_it_is_measured_has_no_usage() -> None:
    """Docker then answers 200 and nothing."""

    async def handle(request: web.BaseRequest) -> web.StreamResponse:
        return web.Response(headers={"Api-Version": "1.41"})

    runner = web.ServerRunner(web.Server(handle), handle_signals=False, shutdown_timeout=0.1)
    await runner.setup()
    with tempfile.TemporaryDirectory(prefix="hpe") as folder:
        socket = str(Path(folder) / "s")
        await web.UnixSite(runner, socket).start()
        client = EngineClient(socket)
        assert await DockerContainers(client, FixedClock(NOW)).sample("ending") is None
        await client.close()
        await runner.cleanup()
