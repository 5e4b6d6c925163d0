"""Service Connect's doors on the real proxy: tasks that cannot be connected to, tests and shares."""

from __future__ import annotations

import asyncio
from collections import Counter
from dataclasses import replace

import pytest

from homeport.app.balancers.envoy import DataPlane
from homeport.app.discovery.doors import Door, DoorPort, balancers_of
from tests.kit.dataplane import BACK, FRONT, Client, Upstream, free_port

pytestmark = pytest.mark.slow


def door(*ends: Upstream | int, protocol: str = "http") -> DoorPort:
    """A port that leads to tasks, and to ports where nobody listens."""
    found = ((BACK, one if isinstance(one, int) else one.port) for one in ends)
    return DoorPort(
        port=free_port(), protocol=protocol, idle_seconds=60, request_seconds=5, endpoints=tuple(found)
    )


async def opened(plane: DataPlane, port: DoorPort) -> None:
    plane.serve(balancers_of([Door(interface_id="eni-1", address=FRONT, ports=(port,))]))
    assert await plane.until_live() == ()


async def answers(port: DoorPort, count: int, *headers: str) -> Counter[str]:
    """Who answers that many requests, each over a connection of its own; a status where it is none."""
    found: Counter[str] = Counter()
    for _ in range(count):
        client = Client(port.port)
        answer = await client.ask(headers=headers)
        found[answer.body.decode() if answer.status == 200 else str(answer.status)] += 1
        client.close()
    return found


@pytest.mark.parametrize("protocol", ["http", "tcp"])
async def test_no_request_fails_while_another_task_can_be_connected_to(
    plane: DataPlane, protocol: str
) -> None:
    async with Upstream(name="a").serving() as a, Upstream(name="b").serving() as b:
        port = door(a, free_port(BACK), free_port(BACK), b, protocol=protocol)
        await opened(plane, port)
        assert set(await answers(port, 60)) == {"a", "b"}


@pytest.mark.parametrize("protocol", ["http", "tcp"])
async def test_tasks_are_asked_in_turn(plane: DataPlane, protocol: str) -> None:
    async with Upstream(name="a").serving() as a, Upstream(name="b").serving() as b:
        port = door(a, b, protocol=protocol)
        await opened(plane, port)
        assert await answers(port, 20) == {"a": 10, "b": 10}


async def test_what_tasks_answer_does_not_leave_them_out(plane: DataPlane) -> None:
    async with Upstream(name="a", status=500).serving() as a, Upstream(name="b").serving() as b:
        port = door(a, b)
        await opened(plane, port)
        assert await answers(port, 40) == {"500": 20, "b": 20}


async def test_a_request_is_answered_in_time_or_with_504(plane: DataPlane) -> None:
    never = asyncio.Event()

    async def pause(_: object) -> None:
        await never.wait()

    async with Upstream(name="a", pause=pause).serving() as a:
        port = replace(door(a), request_seconds=1)
        await opened(plane, port)
        assert await answers(port, 1) == {"504": 1}


@pytest.mark.parametrize(
    ("test", "header", "expected"),
    [
        (("x-test", ""), "X-Test: yes", {"new": 6}),
        (("x-test", "Yes"), "X-Test: Yes", {"new": 6}),
        (("x-test", "Yes"), "X-Test: yes", {"old": 6}),
        (("x-test", "Yes"), "X-Test: Yes!", {"old": 6}),
        (("x-test", "a.c"), "X-Test: abc", {"old": 6}),
        (None, "X-Test: yes", {"old": 6}),
    ],
)
async def test_tests_go_to_the_fresh_tasks(
    plane: DataPlane, test: tuple[str, str] | None, header: str, expected: dict[str, int]
) -> None:
    async with Upstream(name="old").serving() as old, Upstream(name="new").serving() as new:
        port = door(old, new)
        await opened(plane, replace(port, fresh=((BACK, new.port),), percent=0.0, test=test))
        assert await answers(port, 6) == {"old": 6}
        assert await answers(port, 6, header) == expected


@pytest.mark.parametrize("protocol", ["http", "tcp"])
async def test_production_is_shared_as_it_is_said(plane: DataPlane, protocol: str) -> None:
    async with Upstream(name="old").serving() as old, Upstream(name="new").serving() as new:
        port = replace(door(old, new, protocol=protocol), fresh=((BACK, new.port),))
        for percent, least, most in ((0.0, 0, 0), (50.0, 60, 140), (100.0, 200, 200)):
            await opened(plane, replace(port, percent=percent))
            found = await answers(port, 200)
            assert least <= found["new"] <= most
            assert found.total() == found["old"] + found["new"]
        await opened(plane, replace(port, percent=None, fresh=()))
        assert await answers(port, 20) == {"old": 10, "new": 10}
