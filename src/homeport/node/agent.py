"""One node: registers a container instance and runs its tasks. `homeport agent`, and each local instance.

It is started and stopped like a process that may die at any moment: stopping it saves what it knows and
closes its sockets, and every container runs on.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Collection, Mapping
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any, Protocol

import aiohttp
import msgspec

from homeport.agentproto.client import AgentIdentity
from homeport.agentproto.messages import Frame
from homeport.core.backoff import Dice
from homeport.core.clock import Clock
from homeport.core.ids import Ids, uuid
from homeport.core.log import get_logger
from homeport.core.sigv4 import Credentials
from homeport.node import attributes
from homeport.node.admission import Admission
from homeport.node.api import Api, ApiError, AwsApi, until_answered
from homeport.node.credentials import CredentialStore
from homeport.node.engine import Engine
from homeport.node.hostports import HostPorts, IsFree, free_on
from homeport.node.images import ImageCleaner
from homeport.node.model import Phase
from homeport.node.ports import Drivers, DriverUnavailableError, EngineInfo
from homeport.node.registration import (
    JOURNAL_FILE,
    REGISTRATION,
    ClusterChangedError,
    InstanceGoneError,
    RegistrationRefusedError,
    compare,
    lacks_cluster,
    registration,
    registration_is_final,
)
from homeport.node.render import RenderContext
from homeport.node.reporter import Reporter, send_with
from homeport.node.responders.dispatch import Responders
from homeport.node.resume import clear_networks
from homeport.node.settings import NodeSettings
from homeport.node.sockets import AgentLink, Endpoints
from homeport.node.source import EngineSource
from homeport.node.state import Disk, FileDisk, Instance, Journal, VolatileDisk
from homeport.node.steps.cleanup import INSTANCE_LABEL
from homeport.node.steps.tools import StartSlots, Tools
from homeport.node.storage import StorageWatch
from homeport.node.telemetry import Telemetry

log = get_logger("node.agent")

ENGINE_AGAIN_SECONDS = 1.0


class Link(Protocol):
    """Both sockets, as `node.sockets.AgentLink` has them."""

    async def run(self) -> None: ...

    def send(self, frame: Frame) -> None: ...

    @property
    def tcs_connected(self) -> asyncio.Event: ...


Connect = Callable[..., Link]
"""Called with `AgentLink`'s arguments."""


