"""A service behind a load balancer survives bad luck, its own and the load balancer's."""

from __future__ import annotations

import pytest

from tests.kit.sim_targets import target_drama
from tests.sim import again, seeds

ON_AN_OLD_PORT = (5006, 5021)
"""Once a stop did not wait for the target of the crashed task that had had the port before."""


@pytest.mark.looptime(noop_cycles=1)  # no I/O to wait for: time may pass at once
@pytest.mark.parametrize("seed", [*seeds(8), *ON_AN_OLD_PORT])
async def test_a_service_behind_a_load_balancer_survives_bad_luck(seed: int) -> None:
    violations = await target_drama(seed)
    assert violations == [], again("targets", seed)
