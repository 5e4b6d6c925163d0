"""A whole Homeport on a free loopback port, in a thread: real gateway, real agents, fake machines.

boto3 blocks, so the server has a loop of its own. `Live.run` runs a coroutine
on it, for what a test does behind the API's back.
"""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import socket
import threading
from collections.abc import Awaitable, Callable, Coroutine, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

import aiohttp
import boto3
import uvicorn
from botocore.config import Config

from homeport.app.audit.files import AuditFiles
from homeport.app.audit.pages import AuditPages
from homeport.app.balancers.logins import public_keys
from homeport.app.control_plane import ControlPlane
from homeport.app.identity.bootstrap import Keys, ensure_keys
from homeport.app.identity.issuers import NO_ISSUERS, Issuers
from homeport.app.identity.keyring import StoredKeys
from homeport.app.networks.ground import NetworkGround, NoGround
from homeport.app.server import AGENT_FRAME_BYTES_MAX, KEEP_ALIVE_SECONDS
from homeport.app.wiring import (
    AgentGate,
    SealedPages,
    build_chain,
    build_control_plane,
    build_pages,
)
from homeport.core.clock import Clock, SystemClock
from homeport.core.ids import SystemIds
from homeport.core.pages import Pages
from homeport.core.sigv4 import Credentials
from homeport.gateway.agent_sockets import AgentSockets
from homeport.gateway.asgi import Gateway, Metrics
from homeport.gateway.logins.signer import Signer
from homeport.gateway.stages import Anonymous, MountedService
from homeport.node.agent import NodeAgent
from homeport.node.ports import Drivers
from homeport.node.settings import ImageGcSettings, NodeSettings
from homeport.node.state import VolatileDisk
from homeport.runtime.supervisor import Supervisor
from homeport.store.base import Store
from homeport.store.opening import open_memory_store
from homeport.store.vault import Vault
from tests.kit.machine import FakeMachine
from tests.kit.sandboxes import FakeSandboxes, with_sandboxes
from tests.kit.shapes import must_fit

T = TypeVar("T")
Mount = Callable[[ControlPlane, Pages], tuple[MountedService, ...]]
"""Makes services that take the place of those of the same name."""
ACCOUNT = "000000000000"
REGION = "us-east-1"
GROUND = NetworkGround(account_id=ACCOUNT, region=REGION, home_range="172.31.0.0/16")
"""A machine on which nothing else is routed. Rows only: no packet is sent."""
WAIT_SECONDS = 20.0
NODE_POLL_SECONDS = 0.02


@dataclass(slots=True)
class Node:
    """An agent on a machine that is not there."""

    agent: NodeAgent
    machine: FakeMachine
    running: asyncio.Task[None]
    settings: NodeSettings
    disk: VolatileDisk
    drivers: Drivers
    sandboxes: FakeSandboxes | None = None


