"""What all nodes of one Docker Engine share."""

from __future__ import annotations

from typing import Any

from homeport.app.nodes.local import NodeHost
from homeport.core.clock import LoopClock
from homeport.core.ids import SeededIds
from homeport.node.ports import DriverUnavailableError


async def test_an_engine_that_is_busy_at_first_is_waited_for_and_that_is_told_once(
    virtual_clock: LoopClock,
) -> None:
    told: list[str] = []
    host = NodeHost(
        docker_host="unix:///nowhere.sock",
        installation_id="x",
        clock=virtual_clock,
        ids=SeededIds(1),
        report=lambda event, _: told.append(event),
    )
    answers: list[Any] = [DriverUnavailableError("busy"), DriverUnavailableError("busy"), "the engine"]

    async def info() -> Any:
        answer = answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer

    host.containers.info = info  # type: ignore[method-assign]
    assert await host._ask_engine() == "the engine"
    assert told == ["docker.waiting"]
