"""A real proxy for each test."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from homeport.app.balancers.envoy import DataPlane
from tests.kit.dataplane import data_plane, free_port


@pytest.fixture
async def plane() -> AsyncIterator[DataPlane]:
    async with data_plane() as made:
        yield made


@pytest.fixture
def port() -> int:
    return free_port()
