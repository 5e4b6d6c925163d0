"""A daemon of the newest model survives bad luck: `tests.kit.sim_managed_daemons` is its world."""

from __future__ import annotations

import pytest

from tests.kit.sim_managed_daemons import managed_drama
from tests.sim import again, seeds

ANSWER_LOST = 5004
"""Its third machine was registered, and would never have known."""


@pytest.mark.looptime(noop_cycles=1)  # no I/O to wait for: time may pass at once
@pytest.mark.parametrize("seed", [*seeds(8), ANSWER_LOST])
async def test_a_managed_daemon_survives_bad_luck(seed: int) -> None:
    violations = await managed_drama(seed)
    assert violations == [], again("managed-daemons", seed)
