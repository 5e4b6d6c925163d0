"""Images: pulling, logging in, and being told why not."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator

import pytest

from homeport.core.clock import SystemClock
from homeport.node.drivers.docker_containers import DockerContainers
from homeport.node.drivers.docker_images import DockerImages
from homeport.node.drivers.known_images import KnownImages
from homeport.node.ports import ContainerSpec, DriverError, PullProgress, RegistryLogin
from tests.kit.docker import PATIENCE_SECONDS, Engine, busybox_layer
from tests.kit.registry import registry

pytestmark = pytest.mark.docker


async def test_a_pull_brings_the_image_and_counts_its_bytes(docker: Engine) -> None:
    seen: list[PullProgress] = []
    async with registry() as published:
        try:
            await docker.images.pull(published.image, login=None, progress=seen.append)
            info = await docker.images.inspect(published.image)
            assert info is not None
            assert info.digest == published.digest
            assert "PULLED=yes" in info.env
            assert info.size_bytes > 0
            assert seen
            assert all(0 <= each.done_bytes <= each.total_bytes for each in seen)
            assert [each.done_bytes for each in seen] == sorted(each.done_bytes for each in seen)
            assert seen[-1].done_bytes == seen[-1].total_bytes
        finally:
            await docker.images.remove(published.image)
    assert await docker.images.inspect(published.image) is None


async def test_a_digest_is_pulled_as_well(docker: Engine) -> None:
    async with registry() as published:
        by_digest = f"{published.server}/thing@{published.digest}"
        try:
            await docker.images.pull(by_digest, login=None, progress=lambda _: None)
            info = await docker.images.inspect(by_digest)
            assert info is not None
            assert info.digest == published.digest
        finally:
            await docker.images.remove(by_digest)


async def test_a_login_opens_the_registry(docker: Engine) -> None:
    async with registry(login=("user", "sesame")) as published:
        with pytest.raises(DriverError) as refused:
            await docker.images.pull(published.image, login=None, progress=lambda _: None)
        assert refused.value.name == "CannotPullContainerAuthError"
        wrong = RegistryLogin(username="user", password="wrong", server=published.server)
        with pytest.raises(DriverError) as refused:
            await docker.images.pull(published.image, login=wrong, progress=lambda _: None)
        assert refused.value.name.startswith("CannotPullContainer")
        assert "sesame" not in str(refused.value)
        right = RegistryLogin(username="user", password="sesame", server=published.server)
        try:
            await docker.images.pull(published.image, login=right, progress=lambda _: None)
        finally:
            await docker.images.remove(published.image)


async def test_what_a_registry_does_not_have_cannot_be_pulled(docker: Engine) -> None:
    async with registry() as published:
        with pytest.raises(DriverError) as refused:
            await docker.images.pull(f"{published.server}/other:1", login=None, progress=lambda _: None)
    assert refused.value.name == "CannotPullContainerError"
    assert refused.value.text.startswith("Error response from daemon: ")


async def test_a_registry_that_is_not_there_is_a_failed_pull(docker: Engine) -> None:
    with pytest.raises(DriverError) as refused:
        await docker.images.pull("127.0.0.1:1/thing:1", login=None, progress=lambda _: None)
    assert refused.value.name == "CannotPullContainerError"


async def test_a_silent_registry_is_given_up(docker: Engine) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        port = silent.getsockname()[1]
        impatient = DockerImages(docker.client, silence_seconds=0.5)
        with pytest.raises(DriverError) as refused:
            await impatient.pull(f"127.0.0.1:{port}/thing:1", login=None, progress=lambda _: None)
    assert refused.value.name == "DockerTimeoutError"


async def test_an_image_in_use_is_not_removed(docker: Engine) -> None:
    async with registry() as published:
        await docker.images.pull(published.image, login=None, progress=lambda _: None)
        name = docker.name("user")
        await docker.containers.create(
            ContainerSpec(name=name, image=published.image, config={"Cmd": ["true"]}, host_config={})
        )
        with pytest.raises(DriverError):
            await docker.images.remove(published.image)
        await docker.containers.remove(name)
        await docker.images.remove(published.image)


async def test_an_image_is_asked_for_once_until_docker_says_that_it_changed(docker: Engine) -> None:
    known = KnownImages()
    containers = DockerContainers(docker.client, SystemClock(), images=known)
    images = DockerImages(docker.client, known=known)
    name = f"homeport-test/known-{docker.run_id}:1"
    first = await docker.images.import_tar(name, busybox_layer(b"first"))
    events = containers.events()
    assert await anext(events) == ""
    listening = asyncio.ensure_future(_listen(events))
    try:
        info = await images.inspect(name)
        assert info is not None
        assert info.id == first
        second = await docker.images.import_tar(name, busybox_layer(b"second"))  # behind this driver's back
        async with asyncio.timeout(PATIENCE_SECONDS):
            while (info := await images.inspect(name)) is None or info.id != second:  # noqa: ASYNC110
                await asyncio.sleep(0.01)
        async with asyncio.timeout(PATIENCE_SECONDS):
            # One import is several events. Once they came, the very same answer shows that nobody was asked.
            while (again := await images.inspect(name)) is not info:
                info = again
                await asyncio.sleep(0.01)
        generation = known.generation
        assert await images.inspect(name) is info
        assert known.generation == generation
    finally:
        listening.cancel()
        for image in (name, first):
            await docker.images.remove(image)


async def _listen(events: AsyncIterator[str]) -> None:
    async for _ in events:
        pass
