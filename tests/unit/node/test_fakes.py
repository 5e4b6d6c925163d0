"""The fakes keep the drivers' contracts."""

from __future__ import annotations

import pytest

from homeport.core.clock import LoopClock
from homeport.node.ports import ContainerDriver, ContainerSpec, ImageDriver, VolumeDriver, VolumeSpec
from tests.drivers.contract import (
    LABEL,
    ContainerDriverContract,
    ImageDriverContract,
    VolumeDriverContract,
    Workload,
)
from tests.kit.node import FakeContainers, FakeImages, FakeMachine, FakeVolumes

pytestmark = pytest.mark.looptime


class Fakes:
    def staying(self, name: str, **labels: str) -> ContainerSpec:
        return self._spec(name, "stay", labels=labels)

    def ending(self, name: str, code: int) -> ContainerSpec:
        return self._spec(name, "exit", str(code))

    def deaf(self, name: str) -> ContainerSpec:
        return self._spec(name, "deaf")

    def without_image(self, name: str) -> ContainerSpec:
        return self._spec(name, "stay", image="nothing:1")

    def without_program(self, name: str) -> ContainerSpec:
        return self._spec(name, "missing")

    def _spec(
        self, name: str, *command: str, image: str = "app:1", labels: dict | None = None
    ) -> ContainerSpec:
        return ContainerSpec(
            name=name, image=image, config={"Cmd": command, "Labels": labels or {}}, host_config={}
        )


@pytest.fixture
def machine(virtual_clock: LoopClock) -> FakeMachine:
    return FakeMachine(virtual_clock)


class TestFakeContainers(ContainerDriverContract):
    @pytest.fixture
    def driver(self, machine: FakeMachine) -> ContainerDriver:
        return FakeContainers(machine)

    @pytest.fixture
    def work(self) -> Workload:
        return Fakes()


class TestFakeImages(ImageDriverContract):
    @pytest.fixture
    def images(self, machine: FakeMachine) -> ImageDriver:
        return FakeImages(machine)

    @pytest.fixture
    def present(self) -> str:
        return "app:1"


class TestFakeVolumes(VolumeDriverContract):
    @pytest.fixture
    def volumes(self, machine: FakeMachine) -> VolumeDriver:
        return FakeVolumes(machine)

    @pytest.fixture
    def volume(self) -> VolumeSpec:
        return VolumeSpec(name="data", labels={LABEL: "x"})
