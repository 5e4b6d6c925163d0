"""No wake-up is lost: whatever happens in between, a key that was added after a look is looked at again."""

from __future__ import annotations

import asyncio
import random

import looptime
from hypothesis import given
from hypothesis import strategies as st

from homeport.core.clock import LoopClock
from homeport.core.errors import StaleWriteError
from homeport.runtime import Next, Runner, WorkQueue
from tests.conftest import EPOCH


class Desk:
    """What is desired of each key, and what was made true: a controller with bad days."""

    name = "test.desk"

    def __init__(self, seed: int) -> None:
        self.dice = random.Random(seed)
        self.desired: dict[str, int] = {}
        self.observed: dict[str, int] = {}
        self.in_hand: set[str] = set()
        self.met = False
        """Two workers had one key at a time."""

    async def reconcile(self, key: str) -> Next:
        self.met |= key in self.in_hand
        self.in_hand.add(key)
        try:
            seen = self.desired[key]
            await asyncio.sleep(self.dice.choice((0, 0, 0.01, 1)))
            match self.dice.randrange(6):
                case 0:
                    raise RuntimeError("a bad day")
                case 1:
                    raise StaleWriteError(key)
            self.observed[key] = seen
            return Next()
        finally:
            self.in_hand.discard(key)


STEPS = st.lists(
    st.tuples(st.sampled_from("abc"), st.sampled_from((0.0, 0.0, 0.005, 0.5, 3.0)), st.booleans()),
    max_size=30,
)


@given(steps=STEPS, seed=st.integers(0, 1000), workers=st.integers(1, 3))
def test_in_the_end_all_that_was_desired_last_is_true(
    steps: list[tuple[str, float, bool]], seed: int, workers: int
) -> None:
    """Each step: desire something new of a key, wait, and perhaps stop and restart the runner."""
    desk = Desk(seed)

    async def story() -> None:
        queue = WorkQueue[str]()
        clock = LoopClock(EPOCH)
        async with asyncio.TaskGroup() as group:

            def start() -> asyncio.Task[None]:
                return group.create_task(Runner(desk, queue, clock, workers=workers).run())

            running = start()
            for number, (key, pause, restart) in enumerate(steps):
                desk.desired[key] = number
                queue.add(key)
                await asyncio.sleep(pause)
                if restart:
                    running.cancel()
                    await asyncio.wait([running])
                    running = start()
            await asyncio.sleep(36_000)
            running.cancel()

    with asyncio.Runner(loop_factory=lambda: looptime.new_event_loop(start=0)) as runner:
        runner.run(story())
    assert desk.observed == desk.desired
    assert not desk.met
