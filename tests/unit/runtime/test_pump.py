"""News becomes work; a resync makes work of everything."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterable
from typing import Self

import pytest

from homeport.runtime import Batch, Change, FeedPump, Route, WorkQueue

pytestmark = pytest.mark.looptime


class FakeFeed:
    """A subscription that tells what it is given."""

    def __init__(self) -> None:
        self.batches: asyncio.Queue[Batch | None] = asyncio.Queue()
        self.kinds: list[frozenset[str]] = []

    def subscribe(self, kinds: frozenset[str]) -> Self:
        self.kinds.append(kinds)
        return self

    def __aiter__(self) -> AsyncIterator[Batch]:
        return self

    async def __anext__(self) -> Batch:
        batch = await self.batches.get()
        if batch is None:
            raise StopAsyncIteration
        return batch

    def tell(self, *changes: tuple[str, str]) -> None:
        self.batches.put_nowait(Batch(tuple(Change(*c) for c in changes)))


class Listing:
    def __init__(self, *keys: str) -> None:
        self.keys = keys
        self.calls = 0

    async def __call__(self) -> Iterable[str]:
        self.calls += 1
        return self.keys


def drain(queue: WorkQueue[str]) -> list[str]:
    taken = []
    while len(queue):
        key = queue._ready.get_nowait()
        queue._queued.discard(key)
        taken.append(key)
    return taken


@pytest.fixture
def feed() -> FakeFeed:
    return FakeFeed()


async def pumping(pump: FeedPump, seconds: float) -> None:
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(seconds):
            await pump.run()


async def test_changes_become_keys_of_the_queues_that_care(feed: FakeFeed) -> None:
    services, tasks = WorkQueue[str](), WorkQueue[str]()
    pump = FeedPump(
        feed.subscribe,
        [
            Route(kinds=frozenset({"ecs.service"}), queue=services, list_keys=Listing()),
            Route(
                kinds=frozenset({"ecs.task", "ecs.service"}),
                queue=tasks,
                list_keys=Listing(),
                keys_of=lambda c: (f"{c.kind}:{c.key}", "all"),
            ),
        ],
    )
    feed.tell(("ecs.service", "s1"), ("ecs.task", "t1"), ("iam.role", "r1"))
    await pumping(pump, 1)
    assert feed.kinds == [frozenset({"ecs.service", "ecs.task"})]
    assert drain(services) == ["s1"]
    assert drain(tasks) == ["ecs.service:s1", "all", "ecs.task:t1"]


async def test_a_resync_lists_everything(feed: FakeFeed) -> None:
    queue, listing = WorkQueue[str](), Listing("a", "b")
    pump = FeedPump(feed.subscribe, [Route(kinds=frozenset({"k"}), queue=queue, list_keys=listing)])
    feed.batches.put_nowait(Batch(resync=True))
    await pumping(pump, 1)
    assert drain(queue) == ["a", "b"]
    assert listing.calls == 1


async def test_everything_is_listed_now_and_then_even_without_news(feed: FakeFeed) -> None:
    queue, listing = WorkQueue[str](), Listing("a")
    pump = FeedPump(
        feed.subscribe,
        [Route(kinds=frozenset({"k"}), queue=queue, list_keys=listing)],
        resync_seconds=600,
    )
    await pumping(pump, 1900)
    assert listing.calls == 3


async def test_a_listing_that_fails_ends_the_pump_for_its_supervisor(feed: FakeFeed) -> None:
    async def broken() -> Iterable[str]:
        raise LookupError

    pump = FeedPump(feed.subscribe, [Route(kinds=frozenset({"k"}), queue=WorkQueue[str](), list_keys=broken)])
    feed.batches.put_nowait(Batch(resync=True))
    with pytest.raises(ExceptionGroup) as caught:
        await pump.run()
    assert caught.group_contains(LookupError)


async def test_the_pump_ends_with_its_subscription(feed: FakeFeed) -> None:
    queue = WorkQueue[str]()
    pump = FeedPump(feed.subscribe, [Route(kinds=frozenset({"k"}), queue=queue, list_keys=Listing())])
    feed.tell(("k", "a"))
    feed.batches.put_nowait(None)
    async with asyncio.timeout(5):
        await pump.run()
    assert drain(queue) == ["a"]
