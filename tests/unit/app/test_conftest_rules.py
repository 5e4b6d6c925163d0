"""The test suite's own fences hold."""

from __future__ import annotations

import asyncio
import socket
from datetime import timedelta

import pytest
from pytest_socket import SocketConnectBlockedError

from homeport.core.clock import LoopClock


def test_a_test_cannot_reach_another_machine() -> None:
    # 192.0.2.0/24 is nobody's. Source: RFC 5737.
    with (
        socket.socket() as probe,
        pytest.warns(UserWarning, match="tried to use"),
        pytest.raises(SocketConnectBlockedError),
    ):
        probe.connect(("192.0.2.1", 9))


def test_a_test_may_talk_to_itself() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server, socket.socket() as probe:
        probe.connect(server.getsockname())


async def test_an_hour_passes_at_once(virtual_clock: LoopClock) -> None:
    before = virtual_clock.now()
    await asyncio.sleep(3600)
    assert virtual_clock.now() - before == timedelta(hours=1)