@dataclass(slots=True)
class Live:
    """A running Homeport."""

    endpoint: str
    loop: asyncio.AbstractEventLoop
    plane: ControlPlane
    keys: Keys
    session: aiohttp.ClientSession
    clock: Clock
    group: asyncio.TaskGroup
    ring: StoredKeys
    nodes: list[Node] = field(default_factory=list)

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        """Run on the server's loop, and wait."""
        return asyncio.run_coroutine_threadsafe(work, self.loop).result(WAIT_SECONDS)

    def client(self, service: str, **changes: Any) -> Any:
        """A stock boto3 client of this server; no retries, so that nothing is hidden."""
        options: dict[str, Any] = {
            "endpoint_url": self.endpoint,
            "region_name": REGION,
            "aws_access_key_id": self.keys.root.access_key_id,
            "aws_secret_access_key": self.keys.root.secret_access_key,
            "config": Config(retries={"max_attempts": 0}),
        }
        client = boto3.client(service, **{**options, **changes})
        if service == "ecs":
            client.meta.events.register("before-parse.ecs", _must_fit)
        return client

    def add_node(self, *, networks: bool = False, **changes: Any) -> Node:
        """A container instance with a fake machine, registered and connected; `networks`: of its own."""
        return self.run(self._add_node(changes, networks=networks))

    async def _add_node(self, changes: dict[str, Any], *, networks: bool) -> Node:
        machine = FakeMachine(self.clock, images=("app:1",))
        drivers, sandboxes = with_sandboxes(machine) if networks else (machine.drivers, None)
        settings = NodeSettings(
            **{
                "endpoint_url": self.endpoint,
                "region": REGION,
                "credentials": self.keys.nodes,
                "data_dir": None,
                "availability_zone": f"{REGION}a",
                "ec2_instance_id": f"i-{len(self.nodes):017x}",
                "images": ImageGcSettings(enabled=False),
                "cluster_configured": False,
                "interim_report_seconds": 0.05,
                "publish_interval_seconds": 0.2,
                **changes,
            }
        )
        node = self._start(machine, settings, VolatileDisk(), drivers, sandboxes)
        self.nodes.append(node)
        await self._connected(node)
        return node

    def _start(
        self,
        machine: FakeMachine,
        settings: NodeSettings,
        disk: VolatileDisk,
        drivers: Drivers,
        sandboxes: FakeSandboxes | None,
    ) -> Node:
        agent = NodeAgent(
            settings,
            drivers,
            clock=self.clock,
            ids=SystemIds(),
            dice=lambda: 0.5,
            starts=asyncio.Semaphore(8),
            session=self.session,
            disk=disk,
            is_free=lambda port, protocol: True,
        )
        running = self.group.create_task(agent.run())
        return Node(agent, machine, running, settings, disk, drivers, sandboxes)

    async def _connected(self, node: Node) -> None:
        async with asyncio.timeout(WAIT_SECONDS):
            await node.agent.registered.wait()
            await self.until(lambda: self._is_connected(node))

    async def _is_connected(self, node: Node) -> bool:
        from homeport.services.ecs.repo.instances import InstanceRepo
        from homeport.services.ecs.repo.tables import container_instances

        uid = bytes.fromhex(node.agent.instance_arn.rpartition("/")[2])

        def look(tx: Any) -> bool:
            row = tx.execute(container_instances.select().where(container_instances.c.uid == uid)).first()
            found = InstanceRepo(tx).get(row.id)
            return found is not None and found.agent_connected

        return await self.plane.store.read(look)

    async def until(self, check: Callable[[], Coroutine[Any, Any, bool]]) -> None:
        """Return once `check` holds; it is asked again after every commit."""
        async for _ in self.plane.store.feed.subscribe(None):
            if await check():
                return

    def wait_until(self, check: Callable[[], Coroutine[Any, Any, bool]]) -> None:
        """`until` from the test's thread."""

        async def bounded() -> None:
            async with asyncio.timeout(WAIT_SECONDS):
                await self.until(check)

        self.run(bounded())

    def wait_for_node(self, check: Callable[[], bool]) -> None:
        """Return once `check` holds of what a node has in memory: no commit tells of that."""

        async def bounded() -> None:
            async with asyncio.timeout(WAIT_SECONDS):
                while not check():  # noqa: ASYNC110 - nothing tells
                    await asyncio.sleep(NODE_POLL_SECONDS)

        self.run(bounded())

    def restart(self, node: Node) -> Node:
        """Kill an agent and start it again on what it remembered; its containers do not notice."""

        async def again() -> Node:
            node.running.cancel()
            await asyncio.wait([node.running])
            fresh = self._start(node.machine, node.settings, node.disk, node.drivers, node.sandboxes)
            self.nodes[self.nodes.index(node)] = fresh
            await self._connected(fresh)
            return fresh

        return self.run(again())

    def stop_agent(self, node: Node) -> None:
        """Kill an agent; its containers do not notice."""

        async def stop() -> None:
            node.running.cancel()
            await asyncio.wait([node.running])
            async with asyncio.timeout(WAIT_SECONDS):
                await self.until(lambda: self._is_away(node))

        self.run(stop())

    async def _is_away(self, node: Node) -> bool:
        return not await self._is_connected(node)


def _must_fit(operation_model: Any, response_dict: dict[str, Any], **_: Any) -> None:
    """Every answer that a test gets is as the model says, also where the client would not mind."""
    if response_dict["status_code"] == 200:
        must_fit("ecs", operation_model.name, response_dict["body"])


class _Server(uvicorn.Server):
    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


