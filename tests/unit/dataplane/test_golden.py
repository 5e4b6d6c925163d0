"""From a balancer to the proxy's configuration, case by case. `GOLDEN=write` writes what comes out now."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from homeport.gateway.xds_codec import load_types, pack
from tests.kit.golden import CASES, FOLDER, snapshot, written


@pytest.mark.parametrize("case", CASES, ids=lambda case: str(case.stem))
def test_a_balancer_becomes_this_configuration(case: Path) -> None:
    out = FOLDER / "out" / case.name
    now = written(snapshot(case))
    if os.environ.get("GOLDEN") == "write":
        out.write_text(now)
    assert out.read_text() == now


@pytest.mark.parametrize("case", CASES, ids=lambda case: str(case.stem))
def test_every_member_is_one_that_the_proxy_has(case: Path) -> None:
    load_types()
    for kind, resources in snapshot(case).resources.items():
        for resource in resources.values():
            pack(kind.value, resource.body)


def test_every_result_has_its_case() -> None:
    assert {path.name for path in (FOLDER / "out").iterdir()} == {path.name for path in CASES}
    assert CASES
