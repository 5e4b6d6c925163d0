"""A service survives bad luck: `tests.kit.sim_services` is its world, `tests.kit.sim_store` has the promises.

A failure prints its seed and the command that plays it again; `bin/simulate` plays as many as are wanted.
"""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from contextlib import suppress

import pytest

from homeport.core.errors import UnavailableError
from tests.kit.sim_managed_daemons import ManagedWorld
from tests.kit.sim_services import World, drama
from tests.kit.sim_store import MoodyStore
from tests.kit.sim_targets import TargetWorld
from tests.sim import again, seeds

FAULTS = {
    "message lost",
    "report or its answer lost",
    "task crashes",
    "slow pull",
    "agent drops",
    "instance vanishes",
    "conflicting write",
    "control plane restarts",
    "store away",
    "store's answer lost",
}


@pytest.mark.looptime(noop_cycles=1)  # no I/O to wait for: time may pass at once
@pytest.mark.parametrize("seed", seeds(200))
async def test_a_service_survives_bad_luck(seed: int) -> None:
    violations = await drama(seed)
    assert violations == [], again("services", seed)


@pytest.mark.looptime(noop_cycles=1)
@pytest.mark.parametrize("kind", [World, ManagedWorld, TargetWorld])
async def test_there_is_bad_luck_of_every_kind(kind: type[World]) -> None:
    met: Counter[str] = Counter()
    for seed in range(6):
        world = kind(seed)
        await world.whole()
        met += world.faults
    assert met.keys() == FAULTS


class Stuck(World):
    async def begin(self) -> None:
        await asyncio.Event().wait()


@pytest.mark.looptime(noop_cycles=1)
async def test_a_world_that_never_ends_says_so() -> None:
    assert await Stuck(1).whole() == ["not over after 14400 seconds"]


async def test_a_conflicting_write_that_conflicts_with_nothing_is_not_counted() -> None:
    world = World(1)
    store = MoodyStore(world.inner, world.watch, random.Random(1))
    store.trouble = 0.5
    for _ in range(20):
        with suppress(UnavailableError):
            await store.write(lambda _tx: None)
    assert world.faults["store away"]
    assert not world.faults["conflicting write"]
    await world.inner.close()
