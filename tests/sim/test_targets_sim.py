"""A service behind a load balancer survives bad luck, its own and the load balancer's."""

from __future__ import annotations

import pytest

from tests.kit.sim_targets import target_drama
from tests.sim import again, seeds


@pytest.mark.looptime(noop_cycles=1)  # no I/O to wait for: time may pass at once
@pytest.mark.parametrize("seed", seeds(8))
async def test_a_service_behind_a_load_balancer_survives_bad_luck(seed: int) -> None:
    violations = await target_drama(seed)
    assert violations == [], again("targets", seed)
