"""A DAEMON service survives bad luck: `tests.kit.sim_daemons` is its world.

A failure prints its seed: run it alone with `SIM_SEEDS=<seed>-<seed>`; `SIM_SEEDS=20000` runs so many.
"""

from __future__ import annotations

import os

import pytest

from tests.kit.sim_daemons import daemon_drama
from tests.sim.test_services_sim import seeds


@pytest.mark.looptime(noop_cycles=1)  # no I/O to wait for: time may pass at once
@pytest.mark.parametrize("seed", seeds() if "SIM_SEEDS" in os.environ else range(40))
async def test_a_daemon_survives_bad_luck(seed: int) -> None:
    assert await daemon_drama(seed) == []
