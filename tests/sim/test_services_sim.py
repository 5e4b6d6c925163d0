"""A service survives bad luck: `tests.kit.sim_services` is its world, `tests.kit.sim_store` has the promises.

A failure prints its seed: run it alone with `SIM_SEEDS=<seed>-<seed>`; `SIM_SEEDS=20000` runs so many.
"""

from __future__ import annotations

import os

import pytest

from tests.kit.sim_services import drama


def seeds() -> range:
    given = os.environ.get("SIM_SEEDS", "200")
    first, dash, last = given.rpartition("-")
    return range(int(first), int(last) + 1) if dash else range(int(given))


@pytest.mark.looptime(noop_cycles=1)  # no I/O to wait for: time may pass at once
@pytest.mark.parametrize("seed", seeds())
async def test_a_service_survives_bad_luck(seed: int) -> None:
    assert await drama(seed) == []
