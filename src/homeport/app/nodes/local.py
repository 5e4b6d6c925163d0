"""Container instances of this machine: what they share, and one agent for each.

They share one Docker Engine, its metadata endpoint and the limit of concurrent
starts. Each has an address, limits (a cgroup) and an agent session of its own.
"""

from __future__ import annotations

import asyncio
import os
import random  # noqa: TID251 - jitter, seeded by the injected ids
from collections.abc import Callable, Mapping, Sequence
from contextlib import AsyncExitStack
from dataclasses import replace
from pathlib import Path
from typing import Any, Self

import aiohttp

from homeport.app.nodes.fargate import (
    FARGATE_INDEX,
    FARGATE_NAME,
    fargate_settings,
    registered_event,
)
from homeport.app.nodes.keeper import keep_running, pass_on
from homeport.app.nodes.metadata import LocalMetadata, Metadata
from homeport.app.nodes.reported_images import ReportedImages
from homeport.app.nodes.sandboxes import LocalSandboxes, kept_warm, kept_whole, open_sandboxes
from homeport.app.settings import (
    DEFAULT_CLUSTER,
    GROUP_ATTRIBUTE,
    INSTALLATION_LABEL,
    UpSettings,
)
from homeport.core.clock import Clock
from homeport.core.ids import Ids
from homeport.core.log import get_logger
from homeport.core.sigv4 import Credentials
from homeport.node.agent import NodeAgent
from homeport.node.commands import run_command
from homeport.node.drivers.cgroups import InstanceCgroups, InstanceSlices, Limits, instance_cgroups
from homeport.node.drivers.docker_containers import DockerContainers
from homeport.node.drivers.docker_images import DockerImages
from homeport.node.drivers.docker_volumes import DockerVolumes
from homeport.node.drivers.engine_client import EngineClient
from homeport.node.drivers.known_images import KnownImages
from homeport.node.drivers.pause_image import ensure_pause_image
from homeport.node.imds.instance import InstanceProfiles
from homeport.node.instance_net import InstanceAddress
from homeport.node.ports import DriverError, Drivers, DriverUnavailableError, EngineInfo
from homeport.node.registration import (
    ClusterChangedError,
    InstanceGoneError,
    RegistrationRefusedError,
    forget_instance,
)
from homeport.node.sandbox.driver import DockerSandboxes
from homeport.node.sandbox.ground import SandboxGround
from homeport.node.settings import NodeSettings
from homeport.node.state import StateInUseError

log = get_logger("app.nodes")

Report = Callable[[str, Mapping[str, Any]], None]
STARTS_PER_CPU = 4
ENGINE_PAUSE_SECONDS = 1.0
"""Containers created or started at once. On 2 CPUs Docker took 10.3 s for 30 with 4 slots, 7.8 s with 8."""
MEBIBYTE = 1024 * 1024
SYSTEM_RESERVED_MIB = 128
"""Left to Docker and to Homeport itself when memory is shared out."""


StandsOn = Callable[[SandboxGround | None], None]


def _nobody_asks(ground: SandboxGround | None) -> None:
    del ground


