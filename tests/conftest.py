"""What holds for every test: no network but this machine's, repeatable properties, virtual time."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import pytest
import structlog
from hypothesis import HealthCheck, settings

from homeport.core.clock import LoopClock

pytest_plugins = ["tests.kit.stores"]

LOOPBACK = ["127.0.0.0/8", "::1"]
MADE_BY_TESTS = ["10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "169.254.0.0/16", "100.64.0.0/10"]
"""Addresses of bridges and network namespaces that tests with real containers make on this machine."""
EPOCH = datetime(2030, 1, 1, tzinfo=UTC)

_PATIENT = [HealthCheck.too_slow]  # a loaded machine is not a failure
settings.register_profile("developer", deadline=None, max_examples=50, suppress_health_check=_PATIENT)
settings.register_profile(
    "ci", deadline=None, max_examples=100, derandomize=True, database=None, suppress_health_check=_PATIENT
)
settings.register_profile("nightly", deadline=None, max_examples=2000, suppress_health_check=_PATIENT)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE") or ("ci" if os.environ.get("CI") else "developer"))


def _only_errors(logger: Any, method: str, event: Any) -> Any:
    if method not in ("error", "critical", "exception"):
        raise structlog.DropEvent
    return event


def pytest_configure() -> None:
    # What tests provoke is not news, but a traceback explains a failure: pytest shows it with the test's.
    # `structlog.testing.capture_logs` still sees everything.
    structlog.configure(
        processors=[
            _only_errors,
            structlog.processors.format_exc_info,
            structlog.processors.KeyValueRenderer(key_order=["event"]),
        ]
    )
    # A test that runs a server's own `main` would set the output of all after it, on a stream that closes.
    structlog.configure = lambda **_: None


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        real = any(item.get_closest_marker(name) for name in ("docker", "root", "slow"))
        item.add_marker(pytest.mark.allow_hosts([*LOOPBACK, *(MADE_BY_TESTS if real else [])]))
        if "virtual_clock" in getattr(item, "fixturenames", ()):
            item.add_marker(pytest.mark.looptime)


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_pyfunc_call(pyfuncitem: pytest.Function) -> Iterator[None]:
    # looptime asks the policy for a loop in plain tests, too, and asyncio would make one that nobody closes:
    # having been told "none", it refuses instead.
    if not pyfuncitem.get_closest_marker("asyncio"):
        asyncio.set_event_loop(None)
    return (yield)


@pytest.fixture
def virtual_clock() -> LoopClock:
    """Wall time of a loop whose time passes at once: a test that takes this sleeps for free."""
    return LoopClock(EPOCH)
