"""Controllers: back off when they fail, sleep until they asked to be woken."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import structlog
from hypothesis import given
from hypothesis import strategies as st

from homeport.core.clock import LoopClock
from homeport.core.errors import StaleWriteError
from homeport.core.ids import SeededIds
from homeport.runtime import Backoff, Next, Runner, WorkQueue, decide_again, dice_from

pytestmark = pytest.mark.looptime

EPOCH = datetime(2030, 1, 1, tzinfo=UTC)


def now() -> float:
    return asyncio.get_running_loop().time()


class Scripted:
    """Does for each call of a key what the script says, then nothing."""

    name = "test.scripted"

    def __init__(self, script: Callable[[str, int], Next | Exception], seconds: float = 0) -> None:
        self.calls: list[tuple[str, float]] = []
        self.at_once = self.most_at_once = 0
        self._script = script
        self._seconds = seconds

    async def reconcile(self, key: str) -> Next:
        count = sum(k == key for k, _ in self.calls)
        self.calls.append((key, now()))
        self.at_once += 1
        self.most_at_once = max(self.most_at_once, self.at_once)
        try:
            await asyncio.sleep(self._seconds)
            answer = self._script(key, count)
            if isinstance(answer, Exception):
                raise answer
            return answer
        finally:
            self.at_once -= 1


@asynccontextmanager
async def running(controller: Scripted, queue: WorkQueue[str], **options: Any):  # type: ignore[no-untyped-def]
    clock = options.pop("clock", None) or LoopClock(EPOCH)
    runner = Runner(controller, queue, clock, **options)
    async with asyncio.TaskGroup() as group:
        task = group.create_task(runner.run())
        yield runner
        task.cancel()


async def test_failures_back_off_and_success_sleeps_until_asked() -> None:
    clock = LoopClock(EPOCH)
    clock.now()

    def script(_: str, call: int) -> Next | Exception:
        if call < 2:
            return RuntimeError("flaky")
        return Next(wake_at=clock.now() + timedelta(hours=1)) if call == 2 else Next()

    controller, queue = Scripted(script), WorkQueue[str]()
    async with running(controller, queue, clock=clock):
        queue.add("svc-1")
        await asyncio.sleep(7300)
    assert [at for _, at in controller.calls] == [0.0, 0.5, 1.5, 3601.5]


async def test_back_off_doubles_up_to_a_minute_and_starts_anew_after_success() -> None:
    def script(_: str, call: int) -> Next | Exception:
        return Next() if call == 9 else RuntimeError("no")

    controller, queue = Scripted(script), WorkQueue[str]()
    async with running(controller, queue):
        queue.add("a")
        await asyncio.sleep(400)
        times = [at for _, at in controller.calls]
        assert [b - a for a, b in itertools.pairwise(times)] == [0.5, 1, 2, 4, 8, 16, 32, 60, 60]
        controller.calls = controller.calls[:1]
        queue.add("a")
        await asyncio.sleep(0.6)
    assert controller.calls[2][1] - controller.calls[1][1] == 0.5


async def test_a_failing_key_does_not_hold_up_the_others() -> None:
    controller = Scripted(lambda key, _: RuntimeError("no") if key == "bad" else Next())
    queue = WorkQueue[str]()
    async with running(controller, queue):
        queue.add("bad")
        for n in range(5):
            queue.add(f"good-{n}")
        await asyncio.sleep(0.1)
    assert [key for key, at in controller.calls if at == 0] == ["bad", *(f"good-{n}" for n in range(5))]


async def test_a_stale_write_is_decided_again_at_once_but_not_for_ever() -> None:
    controller = Scripted(lambda _, call: StaleWriteError("x") if call < 3 else Next())
    queue = WorkQueue[str]()
    async with running(controller, queue) as runner:
        queue.add("a")
        await asyncio.sleep(1)
        assert [at for _, at in controller.calls] == [0, 0, 0, 0]
        assert runner.failures("a") == 0
    stubborn = Scripted(lambda _, __: StaleWriteError("x"))
    async with running(stubborn, queue, stale_tries=4) as runner:
        queue.add("a")
        await asyncio.sleep(0.4)
        assert len(stubborn.calls) == 4
        assert runner.failures("a") == 1


async def test_news_during_a_reconcile_makes_one_more() -> None:
    controller, queue = Scripted(lambda _, __: Next(), seconds=10), WorkQueue[str]()
    async with running(controller, queue, workers=3):
        queue.add("a")
        await asyncio.sleep(5)
        for _ in range(3):
            queue.add("a")
        await asyncio.sleep(100)
    assert controller.calls == [("a", 0), ("a", 10)]


async def test_workers_share_the_keys_but_never_one_key() -> None:
    controller, queue = Scripted(lambda _, __: Next(), seconds=10), WorkQueue[str]()
    async with running(controller, queue, workers=3):
        for n in range(6):
            queue.add(str(n))
        await asyncio.sleep(15)
        assert controller.most_at_once == 3
        await asyncio.sleep(100)
    assert sorted(controller.calls) == [(str(n), n // 3 * 10) for n in range(6)]


async def test_each_failure_is_one_line_with_everything_in_it() -> None:
    controller = Scripted(lambda _, call: RuntimeError("no") if call < 2 else Next())
    queue = WorkQueue[str]()
    with structlog.testing.capture_logs() as lines:
        async with running(controller, queue):
            queue.add("a")
            await asyncio.sleep(10)
    found = [
        (line["event"], line["controller"], line["key"], line["failures"], line["retry_in_seconds"])
        for line in lines
    ]
    assert found == [
        ("reconcile.failed", "test.scripted", "a", 1, 0.5),
        ("reconcile.failed", "test.scripted", "a", 2, 1.0),
    ]


async def test_nothing_to_do_is_not_looked_at_again() -> None:
    controller, queue = Scripted(lambda _, __: Next()), WorkQueue[str]()
    async with running(controller, queue):
        queue.add("a")
        await asyncio.sleep(1_000_000)
    assert len(controller.calls) == 1
    assert queue.idle


@given(st.integers(1, 10_000), st.integers(0, 2**32))
def test_jitter_only_ever_lengthens_and_by_no_more_than_it_may(failures: int, seed: int) -> None:
    plain = Backoff().delay_seconds(failures)
    jittered = Backoff().delay_seconds(failures, dice_from(SeededIds(seed)))
    assert 0.5 <= plain <= 60
    assert plain <= jittered <= plain * 1.2


def test_dice_are_spread_over_zero_to_one() -> None:
    dice = dice_from(SeededIds(7))
    rolls = [dice() for _ in range(1000)]
    assert all(0 <= roll < 1 for roll in rolls)
    assert 0.4 < sum(rolls) / 1000 < 0.6


async def test_deciding_again_reads_anew_until_it_fits() -> None:
    tries: list[int] = []

    async def attempt() -> int:
        tries.append(len(tries))
        if len(tries) < 3:
            raise StaleWriteError("x")
        return len(tries)

    assert await decide_again(attempt) == 3


async def test_deciding_again_ends_with_the_last_refusal_and_passes_other_errors_on() -> None:
    tries: list[Exception] = []

    async def stale() -> None:
        tries.append(StaleWriteError(str(len(tries))))
        raise tries[-1]

    with pytest.raises(StaleWriteError, match="3"):
        await decide_again(stale, tries=4)
    assert len(tries) == 4

    async def broken() -> None:
        tries.append(LookupError())
        raise tries[-1]

    with pytest.raises(LookupError):
        await decide_again(broken)
    assert len(tries) == 5
