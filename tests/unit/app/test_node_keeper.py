"""What becomes of an agent that fails."""

from __future__ import annotations

import asyncio

import pytest

from homeport.app.nodes.keeper import AGAIN_SECONDS, keep_running

pytestmark = pytest.mark.looptime


class RefusedError(Exception):
    pass


class Lives:
    """Each ends as its list says; `None` is an end in peace."""

    def __init__(self, *ends: Exception | None, works: bool = True) -> None:
        self.ends = list(ends)
        self.works = works
        self.begun: list[float] = []

    async def __call__(self, at_work: asyncio.Event) -> None:
        self.begun.append(asyncio.get_running_loop().time())
        if self.works:
            at_work.set()
        end = self.ends.pop(0)
        if end is not None:
            raise end


async def test_an_agent_that_fails_at_work_begins_again_after_a_while() -> None:
    lives = Lives(RuntimeError("a bug"), ExceptionGroup("", [OSError("no space")]), None)
    await keep_running(lives, final=(RefusedError,))
    assert lives.begun == [0.0, AGAIN_SECONDS, 2 * AGAIN_SECONDS]


async def test_one_that_never_came_to_work_says_why() -> None:
    lives = Lives(OSError("not permitted"), works=False)
    with pytest.raises(OSError, match="not permitted"):
        await keep_running(lives, final=(RefusedError,))


@pytest.mark.parametrize("end", [RefusedError(), ExceptionGroup("", [ExceptionGroup("", [RefusedError()])])])
async def test_what_is_final_is_not_tried_again(end: Exception) -> None:
    lives = Lives(RuntimeError("a bug"), end)
    with pytest.raises((RefusedError, ExceptionGroup)):
        await keep_running(lives, final=(RefusedError,))
    assert lives.ends == []