class NodeHost:
    """What all nodes of one installation on one Docker Engine share."""

    def __init__(  # noqa: PLR0913 - what all nodes share
        self,
        *,
        docker_host: str,
        installation_id: str,
        clock: Clock,
        ids: Ids,
        report: Report,
        profiles: InstanceProfiles | None = None,
        block_imds: bool = False,
        data_dir: Path | None = None,
        instances: Mapping[int, str] | None = None,
        dns: Sequence[str] = (),
    ) -> None:
        """Without `profiles` there is no instance metadata service; `block_imds`: nor any other one.

        `data_dir`: where the ports are remembered that containers were told. `instances`: by number, the
        addresses of those whose containers are to have networks of our own; `dns`: what these ask for names.
        """
        self._dns = tuple(dns)
        self._instances = instances
        self._report = report
        self.installation_id = installation_id
        self.clock = clock
        self.ids = ids
        self.dice = random.Random(ids.token(8)).random  # noqa: S311 - jitter, seeded by the installation's ids
        self.starts = asyncio.Semaphore(STARTS_PER_CPU * (os.cpu_count() or 1))
        self._client = EngineClient(docker_host)
        self._local = LocalMetadata(
            self._client,
            installation_id=installation_id,
            clock=clock,
            ids=ids,
            report=report,
            profiles=profiles,
            block_imds=block_imds,
            data_dir=data_dir,
        )
        self._stack = AsyncExitStack()
        known = KnownImages()
        self.containers = DockerContainers(self._client, clock, images=known)
        self.images = DockerImages(self._client, known=known)
        self.volumes = DockerVolumes(self._client)
        self.info: EngineInfo
        self.metadata: Metadata
        self.pause_image = ""
        self._sandboxes: LocalSandboxes | None = None
        self.session: aiohttp.ClientSession

    async def __aenter__(self) -> Self:
        async with AsyncExitStack() as begun:
            begun.push_async_callback(self._client.close)
            self.session = await begun.enter_async_context(
                aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0))
            )
            self.info = await self._ask_engine()
            if self._instances is not None:
                self._sandboxes = await open_sandboxes(
                    self._client,
                    installation_id=self.installation_id,
                    instances=self._instances,
                    ids=self.ids,
                    report=self._report,
                    dns=self._dns,
                    deaf=(FARGATE_INDEX,),
                )
            self.metadata = await self._local.serve(begun, self._sandboxes)
            try:
                self.pause_image = await ensure_pause_image(self.images, self.info.architecture)
            except DriverError as error:
                log.warning("pause_image.missing", error=str(error))
            else:
                if self._sandboxes is not None:
                    self._sandboxes.made_of(self.pause_image, self.info)
            await begun.enter_async_context(kept_whole(self._sandboxes))
            self._stack = begun.pop_all()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._stack.aclose()

    async def _ask_engine(self) -> EngineInfo:
        """An engine that is busy, or begins only now, is waited for: the API serves meanwhile."""
        told = False
        while True:
            try:
                return await self.containers.info()
            except DriverUnavailableError as error:
                if not told:
                    self._report("docker.waiting", {"error": str(error)})
                told = True
            await asyncio.sleep(ENGINE_PAUSE_SECONDS)

    @property
    def ground(self) -> SandboxGround | None:
        """What the networks of containers are on; `None`: they are Docker's."""
        return None if self._sandboxes is None else self._sandboxes.ground

    def drivers(
        self,
        cgroups: InstanceCgroups | InstanceSlices | None,
        sandboxes: DockerSandboxes | None = None,
    ) -> Drivers:
        """A node's drivers."""
        return Drivers(
            containers=self.containers,
            images=ReportedImages(self.images, self._report),
            volumes=self.volumes,
            cgroups=cgroups,
            sandboxes=sandboxes,
        )

    async def sandboxes(self, index: int) -> DockerSandboxes | None:
        """Networks for the containers of the instance of that number. Whoever takes them runs them."""
        return None if self._sandboxes is None else await self._sandboxes.driver(index)

    def settings(self, settings: NodeSettings) -> NodeSettings:
        """A node's settings with what the machine decides."""
        return replace(
            settings,
            mac_slot=self.metadata.slot,
            bridge_metadata=self.metadata.bridge_url,
            host_metadata=self.metadata.host_url,
            bridge_imds="" if settings.fargate else self.metadata.imds_bridge_url,
            host_imds="" if settings.fargate else self.metadata.imds_host_url,
            pause_image=self.pause_image,
            labels={INSTALLATION_LABEL: self.installation_id},
        )

    async def cgroups(self, name: str, limits: Limits) -> InstanceCgroups | InstanceSlices | None:
        """An instance's limits; `None` when this machine lets nobody set any."""
        found = instance_cgroups(
            self.info,
            homeport=self.installation_id[:12],
            instance=name,
            limits=limits,
            run=run_command,
        )
        try:
            await found.setup()
        except DriverError as error:
            self._report("cgroups.unavailable", {"error": str(error)})
            return None
        return found

    async def run_node(self, node: NodeAgent) -> None:
        """One agent until it ends, with its tasks on the metadata endpoint."""
        async with asyncio.TaskGroup() as group:
            running = group.create_task(node.run())
            registered = group.create_task(node.registered.wait())
            await asyncio.wait((running, registered), return_when=asyncio.FIRST_COMPLETED)
            if not registered.done():
                registered.cancel()
                return
            self._local.add(node, self.info.architecture)
            self._report(registered_event(node.settings), {"instance": node.instance_arn})
            try:
                await running
            finally:
                self._local.remove(node)

    async def keep_node(self, make: Callable[[], NodeAgent]) -> None:
        """Agents of one instance, one after the other, until one ends as it should."""

        async def life(at_work: asyncio.Event) -> None:
            node = make()
            async with asyncio.TaskGroup() as group:
                running = group.create_task(self.run_node(node))
                watching = group.create_task(pass_on(node.registered, at_work))
                await asyncio.wait([running])
                watching.cancel()

        await keep_running(life, final=(RegistrationRefusedError, ClusterChangedError, StateInUseError))


