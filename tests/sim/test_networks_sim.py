"""A service whose tasks have interfaces survives bad luck: at no moment is there one too many or too few."""

from __future__ import annotations

import pytest

from tests.kit.sim_networks import NetworkWorld
from tests.sim import seeds


@pytest.mark.looptime(noop_cycles=1)  # no I/O to wait for: time may pass at once
@pytest.mark.parametrize("seed", seeds(30))
async def test_interfaces_come_and_go_with_their_tasks(seed: int) -> None:
    world = NetworkWorld(seed)
    violations = await world.whole()
    assert violations == [], f"SIM_SEEDS={seed}-{seed}"
    assert len(world.subnets) == 3
