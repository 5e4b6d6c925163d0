"""The sandbox contract, in memory and on the kernel."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from homeport.core.clock import SystemClock
from homeport.node.ports import ContainerDriver, SandboxDriver
from tests.drivers.sandbox_contract import Named, SandboxDriverContract
from tests.kit.docker import Engine
from tests.kit.machine import FakeContainers, FakeMachine
from tests.kit.sandbox_stage import Stage, stage
from tests.kit.sandboxes import FakeSandboxes


class TestFakeSandboxes(SandboxDriverContract):
    @pytest.fixture
    def machine(self) -> FakeMachine:
        return FakeMachine(SystemClock())

    @pytest.fixture
    def driver(self, machine: FakeMachine) -> SandboxDriver:
        return FakeSandboxes(machine)

    @pytest.fixture
    def holders(self, machine: FakeMachine) -> ContainerDriver:
        return FakeContainers(machine)

    @pytest.fixture
    def named(self) -> Named:
        return str


@pytest.mark.docker
@pytest.mark.root
class TestDockerSandboxes(SandboxDriverContract):
    @pytest_asyncio.fixture
    async def ground(self, docker: Engine) -> AsyncIterator[Stage]:
        async with stage(docker) as made:
            yield made

    @pytest.fixture
    def driver(self, ground: Stage) -> SandboxDriver:
        return ground.driver()

    @pytest.fixture
    def holders(self, docker: Engine) -> ContainerDriver:
        return docker.containers

    @pytest.fixture
    def named(self, ground: Stage) -> Named:
        return ground.named


@pytest.mark.docker
@pytest.mark.root
class TestSandboxesThatDockerMakes(TestDockerSandboxes):
    """Where a holder may not leave the host's namespace."""

    @pytest.fixture
    def driver(self, ground: Stage) -> SandboxDriver:
        ground.holders.can_leave = False
        return ground.driver()


@pytest.mark.docker
@pytest.mark.root
class TestWarmSandboxes(TestDockerSandboxes):
    """The same with some in stock."""

    @pytest_asyncio.fixture
    async def driver(self, ground: Stage) -> SandboxDriver:  # type: ignore[override]
        made = ground.driver(warm=2)
        await made.adopt()
        await made.refill()
        return made
