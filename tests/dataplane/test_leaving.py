"""What a target has begun when its deregistration delay is over, on the real proxy and the real kernel."""

from __future__ import annotations

import asyncio
import tempfile
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from homeport.app.balancers.envoy import DataPlane
from homeport.app.balancers.envoy_process import end_leftover
from homeport.dataplane.model import Balancer, Target
from homeport.dataplane.rules import Forward, PathIs, Rule, WeightedGroup
from tests.kit.dataplane import Answer, Client, Request, Upstream, balancer, data_plane, free_port, group

pytestmark = [pytest.mark.slow, pytest.mark.root]


class Held:
    """A target that keeps its answers back."""

    def __init__(self, name: str) -> None:
        self.go = asyncio.Event()
        self.upstream = Upstream(name=name, pause=self._wait)

    async def _wait(self, _: Request) -> None:
        await self.go.wait()

    @property
    def target(self) -> Target:
        return self.upstream.target


@asynccontextmanager
async def held(*names: str) -> AsyncIterator[tuple[Held, ...]]:
    found = tuple(map(Held, names))
    async with asyncio.timeout(30), AsyncExitStack() as stack:
        for one in found:
            await stack.enter_async_context(one.upstream.serving())
        yield found


def by_path(port: int, *targets: tuple[Target, ...]) -> Balancer:
    """/0, /1, ...: a group each."""
    groups = tuple(group(f"g{number}", targets=its, health_check=None) for number, its in enumerate(targets))
    rules = tuple(
        Rule(
            id=f"r{number}",
            priority=number + 1,
            conditions=(PathIs(patterns=(f"/{number}",)),),
            action=Forward(groups=(WeightedGroup(group_id=one.id),)),
        )
        for number, one in enumerate(groups)
    )
    return balancer(port, *groups, rules=rules)


def drains(one: Held) -> Target:
    return replace(one.target, draining=True)


async def asking(tasks: asyncio.TaskGroup, port: int, path: str, one: Held) -> asyncio.Task[Answer]:
    """A request that its target has begun."""

    async def ask() -> Answer:
        client = Client(port)
        try:
            return await client.ask(path)
        finally:
            client.close()

    one.upstream.anew.clear()
    task = tasks.create_task(ask())
    await one.upstream.anew.wait()
    return task


async def live(plane: DataPlane, made: Balancer) -> None:
    plane.serve([made])
    assert await plane.until_live() == ()


async def test_when_the_delay_is_over_what_was_begun_is_502_and_others_go_on() -> None:
    port = free_port()
    async with held("leaves", "stays", "in two groups") as (leaves, stays, both), data_plane() as plane:
        await live(plane, by_path(port, (leaves.target,), (stays.target,), (both.target,), (both.target,)))
        async with asyncio.TaskGroup() as tasks:
            cut = await asking(tasks, port, "/0", leaves)
            goes_on = await asking(tasks, port, "/1", stays)
            of_two = await asking(tasks, port, "/2", both)
            await live(
                plane, by_path(port, (drains(leaves),), (stays.target,), (drains(both),), (both.target,))
            )
            assert not cut.done()
            await live(plane, by_path(port, (), (stays.target,), (), (both.target,)))
            answer = await cut
            assert (answer.status, answer.header("server")) == (502, "awselb/2.0")
            assert not goes_on.done()
            assert not of_two.done()
            stays.go.set()
            both.go.set()
        assert (goes_on.result().body, of_two.result().body) == (b"stays", b"in two groups")
        leaves.go.set()


async def test_a_control_plane_that_was_away_cuts_off_when_it_is_back() -> None:
    port = free_port()
    with tempfile.TemporaryDirectory(prefix="hp-") as made:
        folder = Path(made)
        try:
            async with held("leaves") as (leaves,), asyncio.TaskGroup() as tasks:
                async with data_plane(folder=folder, outlives=True) as plane:
                    await live(plane, by_path(port, (leaves.target,)))
                    cut = await asking(tasks, port, "/0", leaves)
                    await live(plane, by_path(port, (drains(leaves),)))
                assert not cut.done()
                async with data_plane(folder=folder, outlives=True) as plane:
                    await live(plane, by_path(port, ()))
                    assert (await cut).status == 502
                leaves.go.set()
        finally:
            await end_leftover(folder)
