"""Work runs under a lease, and under one only."""

from __future__ import annotations

import asyncio
import itertools
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from homeport.core.clock import LoopClock
from homeport.runtime import Lease, LeaseKeeper

pytestmark = pytest.mark.looptime

EPOCH = datetime(2030, 1, 1, tzinfo=UTC)
TTL = timedelta(seconds=6)


class FakeLeases:
    """Leases in memory, that can be away."""

    def __init__(self) -> None:
        self.clock = LoopClock(EPOCH)
        self.clock.now()
        self.rows: dict[str, Lease] = {}
        self.away = False
        self.hangs = False
        self.renewals: list[float] = []

    async def acquire(self, name: str, holder: str, ttl: timedelta) -> Lease | None:
        await self._answer()
        row = self.rows.get(name)
        if row is not None and row.holder not in ("", holder) and row.expires_at > self.clock.now():
            return None
        epoch = 1 if row is None else row.epoch + 1
        self.rows[name] = Lease(name=name, holder=holder, epoch=epoch, expires_at=self.clock.now() + ttl)
        return self.rows[name]

    async def renew(self, lease: Lease, ttl: timedelta) -> Lease | None:
        self.renewals.append(now())
        await self._answer()
        row = self.rows[lease.name]
        if (row.holder, row.epoch) != (lease.holder, lease.epoch):
            return None
        self.rows[lease.name] = replace(lease, expires_at=self.clock.now() + ttl)
        return self.rows[lease.name]

    async def release(self, lease: Lease) -> None:
        await self._answer()
        if self.rows[lease.name] == lease or self.rows[lease.name].epoch == lease.epoch:
            self.rows[lease.name] = replace(self.rows[lease.name], holder="")

    async def _answer(self) -> None:
        if self.hangs:
            await asyncio.sleep(1e9)
        if self.away:
            raise ConnectionError("the store is away")


class Work:
    """Notes when it ran under which epoch."""

    def __init__(self) -> None:
        self.spans: list[tuple[int, float, float]] = []
        self.running: set[int] = set()

    async def __call__(self, lease: Lease) -> None:
        started = now()
        self.running.add(lease.epoch)
        try:
            await asyncio.sleep(1e9)
        finally:
            self.running.remove(lease.epoch)
            self.spans.append((lease.epoch, started, now()))


def now() -> float:
    return asyncio.get_running_loop().time()


async def test_work_goes_on_while_the_lease_is_renewed() -> None:
    leases, work = FakeLeases(), Work()
    keeper = LeaseKeeper(leases, "a", "me", work, ttl=TTL)
    async with asyncio.TaskGroup() as group:
        task = group.create_task(keeper.run())
        await asyncio.sleep(100)
        assert work.running == {1}
        assert keeper.held is not None
        assert keeper.held.epoch == 1
        task.cancel()
    assert leases.renewals[:3] == [2, 4, 6]
    assert work.spans == [(1, 0, 100)]
    assert keeper.held is None


async def test_leaving_in_order_lets_the_next_holder_in_within_one_step() -> None:
    leases, first, second = FakeLeases(), Work(), Work()
    async with asyncio.TaskGroup() as group:
        task = group.create_task(LeaseKeeper(leases, "a", "one", first, ttl=TTL).run())
        await asyncio.sleep(1)
        other = group.create_task(LeaseKeeper(leases, "a", "two", second, ttl=TTL).run())
        await asyncio.sleep(99)
        assert (first.running, second.running) == ({1}, set())
        task.cancel()
        await asyncio.sleep(2.1)
        assert second.running == {2}
        other.cancel()


async def test_a_holder_that_died_is_followed_within_its_time() -> None:
    leases, work = FakeLeases(), Work()
    leases.rows["a"] = Lease(name="a", holder="dead", epoch=7, expires_at=EPOCH + TTL)
    async with asyncio.TaskGroup() as group:
        task = group.create_task(LeaseKeeper(leases, "a", "me", work, ttl=TTL).run())
        await asyncio.sleep(8.1)
        assert work.running == {8}
        task.cancel()


async def test_a_stolen_lease_stops_the_work_and_is_asked_for_again() -> None:
    leases, work = FakeLeases(), Work()
    async with asyncio.TaskGroup() as group:
        task = group.create_task(LeaseKeeper(leases, "a", "me", work, ttl=TTL).run())
        await asyncio.sleep(3)
        leases.rows["a"] = Lease(name="a", holder="thief", epoch=2, expires_at=EPOCH + timedelta(seconds=30))
        await asyncio.sleep(1.1)
        assert work.running == set()
        assert leases.rows["a"].holder == "thief"
        await asyncio.sleep(40)
        assert work.running == {3}
        task.cancel()


@pytest.mark.parametrize("how", ["away", "hangs"])
async def test_when_the_store_is_away_the_work_stops_before_the_lease_ends(how: str) -> None:
    leases, work = FakeLeases(), Work()
    keeper = LeaseKeeper(leases, "a", "me", work, ttl=TTL)
    async with asyncio.TaskGroup() as group:
        task = group.create_task(_until_error(keeper))
        await asyncio.sleep(5)
        setattr(leases, how, True)
        ends_at = (leases.rows["a"].expires_at - EPOCH).total_seconds()
        await asyncio.sleep(10)
        ((_, __, stopped_at),) = work.spans
        assert 5 < stopped_at < ends_at
        task.cancel()


async def _until_error(keeper: LeaseKeeper) -> None:
    with suppress(ConnectionError):  # asking again fails; a supervisor would start it anew
        await keeper.run()


async def test_a_short_absence_of_the_store_does_not_stop_the_work() -> None:
    leases, work = FakeLeases(), Work()
    async with asyncio.TaskGroup() as group:
        task = group.create_task(LeaseKeeper(leases, "a", "me", work, ttl=TTL).run())
        await asyncio.sleep(3)
        leases.away = True
        await asyncio.sleep(2)
        leases.away = False
        await asyncio.sleep(60)
        assert work.running == {1}
        task.cancel()


async def test_at_no_time_do_two_replicas_work() -> None:
    leases = FakeLeases()
    works = [Work() for _ in range(4)]
    async with asyncio.TaskGroup() as group:
        tasks = [
            group.create_task(LeaseKeeper(leases, "a", f"r{n}", work, ttl=TTL).run())
            for n, work in enumerate(works)
        ]
        for _ in works:
            for _ in range(40):
                await asyncio.sleep(0.5)
                assert sum(len(work.running) for work in works) <= 1
            (holder,) = (n for n, work in enumerate(works) if work.running)
            tasks[holder].cancel()
    spans = sorted((span for work in works for span in work.spans), key=lambda span: span[1])
    assert len(spans) == 4
    for before, after in itertools.pairwise(spans):
        assert before[2] <= after[1] <= before[2] + 2.1
        assert before[0] < after[0]


async def test_work_that_fails_ends_the_keeper_and_gives_the_lease_back() -> None:
    leases = FakeLeases()

    async def broken(_: Lease) -> None:
        await asyncio.sleep(1)
        raise LookupError

    with pytest.raises(ExceptionGroup) as caught:
        await LeaseKeeper(leases, "a", "me", broken, ttl=TTL).run()
    assert caught.group_contains(LookupError)
    assert leases.rows["a"].holder == ""


async def test_work_that_ends_ends_the_keeper() -> None:
    leases = FakeLeases()

    async def once(_: Lease) -> None:
        await asyncio.sleep(1)

    async with asyncio.timeout(5):
        await LeaseKeeper(leases, "a", "me", once, ttl=TTL).run()
    assert leases.rows["a"].holder == ""
