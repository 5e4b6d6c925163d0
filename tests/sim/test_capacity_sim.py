"""Shares survive bad luck: `tests.kit.sim_capacity` is the world, a failure prints the seed to play again."""

from __future__ import annotations

import pytest

from tests.kit.sim_capacity import capacity_drama
from tests.sim import again, seeds


@pytest.mark.looptime(noop_cycles=1)  # no I/O to wait for: time may pass at once
@pytest.mark.parametrize("seed", seeds(25))
async def test_a_service_keeps_its_shares_in_bad_luck(seed: int) -> None:
    violations = await capacity_drama(seed)
    assert violations == [], again("capacity", seed)
