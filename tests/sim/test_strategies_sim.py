"""A service with blue/green deployments survives bad luck: `tests.kit.sim_strategies` is its world.

A failure prints the command that plays its seed again.
"""

from __future__ import annotations

import pytest

from tests.kit.sim_strategies import staged_drama
from tests.sim import again, seeds


@pytest.mark.looptime(noop_cycles=1)  # no I/O to wait for: time may pass at once
@pytest.mark.parametrize("seed", seeds(12))
async def test_a_service_with_stages_survives_bad_luck(seed: int) -> None:
    violations = await staged_drama(seed)
    assert violations == [], again("strategies", seed)
