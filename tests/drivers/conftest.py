"""Real drivers for the tests here. Docker must answer: a machine without it fails, it does not skip."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest_asyncio

from tests.kit.docker import Engine, engine
from tests.kit.sandbox_stage import Stage, stage


@pytest_asyncio.fixture
async def docker() -> AsyncIterator[Engine]:
    """This machine's daemon; fails when the test leaves anything behind."""
    async with engine() as drivers:
        yield drivers


@pytest_asyncio.fixture
async def here(docker: Engine) -> AsyncIterator[Stage]:
    """Sandboxes of an installation of its own."""
    async with stage(docker) as made:
        yield made