class NodeAgent:
    """One container instance."""

    def __init__(  # noqa: PLR0913 - ports, by keyword
        self,
        settings: NodeSettings,
        drivers: Drivers,
        *,
        clock: Clock,
        ids: Ids,
        dice: Dice,
        starts: asyncio.Semaphore,
        session: aiohttp.ClientSession | None = None,
        api: Api | None = None,
        connect: Connect = AgentLink,
        disk: Disk | None = None,
        is_free: IsFree | None = None,
    ) -> None:
        """`starts` is shared by all nodes on one engine; `session` may be shared by all in a process."""
        self.settings = settings
        self.registered = asyncio.Event()
        self.instance_arn = ""
        self.source: EngineSource | None = None
        self.engine: Engine | None = None
        self._drivers = drivers
        self._clock = clock
        self._ids = ids
        self._dice = dice
        self._starts = starts
        self._session = session
        self._api = api
        self._connect = connect
        self._disk = disk
        self._is_free = is_free or free_on(settings.host_ip)
        self._stopping = asyncio.Event()
        self._failure: Exception | None = None

    def stop(self) -> None:
        """Save state and close the sockets; `run` returns. Tasks keep running."""
        self._stopping.set()

    async def run(self) -> None:
        """Until stopped. Raise `RegistrationRefusedError`, `ClusterChangedError`, `StateInUseError`."""
        journal = Journal(self._disk or self._default_disk())
        try:
            async with asyncio.TaskGroup() as group:
                work = group.create_task(self._work_and_tell(journal))
                await self._stopping.wait()
                work.cancel()
        finally:
            journal.close()
        if self._failure is not None:
            raise self._failure

    async def drain(self) -> None:
        """Ask the control plane to move this instance's service tasks elsewhere."""
        if self._api is None or not self.instance_arn:
            return
        request = {
            "cluster": self.settings.cluster,
            "containerInstances": [self.instance_arn],
            "status": "DRAINING",
        }
        await self._api.call("ecs", "UpdateContainerInstancesState", request)

    async def _work_and_tell(self, journal: Journal) -> None:
        try:
            await self._work(journal)
        except* (RegistrationRefusedError, ClusterChangedError) as refused:
            self._failure = _innermost(refused)
            self._stopping.set()
        finally:
            await journal.sync()

    async def _work(self, journal: Journal) -> None:
        saved = journal.saved.instance
        if saved.cluster and saved.cluster != self.settings.cluster:
            raise ClusterChangedError(f"{saved.cluster} is saved, {self.settings.cluster} is configured")
        info = await self._engine_info()
        async with AsyncExitStack() as stack:
            api = self._api or await self._aws(stack)
            self._api = api
            if not saved.arn:
                await clear_networks(self._drivers)
            arn = saved.arn or await self._register(api, info, "")
            journal.save_instance(msgspec.structs.replace(saved, arn=arn, cluster=self.settings.cluster))
            await journal.sync()
            self.instance_arn = arn
            await self._serve(journal, api, info, known=bool(saved.arn))

    async def _serve(self, journal: Journal, api: Api, info: EngineInfo, *, known: bool) -> None:
        """Tasks are looked after before the control plane is found again, and while it is away."""
        tools = self._tools(api, info)
        reporter = Reporter(send_with(api, self.settings.cluster), dice=self._dice)
        admission = Admission(attributes.total_claim(info, self.settings))
        engine = Engine(
            tools, journal=journal, reporter=reporter, admission=admission, owner=self.instance_arn
        )
        self.engine = engine
        async with asyncio.TaskGroup() as group:
            group.create_task(reporter.run())
            group.create_task(engine.run())
            group.create_task(self._cleaner(engine, tools.brought).run())
            storage = self._storage(engine, group)
            if known:
                await self._register(api, info, self.instance_arn)
            link, telemetry = self._joined(journal, tools, engine, reporter, info)
            self.source = EngineSource(
                engine,
                tools=tools,
                telemetry=telemetry,
                instance_arn=self.instance_arn,
                storage=storage,
            )
            group.create_task(link.run())
            group.create_task(telemetry.run(link.tcs_connected))
            self.registered.set()
            log.info("agent.registered", instance=self.instance_arn, cluster=self.settings.cluster)

    def _storage(self, engine: Engine, group: asyncio.TaskGroup) -> StorageWatch | None:
        """What Fargate's tasks may write is limited."""
        if not self.settings.fargate:
            return None
        watch = StorageWatch(
            engine,
            self._drivers,
            region=self.settings.region,
            interval_seconds=self.settings.storage_interval_seconds,
        )
        group.create_task(watch.run())
        return watch

    def _joined(
        self, journal: Journal, tools: Tools, engine: Engine, reporter: Reporter, info: EngineInfo
    ) -> tuple[Link, Telemetry]:
        """The sockets and telemetry, which need each other."""
        link: Link | None = None

        def send(frame: Frame) -> None:
            if link is not None:
                link.send(frame)

        telemetry = Telemetry(
            engine,
            self._drivers.containers,
            sandboxes=self._drivers.sandboxes,
            cluster=self.settings.cluster,
            instance=self.instance_arn,
            send=send,
            clock=self._clock,
            ids=self._ids,
            interval_seconds=self.settings.publish_interval_seconds,
        )
        link = self._connect(
            identity=AgentIdentity(
                cluster=self.settings.cluster,
                container_instance=self.instance_arn,
                agent_version=self.settings.agent_version,
                agent_hash=self.settings.agent_hash,
                docker_version=info.version,
            ),
            region=self.settings.region,
            discover=self._discover(tools.api),
            credentials=self._own_credentials,
            handler=Responders(
                engine=engine, credentials=tools.credentials, telemetry=telemetry, reporter=reporter
            ),
            running_tasks=engine.running_tasks,
            watermark=journal.saved.instance.watermark,
            save_watermark=self._save_watermark(journal),
            clock=self._clock,
            ids=self._ids,
        )
        return link, telemetry

    def _tools(self, api: Api, info: EngineInfo) -> Tools:
        settings = self.settings
        first, last = settings.dynamic_ports
        reserved = [(port, "tcp") for port in settings.reserved_ports]
        reserved += [(port, "udp") for port in settings.reserved_udp_ports]
        return Tools(
            settings=settings,
            drivers=self._drivers,
            api=api,
            credentials=CredentialStore(),
            clock=self._clock,
            dice=self._dice,
            starts=StartSlots(self._starts),
            host_ports=HostPorts(first, last, taken=reserved, is_free=self._is_free),
            context=RenderContext(
                cluster=settings.cluster,
                region=settings.region,
                host_ip=settings.host_ip,
                mac_slot=settings.mac_slot,
                bridge_metadata=settings.bridge_metadata,
                host_metadata=settings.host_metadata,
                bridge_imds=settings.bridge_imds,
                host_imds=settings.host_imds,
                gpu_support=info.gpu_runtime,
                pause_image=settings.pause_image,
                open_files_max=settings.open_files_max,
                labels={**settings.labels, INSTANCE_LABEL: self.instance_arn},
            ),
        )

    def _cleaner(self, engine: Engine, brought: Collection[str]) -> ImageCleaner:
        def in_use() -> frozenset[str]:
            """Images of containers that still exist, and of those that are about to."""
            used = {self.settings.pause_image}
            for owner in engine.tasks:
                for payload in owner.task.containers:
                    used.add(payload.image)
                    known = owner.record.of(payload.name)
                    if known.image_id and known.phase >= Phase.CREATED:
                        used.add(known.image_id)
            return frozenset(used - {""})

        return ImageCleaner(
            self._drivers.images,
            settings=self.settings.images,
            clock=self._clock,
            in_use=in_use,
            brought=brought,
        )

    def _default_disk(self) -> Disk:
        path = self._journal_path()
        return VolatileDisk() if path is None else FileDisk(path)

    def _journal_path(self) -> Path | None:
        return None if self.settings.data_dir is None else self.settings.data_dir / JOURNAL_FILE

    async def _aws(self, stack: AsyncExitStack) -> Api:
        session = self._session
        if session is None:
            session = await stack.enter_async_context(aiohttp.ClientSession())
        return AwsApi(
            session=session,
            endpoint_url=self.settings.endpoint_url,
            endpoints=self.settings.endpoints,
            region=self.settings.region,
            credentials=self.settings.credentials,
            clock=self._clock,
            user_agent=f"homeport-agent/{self.settings.agent_version}",
        )

    async def _engine_info(self) -> EngineInfo:
        """The container engine's word on the machine, as soon as it answers."""
        warned = False
        while True:
            try:
                return await self._drivers.containers.info()
            except DriverUnavailableError as error:
                if not warned:
                    log.warning("engine.awaited", error=str(error))
                warned = True
            await asyncio.sleep(ENGINE_AGAIN_SECONDS)

    async def _register(self, api: Api, info: EngineInfo, arn: str) -> str:
        """Register, or register again; the instance's ARN."""
        request = registration(
            self.settings,
            info,
            arn,
            task_limits=self._drivers.cgroups is not None,
            task_networks=self._drivers.sandboxes is not None,
        )
        request["clientToken"] = uuid(self._ids)

        async def call() -> Mapping[str, Any]:
            return await api.call("ecs", "RegisterContainerInstance", request)

        async def make_cluster() -> Mapping[str, Any]:
            return await api.call("ecs", "CreateCluster", {"clusterName": self.settings.cluster})

        try:
            try:
                answer = await self._until_answered(call)
            except ApiError as error:
                if self.settings.cluster_configured or not lacks_cluster(error):
                    raise
                await self._until_answered(make_cluster)
                answer = await self._until_answered(call)
        except ApiError as error:
            if arn and error.code == "InvalidParameterException":
                raise InstanceGoneError(arn, self._journal_path()) from error
            raise RegistrationRefusedError(str(error)) from error
        instance = answer.get("containerInstance") or {}
        if not instance.get("containerInstanceArn"):
            raise RegistrationRefusedError("the answer names no containerInstanceArn")
        compare(request["attributes"], instance.get("attributes") or ())
        return str(instance["containerInstanceArn"])

    async def _until_answered(self, call: Callable[[], Awaitable[Mapping[str, Any]]]) -> Mapping[str, Any]:
        return await until_answered(call, dice=self._dice, backoff=REGISTRATION, final=registration_is_final)

    def _discover(self, api: Api) -> Callable[[], Awaitable[Endpoints]]:
        async def discover() -> Endpoints:
            request = {"cluster": self.settings.cluster, "containerInstance": self.instance_arn, "zoneId": ""}
            answer = await api.call("ecs", "DiscoverPollEndpoint", request)
            return Endpoints(acs=str(answer["endpoint"]), tcs=str(answer["telemetryEndpoint"]))

        return discover

    async def _own_credentials(self) -> Credentials:
        return self.settings.credentials

    def _save_watermark(self, journal: Journal) -> Callable[[int], Awaitable[None]]:
        async def save(watermark: int) -> None:
            journal.save_instance(
                Instance(arn=self.instance_arn, cluster=self.settings.cluster, watermark=watermark)
            )
            await journal.sync()

        return save


def _innermost(group: BaseExceptionGroup[Exception]) -> Exception:
    found: BaseException = group
    while isinstance(found, BaseExceptionGroup):
        found = found.exceptions[0]
    assert isinstance(found, Exception)
    return found
