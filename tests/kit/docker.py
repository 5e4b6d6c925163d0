"""Real containers for tests: an image without a registry, names of one test alone, a count of leftovers."""

from __future__ import annotations

import asyncio
import io
import json
import shutil
import subprocess
import tarfile
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from homeport.core.clock import SystemClock
from homeport.core.ids import SystemIds
from homeport.node.drivers.docker_containers import DockerContainers
from homeport.node.drivers.docker_images import DockerImages
from homeport.node.drivers.docker_views import filters
from homeport.node.drivers.docker_volumes import DockerVolumes
from homeport.node.drivers.engine_client import DEFAULT_SOCKET, EngineClient
from homeport.node.ports import ContainerDriver, ContainerSpec, ContainerStatus, RunState

IMAGE = "homeport-test/busybox:1"
LABEL = "homeport.test"
PATIENCE_SECONDS = 40.0
APPLETS = [
    "awk",
    "cat",
    "chmod",
    "cp",
    "date",
    "dd",
    "echo",
    "env",
    "grep",
    "head",
    "hostname",
    "httpd",
    "id",
    "ip",
    "kill",
    "ls",
    "mkdir",
    "mount",
    "nc",
    "nproc",
    "printf",
    "ps",
    "rm",
    "seq",
    "sh",
    "sleep",
    "stat",
    "tail",
    "test",
    "touch",
    "tr",
    "true",
    "false",
    "wc",
]


def busybox_layer(mark: bytes = b"") -> bytes:
    """A root file system of busybox alone (Debian: busybox-static). Another mark, another layer."""
    program = shutil.which("busybox")
    if program is None:
        raise FileNotFoundError("busybox is not installed (Debian: busybox-static)")
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as tar:

        def add(
            name: str, data: bytes = b"", *, kind: bytes = tarfile.REGTYPE, mode: int = 0o644, link: str = ""
        ) -> None:
            entry = tarfile.TarInfo(name)
            entry.type, entry.mode, entry.linkname, entry.size = kind, mode, link, len(data)
            tar.addfile(entry, io.BytesIO(data))

        for folder in ("bin", "etc", "root", "work", "data"):
            add(folder, kind=tarfile.DIRTYPE, mode=0o755)
        add("tmp", kind=tarfile.DIRTYPE, mode=0o1777)
        add("bin/busybox", Path(program).read_bytes(), mode=0o755)
        for applet in APPLETS:
            add(f"bin/{applet}", kind=tarfile.SYMTYPE, link="busybox")
        add("etc/passwd", b"root:x:0:0:root:/root:/bin/sh\nnobody:x:65534:65534:nobody:/:/bin/sh\n")
        add("etc/mark", mark)
        add("etc/group", b"root:x:0:\nnogroup:x:65534:\n")
    return buffer.getvalue()


async def ensure_image(images: DockerImages, name: str = IMAGE) -> str:
    """The test image, made on the spot."""
    if await images.inspect(name) is None:
        await images.import_tar(name, busybox_layer(), changes=("ENV PATH=/bin", "ENV FROM_IMAGE=yes"))
    return name


