"""What every container, image and volume driver does, the real ones and the fakes in `tests/kit`.

A suite says how its containers are made to behave (`Workload`); the contract
says what the driver must answer.
"""

from __future__ import annotations

import asyncio
from typing import Protocol

import pytest

from homeport.node.ports import (
    ContainerDriver,
    ContainerSpec,
    DriverError,
    ImageDriver,
    RunState,
    VolumeDriver,
    VolumeSpec,
)
from tests.kit.docker import exited, running, until

LABEL = "com.amazonaws.ecs.task-arn"


class Workload(Protocol):
    """Containers that behave as their names say. Each name is used once in a test."""

    def staying(self, name: str, **labels: str) -> ContainerSpec:
        """It runs until it is asked to stop, and then ends with 0."""
        ...

    def ending(self, name: str, code: int) -> ContainerSpec:
        """It ends at once with `code`."""
        ...

    def deaf(self, name: str) -> ContainerSpec:
        """It runs until it is killed."""
        ...

    def without_image(self, name: str) -> ContainerSpec:
        """Its image is not on this machine."""
        ...

    def without_program(self, name: str) -> ContainerSpec:
        """Its command does not exist in its image."""
        ...


class ContainerDriverContract:
    async def test_what_was_never_made_does_not_exist(self, driver: ContainerDriver, work: Workload) -> None:
        assert await driver.status(work.staying("ghost").name) is None

    async def test_creating_twice_finds_the_first(self, driver: ContainerDriver, work: Workload) -> None:
        spec = work.staying("one")
        first = await driver.create(spec)
        assert await driver.create(spec) == first
        status = await driver.status(spec.name)
        assert status is not None
        assert (status.name, status.docker_id, status.state) == (spec.name, first, RunState.CREATED)
        assert status.exit_code is None

    async def test_starting_twice_starts_once(self, driver: ContainerDriver, work: Workload) -> None:
        spec = work.staying("one")
        await driver.create(spec)
        await driver.start(spec.name)
        before = await driver.status(spec.name)
        await driver.start(spec.name)
        after = await driver.status(spec.name)
        assert before is not None
        assert after is not None
        assert before.state is RunState.RUNNING
        assert after.started_at == before.started_at

    @pytest.mark.parametrize("code", [0, 3, 255])
    async def test_an_exit_code_is_kept(self, driver: ContainerDriver, work: Workload, code: int) -> None:
        spec = work.ending("one", code)
        await driver.create(spec)
        await driver.start(spec.name)
        status = await until(driver, spec.name, exited)
        assert status is not None
        assert status.exit_code == code
        assert not status.oom_killed
        assert status.started_at is not None
        assert status.finished_at is not None
        assert status.finished_at >= status.started_at

    async def test_an_ended_container_may_start_again(self, driver: ContainerDriver, work: Workload) -> None:
        spec = work.staying("one")
        await driver.create(spec)
        await driver.start(spec.name)
        await driver.kill(spec.name)
        await until(driver, spec.name, exited)
        await driver.start(spec.name)
        assert running(await driver.status(spec.name))

    async def test_a_polite_container_stops_when_asked(self, driver: ContainerDriver, work: Workload) -> None:
        spec = work.staying("one")
        await driver.create(spec)
        await driver.start(spec.name)
        await driver.stop(spec.name, grace_seconds=30)
        await driver.stop(spec.name, grace_seconds=30)
        status = await driver.status(spec.name)
        assert status is not None
        assert (status.state, status.exit_code) == (RunState.EXITED, 0)

    async def test_a_deaf_container_is_killed_after_its_grace(
        self, driver: ContainerDriver, work: Workload
    ) -> None:
        spec = work.deaf("one")
        await driver.create(spec)
        await driver.start(spec.name)
        loop = asyncio.get_running_loop()
        began = loop.time()
        await driver.stop(spec.name, grace_seconds=1)
        status = await driver.status(spec.name)
        assert status is not None
        assert (status.state, status.exit_code) == (RunState.EXITED, 137)
        assert loop.time() - began >= 1

    async def test_a_killed_container_ends_with_137(self, driver: ContainerDriver, work: Workload) -> None:
        spec = work.deaf("one")
        await driver.create(spec)
        await driver.start(spec.name)
        await driver.kill(spec.name)
        status = await until(driver, spec.name, exited)
        await driver.kill(spec.name)
        assert status is not None
        assert status.exit_code == 137

    async def test_a_missing_container_is_stopped_killed_and_removed(
        self, driver: ContainerDriver, work: Workload
    ) -> None:
        name = work.staying("ghost").name
        await driver.stop(name, grace_seconds=1)
        await driver.kill(name)
        await driver.remove(name)
        assert await driver.sample(name) is None
        assert await driver.logs(name, tail=5) == ()

    async def test_a_running_container_can_be_removed(self, driver: ContainerDriver, work: Workload) -> None:
        spec = work.staying("one")
        await driver.create(spec)
        await driver.start(spec.name)
        await asyncio.gather(driver.remove(spec.name), driver.remove(spec.name))
        assert await driver.status(spec.name) is None

    async def test_starting_what_does_not_exist_is_refused(
        self, driver: ContainerDriver, work: Workload
    ) -> None:
        with pytest.raises(DriverError) as refused:
            await driver.start(work.staying("ghost").name)
        assert refused.value.name == "CannotStartContainerError"

    async def test_an_image_that_is_not_here_is_a_failed_creation(
        self, driver: ContainerDriver, work: Workload
    ) -> None:
        spec = work.without_image("one")
        with pytest.raises(DriverError) as refused:
            await driver.create(spec)
        assert refused.value.name == "CannotCreateContainerError"
        assert await driver.status(spec.name) is None

    async def test_a_program_that_is_not_there_is_a_failed_start(
        self, driver: ContainerDriver, work: Workload
    ) -> None:
        spec = work.without_program("one")
        await driver.create(spec)
        with pytest.raises(DriverError) as refused:
            await driver.start(spec.name)
        assert refused.value.name == "CannotStartContainerError"
        status = await driver.status(spec.name)
        assert status is not None
        assert status.state is not RunState.RUNNING
        assert status.error

    async def test_containers_are_found_by_label(self, driver: ContainerDriver, work: Workload) -> None:
        mine, running_one, other = (
            work.staying("one", **{LABEL: "arn:mine"}),
            work.staying("two", **{LABEL: "arn:mine"}),
            work.staying("three", **{LABEL: "arn:other"}),
        )
        for spec in (mine, running_one, other):
            await driver.create(spec)
        await driver.start(running_one.name)
        found = await driver.names(label=LABEL, value="arn:mine")
        assert set(found) & {mine.name, running_one.name, other.name} == {mine.name, running_one.name}

    async def test_events_name_what_changed(self, driver: ContainerDriver, work: Workload) -> None:
        spec = work.ending("one", 0)
        await driver.create(spec)
        events = driver.events()
        async with asyncio.timeout(30):
            assert await anext(events) == ""
            await driver.start(spec.name)
            while await anext(events) != spec.name:
                pass
        await events.aclose()  # type: ignore[attr-defined]

    async def test_only_a_running_container_uses_anything(
        self, driver: ContainerDriver, work: Workload
    ) -> None:
        spec = work.staying("one")
        await driver.create(spec)
        assert await driver.sample(spec.name) is None
        await driver.start(spec.name)
        sample = await driver.sample(spec.name)
        assert sample is not None
        assert sample.memory_bytes > 0
        assert sample.online_cpus > 0


class ImageDriverContract:
    async def test_an_unknown_image_is_not_here(self, images: ImageDriver) -> None:
        assert await images.inspect("homeport-test/nothing-like-this:1") is None

    async def test_removing_an_unknown_image_is_fine(self, images: ImageDriver) -> None:
        await images.remove("homeport-test/nothing-like-this:1")

    async def test_an_image_that_is_here_is_listed(self, images: ImageDriver, present: str) -> None:
        info = await images.inspect(present)
        assert info is not None
        listed = [image for image in await images.images() if present in image.names]
        assert [image.id for image in listed] == [info.id]


class VolumeDriverContract:
    async def test_a_volume_is_made_once_and_removed_once(
        self, volumes: VolumeDriver, volume: VolumeSpec
    ) -> None:
        assert await volumes.inspect(volume.name) is None
        await volumes.create(volume)
        await volumes.create(volume)
        found = await volumes.inspect(volume.name)
        assert found is not None
        assert (found.name, found.driver) == (volume.name, volume.driver)
        assert found.labels == volume.labels
        await volumes.remove(volume.name)
        await volumes.remove(volume.name)
        assert await volumes.inspect(volume.name) is None
