"""The firewall opens a way before the proxy may use it, and closes it after."""

from __future__ import annotations

import asyncio

import pytest
from hypothesis import given

from homeport.app.discovery.doors import Door
from homeport.app.discovery.gate import PATIENCE_SECONDS, DoorGate, Way, ways_of
from homeport.app.discovery.rules import with_doors
from homeport.node.firewall.model import State
from tests.unit.app.test_connect_rules import CLIENTS, DOOR, PORT, SERVERS, passes, states

pytestmark = pytest.mark.looptime
ONE: Way = ("10.0.0.9", ("10.0.1.1", 80))
TWO: Way = ("10.0.0.9", ("10.0.1.2", 80))


async def test_the_proxy_waits_until_the_firewall_lets_it_through() -> None:
    gate = DoorGate()
    gate.guard(lambda: None)
    async with asyncio.TaskGroup() as group:
        waiting = group.create_task(gate.ready(frozenset({ONE})))
        await asyncio.sleep(0.01)
        gate.opened(frozenset())
        await asyncio.sleep(0.01)
        assert not waiting.done()
        gate.opened(frozenset({ONE}))


async def test_what_the_proxy_may_still_use_stays_open_until_it_is_settled() -> None:
    told: list[int] = []
    gate = DoorGate()
    gate.guard(lambda: told.append(1))
    gate.opened({ONE, TWO})
    await gate.ready(frozenset({ONE, TWO}))
    await gate.ready(frozenset({TWO}))
    assert (gate.used, told) == ({ONE, TWO}, [])
    gate.settled(frozenset({TWO}))
    assert (gate.used, told) == ({TWO}, [1])
    gate.settled(frozenset({TWO}))
    assert told == [1], "nothing is another"


async def test_nothing_waits_without_a_firewall_nor_long_behind_one_that_does_not_work() -> None:
    gate, loop = DoorGate(), asyncio.get_running_loop()
    async with asyncio.timeout(PATIENCE_SECONDS / 2):
        await gate.ready(frozenset({ONE}))
    gate.guard(lambda: None)
    start = loop.time()
    await gate.ready(frozenset({ONE}))
    assert PATIENCE_SECONDS <= loop.time() - start < PATIENCE_SECONDS * 2


@given(states())
def test_a_task_that_is_gone_from_the_rows_is_reached_as_long_as_the_proxy_may_go_there(
    made: tuple[State, Door],
) -> None:
    state, door = made
    gone = (SERVERS[0], 9999)
    after = with_doors(state, [door], [(DOOR, gone)])
    assert passes(after, DOOR, *gone, way="egress")
    assert passes(after, DOOR, *gone, way="ingress")
    without = with_doors(state, [door])
    for client in CLIENTS:
        assert passes(after, client, DOOR, PORT, way="ingress") is passes(
            without, client, DOOR, PORT, way="ingress"
        )
    assert ways_of([door]) == {(DOOR, end) for end in door.ports[0].endpoints}