class LocalNodes:
    """`homeport up`'s instances: slices of this machine."""

    def __init__(
        self,
        settings: UpSettings,
        credentials: Credentials,
        clock: Clock,
        ids: Ids,
        report: Report,
        profiles: InstanceProfiles | None,
        addresses: Sequence[InstanceAddress],
        stands_on: StandsOn = _nobody_asks,
        dns: Sequence[str] = (),
    ) -> None:
        """`addresses`: of each instance. `stands_on` is told what their containers' networks are on.

        `dns`: what containers without an interface of their own ask for names; none: what the machine asks.
        """
        self._dns = tuple(dns)
        self._stands_on = stands_on
        self._profiles = profiles
        self._addresses = addresses
        self._settings = settings
        self._credentials = credentials
        self._clock = clock
        self._ids = ids
        self._report = report

    async def run(self) -> None:
        """All instances until cancelled."""
        count = len(self._addresses)
        if count == 0:
            await asyncio.Event().wait()
        host = NodeHost(
            docker_host=self._settings.docker_host,
            installation_id=self._settings.installation_id,
            clock=self._clock,
            ids=self._ids,
            report=self._report,
            profiles=self._profiles,
            block_imds=not self._settings.instance_metadata,
            data_dir=self._settings.data_dir / "nodes",
            instances={address.index: address.ip for address in self._addresses},
            dns=self._dns,
        )
        async with host, asyncio.TaskGroup() as group:
            self._stands_on(host.ground)
            for address in self._addresses:
                group.create_task(self._run_one(host, address, count), name=f"node-{address.index}")
            if self._settings.fargate:
                group.create_task(self._run_fargate(host), name="node-fargate")

    async def _run_fargate(self, host: NodeHost) -> None:
        """The one that nobody sees: what Fargate's tasks need is there, or they find no capacity."""
        sandboxes, cgroups = await host.sandboxes(FARGATE_INDEX), await host.cgroups(FARGATE_NAME, Limits())
        if sandboxes is None or cgroups is None:
            what = "networks of their own" if sandboxes is None else "limits of their own"
            self._report("fargate.unavailable", {"error": f"tasks cannot have {what} on this machine"})
            return
        settings = fargate_settings(
            host.info,
            installation_id=host.installation_id,
            endpoint=self._settings.endpoint,
            region=self._settings.region,
            credentials=self._credentials,
            data_dir=directory(self._settings.data_dir / "nodes" / FARGATE_NAME),
        )
        await self._keep(host, settings, host.drivers(cgroups, sandboxes), sandboxes)

    async def _run_one(self, host: NodeHost, address: InstanceAddress, count: int) -> None:
        """One slice: an equal share of the machine's CPUs and memory."""
        cpu_units = host.info.cpus * 1024 // count
        memory_mib = (host.info.memory_bytes // MEBIBYTE - SYSTEM_RESERVED_MIB) // count
        name, groups = f"i{address.index}", self._settings.auto_scaling_groups
        limits = Limits(
            cpus=cpu_units / 1024 if count > 1 else None,
            memory_bytes=memory_mib * MEBIBYTE if count > 1 else None,
        )
        settings = NodeSettings(
            cluster=DEFAULT_CLUSTER,
            cluster_configured=False,
            endpoint_url=self._settings.endpoint,
            region=self._settings.region,
            credentials=self._credentials,
            data_dir=directory(self._settings.data_dir / "nodes" / name),
            instance_name=name,
            availability_zone=f"{self._settings.region}{address.zone}",
            ec2_instance_id=instance_id(self._settings.installation_id, address.index),
            instance_type="homeport.local",
            host_ip=address.ip,
            cpu_units=cpu_units,
            memory_mib=memory_mib,
            attributes={GROUP_ATTRIBUTE: groups[address.index % len(groups)]} if groups else {},
        )
        sandboxes = await host.sandboxes(address.index)
        drivers = host.drivers(await host.cgroups(name, limits), sandboxes)
        await self._keep(host, settings, drivers, sandboxes)

    async def _keep(
        self, host: NodeHost, settings: NodeSettings, drivers: Drivers, sandboxes: DockerSandboxes | None
    ) -> None:
        """One instance's agents, for ever."""

        def node() -> NodeAgent:
            return NodeAgent(
                host.settings(settings),
                drivers,
                clock=self._clock,
                ids=self._ids,
                dice=host.dice,
                starts=host.starts,
                session=host.session,
            )

        async with kept_warm(sandboxes):
            is_gone = False
            try:
                await host.keep_node(node)
            except* InstanceGoneError:
                is_gone = True
            if is_gone:  # it was deregistered: the slice begins again, as a new instance
                log.warning("node.begins_again", instance_name=settings.instance_name)
                forget_instance(settings)
                await host.keep_node(node)


def directory(path: Path) -> Path:
    """One of the owner alone."""
    path.mkdir(parents=True, exist_ok=True, mode=0o700)
    return path


def instance_id(installation_id: str, index: int) -> str:
    """An EC2-like instance id, the same at every start."""
    return f"i-{installation_id[:15]}{index:02x}"
