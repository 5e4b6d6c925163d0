"""A Homeport with an instance whose containers are real."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.kit.real_node import RealNode, real_node
from tests.kit.server import live_server


@pytest.fixture
def node() -> Iterator[RealNode]:
    """On this machine's Docker Engine; fails when a task leaves anything behind."""
    with live_server() as live, real_node(live) as running:
        yield running
