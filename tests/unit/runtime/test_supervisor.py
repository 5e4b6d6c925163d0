"""Loops that crash come back; loops that are stopped do not."""

from __future__ import annotations

import asyncio

import pytest
import structlog

from homeport.runtime import LoopState, Supervisor

pytestmark = pytest.mark.looptime


def now() -> float:
    return asyncio.get_running_loop().time()


class Crashing:
    """Runs `seconds`, then crashes, `times` times; then it stays."""

    def __init__(self, seconds: float, times: int) -> None:
        self.starts: list[float] = []
        self.cancelled = False
        self._seconds, self._times = seconds, times

    async def __call__(self) -> None:
        self.starts.append(now())
        try:
            await asyncio.sleep(self._seconds if len(self.starts) <= self._times else 1e9)
        except asyncio.CancelledError:
            self.cancelled = True
            raise
        raise RuntimeError("boom")


async def test_a_crashed_loop_is_started_again_after_a_growing_pause() -> None:
    loop = Crashing(0, 4)
    with structlog.testing.capture_logs() as lines:
        async with Supervisor() as supervisor:
            supervisor.start("ecs.rollout", loop)
            await asyncio.sleep(100)
            (report,) = supervisor.reports()
            assert (report.state, report.crashes) == (LoopState.RUNNING, 4)
            assert report.last_error == "RuntimeError: boom"
    assert loop.starts == [0, 0.5, 1.5, 3.5, 7.5]
    assert [(line["event"], line["loop"], line["crashes"]) for line in lines] == [
        ("loop.crashed", "ecs.rollout", n) for n in range(1, 5)
    ]


async def test_a_loop_that_ran_steadily_is_restarted_as_if_for_the_first_time() -> None:
    loop = Crashing(61, 3)
    async with Supervisor() as supervisor:
        supervisor.start("a", loop)
        await asyncio.sleep(1000)
    assert loop.starts == [0, 61.5, 123, 184.5]


async def test_a_crash_does_not_disturb_the_other_loops() -> None:
    steady = Crashing(0, 0)
    async with Supervisor() as supervisor:
        supervisor.start("steady", steady)
        supervisor.start("broken", Crashing(1, 50))
        await asyncio.sleep(1000)
        assert not steady.cancelled
        assert [r.name for r in supervisor.reports()] == ["broken", "steady"]
    assert steady.starts == [0]


async def test_a_loop_that_backs_off_says_so() -> None:
    async with Supervisor() as supervisor:
        supervisor.start("a", Crashing(0, 9))
        await asyncio.sleep(3)
        assert supervisor.reports()[0].state is LoopState.BACKING_OFF


async def test_a_loop_that_returns_is_finished_and_its_name_is_free() -> None:
    async def once() -> None:
        await asyncio.sleep(1)

    async with Supervisor() as supervisor:
        supervisor.start("a", once)
        with pytest.raises(ValueError, match="already running"):
            supervisor.start("a", once)
        await asyncio.sleep(2)
        assert supervisor.reports()[0].state is LoopState.FINISHED
        supervisor.start("a", once)


async def test_leaving_cancels_every_loop_and_waits_for_it() -> None:
    loops = [Crashing(0, 0) for _ in range(3)]
    cleaned_up: list[str] = []

    async def slow_to_go() -> None:
        try:
            await asyncio.sleep(1e9)
        finally:
            await asyncio.sleep(5)
            cleaned_up.append("done")

    async with Supervisor() as supervisor:
        for n, loop in enumerate(loops):
            supervisor.start(str(n), loop)
        supervisor.start("slow", slow_to_go)
        await asyncio.sleep(1)
    assert all(loop.cancelled for loop in loops)
    assert cleaned_up == ["done"]
    assert {r.state for r in supervisor.reports()} == {LoopState.STOPPED}


async def test_one_loop_can_be_stopped_alone() -> None:
    one, other = Crashing(0, 0), Crashing(0, 0)
    async with Supervisor() as supervisor:
        supervisor.start("one", one)
        supervisor.start("other", other)
        await asyncio.sleep(1)
        await supervisor.stop("one")
        await supervisor.stop("unknown")
        assert (one.cancelled, other.cancelled) == (True, False)


async def test_an_error_in_the_block_still_stops_the_loops() -> None:
    loop = Crashing(0, 0)

    async def failing() -> None:
        async with Supervisor() as supervisor:
            supervisor.start("a", loop)
            await asyncio.sleep(1)
            raise LookupError

    with pytest.raises(ExceptionGroup) as caught:
        await failing()
    assert caught.group_contains(LookupError)
    assert loop.cancelled