async def _serve(
    ready: Callable[[Live], None],
    stopping: asyncio.Event,
    store: Store,
    anonymous: Anonymous | None,
    issuers: Issuers,
    audit: Path | None,
    mount: Mount | None,
    ground: NetworkGround | NoGround,
) -> None:
    clock, ids = SystemClock(), SystemIds()
    vault = Vault(bytes(32), ids)
    keys = await ensure_keys(store, clock, ids, vault, account_id=ACCOUNT)
    plane = build_control_plane(
        store, clock, ids, page_key=keys.pages, vault=vault, issuers=issuers, ground=ground
    )
    if mount is not None:
        more = mount(plane, SealedPages(keys.pages))
        names = {one.name for one in more}
        kept = tuple(one for one in plane.services if one.name not in names)
        plane = dataclasses.replace(plane, services=(*kept, *more))
    listening = socket.create_server(("127.0.0.1", 0))
    port = listening.getsockname()[1]
    ring = StoredKeys(store, clock, store.feed.subscribe, vault)
    sockets = AgentSockets(AgentGate(plane.hub), ids=ids)
    trail = None if audit is None else AuditFiles(audit, clock)
    audit_pages = {} if trail is None else AuditPages(trail, home_account=ACCOUNT).pages()
    gateway = Gateway(
        build_chain(plane, ring, anonymous=anonymous, trail=trail),
        sockets,
        Metrics(lambda: plane.hub.connected),
        health=list,
        own=build_pages(plane) | audit_pages,
        public=public_keys(Signer(keys.logins)),
    )
    server = _Server(
        uvicorn.Config(
            gateway,
            lifespan="off",
            access_log=False,
            log_config=None,
            timeout_keep_alive=KEEP_ALIVE_SECONDS,
            ws="websockets-sansio",
            ws_max_size=AGENT_FRAME_BYTES_MAX,
            ws_per_message_deflate=False,
            ws_ping_interval=None,
        )
    )
    async with Supervisor() as supervisor, aiohttp.ClientSession() as session:
        supervisor.start("keys", ring.run)
        plane.start(supervisor)
        async with asyncio.TaskGroup() as group:
            serving = group.create_task(server.serve(sockets=[listening]))
            endpoint = f"http://127.0.0.1:{port}"
            loop = asyncio.get_running_loop()
            live = Live(endpoint, loop, plane, keys, session, clock, group, ring)
            ready(live)
            await stopping.wait()
            for node in live.nodes:
                node.running.cancel()
            await sockets.close()
            server.should_exit = True
            await asyncio.wait([serving])
    if trail is not None:
        trail.close()
    listening.close()
    await store.close()


@contextlib.contextmanager
def live_server(
    open_store: Callable[[], Store | Awaitable[Store]] = open_memory_store,
    *,
    anonymous: Anonymous | None = None,
    issuers: Issuers = NO_ISSUERS,
    audit: Path | None = None,
    mount: Mount | None = None,
    ground: NetworkGround | NoGround = GROUND,
) -> Iterator[Live]:
    """Serve in a thread while the block runs. `audit`: the directory of its audit log."""
    started = threading.Event()
    held: dict[str, Any] = {}

    async def main() -> None:
        held["stopping"] = asyncio.Event()

        def ready(live: Live) -> None:
            held["live"] = live
            started.set()

        opened = open_store()
        store = await opened if isinstance(opened, Awaitable) else opened
        await _serve(ready, held["stopping"], store, anonymous, issuers, audit, mount, ground)

    def serve() -> None:
        try:
            asyncio.run(main())
        except BaseException as error:
            held["error"] = error
            raise
        finally:
            started.set()

    thread = threading.Thread(target=serve, name="homeport", daemon=True)
    thread.start()
    started.wait(WAIT_SECONDS)
    if "live" not in held:
        raise RuntimeError("the server did not start") from held.get("error")
    live: Live = held["live"]
    try:
        yield live
    finally:
        live.loop.call_soon_threadsafe(held["stopping"].set)
        thread.join(WAIT_SECONDS)
        assert not thread.is_alive(), "the server did not stop"


def credentials(key: dict[str, str]) -> Credentials:
    """What CreateAccessKey or GetSessionToken answered, to sign with."""
    return Credentials(
        access_key_id=key["AccessKeyId"],
        secret_access_key=key["SecretAccessKey"],
        session_token=key.get("SessionToken"),
    )
