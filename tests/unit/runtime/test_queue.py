"""A key is queued once, never in two hands, and never forgotten."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from homeport.core.clock import LoopClock
from homeport.runtime import WorkQueue

pytestmark = pytest.mark.looptime

EPOCH = datetime(2030, 1, 1, tzinfo=UTC)


def now() -> float:
    return asyncio.get_running_loop().time()


async def test_a_key_is_queued_once_however_often_it_is_added() -> None:
    queue = WorkQueue[str]()
    for key in ("a", "b", "a", "a"):
        queue.add(key)
    assert len(queue) == 2
    assert [await queue.get(), await queue.get()] == ["a", "b"]


async def test_a_key_added_in_hand_waits_until_it_is_laid_down() -> None:
    queue = WorkQueue[str]()
    queue.add("a")
    assert await queue.get() == "a"
    queue.add("a")
    queue.add("a")
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(5):
            await queue.get()
    queue.done("a")
    assert await queue.get() == "a"
    queue.done("a")
    assert queue.idle


async def test_a_delayed_key_comes_when_its_time_has_come() -> None:
    queue = WorkQueue[str]()
    queue.add_after("late", 90)
    queue.add_after("soon", 30)
    queue.add_after("now", 0)
    queue.add_at("past", EPOCH - timedelta(days=1), LoopClock(EPOCH))
    got = [(await queue.get(), now()) for _ in range(4)]
    assert got == [("now", 0), ("past", 0), ("soon", 30), ("late", 90)]


async def test_of_several_delays_the_earliest_counts() -> None:
    queue = WorkQueue[str]()
    for delay in (50, 20, 80):
        queue.add_after("a", delay)
    assert (await queue.get(), now()) == ("a", 20)
    queue.done("a")
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(1000):
            await queue.get()


async def test_news_before_the_time_drops_the_delay() -> None:
    """Whoever looks at the key says anew when to wake."""
    queue = WorkQueue[str]()
    queue.add_after("a", 60)
    queue.add("a")
    assert (await queue.get(), now()) == ("a", 0)
    queue.done("a")
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(1000):
            await queue.get()


async def test_a_delay_asked_for_in_hand_is_kept() -> None:
    queue = WorkQueue[str]()
    queue.add("a")
    await queue.get()
    queue.add_after("a", 10)
    queue.done("a")
    assert (await queue.get(), now()) == ("a", 10)


async def test_a_cancelled_get_takes_nothing() -> None:
    queue = WorkQueue[str]()
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(1):
            await queue.get()
    queue.add("a")
    assert await queue.get() == "a"


class QueueMachine(RuleBasedStateMachine):
    """Against a model: the set of keys that still have to be looked at."""

    def __init__(self) -> None:
        super().__init__()
        self.loop = asyncio.new_event_loop()
        self.queue = WorkQueue[int]()
        self.owed: set[int] = set()
        self.in_hand: set[int] = set()

    @rule(key=st.integers(0, 4))
    def add(self, key: int) -> None:
        self.queue.add(key)
        self.owed.add(key)

    @precondition(lambda self: self.owed - self.in_hand)
    @rule()
    def get(self) -> None:
        key = self.loop.run_until_complete(asyncio.wait_for(self.queue.get(), 1))
        assert key in self.owed
        assert key not in self.in_hand
        self.owed.remove(key)
        self.in_hand.add(key)

    @precondition(lambda self: self.in_hand)
    @rule(data=st.data())
    def done(self, data: st.DataObject) -> None:
        key = data.draw(st.sampled_from(sorted(self.in_hand)))
        self.queue.done(key)
        self.in_hand.remove(key)

    @invariant()
    def nothing_is_owed_in_secret(self) -> None:
        assert len(self.queue) == len(self.owed - self.in_hand)
        assert self.queue.idle == (not self.owed and not self.in_hand)

    def teardown(self) -> None:
        self.loop.close()


class TestQueue(QueueMachine.TestCase):  # type: ignore[name-defined,misc]
    settings = settings(max_examples=40, stateful_step_count=30, deadline=None)
