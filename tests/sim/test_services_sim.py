"""A service survives bad luck: `tests.kit.sim_services` is its world, `tests.kit.sim_store` has the promises.

A failure prints its seed and the command that plays it again; `bin/simulate` plays as many as are wanted.
"""

from __future__ import annotations

from collections import Counter

import pytest

from tests.kit.sim_services import World, drama
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
async def test_there_is_bad_luck_of_every_kind() -> None:
    met: Counter[str] = Counter()
    for seed in range(6):
        world = World(seed)
        await world.whole()
        met += world.faults
    assert met.keys() == FAULTS
