"""A service whose deployments shift traffic survives bad luck."""

from __future__ import annotations

import pytest

from tests.kit.sim_traffic import traffic_drama
from tests.sim import again, seeds


@pytest.mark.looptime(noop_cycles=1)  # no I/O to wait for: time may pass at once
@pytest.mark.parametrize("seed", seeds(10))
async def test_a_service_whose_traffic_is_shifted_survives_bad_luck(seed: int) -> None:
    violations = await traffic_drama(seed)
    assert violations == [], again("traffic", seed)
