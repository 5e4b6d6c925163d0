"""A large service rests between two looks; a small one never, nor one that has more to start."""

from __future__ import annotations

import asyncio

import pytest

from homeport.services.ecs.control.rests import REST_SECONDS_A_TASK, RESTS_FROM_TASKS, Rests

MANY = 1000

pytestmark = pytest.mark.looptime


async def test_a_large_service_rests_for_as_long_as_its_tasks_say() -> None:
    rests = Rests()
    rests.begin("1", MANY, is_done=True)
    assert rests.left("1") == pytest.approx(MANY * REST_SECONDS_A_TASK)
    assert rests.left("2") == 0
    await asyncio.sleep(MANY * REST_SECONDS_A_TASK)
    assert rests.left("1") == 0


async def test_a_small_service_and_one_with_more_to_start_do_not_rest() -> None:
    rests = Rests()
    rests.begin("1", RESTS_FROM_TASKS, is_done=True)
    rests.begin("2", MANY, is_done=False)
    assert rests.left("1") == rests.left("2") == 0
