"""A live server per module, and clients of it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from tests.kit.server import Live, live_server


@pytest.fixture(scope="module")
def live() -> Iterator[Live]:
    with live_server() as server:
        yield server


@pytest.fixture(scope="module")
def ecs(live: Live) -> Any:
    return live.client("ecs")