@dataclass(slots=True, kw_only=True)
class Engine:
    """One daemon with its drivers, and everything that one test makes on it."""

    client: EngineClient
    containers: DockerContainers
    images: DockerImages
    volumes: DockerVolumes
    run_id: str
    made: list[str] = field(default_factory=list)
    made_volumes: list[str] = field(default_factory=list)

    def name(self, short: str) -> str:
        """A container's name of this test alone."""
        full = f"hpt-{self.run_id}-{short}"
        self.made.append(full)
        return full

    def spec(
        self, short: str, *command: str, host: Mapping[str, Any] | None = None, **config: Any
    ) -> ContainerSpec:
        """A container of the test image; labelled, so that leftovers are seen."""
        return ContainerSpec(
            name=self.name(short),
            image=IMAGE,
            config={
                "Cmd": list(command),
                **config,
                "Labels": {LABEL: self.run_id, **config.get("Labels", {})},
            },
            host_config=dict(host or {}),
        )

    def labelled(self, spec: ContainerSpec) -> ContainerSpec:
        """A rendered container that is to be cleaned up after the test."""
        self.made.append(spec.name)
        labels = {**spec.config.get("Labels", {}), LABEL: self.run_id}
        return ContainerSpec(
            name=spec.name,
            image=spec.image,
            config={**spec.config, "Labels": labels},
            host_config=spec.host_config,
            networking_config=spec.networking_config,
        )

    async def run(self, spec: ContainerSpec) -> str:
        """Create and start."""
        docker_id = await self.containers.create(spec)
        await self.containers.start(spec.name)
        return docker_id

    async def finish(self, spec: ContainerSpec) -> tuple[str, ...]:
        """Run it to its end; what it wrote."""
        await self.run(spec)
        await until(self.containers, spec.name, exited)
        return await self.containers.logs(spec.name, tail=1000)

    async def leftovers(self) -> list[str]:
        """What the test still has on this daemon."""
        found = await self.client.get(
            "/containers/json", params={"all": "1", "filters": filters(label=[f"{LABEL}={self.run_id}"])}
        )
        volumes = await self.client.get(
            "/volumes", params={"filters": filters(label=[f"{LABEL}={self.run_id}"])}
        )
        names = [each["Names"][0] for each in found]
        return names + [each["Name"] for each in volumes["Volumes"] or ()]


@asynccontextmanager
async def engine(socket: str = DEFAULT_SOCKET) -> AsyncIterator[Engine]:
    """A daemon for one test; removes what the test made and fails when anything is left."""
    client = EngineClient(socket)
    drivers = Engine(
        client=client,
        containers=DockerContainers(client, SystemClock()),
        images=DockerImages(client),
        volumes=DockerVolumes(client),
        run_id=SystemIds().token(5).hex(),
    )
    try:
        await ensure_image(drivers.images)
        yield drivers
        for name in reversed(drivers.made):
            await drivers.containers.remove(name)
        for name in drivers.made_volumes:
            await drivers.volumes.remove(name)
        assert await drivers.leftovers() == []
    finally:
        for name in await _rest(drivers):
            await drivers.containers.remove(name)
        for name in drivers.made_volumes:
            await drivers.volumes.remove(name)
        await client.close()


async def _rest(drivers: Engine) -> tuple[str, ...]:
    return await drivers.containers.names(label=LABEL, value=drivers.run_id)


def exited(status: ContainerStatus | None) -> bool:
    return status is None or status.state is RunState.EXITED


def running(status: ContainerStatus | None) -> bool:
    return status is not None and status.state is RunState.RUNNING


async def until(
    driver: ContainerDriver, name: str, wanted: Callable[[ContainerStatus | None], bool]
) -> ContainerStatus | None:
    """Wait, on the driver's events, for a container to become what is wanted."""
    async with asyncio.timeout(PATIENCE_SECONDS):
        events = driver.events()
        async for changed in events:
            if changed in {"", name} and wanted(status := await driver.status(name)):
                await events.aclose()  # type: ignore[attr-defined]
                return status
    raise AssertionError("the events ended")


def machine(*command: str) -> str:
    """What a program of this machine prints."""
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout


def nft_tables(prefix: str = "homeport-") -> set[str]:
    """Tables of ours in the kernel."""
    listed = json.loads(machine("nft", "-j", "list", "tables", "ip"))["nftables"]
    return {
        item["table"]["name"]
        for item in listed
        if "table" in item and item["table"]["name"].startswith(prefix)
    }


def links(prefix: str) -> set[str]:
    """Network links whose names begin with `prefix`."""
    return {
        link["ifname"]
        for link in json.loads(machine("ip", "-j", "link"))
        if link["ifname"].startswith(prefix)
    }


def bridges() -> set[str]:
    """The machine's bridges."""
    return {
        link["ifname"] for link in json.loads(machine("ip", "-j", "link", "show", "type", "bridge")) if link
    }


def cgroups(part: str, root: Path = Path("/sys/fs/cgroup")) -> list[Path]:
    """Groups whose path has `part` in it, in every hierarchy."""
    return [path for pattern in (f"*/{part}", f"{part}") for path in root.glob(pattern)]


def lines(*texts: str) -> Sequence[str]:
    """A script for `sh -c`."""
    return ("sh", "-c", "\n".join(texts))
