"""A world of one node: a machine, a control plane, and an agent between them."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import pytest

from homeport.core.clock import LoopClock
from homeport.node.agent import NodeAgent
from homeport.node.state import VolatileDisk
from tests.kit.node import FakeControlPlane, FakeMachine, make_agent


@dataclass(slots=True)
class World:
    clock: LoopClock
    machine: FakeMachine
    plane: FakeControlPlane
    disk: VolatileDisk = field(default_factory=VolatileDisk)
    agent: NodeAgent | None = None

    @asynccontextmanager
    async def node(self, **changes: Any) -> AsyncIterator[NodeAgent]:
        """An agent's life; leaving it kills the agent, not its containers."""
        agent = self.agent = make_agent(self.machine, self.plane, disk=self.disk, **changes)
        async with asyncio.TaskGroup() as group:
            running = [group.create_task(agent.run()), group.create_task(self.plane.run())]
            await agent.registered.wait()
            yield agent
            for each in running:
                each.cancel()

    def names(self, container: str) -> list[str]:
        return [n for n in self.machine.containers if f"-{container}-" in n]

    def events(self, *kinds: str) -> list[tuple[str, str]]:
        """(what, container's own name) in the order in which it happened on the machine."""
        return [
            (kind, name.split("-")[3]) for kind, name in self.machine.history if not kinds or kind in kinds
        ]


@pytest.fixture
def world(virtual_clock: LoopClock) -> World:
    return World(virtual_clock, FakeMachine(virtual_clock), FakeControlPlane(virtual_clock))


@pytest.fixture
def clock(virtual_clock: LoopClock) -> LoopClock:
    return virtual_clock
