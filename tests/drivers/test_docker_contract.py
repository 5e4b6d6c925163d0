"""The contracts on Docker Engine."""

from __future__ import annotations

from dataclasses import replace

import pytest

from homeport.node.ports import ContainerDriver, ContainerSpec, ImageDriver, VolumeDriver, VolumeSpec
from tests.drivers.contract import (
    ContainerDriverContract,
    ImageDriverContract,
    VolumeDriverContract,
    Workload,
)
from tests.kit.docker import IMAGE, LABEL, Engine, lines

pytestmark = pytest.mark.docker


class Busyboxes:
    """Workloads of the test image."""

    def __init__(self, docker: Engine) -> None:
        self._docker = docker

    def staying(self, name: str, **labels: str) -> ContainerSpec:
        script = lines("trap 'exit 0' TERM", "while :; do sleep 3600 & wait; done")
        return self._docker.spec(name, *script, Labels=labels)

    def ending(self, name: str, code: int) -> ContainerSpec:
        return self._docker.spec(name, "sh", "-c", f"exit {code}")

    def deaf(self, name: str) -> ContainerSpec:
        return self._docker.spec(name, "sleep", "3600")

    def without_image(self, name: str) -> ContainerSpec:
        return replace(self._docker.spec(name, "true"), image="homeport-test/nothing-like-this:1")

    def without_program(self, name: str) -> ContainerSpec:
        return self._docker.spec(name, "no-such-program")


class TestDockerContainers(ContainerDriverContract):
    @pytest.fixture
    def driver(self, docker: Engine) -> ContainerDriver:
        return docker.containers

    @pytest.fixture
    def work(self, docker: Engine) -> Workload:
        return Busyboxes(docker)


class TestDockerImages(ImageDriverContract):
    @pytest.fixture
    def images(self, docker: Engine) -> ImageDriver:
        return docker.images

    @pytest.fixture
    def present(self) -> str:
        return IMAGE


class TestDockerVolumes(VolumeDriverContract):
    @pytest.fixture
    def volumes(self, docker: Engine) -> VolumeDriver:
        return docker.volumes

    @pytest.fixture
    def volume(self, docker: Engine) -> VolumeSpec:
        name = f"hpt-{docker.run_id}-volume"
        docker.made_volumes.append(name)
        return VolumeSpec(name=name, labels={LABEL: docker.run_id})
