"""A service of task sets survives bad luck and its deployer: `tests.kit.sim_task_sets` is its world.

A failure prints its seed and the command that plays it again; `bin/simulate` plays as many as are wanted.
"""

from __future__ import annotations

import pytest

from tests.kit.sim_task_sets import task_set_drama
from tests.sim import again, seeds


@pytest.mark.looptime(noop_cycles=1)  # no I/O to wait for: time may pass at once
@pytest.mark.parametrize("seed", seeds(40))
async def test_a_service_of_task_sets_survives_bad_luck(seed: int) -> None:
    violations = await task_set_drama(seed)
    assert violations == [], again("task-sets", seed)
